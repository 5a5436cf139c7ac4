"""Decodes and encodes tool definitions and tool choices (docs/wire-formats.md, sections 7.5 and 7.6)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from proxy.translation import json_wire
from proxy.translation.adaptation.tool_names import NAMESPACE_SEPARATOR, tools_by_entry
from proxy.translation.canonical import HostedTool, Tool, ToolChoice
from proxy.translation.dialects.openai_responses.wire import FAMILY, JSON_NULL, is_absent, raw_items, require
from proxy.translation.dialects.openai_strict_schema import is_strict
from proxy.translation.errors import ClientMistake
from proxy.translation.unread import NotingDecoder, path_pattern

AnyTool = Tool | HostedTool

NATIVE_SETTINGS = ("defer_loading", "allowed_callers", "output_schema", "async")
"""Settings of a tool without a canonical place."""

_CLIENT_TOOLS = frozenset({"function", "custom", "namespace"})
_MODES = ("none", "auto", "required")
_EMPTY_SCHEMA = msgspec.Raw(b'{"type":"object","properties":{}}')


class _WireTool(msgspec.Struct, gc=False):
    type: str | None = None
    name: str | None = None
    description: str | None = None
    parameters: msgspec.Raw = JSON_NULL
    strict: bool | None = None
    format: msgspec.Raw = JSON_NULL
    tools: list[msgspec.Raw] | None = None
    defer_loading: msgspec.Raw = JSON_NULL
    allowed_callers: msgspec.Raw = JSON_NULL
    output_schema: msgspec.Raw = JSON_NULL
    async_: msgspec.Raw = msgspec.field(default=JSON_NULL, name="async")


class _Head(msgspec.Struct):
    type: str | None = None


class _WireChoice(msgspec.Struct):
    type: str | None = None
    name: str | None = None
    namespace: str | None = None
    mode: str | None = None
    tools: list[_WireChoice] | None = None


class _Grammar(msgspec.Struct):
    syntax: str
    definition: str


class _NestedFormat(msgspec.Struct):
    grammar: _Grammar | None = None


_NESTED_FORMAT_DECODER = msgspec.json.Decoder(_NestedFormat)
_HEAD_DECODER = msgspec.json.Decoder(_Head)
_HEADS_DECODER = msgspec.json.Decoder(list[_Head])
_TOOL: NotingDecoder[_WireTool] = NotingDecoder(_WireTool)
_CHOICE_DECODER = msgspec.json.Decoder(str | _WireChoice)


# --- decode ----------------------------------------------------------------------------------------------------------


def check_tools(raw: msgspec.Raw) -> None:
    """Raise :class:`ClientMistake` unless ``tools`` is a list of objects."""
    json_wire.decode(raw, _HEADS_DECODER, at="tools")


def decode_tools(raw: msgspec.Raw, at: str, unread: set[str]) -> list[AnyTool]:
    """The tools of a list with the path ``at``; those of a namespace become tools with that namespace.

    Adds the paths of fields that are not read.
    """
    tools: list[AnyTool] = []
    for position, raw_tool in enumerate(raw_items(raw, at)):
        tools += _decode_tool(raw_tool, f"{at}.{position}", unread)
    return tools


def _decode_tool(raw: msgspec.Raw, at: str, unread: set[str], namespace: str = "", description: str = "") -> Iterable[AnyTool]:
    wire_tool = _TOOL.decode_strictly(raw)
    if wire_tool is None:
        # A hosted tool may have a known field of another type.
        wire_tool = _WireTool(type=json_wire.decode(raw, _HEAD_DECODER, at=at).type)
        if wire_tool.type in _CLIENT_TOOLS:
            wire_tool = _TOOL.decode(raw, unread, at=at)
    kind = require(wire_tool.type, "type", at)
    if kind not in _CLIENT_TOOLS:
        return (HostedTool(family=FAMILY, type=kind, name=kind, native=raw, at=at),)
    name = require(wire_tool.name, "name", at)
    if kind == "namespace":
        if wire_tool.tools is None or namespace:
            raise ClientMistake(f"{at}.tools: must be a list of functions and custom tools, not of namespaces", param=f"{at}.tools")
        tool_lists = (
            _decode_tool(raw_tool, f"{at}.tools.{index}", unread, name, wire_tool.description or "")
            for index, raw_tool in enumerate(wire_tool.tools)
        )
        return [tool for tools in tool_lists for tool in tools]
    return (
        Tool(
            name=name,
            description=wire_tool.description,
            schema=None if wire_tool.parameters == JSON_NULL else wire_tool.parameters,
            strict=wire_tool.strict,
            kind="custom" if kind == "custom" else "function",
            format=None if wire_tool.format == JSON_NULL else wire_tool.format,
            namespace=namespace,
            namespace_description=description,
            family=FAMILY,
            native=_native_settings(wire_tool),
            at="" if at.startswith("tools.") else path_pattern(at.partition(".tools.")[0]) + ".tools[]",
        ),
    )


def _native_settings(wire_tool: _WireTool) -> dict[str, msgspec.Raw]:
    values = (wire_tool.defer_loading, wire_tool.allowed_callers, wire_tool.output_schema, wire_tool.async_)
    if all(value is JSON_NULL for value in values):
        return {}
    return {name: value for name, value in zip(NATIVE_SETTINGS, values, strict=True) if value != JSON_NULL}


def decode_choice(raw: msgspec.Raw | None) -> ToolChoice | None:
    """The field ``tool_choice``; the name of a hosted tool is its type."""
    if raw is None or is_absent(raw):
        return None
    choice = json_wire.decode(raw, _CHOICE_DECODER, at="tool_choice")
    if isinstance(choice, str):
        return ToolChoice(mode=_check_mode(choice, "tool_choice", _MODES))
    kind = require(choice.type, "type", "tool_choice")
    if kind == "allowed_tools":
        mode = _check_mode(require(choice.mode, "mode", "tool_choice"), "tool_choice.mode", _MODES[1:])
        names = tuple(_flat_name(tool, f"tool_choice.tools.{index}") for index, tool in enumerate(choice.tools or ()))
        return ToolChoice(mode=mode, subset=names)
    return ToolChoice(mode="tool", name=_named_tool(choice, "tool_choice"), kind=kind, namespace=choice.namespace or "")


def _check_mode(mode: str, at: str, allowed: tuple[str, ...]) -> Any:
    if mode not in allowed:
        raise ClientMistake(f"{at}: {mode!r} is not one of {', '.join(allowed)}", param=at)
    return mode


def _named_tool(choice: _WireChoice, at: str) -> str:
    if choice.type in _CLIENT_TOOLS:
        return require(choice.name, "name", at)
    return require(choice.type, "type", at)


def _flat_name(choice: _WireChoice, at: str) -> str:
    name = _named_tool(choice, at)
    return f"{choice.namespace}{NAMESPACE_SEPARATOR}{name}" if choice.namespace else name


# --- encode ----------------------------------------------------------------------------------------------------------


def encode_tools(tools: tuple[AnyTool, ...], *, checks_strict: bool = False) -> list[Any]:
    """The field ``tools``; the tools of a namespace are one entry, at the position of the first of them.

    ``checks_strict``: the client's strict tools have schemas of another subset than OpenAI's.
    """
    out: list[Any] = []
    namespaces: dict[str, list[Any]] = {}
    for tool in tools:
        if isinstance(tool, HostedTool):
            out.append(tool.native)
        elif tool.loaded:
            continue
        elif not tool.namespace:
            out.append(_encode_tool(tool, checks_strict=checks_strict))
        elif tool.namespace in namespaces:
            namespaces[tool.namespace].append(_encode_tool(tool, checks_strict=checks_strict))
        else:
            namespaces[tool.namespace] = [_encode_tool(tool, checks_strict=checks_strict)]
            out.append(
                {
                    "type": "namespace",
                    "name": tool.namespace,
                    "description": tool.namespace_description,
                    "tools": namespaces[tool.namespace],
                }
            )
    return out


def _encode_tool(tool: Tool, *, checks_strict: bool) -> dict[str, Any]:
    out: dict[str, Any] = {"type": tool.kind, "name": tool.name}
    if tool.description is not None:
        out["description"] = tool.description
    if tool.kind == "custom":
        if tool.format is not None:
            out["format"] = _flatten_grammar(tool.format)
    else:
        out["parameters"] = _EMPTY_SCHEMA if tool.schema is None else tool.schema
        if tool.strict is not None or tool.family != FAMILY:
            # The API makes a function without ``strict`` strict, with all its optional arguments required.
            out["strict"] = bool(tool.strict) and (not checks_strict or is_strict(tool.schema))
    if tool.family == FAMILY:
        out.update(tool.native)
    return out


def _flatten_grammar(tool_format: msgspec.Raw) -> Any:
    """The format of a custom tool. Chat clients nest a grammar: ``{"type": "grammar", "grammar": {"syntax", "definition"}}``."""
    try:
        grammar = _NESTED_FORMAT_DECODER.decode(tool_format).grammar
    except (msgspec.DecodeError, UnicodeDecodeError):
        return tool_format
    return tool_format if grammar is None else {"type": "grammar", "syntax": grammar.syntax, "definition": grammar.definition}


def encode_choice(choice: ToolChoice, tools: tuple[AnyTool, ...], native: msgspec.Raw | None) -> Any:
    """The field ``tool_choice``.

    ``native``: that of a Responses client, sent unchanged if it names a hosted tool, because it may have settings of that tool.
    """
    if choice.mode == "tool":
        kind = _type_of_named_tool(choice.name, choice.namespace, tools)
        if kind not in ("function", "custom"):
            return native if native is not None else {"type": kind}
        out = {"type": kind, "name": choice.name}
        return {**out, "namespace": choice.namespace} if choice.namespace else out
    if choice.subset is None:
        return choice.mode
    return {"type": "allowed_tools", "mode": choice.mode, "tools": [_encode_reference(name, tools) for name in choice.subset]}


def _encode_reference(name: str, tools: tuple[AnyTool, ...]) -> dict[str, str]:
    tools_of_name = tools_by_entry(name, tools)
    if not tools_of_name:
        return {"type": "function", "name": name}
    tool = tools_of_name[0]
    if isinstance(tool, HostedTool):
        return {"type": tool.type}
    reference = {"type": tool.kind, "name": tool.name}
    return {**reference, "namespace": tool.namespace} if tool.namespace else reference


def _type_of_named_tool(name: str, namespace: str, tools: tuple[AnyTool, ...]) -> str:
    """The type of the tool with this name; an empty namespace matches every namespace."""
    for tool in tools:
        if isinstance(tool, HostedTool):
            if name in (tool.name, tool.type):
                return tool.type
        elif tool.name == name and (not namespace or tool.namespace == namespace):
            return tool.kind
    return "function"
