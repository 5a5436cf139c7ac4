"""``toolConfig``, in both directions (docs/wire-formats.md, section 17.4)."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from proxy.translation import json_wire
from proxy.translation.canonical import CacheMark, HostedTool, Request, Tool, ToolCall, ToolChoice
from proxy.translation.dialects.anthropic.tools import NO_ARGUMENTS
from proxy.translation.dialects.bedrock_converse.wire import ABSENT, ARRAY, FAMILY, OBJECT, is_present
from proxy.translation.errors import ClientMistake
from proxy.translation.unread import NotingDecoder

_AT = "toolConfig.tools"


class _Schema(msgspec.Struct, frozen=True):
    json: Raw = ABSENT


class _Spec(msgspec.Struct):
    name: str
    description: str | None = None
    inputSchema: _Schema = _Schema()  # noqa: N815
    strict: bool | None = None


class _Choice(msgspec.Struct):
    name: str


_SPEC: NotingDecoder[_Spec] = NotingDecoder(_Spec)
_CHOICE = msgspec.json.Decoder(_Choice)


# --- decode ----------------------------------------------------------------------------------------------------------


def decode_tools(raw: Raw, unread: set[str]) -> tuple[Tool | HostedTool, ...]:
    """A cache point marks the tool before it. Raises :class:`ClientMistake` with the path of the first invalid field."""
    tools: list[Tool | HostedTool] = []
    entries: list[Raw] = json_wire.decode(raw, ARRAY, at=_AT)
    for index, entry in enumerate(entries):
        at = f"{_AT}.{index}"
        fields = json_wire.decode(entry, OBJECT, at=at)
        if "toolSpec" in fields:
            tools.append(_decode_spec(_SPEC.decode(fields["toolSpec"], unread, at=f"{at}.toolSpec"), f"{at}.toolSpec"))
        elif "cachePoint" in fields:
            if tools and isinstance(tools[-1], Tool):
                tools[-1] = msgspec.structs.replace(tools[-1], cache=CacheMark(fields["cachePoint"]))
        elif fields:
            kind = next(iter(fields))
            tools.append(HostedTool(family=FAMILY, type=kind, name=kind, native=entry, at=at))
    return tuple(tools)


def _decode_spec(spec: _Spec, at: str) -> Tool:
    schema = spec.inputSchema.json
    if is_present(schema) and not bytes(schema).lstrip().startswith(b"{"):
        raise ClientMistake(f"{at}.inputSchema.json: must be an object", param=f"{at}.inputSchema.json")
    return Tool(
        name=spec.name,
        description=spec.description,
        schema=schema if is_present(schema) else None,
        strict=spec.strict,
        family=FAMILY,
    )


def decode_choice(raw: Raw) -> ToolChoice | None:
    """The choice; ``None`` without one. Raises :class:`ClientMistake`."""
    if not is_present(raw):
        return None
    at = "toolConfig.toolChoice"
    fields = {name: value for name, value in json_wire.decode(raw, OBJECT, at=at).items() if is_present(value)}
    if "tool" in fields:
        return ToolChoice(mode="tool", name=json_wire.decode(fields["tool"], _CHOICE, at=f"{at}.tool").name)
    if "any" in fields:
        return ToolChoice(mode="required")
    if "auto" in fields:
        return ToolChoice(mode="auto")
    raise ClientMistake(f"{at}: must have auto, any or tool", param=at)


# --- encode ----------------------------------------------------------------------------------------------------------


def encode_tools(request: Request) -> dict[str, Any] | None:
    """``toolConfig`` without its cache points; ``None`` without tools.

    The API has no choice ``none``: the tools are then left out. It refuses a history with calls unless it has tools, so that those of
    the history are declared where the request has none.
    """
    called = {part.name for message in request.messages for part in message.parts if isinstance(part, ToolCall)}
    declared = request.tools if request.tool_choice is None or request.tool_choice.mode != "none" or called else ()
    tools = [_encode_tool(tool) for tool in declared] or [
        {"toolSpec": {"name": name, "inputSchema": {"json": NO_ARGUMENTS}}} for name in sorted(called)
    ]
    if not tools:
        return None
    choice = _encode_choice(request) if declared else None
    return {"tools": tools, **({"toolChoice": choice} if choice is not None else {})}


def _encode_tool(tool: Tool | HostedTool) -> Any:
    if isinstance(tool, HostedTool):
        return tool.native
    spec: dict[str, Any] = {"name": tool.name}
    if tool.description:
        spec["description"] = tool.description
    spec["inputSchema"] = {"json": _object_schema(tool.schema)}
    if tool.strict is not None:
        spec["strict"] = tool.strict
    return {"toolSpec": spec}


def _object_schema(schema: Raw | None) -> Raw:
    """The schema with ``"type": "object"``, which the API requires."""
    value = {} if schema is None else json_wire.decode_value(schema, at=_AT)
    if not isinstance(value, dict) or schema is None or not value:
        return NO_ARGUMENTS
    return schema if value.get("type") == "object" else Raw(json_wire.encode({**value, "type": "object"}))


def _encode_choice(request: Request) -> dict[str, Any] | None:
    choice = request.tool_choice
    if choice is None or choice.mode == "none":
        return None
    if choice.mode == "tool":
        return {"tool": {"name": choice.name}}
    return {"any": {}} if choice.mode == "required" else {"auto": {}}
