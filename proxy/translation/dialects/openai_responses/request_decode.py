"""A client's request, into the canonical form."""

from __future__ import annotations

from typing import get_args

import msgspec

from proxy.translation import json_wire
from proxy.translation.canonical import Demand, Effort, Message, OutputFormat, Part, ReasoningSetting, Request, Text, Tool, ToolCall
from proxy.translation.dialects.openai_responses import compaction
from proxy.translation.dialects.openai_responses.request_decode_input import Conversation, check_role
from proxy.translation.dialects.openai_responses.tools import AnyTool, check_tools, decode_choice, decode_tools
from proxy.translation.dialects.openai_responses.wire import (
    DEFAULT_NAMESPACE,
    FAMILY,
    LOGPROBS,
    NO_JSON,
    Item,
    is_absent,
    read_input,
    required,
)
from proxy.translation.errors import ClientMistake
from proxy.translation.json_wire import Envelope

_EFFORTS = frozenset(get_args(Effort))
_STATE_FIELDS = ("previous_response_id", "prompt", "conversation")
"""Fields that stand for an input kept elsewhere."""

NO_BACKGROUND = "background: background responses are not available at this model's upstream; leave the field out and stream instead"
_DEMANDS = {
    "previous_response_id": (
        "previous_response_id: stored responses are switched off on this gateway, so earlier turns must be sent again in input; "
        "the operator switches them on by setting PXBIN_RESPONSES_STORE_SECONDS to the seconds that responses are kept"
    ),
    "conversation": "conversation: conversations kept by the server are not available at this model's upstream; send the turns in input",
    "background": NO_BACKGROUND,
    "prompt": "prompt: prompt templates kept by the vendor are not available at this model's upstream; send the text in input",
}


class Opened(Envelope, frozen=True):
    """An envelope whose ``input`` has been read already; ``given_of`` is the field that ``given`` was read from."""

    given: str | list[Item] = ""
    given_of: msgspec.Raw | None = None


# --- fields of the top level -----------------------------------------------------------------------------------------


class _Format(msgspec.Struct):
    type: str | None = None
    name: str | None = None
    schema: msgspec.Raw = NO_JSON
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
    """The fields of a request that have a canonical place, besides ``input`` and ``tools``."""

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


def _settings(fields: dict[str, msgspec.Raw]) -> _Settings:
    """The small fields, checked in one go."""
    small = json_wire.encode({name: value for name, value in fields.items() if name in _SETTING_NAMES})
    return json_wire.decode(small, _SETTINGS_DECODER)


# --- open and decode -------------------------------------------------------------------------------------------------


def open_request(body: bytes) -> Opened:
    """The envelope of a request; raises :class:`ClientMistake` for main fields of a wrong type."""
    fields = json_wire.open_object(body)
    for name in ("messages", "max_tokens", "response_format"):
        if name in fields and "input" not in fields:
            raise ClientMistake(f"{name}: this is a field of /v1/chat/completions; /v1/responses takes input", param=name)
    if is_absent(fields.get("model")):
        raise ClientMistake("model: the field is required", param="model")
    model = json_wire.decode(fields["model"], _STRING_DECODER, at="model")
    _settings(fields)
    stream = json_wire.decode(fields["stream"], _STREAM_DECODER, at="stream") if "stream" in fields else None
    given = _given(fields)
    if not is_absent(fields.get("tools")):
        check_tools(fields["tools"])
    return Opened(fields=fields, model=model, stream=bool(stream), given=given, given_of=fields.get("input"))


def _given(fields: dict[str, msgspec.Raw]) -> str | list[Item]:
    raw = fields.get("input")
    given = [] if raw is None or is_absent(raw) else read_input(raw)
    if given == [] and all(is_absent(fields.get(name)) for name in _STATE_FIELDS):
        raise ClientMistake("input: the field is required; a string or a list of items that is not empty is expected", param="input")
    if isinstance(given, list):
        for position, item in enumerate(given):
            if item.role not in ("user", "assistant", "system", "developer") and item.kind == "message":
                check_role(item.role, position)
    return given


