"""Tool definitions and tool choices, both ways (wire formats, sections 7.5 and 7.6)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from proxy.translation import json_wire
from proxy.translation.adaptation.tool_names import NAMESPACE_SEPARATOR, named
from proxy.translation.canonical import HostedTool, Tool, ToolChoice
from proxy.translation.dialects.openai_responses.wire import FAMILY, NO_JSON, is_absent, raw_items, required
from proxy.translation.errors import ClientMistake

AnyTool = Tool | HostedTool

NATIVE_SETTINGS = ("defer_loading", "allowed_callers", "output_schema", "async")
"""Settings of a tool that only Responses knows."""

_CLIENT_TOOLS = frozenset({"function", "custom", "namespace"})
_MODES = ("none", "auto", "required")
_EMPTY_SCHEMA = msgspec.Raw(b'{"type":"object","properties":{}}')


class _ToolOnWire(msgspec.Struct, gc=False):
    type: str | None = None
    name: str | None = None
    description: str | None = None
    parameters: msgspec.Raw = NO_JSON
    strict: bool | None = None
    format: msgspec.Raw = NO_JSON
    tools: list[msgspec.Raw] | None = None
    defer_loading: msgspec.Raw = NO_JSON
    allowed_callers: msgspec.Raw = NO_JSON
    output_schema: msgspec.Raw = NO_JSON
    async_: msgspec.Raw = msgspec.field(default=NO_JSON, name="async")


class _Head(msgspec.Struct):
    type: str | None = None


class _ChoiceOnWire(msgspec.Struct):
    type: str | None = None
    name: str | None = None
    namespace: str | None = None
    mode: str | None = None
    tools: list[_ChoiceOnWire] | None = None


class _Grammar(msgspec.Struct):
    syntax: str
    definition: str


class _ChatFormat(msgspec.Struct):
    grammar: _Grammar | None = None


_CHAT_FORMAT_DECODER = msgspec.json.Decoder(_ChatFormat)
_HEAD_DECODER = msgspec.json.Decoder(_Head)
_HEADS_DECODER = msgspec.json.Decoder(list[_Head])
_TOOL_DECODER = msgspec.json.Decoder(_ToolOnWire)
_CHOICE_DECODER = msgspec.json.Decoder(str | _ChoiceOnWire)


# --- decode ----------------------------------------------------------------------------------------------------------


def check_tools(raw: msgspec.Raw) -> None:
    """Raise :class:`ClientMistake` unless ``tools`` is a list of objects."""
    json_wire.decode(raw, _HEADS_DECODER, at="tools")


def decode_tools(raw: msgspec.Raw, at: str) -> list[AnyTool]:
    """The tools of a list at the path ``at``."""
    tools: list[AnyTool] = []
    for position, each in enumerate(raw_items(raw, at)):
        tools += _decode_tool(each, f"{at}.{position}")
    return tools


def _decode_tool(raw: msgspec.Raw, at: str, namespace: str = "", description: str = "") -> Iterable[AnyTool]:
    try:
        given = _TOOL_DECODER.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # A hosted tool may use a known name for something else.
        given = _ToolOnWire(type=json_wire.decode(raw, _HEAD_DECODER, at=at).type)
        if given.type in _CLIENT_TOOLS:
            given = json_wire.decode(raw, _TOOL_DECODER, at=at)
    kind = required(given.type, "type", at)
    if kind not in _CLIENT_TOOLS:
        return (HostedTool(family=FAMILY, type=kind, name=kind, native=raw, at=at),)
    name = required(given.name, "name", at)
    if kind == "namespace":
        if given.tools is None or namespace:
            raise ClientMistake(f"{at}.tools: a namespace needs a list of functions and custom tools", param=f"{at}.tools")
        inside = (_decode_tool(each, f"{at}.tools.{n}", name, given.description or "") for n, each in enumerate(given.tools))
        return [tool for tools in inside for tool in tools]
    return (
        Tool(
            name=name,
            description=given.description,
            schema=None if given.parameters == NO_JSON else given.parameters,
            strict=given.strict,
            kind="custom" if kind == "custom" else "function",
            format=None if given.format == NO_JSON else given.format,
            namespace=namespace,
            namespace_description=description,
            family=FAMILY,
            native=_native_settings(given),
        ),
    )


def _native_settings(given: _ToolOnWire) -> dict[str, msgspec.Raw]:
    values = (given.defer_loading, given.allowed_callers, given.output_schema, given.async_)
    if all(value is NO_JSON for value in values):
        return {}
    return {name: value for name, value in zip(NATIVE_SETTINGS, values, strict=True) if value != NO_JSON}


def decode_choice(raw: msgspec.Raw | None) -> ToolChoice | None:
    """The ``tool_choice`` field; a hosted tool is named by its type."""
    if raw is None or is_absent(raw):
        return None
    choice = json_wire.decode(raw, _CHOICE_DECODER, at="tool_choice")
    if isinstance(choice, str):
        return ToolChoice(mode=_mode(choice, "tool_choice", _MODES))
    kind = required(choice.type, "type", "tool_choice")
    if kind == "allowed_tools":
        mode = _mode(required(choice.mode, "mode", "tool_choice"), "tool_choice.mode", _MODES[1:])
        names = tuple(_allowed(each, f"tool_choice.tools.{n}") for n, each in enumerate(choice.tools or ()))
        return ToolChoice(mode=mode, subset=names)
    return ToolChoice(mode="tool", name=_tool_named(choice, "tool_choice"), kind=kind, namespace=choice.namespace or "")


def _mode(word: str, at: str, allowed: tuple[str, ...]) -> Any:
    if word not in allowed:
        raise ClientMistake(f"{at}: {word!r} is not one of {', '.join(allowed)}", param=at)
    return word


def _tool_named(choice: _ChoiceOnWire, at: str) -> str:
    if choice.type in _CLIENT_TOOLS:
        return required(choice.name, "name", at)
    return required(choice.type, "type", at)


def _allowed(choice: _ChoiceOnWire, at: str) -> str:
    name = _tool_named(choice, at)
    return f"{choice.namespace}{NAMESPACE_SEPARATOR}{name}" if choice.namespace else name


# --- encode ----------------------------------------------------------------------------------------------------------


def encode_tools(tools: tuple[AnyTool, ...]) -> list[Any]:
    """Tools as objects or raw JSON; those of one namespace stand together in the place of the first of them."""
    out: list[Any] = []
    spaces: dict[str, list[Any]] = {}
    for tool in tools:
        if isinstance(tool, HostedTool):
            out.append(tool.native)
        elif not tool.namespace:
            out.append(_encode_tool(tool))
        elif tool.namespace in spaces:
            spaces[tool.namespace].append(_encode_tool(tool))
        else:
            spaces[tool.namespace] = [_encode_tool(tool)]
            out.append(
                {
                    "type": "namespace",
                    "name": tool.namespace,
                    "description": tool.namespace_description,
                    "tools": spaces[tool.namespace],
                }
            )
    return out


def _encode_tool(tool: Tool) -> dict[str, Any]:
    out: dict[str, Any] = {"type": tool.kind, "name": tool.name}
    if tool.description is not None:
        out["description"] = tool.description
    if tool.kind == "custom":
        if tool.format is not None:
            out["format"] = _flat_format(tool.format)
    else:
        out["parameters"] = _EMPTY_SCHEMA if tool.schema is None else tool.schema
        if tool.strict is not None or tool.family != FAMILY:
            # A function without ``strict`` would be rewritten to a strict one, its optional arguments made required.
            out["strict"] = bool(tool.strict)
    if tool.family == FAMILY:
        out.update(tool.native)
    return out


def _flat_format(given: msgspec.Raw) -> Any:
    """Chat clients wrap a grammar once more."""
    try:
        grammar = _CHAT_FORMAT_DECODER.decode(given).grammar
    except (msgspec.DecodeError, UnicodeDecodeError):
        return given
    return given if grammar is None else {"type": "grammar", "syntax": grammar.syntax, "definition": grammar.definition}


def encode_choice(choice: ToolChoice, tools: tuple[AnyTool, ...], native: msgspec.Raw | None) -> Any:
    """``tool_choice`` for these tools; ``native`` is the client's own, for hosted tools with settings in it."""
    if choice.mode == "tool":
        kind = _kind_of(choice.name, choice.namespace, tools)
        if kind not in ("function", "custom"):
            return native if native is not None else {"type": kind}
        out = {"type": kind, "name": choice.name}
        return {**out, "namespace": choice.namespace} if choice.namespace else out
    if choice.subset is None:
        return choice.mode
    return {"type": "allowed_tools", "mode": choice.mode, "tools": [_reference(name, tools) for name in choice.subset]}


def _reference(name: str, tools: tuple[AnyTool, ...]) -> dict[str, str]:
    meant = named(name, tools)
    if not meant:
        return {"type": "function", "name": name}
    tool = meant[0]
    if isinstance(tool, HostedTool):
        return {"type": tool.type}
    reference = {"type": tool.kind, "name": tool.name}
    return {**reference, "namespace": tool.namespace} if tool.namespace else reference


def _kind_of(name: str, namespace: str, tools: tuple[AnyTool, ...]) -> str:
    """The type of the tool that a choice names; a name without namespace means any tool of that name."""
    for tool in tools:
        if isinstance(tool, HostedTool):
            if name in (tool.name, tool.type):
                return tool.type
        elif tool.name == name and (not namespace or tool.namespace == namespace):
            return tool.kind
    return "function"
