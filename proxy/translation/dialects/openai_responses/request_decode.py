"""Decodes a request of a Responses client into the canonical form (docs/wire-formats.md, sections 3.2 and 7)."""

from __future__ import annotations

from typing import Any, get_args

import msgspec

from proxy.translation import json_wire
from proxy.translation.canonical import Demand, Effort, Message, OutputFormat, Part, ReasoningSetting, Request, Text, Tool, ToolCall
from proxy.translation.dialects.openai_moderation import moderation_demands
from proxy.translation.dialects.openai_responses import compaction
from proxy.translation.dialects.openai_responses.request_decode_input import InputDecoder, check_role
from proxy.translation.dialects.openai_responses.tools import AnyTool, check_tools, decode_choice, decode_tools
from proxy.translation.dialects.openai_responses.wire import (
    DEFAULT_NAMESPACE,
    FAMILY,
    INPUT,
    JSON_NULL,
    LOGPROBS,
    Item,
    decode_input,
    is_absent,
    require,
)
from proxy.translation.errors import ClientMistake
from proxy.translation.json_object import open_object
from proxy.translation.json_wire import Envelope

_EFFORTS = frozenset(get_args(Effort))
_STATE_FIELDS = ("previous_response_id", "prompt", "conversation")
"""Fields that may replace ``input``: they name input that a server stores."""

BACKGROUND_UNSUPPORTED = "background: this model's upstream does not support background responses; remove the field and stream the response"
_DEMAND_MESSAGES = {
    "previous_response_id": (
        "previous_response_id: stored responses are disabled on this gateway; send the earlier turns in input. "
        "The operator enables them with PXBIN_RESPONSES_STORE_SECONDS, the number of seconds for which responses are stored"
    ),
    "conversation": "conversation: this model's upstream does not support stored conversations; send the turns in input",
    "background": BACKGROUND_UNSUPPORTED,
    "prompt": "prompt: this model's upstream does not support stored prompts; send the text in input",
}


class ResponsesEnvelope(Envelope, frozen=True):
    """An envelope whose ``input`` is decoded in ``items``; ``input_json`` is the field from which it was decoded.

    ``is_read``: ``input`` has no field that is not read.
    """

    items: str | list[Item] = ""
    is_read: bool = True
    input_json: msgspec.Raw | None = None


# --- fields of the top level -----------------------------------------------------------------------------------------


class _Format(msgspec.Struct):
    type: str | None = None
    name: str | None = None
    schema: msgspec.Raw = JSON_NULL
    strict: bool | None = None
    description: str | None = None


class _TextSettings(msgspec.Struct):
    format: _Format | None = None
    verbosity: str | None = None


class _Reasoning(msgspec.Struct):
    effort: str | None = None
    summary: str | None = None
    generate_summary: str | None = None


class _Settings(msgspec.Struct, kw_only=True):
    """The fields of a request with a canonical place, except ``input`` and ``tools``."""

    instructions: str | None = None
    max_output_tokens: int | None = None
    parallel_tool_calls: bool | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_logprobs: int | None = None
    text: _TextSettings | None = None
    reasoning: _Reasoning | None = None
    include: list[str] | None = None
    metadata: dict[str, str] | None = None
    service_tier: str | None = None
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    store: bool | None = None
    background: bool | None = None
    previous_response_id: str | None = None
    truncation: str | None = None
    max_tool_calls: int | None = None


_SETTING_NAMES = frozenset(field.name for field in msgspec.structs.fields(_Settings))
_SETTINGS_DECODER = msgspec.json.Decoder(_Settings)
_STRING_DECODER = msgspec.json.Decoder(str)
_STREAM_DECODER = msgspec.json.Decoder(bool | None)


def _decode_settings(fields: dict[str, msgspec.Raw]) -> _Settings:
    """Decode all settings together, so that their types are validated once."""
    settings = json_wire.encode({name: value for name, value in fields.items() if name in _SETTING_NAMES})
    return json_wire.decode(settings, _SETTINGS_DECODER)


# --- open and decode -------------------------------------------------------------------------------------------------


