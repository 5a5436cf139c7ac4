"""Settings of a chat client: tools, choices, output format, limits, and what only chat knows (sections 7.5 to 7.10)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, get_args

import msgspec

from proxy.translation import json_wire
from proxy.translation.canonical import CacheMark, Demand, Effort, HostedTool, OutputFormat, ReasoningSetting, Tool, ToolChoice
from proxy.translation.dialects.openai_chat import wire_request
from proxy.translation.dialects.openai_chat.request_decode_parts import mistake
from proxy.translation.dialects.openai_chat.wire_request import FAMILY

EFFORTS = get_args(Effort)
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_MODES = {"none": "none", "auto": "auto", "required": "required", "any": "required"}
_RAW_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_STRINGS = msgspec.json.Decoder(dict[str, str] | None)

MAPPED = frozenset(wire_request.Body.__struct_fields__) - {"n"} | {"top_k", "metadata", "web_search_options"}
"""Fields with a canonical place; all others travel in ``Request.extra``."""


# --- tools -----------------------------------------------------------------------------------------------------------


def tools(body: wire_request.Body, fields: Mapping[str, msgspec.Raw]) -> tuple[Tool | HostedTool, ...]:
    """The tools and legacy functions, and web search, which chat switches on by a field of its own."""
    found: list[Tool | HostedTool] = [_tool(tool, index, fields) for index, tool in enumerate(body.tools or ())]
    found += [_function(function, f"functions.{index}") for index, function in enumerate(body.functions or ())]
    search = fields.get("web_search_options", wire_request.ABSENT)
    if wire_request.given(search):
        found.append(HostedTool(family=FAMILY, type="web_search_options", name="web_search", native=search, at="web_search_options"))
    return tuple(found)


def _tool(tool: wire_request.Tool, index: int, fields: Mapping[str, msgspec.Raw]) -> Tool | HostedTool:
    at = f"tools.{index}"
    cache = CacheMark(tool.cache_control) if wire_request.given(tool.cache_control) else None
    if tool.function is not None and tool.type in (None, "function"):
        return _function(tool.function, f"{at}.function", cache)
    if tool.custom is not None and tool.type in (None, "custom"):
        custom = tool.custom
        form = custom.format if wire_request.given(custom.format) else None
        return Tool(name=custom.name, description=custom.description, kind="custom", format=form, cache=cache)
    if tool.type in (None, "function", "custom"):
        raise mistake(at, "a tool needs its function or custom object")
    native = json_wire.decode(fields["tools"], _RAW_LIST, at="tools")[index]
    return HostedTool(family=FAMILY, type=tool.type, name=tool.type, native=native, at=at)


def _function(function: wire_request.FunctionDefinition, at: str, cache: CacheMark | None = None) -> Tool:
    if not function.name:
        raise mistake(f"{at}.name", "a function needs a name")
    schema = function.parameters if wire_request.given(function.parameters) else None
    if schema is not None and bytes(schema)[:1] != b"{":
        raise mistake(f"{at}.parameters", "a JSON Schema object is expected")
    return Tool(name=function.name, description=function.description, schema=schema, strict=function.strict, cache=cache)


def tool_choice(body: wire_request.Body) -> ToolChoice | None:
    """``tool_choice``, or the legacy ``function_call``."""
    choice = body.tool_choice
    if choice is None:
        return _legacy_choice(body.function_call)
    if isinstance(choice, str):
        return ToolChoice(mode=_mode(choice, "tool_choice"))
    if choice.type == "function" and choice.function is not None:
        return ToolChoice(mode="tool", name=choice.function.name)
    if choice.type == "custom" and choice.custom is not None:
        return ToolChoice(mode="tool", name=choice.custom.name, kind="custom")
    if choice.type == "allowed_tools" and choice.allowed_tools is not None:
        return ToolChoice(mode=choice.allowed_tools.mode, subset=tuple(_allowed(choice.allowed_tools)))
    return ToolChoice(mode=_mode(choice.type, "tool_choice.type"))


def _mode(word: str, at: str) -> Any:
    if word not in _MODES:
        raise mistake(at, f"{word!r} is not one of none, auto, required, a function, a custom tool or allowed_tools")
    return _MODES[word]


def _allowed(allowed: wire_request.Allowed) -> list[str]:
    names: list[str] = []
    for index, tool in enumerate(allowed.tools):
        named = tool.function or tool.custom
        name = named.name if named is not None else tool.name
        if not name:
            raise mistake(f"tool_choice.allowed_tools.tools.{index}", "an allowed tool needs a name")
        names.append(name)
    return names


def _legacy_choice(choice: str | wire_request.Named | None) -> ToolChoice | None:
    if choice is None:
        return None
    if isinstance(choice, str):
        return ToolChoice(mode=_mode(choice, "function_call"))
    return ToolChoice(mode="tool", name=choice.name)


def limit(body: wire_request.Body) -> int | None:
    """The output limit, whose newer field wins. Zero means something only to Anthropic's own clients."""
    name = "max_tokens" if body.max_completion_tokens is None else "max_completion_tokens"
    tokens: int | None = getattr(body, name)
    if tokens is not None and tokens < 1:
        raise mistake(name, "at least 1 is expected")
    return tokens


