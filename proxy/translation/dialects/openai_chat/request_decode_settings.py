"""Decodes the settings of a Chat client: tools, tool choice, output format, limits (docs/wire-formats.md, sections 7.5 to 7.10)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, get_args

import msgspec

from proxy.translation import json_wire
from proxy.translation.canonical import CacheMark, Demand, Effort, HostedTool, OutputFormat, ReasoningSetting, Tool, ToolChoice
from proxy.translation.dialects.openai_chat import wire_request as wire
from proxy.translation.dialects.openai_chat.request_decode_parts import client_mistake
from proxy.translation.dialects.openai_chat.wire_request import FAMILY
from proxy.translation.dialects.openai_moderation import moderation_demands

EFFORTS = get_args(Effort)
_FORMAT_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_MODES = {"none": "none", "auto": "auto", "required": "required", "any": "required"}
_RAW_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_TEXT = msgspec.json.Decoder(str | None)
_BOOL = msgspec.json.Decoder(bool | None)
_STRINGS = msgspec.json.Decoder(dict[str, str] | None)

MAPPED_FIELDS = frozenset(wire.ChatBody.__struct_fields__) - {"n"} | {"top_k", "metadata", "web_search_options"}
"""Fields with a canonical place; all others are kept in ``Request.extra``."""


# --- tools -----------------------------------------------------------------------------------------------------------


def decode_tools(body: wire.ChatBody, fields: Mapping[str, msgspec.Raw]) -> tuple[Tool | HostedTool, ...]:
    """``tools`` and ``functions``, and web search, which Chat enables with the field ``web_search_options``."""
    tools: list[Tool | HostedTool] = [_decode_tool(tool, index, fields) for index, tool in enumerate(body.tools or ())]
    tools += [_decode_function(function, f"functions.{index}") for index, function in enumerate(body.functions or ())]
    web_search = fields.get("web_search_options", wire.ABSENT)
    if wire.is_present(web_search):
        tools.append(HostedTool(family=FAMILY, type="web_search_options", name="web_search", native=web_search, at="web_search_options"))
    return tuple(tools)


def _decode_tool(tool: wire.Tool, index: int, fields: Mapping[str, msgspec.Raw]) -> Tool | HostedTool:
    at = f"tools.{index}"
    cache = CacheMark(tool.cache_control) if wire.is_present(tool.cache_control) else None
    if tool.function is not None and tool.type in (None, "function"):
        return _decode_function(tool.function, f"{at}.function", cache)
    if tool.custom is not None and tool.type in (None, "custom"):
        custom = tool.custom
        tool_format = custom.format if wire.is_present(custom.format) else None
        return Tool(name=custom.name, description=custom.description, kind="custom", format=tool_format, cache=cache)
    if tool.type in (None, "function", "custom"):
        return _decode_flat_tool(tool, at, cache)
    native = json_wire.decode(fields["tools"], _RAW_LIST, at="tools")[index]
    return HostedTool(family=FAMILY, type=tool.type, name=tool.type, native=native, at=at)


def _decode_flat_tool(tool: wire.Tool, at: str, cache: CacheMark | None) -> Tool:
    """A tool without ``function`` and ``custom``: the form of Responses, or with ``input_schema`` that of Messages."""
    if not tool.name:
        raise client_mistake(at, "a tool needs the field function or custom")
    description = json_wire.decode(tool.description, _TEXT, at=f"{at}.description") if tool.description else None
    if tool.type == "custom" and not wire.is_present(tool.input_schema):
        tool_format = tool.format if wire.is_present(tool.format) else None
        return Tool(name=tool.name, description=description, kind="custom", format=tool_format, cache=cache)
    strict = json_wire.decode(tool.strict, _BOOL, at=f"{at}.strict") if tool.strict else None
    schema = tool.input_schema if wire.is_present(tool.input_schema) else tool.parameters
    return _decode_function(wire.FunctionDefinition(tool.name, description, schema, strict), at, cache)


def _decode_function(function: wire.FunctionDefinition, at: str, cache: CacheMark | None = None) -> Tool:
    if not function.name:
        raise client_mistake(f"{at}.name", "the field is required")
    schema = function.parameters if wire.is_present(function.parameters) else None
    if schema is not None and bytes(schema)[:1] != b"{":
        raise client_mistake(f"{at}.parameters", "a JSON Schema object is expected")
    return Tool(name=function.name, description=function.description, schema=schema, strict=function.strict, cache=cache)


def decode_tool_choice(body: wire.ChatBody) -> ToolChoice | None:
    """``tool_choice``, or its older form ``function_call``."""
    choice = body.tool_choice
    if choice is None:
        return _decode_legacy_choice(body.function_call)
    if isinstance(choice, str):
        return ToolChoice(mode=_decode_mode(choice, "tool_choice"))
    if choice.type == "function" and choice.function is not None:
        return ToolChoice(mode="tool", name=choice.function.name)
    if choice.type == "custom" and choice.custom is not None:
        return ToolChoice(mode="tool", name=choice.custom.name, kind="custom")
    if choice.type in ("function", "tool", "custom") and choice.name:
        return ToolChoice(mode="tool", name=choice.name, kind="custom" if choice.type == "custom" else "function")
    if choice.type == "allowed_tools" and choice.allowed_tools is not None:
        return ToolChoice(mode=choice.allowed_tools.mode, subset=tuple(_allowed_names(choice.allowed_tools)))
    return ToolChoice(mode=_decode_mode(choice.type, "tool_choice.type"))


def decode_parallel_calls(body: wire.ChatBody) -> bool | None:
    """``parallel_tool_calls``, or its form of the Messages API inside ``tool_choice``."""
    choice = body.tool_choice
    if body.parallel_tool_calls is None and isinstance(choice, wire.ToolChoice) and choice.disable_parallel_tool_use is not None:
        return not choice.disable_parallel_tool_use
    return body.parallel_tool_calls


def _decode_mode(mode: str, at: str) -> Any:
    if mode not in _MODES:
        raise client_mistake(at, f"{mode!r} is not one of none, auto, required, a function, a custom tool or allowed_tools")
    return _MODES[mode]


def _allowed_names(allowed: wire.AllowedTools) -> list[str]:
    names: list[str] = []
    for index, tool in enumerate(allowed.tools):
        definition = tool.function or tool.custom
        name = definition.name if definition is not None else tool.name
        if not name:
            raise client_mistake(f"tool_choice.allowed_tools.tools.{index}", "an allowed tool needs a name")
        names.append(name)
    return names


def _decode_legacy_choice(choice: str | wire.NamedTool | None) -> ToolChoice | None:
    if choice is None:
        return None
    if isinstance(choice, str):
        return ToolChoice(mode=_decode_mode(choice, "function_call"))
    return ToolChoice(mode="tool", name=choice.name)


def decode_max_tokens(body: wire.ChatBody) -> int | None:
    """The output limit in tokens: ``max_completion_tokens``, or its older form ``max_tokens``. 0 is valid only for Anthropic clients."""
    name = "max_tokens" if body.max_completion_tokens is None else "max_completion_tokens"
    tokens: int | None = getattr(body, name)
    if tokens is not None and tokens < 1:
        raise client_mistake(name, "must be at least 1")
    return tokens


# --- output and reasoning --------------------------------------------------------------------------------------------


def decode_output(body: wire.ChatBody) -> OutputFormat | None:
    """``response_format``; ``None`` for plain text."""
    response_format = body.response_format
    if response_format is None or response_format.type == "text":
        return None
    if response_format.type == "json_object":
        return OutputFormat(kind="json_object")
    if response_format.type != "json_schema":
        raise client_mistake("response_format.type", f"{response_format.type!r} is not one of text, json_object, json_schema")
    json_schema = response_format.json_schema
    if json_schema is None:
        raise client_mistake("response_format.json_schema", "the field is required")
    if not json_schema.name or not _FORMAT_NAME.fullmatch(json_schema.name):
        raise client_mistake("response_format.json_schema.name", "a name of 1 to 64 letters, digits, underscores and hyphens is expected")
    schema = json_schema.schema if wire.is_present(json_schema.schema) else None
    return OutputFormat(
        kind="json_schema", name=json_schema.name, schema=schema, strict=json_schema.strict, description=json_schema.description
    )


def decode_reasoning(body: wire.ChatBody) -> ReasoningSetting | None:
    """``reasoning_effort``."""
    effort = body.reasoning_effort
    if effort is None:
        return None
    if effort not in EFFORTS:
        raise client_mistake("reasoning_effort", f"{effort!r} is not one of {', '.join(EFFORTS)}")
    return ReasoningSetting(mode="effort", effort=effort)  # type: ignore[arg-type]


# --- the rest --------------------------------------------------------------------------------------------------------


def decode_metadata(fields: Mapping[str, msgspec.Raw]) -> dict[str, str] | None:
    """``metadata``; its values are strings."""
    raw = fields.get("metadata")
    return json_wire.decode(raw, _STRINGS, at="metadata") if raw else None


def unmapped_settings(fields: Mapping[str, msgspec.Raw]) -> dict[str, msgspec.Raw]:
    """The fields without a canonical place.

    ``functions`` is among them, because the response to a client that sends it has the older form, too (``function_call``).
    """
    return {name: raw for name, raw in fields.items() if (name not in MAPPED_FIELDS or name == "functions") and wire.is_present(raw)}


def decode_demands(body: wire.ChatBody, fields: Mapping[str, msgspec.Raw]) -> tuple[Demand, ...]:
    """The fields that an upstream must support, because without them the response would be of another kind."""
    demands: list[Demand] = []
    if body.n is not None and body.n != 1:
        demands.append(Demand(field="n", message="n: only one choice can be translated for this model's upstream"))
    if body.logprobs or body.top_logprobs:
        demands.append(
            Demand(
                field="logprobs",
                message="logprobs: this model's upstream reports no log probabilities",
                carried_by=("openai_chat", "openai_responses"),
            )
        )
    if wire.is_present(fields.get("audio", wire.ABSENT)) or b"audio" in bytes(fields.get("modalities", wire.ABSENT)):
        name = "modalities" if b"audio" in bytes(fields.get("modalities", wire.ABSENT)) else "audio"
        demands.append(Demand(field=name, message=f"{name}: this model's upstream responds with text only"))
    demands += moderation_demands(fields.get("moderation"))
    demands += [
        Demand(
            field=f"messages.{position}.audio",
            message=f"messages.{position}.audio: the audio of an earlier response is only at its provider; send the transcript instead",
            carried_by=(FAMILY,),
        )
        for position, message in enumerate(body.messages)
        if wire.is_present(message.audio)
    ]
    return tuple(demands)