def open_request(body: bytes) -> ResponsesEnvelope:
    """The envelope of a request; raises :class:`ClientMistake` with the path of a main field that is missing or has the wrong type."""
    fields = open_object(body)
    for name in ("messages", "max_tokens", "response_format"):
        if name in fields and "input" not in fields:
            raise ClientMistake(f"{name}: this is a field of /v1/chat/completions; /v1/responses takes input", param=name)
    if is_absent(fields.get("model")):
        raise ClientMistake("model: the field is required", param="model")
    model = json_wire.decode(fields["model"], _STRING_DECODER, at="model")
    _decode_settings(fields)
    stream = json_wire.decode(fields["stream"], _STREAM_DECODER, at="stream") if "stream" in fields else None
    items, is_read = _decode_input_field(fields)
    if not is_absent(fields.get("tools")):
        check_tools(fields["tools"])
    return ResponsesEnvelope(fields=fields, model=model, stream=bool(stream), items=items, is_read=is_read, input_json=fields.get("input"))


def _decode_input_field(fields: dict[str, msgspec.Raw]) -> tuple[str | list[Item], bool]:
    raw = fields.get("input")
    items, is_read = ([], True) if raw is None or is_absent(raw) else decode_input(raw)
    if items == [] and all(is_absent(fields.get(name)) for name in _STATE_FIELDS):
        raise ClientMistake("input: the field is required; it must be a string or a list with at least one item", param="input")
    if isinstance(items, list):
        for position, item in enumerate(items):
            if item.role not in ("user", "assistant", "system", "developer") and item.kind == "message":
                check_role(item.role, position)
    return items, is_read


def decode_request(envelope: Envelope, seal_key: bytes) -> Request:
    """The canonical request; raises :class:`ClientMistake` with the path of a field whose value is invalid."""
    fields = envelope.fields
    settings = _decode_settings(fields)
    # The caller may have replaced the input since.
    if isinstance(envelope, ResponsesEnvelope) and envelope.input_json is fields.get("input"):
        items, is_read = envelope.items, envelope.is_read
    else:
        items, is_read = _decode_input_field(fields)
    input_decoder = InputDecoder(fields.get("input", msgspec.Raw(b"[]")), seal_key)
    input_decoder.decode(items)
    if not is_read:
        INPUT.note(fields["input"], input_decoder.unread, at="input")
    tools = _decode_tools(fields, input_decoder)
    reasoning, text = _updated(settings, input_decoder.updates)
    logprobs = LOGPROBS in (settings.include or ()) or bool(settings.top_logprobs)
    request = Request(
        model=envelope.model,
        messages=_with_default_namespace(input_decoder.messages, tools),
        family=FAMILY,
        system=_system_texts(settings.instructions, input_decoder.system),
        tools=tuple(tools),
        tool_choice=decode_choice(fields.get("tool_choice")),
        parallel_calls=settings.parallel_tool_calls,
        max_tokens=settings.max_output_tokens,
        temperature=settings.temperature,
        top_p=settings.top_p,
        reasoning=_decode_reasoning(reasoning),
        output=_decode_output(text),
        verbosity=settings.text.verbosity if settings.text else None,
        end_user=settings.safety_identifier or settings.user or None,
        metadata=settings.metadata,
        service_tier=settings.service_tier,
        prompt_cache_key=settings.prompt_cache_key,
        logprobs=logprobs,
        top_logprobs=settings.top_logprobs if logprobs else None,
        stream=envelope.stream,
        demands=(*_decode_demands(settings, fields, logprobs=logprobs), *input_decoder.demands),
        extra={name: value for name, value in fields.items() if name not in ("input", "model", "stream") and not is_absent(value)},
        unread=tuple(sorted(input_decoder.unread)),
    )
    return compaction.mark_compaction(request) if input_decoder.wants_compaction else request


class _Update(msgspec.Struct):
    reasoning: _Reasoning | None = None
    text: _TextSettings | None = None


_UPDATE_DECODER = msgspec.json.Decoder(_Update)


def _updated(settings: _Settings, updates: list[msgspec.Raw]) -> tuple[_Reasoning | None, _TextSettings | None]:
    """The settings of ``reasoning`` and ``text`` after the ``configuration_update`` items, of which the last one counts."""
    reasoning, text = settings.reasoning, settings.text
    for raw in updates:
        update = json_wire.decode(raw, _UPDATE_DECODER, at="input")
        if update.reasoning is not None:
            reasoning = msgspec.structs.replace(reasoning or _Reasoning(), effort=update.reasoning.effort)
        if update.text is not None:
            text = msgspec.structs.replace(text or _TextSettings(), format=update.text.format)
    return reasoning, text


def _system_texts(instructions: str | None, leading: list[Text]) -> tuple[Text, ...]:
    first = (Text(instructions),) if instructions else ()
    return (*first, *leading)