# --- output and reasoning --------------------------------------------------------------------------------------------


def output(body: wire_request.Body) -> OutputFormat | None:
    """``response_format``; plain text is no format."""
    wanted = body.response_format
    if wanted is None or wanted.type == "text":
        return None
    if wanted.type == "json_object":
        return OutputFormat(kind="json_object")
    if wanted.type != "json_schema":
        raise mistake("response_format.type", f"{wanted.type!r} is not one of text, json_object, json_schema")
    shape = wanted.json_schema
    if shape is None:
        raise mistake("response_format.json_schema", "a json_schema format needs its json_schema")
    if not shape.name or not _NAME.fullmatch(shape.name):
        raise mistake("response_format.json_schema.name", "a name of 1 to 64 letters, digits, underscores and hyphens is expected")
    schema = shape.schema if wire_request.given(shape.schema) else None
    return OutputFormat(kind="json_schema", name=shape.name, schema=schema, strict=shape.strict, description=shape.description)


def reasoning(body: wire_request.Body) -> ReasoningSetting | None:
    """``reasoning_effort``."""
    effort = body.reasoning_effort
    if effort is None:
        return None
    if effort not in EFFORTS:
        raise mistake("reasoning_effort", f"{effort!r} is not one of {', '.join(EFFORTS)}")
    return ReasoningSetting(mode="effort", effort=effort)  # type: ignore[arg-type]


# --- the rest --------------------------------------------------------------------------------------------------------


def metadata(fields: Mapping[str, msgspec.Raw]) -> dict[str, str] | None:
    """``metadata``, whose values are strings."""
    raw = fields.get("metadata")
    return json_wire.decode(raw, _STRINGS, at="metadata") if raw else None


def own_settings(fields: Mapping[str, msgspec.Raw]) -> dict[str, msgspec.Raw]:
    """What only chat knows. Legacy ``functions`` stay visible here, because their client wants its reply in the legacy form."""
    return {name: raw for name, raw in fields.items() if (name not in MAPPED or name == "functions") and wire_request.given(raw)}


def demands(body: wire_request.Body, fields: Mapping[str, msgspec.Raw]) -> tuple[Demand, ...]:
    """What changes the answer so much that an upstream which does not know it must not be asked."""
    found: list[Demand] = []
    if body.n is not None and body.n != 1:
        found.append(Demand(field="n", message="n: only one choice can be translated for this model's upstream"))
    if body.logprobs or body.top_logprobs:
        found.append(
            Demand(
                field="logprobs",
                message="logprobs: this model's upstream reports no log probabilities",
                carried_by=("openai_chat", "openai_responses"),
            )
        )
    if wire_request.given(fields.get("audio", wire_request.ABSENT)) or b"audio" in bytes(fields.get("modalities", wire_request.ABSENT)):
        name = "modalities" if b"audio" in bytes(fields.get("modalities", wire_request.ABSENT)) else "audio"
        found.append(Demand(field=name, message=f"{name}: this model's upstream answers in text only"))
    return tuple(found)