def decode_request(envelope: Envelope, seal_key: bytes) -> Request:
    """The canonical request; raises :class:`ClientMistake`."""
    fields = envelope.fields
    settings = _settings(fields)
    # A caller may have put another input into the fields since.
    fresh = isinstance(envelope, Opened) and envelope.given_of is fields.get("input")
    given = envelope.given if isinstance(envelope, Opened) and fresh else _given(fields)
    conversation = Conversation(fields.get("input", msgspec.Raw(b"[]")), seal_key)
    conversation.read(given)
    tools = _tools(fields, conversation)
    logprobs = LOGPROBS in (settings.include or ()) or bool(settings.top_logprobs)
    request = Request(
        model=envelope.model,
        messages=_with_default_namespace(conversation.messages, tools),
        family=FAMILY,
        system=_system(settings.instructions, conversation.system),
        tools=tuple(tools),
        tool_choice=decode_choice(fields.get("tool_choice")),
        parallel_calls=settings.parallel_tool_calls,
        max_tokens=settings.max_output_tokens,
        temperature=settings.temperature,
        top_p=settings.top_p,
        reasoning=_reasoning(settings.reasoning),
        output=_output(settings.text),
        verbosity=settings.text.verbosity if settings.text else None,
        end_user=settings.safety_identifier or settings.user or None,
        metadata=settings.metadata,
        service_tier=settings.service_tier,
        prompt_cache_key=settings.prompt_cache_key,
        logprobs=logprobs,
        top_logprobs=settings.top_logprobs if logprobs else None,
        stream=envelope.stream,
        demands=(*_demands(settings, fields, logprobs=logprobs), *conversation.demands),
        extra={name: value for name, value in fields.items() if name not in ("input", "model", "stream") and not is_absent(value)},
    )
    return compaction.asked_for(request) if conversation.wants_compaction else request


def _system(instructions: str | None, leading: list[Text]) -> tuple[Text, ...]:
    first = (Text(instructions),) if instructions else ()
    return (*first, *leading)


def _tools(fields: dict[str, msgspec.Raw], conversation: Conversation) -> list[AnyTool]:
    raw = fields.get("tools")
    tools = [] if raw is None or is_absent(raw) else decode_tools(raw, "tools")
    for added, at in conversation.tools:
        tools += decode_tools(added, at)
    return tools


def _with_default_namespace(messages: list[Message], tools: list[AnyTool]) -> tuple[Message, ...]:
    """Calls without a namespace belong to the default one, where it has their tool."""
    named = {tool.name for tool in tools if isinstance(tool, Tool) and tool.namespace == DEFAULT_NAMESPACE}
    bare = {tool.name for tool in tools if isinstance(tool, Tool) and not tool.namespace}
    meant = named - bare
    if not meant:
        return tuple(messages)

    def fit(part: Part) -> Part:
        if isinstance(part, ToolCall) and not part.namespace and part.name in meant:
            return msgspec.structs.replace(part, namespace=DEFAULT_NAMESPACE)
        return part

    return tuple(msgspec.structs.replace(message, parts=tuple(map(fit, message.parts))) for message in messages)


def _reasoning(given: _Reasoning | None) -> ReasoningSetting | None:
    """A summary alone, without an effort, asks for nothing that other dialects have to be told."""
    if given is None or given.effort is None:
        return None
    if given.effort not in _EFFORTS:
        words = ", ".join(get_args(Effort))
        raise ClientMistake(f"reasoning.effort: {given.effort!r} is not one of {words}", param="reasoning.effort")
    effort = msgspec.convert(given.effort, Effort)
    return ReasoningSetting(mode="effort", effort=effort, summary=given.summary or given.generate_summary)


def _output(given: _TextSettings | None) -> OutputFormat | None:
    form = given.format if given else None
    if form is None or form.type == "text":
        return None
    at = "text.format"
    if form.type == "json_object":
        return OutputFormat(kind="json_object")
    if form.type != "json_schema":
        kind = required(form.type, "type", at)
        raise ClientMistake(f"{at}.type: {kind!r} is not one of text, json_object, json_schema", param=f"{at}.type")
    if form.schema == NO_JSON:
        raise ClientMistake(f"{at}.schema: the field is required", param=f"{at}.schema")
    return OutputFormat(
        kind="json_schema", name=required(form.name, "name", at), schema=form.schema, strict=form.strict, description=form.description
    )


def _demands(settings: _Settings, fields: dict[str, msgspec.Raw], *, logprobs: bool) -> list[Demand]:
    asked = [name for name in _DEMANDS if name != "background" and not is_absent(fields.get(name))]
    if settings.background:
        asked.append("background")
    demands = [Demand(field=name, message=_DEMANDS[name], carried_by=(FAMILY,)) for name in asked]
    if logprobs:
        message = "include: log probabilities are not available at this model's upstream"
        demands.append(Demand(field="include", message=message, carried_by=("openai_chat", FAMILY)))
    return demands