def _decode_tools(fields: dict[str, msgspec.Raw], input_decoder: InputDecoder) -> list[AnyTool]:
    raw = fields.get("tools")
    unread = input_decoder.unread
    tools = [] if raw is None or is_absent(raw) else decode_tools(raw, "tools", unread)
    for added, at in input_decoder.tools:
        tools += decode_tools(added, at, unread)
    declared = {(tool.name, getattr(tool, "namespace", "")) for tool in tools}
    for loaded, at in input_decoder.loaded_tools:
        # A Responses upstream reads these in the item itself; the others need them in the list.
        tools += [
            msgspec.structs.replace(tool, loaded=True)
            for tool in decode_tools(loaded, at, unread)
            if isinstance(tool, Tool) and (tool.name, tool.namespace) not in declared
        ]
    return tools


def _with_default_namespace(messages: list[Message], tools: list[AnyTool]) -> tuple[Message, ...]:
    """The messages with calls without a namespace moved to the default namespace, if only that one has their tool."""
    namespaced = {tool.name for tool in tools if isinstance(tool, Tool) and tool.namespace == DEFAULT_NAMESPACE}
    bare = {tool.name for tool in tools if isinstance(tool, Tool) and not tool.namespace}
    moved = namespaced - bare
    if not moved:
        return tuple(messages)

    def set_namespace(part: Part) -> Part:
        if isinstance(part, ToolCall) and not part.namespace and part.name in moved:
            return msgspec.structs.replace(part, namespace=DEFAULT_NAMESPACE)
        return part

    return tuple(msgspec.structs.replace(message, parts=tuple(map(set_namespace, message.parts))) for message in messages)


def _decode_reasoning(setting: _Reasoning | None) -> ReasoningSetting | None:
    """The setting of ``reasoning``; ``None`` with neither an effort nor a summary."""
    if setting is None:
        return None
    effort, summary = setting.effort, setting.summary or setting.generate_summary
    if effort is None and summary is None:
        return None
    if effort is not None and effort not in _EFFORTS:
        efforts = ", ".join(get_args(Effort))
        raise ClientMistake(f"reasoning.effort: {effort!r} is not one of {efforts}", param="reasoning.effort")
    return ReasoningSetting(mode="effort", effort=None if effort is None else msgspec.convert(effort, Effort), summary=summary)


def _decode_output(settings: _TextSettings | None) -> OutputFormat | None:
    text_format = settings.format if settings else None
    if text_format is None or text_format.type == "text":
        return None
    at = "text.format"
    if text_format.type == "json_object":
        return OutputFormat(kind="json_object")
    if text_format.type != "json_schema":
        kind = require(text_format.type, "type", at)
        raise ClientMistake(f"{at}.type: {kind!r} is not one of text, json_object, json_schema", param=f"{at}.type")
    if text_format.schema == JSON_NULL:
        raise ClientMistake(f"{at}.schema: the field is required", param=f"{at}.schema")
    return OutputFormat(
        kind="json_schema",
        name=require(text_format.name, "name", at),
        schema=text_format.schema,
        strict=text_format.strict,
        description=text_format.description,
    )


def _decode_demands(settings: _Settings, fields: dict[str, msgspec.Raw], *, logprobs: bool) -> list[Demand]:
    names = [name for name in _DEMAND_MESSAGES if name != "background" and not is_absent(fields.get(name))]
    if settings.background:
        names.append("background")
    demands = [Demand(field=name, message=_DEMAND_MESSAGES[name], carried_by=(FAMILY,)) for name in names]
    demands += _async_demands(fields.get("tools"))
    demands += moderation_demands(fields.get("moderation"))
    if logprobs:
        message = "include: this model's upstream reports no log probabilities"
        demands.append(Demand(field="include", message=message, carried_by=("openai_chat", FAMILY)))
    return demands


class _AsyncTool(msgspec.Struct):
    async_: Any = msgspec.field(default=None, name="async")


_ASYNC_TOOLS_DECODER = msgspec.json.Decoder(list[_AsyncTool] | None)


def _async_demands(tools: msgspec.Raw | None) -> list[Demand]:
    """A demand for each asynchronous tool: other wires have no place for an output that comes after further turns."""
    if tools is None or b'"async"' not in bytes(tools):
        return []
    return [
        Demand(
            field=f"tools.{position}.async",
            message=f"tools.{position}.async: this model's upstream does not support asynchronous tools",
            carried_by=(FAMILY,),
        )
        for position, tool in enumerate(json_wire.decode(tools, _ASYNC_TOOLS_DECODER, at="tools") or ())
        if tool.async_ is True
    ]
