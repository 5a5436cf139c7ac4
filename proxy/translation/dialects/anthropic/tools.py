"""Tools and ``tool_choice``, in both directions (docs/wire-formats.md, sections 1.4, 7.5 and 7.6)."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import Raw

from proxy.translation import json_wire
from proxy.translation.canonical import HostedTool, Request, Tool, ToolChoice
from proxy.translation.dialects.anthropic.request_decode_parts import cache_mark
from proxy.translation.dialects.anthropic.strict_schema import strict_schema
from proxy.translation.dialects.anthropic.wire import ABSENT, ARRAY, FAMILY, OBJECT, is_present
from proxy.translation.errors import ClientMistake
from proxy.translation.unread import NotingDecoder

_NATIVE = ("input_examples", "eager_input_streaming", "defer_loading", "allowed_callers")
"""Settings of a client tool that only this family knows."""
NO_ARGUMENTS = Raw(b'{"type":"object","properties":{}}')
"""The schema of a tool that has none: the API requires one."""


class _WireTool(msgspec.Struct):
    type: str | None = None
    name: str | None = None
    description: str | None = None
    input_schema: Raw = ABSENT
    strict: bool | None = None
    cache_control: Raw = ABSENT
    input_examples: Raw = ABSENT
    eager_input_streaming: Raw = ABSENT
    defer_loading: Raw = ABSENT
    allowed_callers: Raw = ABSENT


class _Name(msgspec.Struct):
    type: str
    name: Any = None


class _WireChoice(msgspec.Struct):
    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class _SchemaHead(msgspec.Struct):
    type: Any = None


_TOOLS: NotingDecoder[list[_WireTool]] = NotingDecoder(list[_WireTool])
_TOOL: NotingDecoder[_WireTool] = NotingDecoder(_WireTool)
_NAME = msgspec.json.Decoder(_Name)
_CHOICE = msgspec.json.Decoder(_WireChoice)
_HEAD = msgspec.json.Decoder(_SchemaHead)

_MODES: dict[str, Literal["auto", "required", "none", "tool"]] = {"auto": "auto", "any": "required", "none": "none", "tool": "tool"}
_CHOICES = {mode: type_ for type_, mode in _MODES.items()}


# --- decode ----------------------------------------------------------------------------------------------------------


def decode_tools(raw: Raw, unread: set[str]) -> tuple[Tool | HostedTool, ...]:
    """Adds the paths of unread fields. Raises :class:`ClientMistake` with the path of the first invalid field."""
    tools = _TOOLS.decode_strictly(raw)
    if tools is not None and all(tool.type in (None, "custom") for tool in tools):
        return tuple(_decode_tool(tool, f"tools.{index}") for index, tool in enumerate(tools))
    # One by one: a hosted tool may have other fields, and fields of other types.
    raws = json_wire.decode(raw, ARRAY, at="tools")
    return tuple(_decode_any_tool(tool_raw, unread, f"tools.{index}") for index, tool_raw in enumerate(raws))


def _decode_any_tool(raw: Raw, unread: set[str], at: str) -> Tool | HostedTool:
    fields = json_wire.decode(raw, OBJECT, at=at)
    if is_present(fields.get("type", ABSENT)):
        head = json_wire.decode(raw, _NAME, at=at)
        if head.type != "custom":
            return HostedTool(family=FAMILY, type=head.type, name=head.name if isinstance(head.name, str) else head.type, native=raw, at=at)
    return _decode_tool(_TOOL.decode(raw, unread, at=at), at)


def _decode_tool(tool: _WireTool, at: str) -> Tool:
    if not tool.name:
        raise ClientMistake(f"{at}.name: Field required", param=f"{at}.name")
    return Tool(
        name=tool.name,
        description=tool.description,
        schema=_check_schema(tool.input_schema, f"{at}.input_schema") if is_present(tool.input_schema) else None,
        strict=tool.strict,
        cache=cache_mark(tool.cache_control),
        family=FAMILY,
        native={name: raw for name in _NATIVE if is_present(raw := getattr(tool, name))},
    )


def _check_schema(raw: Raw, at: str) -> Raw:
    if not bytes(raw).startswith(b"{"):
        raise ClientMistake(f"{at}: must be an object", param=at)
    return raw


def decode_choice(raw: Raw) -> tuple[ToolChoice, bool | None]:
    """The choice, and ``parallel_calls``: ``False`` for at most one call, else ``None``. Raises :class:`ClientMistake`."""
    choice = json_wire.decode(raw, _CHOICE, at="tool_choice")
    if choice.type == "tool" and not choice.name:
        raise ClientMistake("tool_choice.name: Field required", param="tool_choice.name")
    parallel = False if choice.disable_parallel_tool_use else None
    return ToolChoice(mode=_MODES[choice.type], name=(choice.name or "") if choice.type == "tool" else ""), parallel


# --- encode ----------------------------------------------------------------------------------------------------------


def encode_tool(tool: Tool | HostedTool, *, native: bool) -> dict[str, Any] | Raw:
    """The tool without its cache breakpoint, which the caller sets. A hosted tool stays unchanged.

    ``native``: the client is of this family, so that its strict tools have schemas of the accepted subset.
    """
    if isinstance(tool, HostedTool):
        return tool.native
    encoded: dict[str, Any] = {"name": tool.name}
    if tool.description:
        encoded["description"] = tool.description
    schema = _object_schema(tool.schema)
    encoded["input_schema"] = schema if native or not tool.strict else strict_schema(schema, at=f"tool {tool.name}")
    if tool.strict is not None:
        encoded["strict"] = tool.strict
    if tool.family == FAMILY:
        encoded |= tool.native
    return encoded


def _object_schema(schema: Raw | None) -> Raw:
    """The schema with ``"type": "object"``, which the API requires. What is not a JSON object becomes :data:`NO_ARGUMENTS`."""
    if schema is None:
        return NO_ARGUMENTS
    try:
        if _HEAD.decode(schema).type == "object":
            return schema
        fields = OBJECT.decode(schema)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return NO_ARGUMENTS
    return Raw(json_wire.encode({"type": "object", **fields, **({"type": "object"} if "type" in fields else {})}))


def encode_choice(request: Request) -> dict[str, Any] | None:
    """``tool_choice``, with ``disable_parallel_tool_use`` if at most one call is allowed; ``None`` if the field is not sent."""
    choice = request.tool_choice
    only_one = request.parallel_calls is False
    if choice is None:
        return {"type": "auto", "disable_parallel_tool_use": True} if only_one else None
    encoded: dict[str, Any] = {"type": _CHOICES[choice.mode]}
    if choice.mode == "tool":
        encoded["name"] = choice.name
    if only_one and choice.mode != "none":
        encoded["disable_parallel_tool_use"] = True
    return encoded
