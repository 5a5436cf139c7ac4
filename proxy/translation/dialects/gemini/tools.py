"""Tools and ``toolConfig``, in both directions (docs/wire-formats.md, section 16.4)."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from proxy.translation import json_wire
from proxy.translation.canonical import HostedTool, Request, Tool, ToolChoice
from proxy.translation.dialects.gemini.schemas import json_schema
from proxy.translation.dialects.gemini.wire import ABSENT, ARRAY, FAMILY, OBJECT, in_camel_case, is_present
from proxy.translation.errors import ClientMistake
from proxy.translation.unread import NotingDecoder

_NATIVE = ("behavior", "response", "responseJsonSchema")
"""Settings of a function that only this family knows."""
_AT = "tools"
_LONG = 200
"""Bytes; a longer schema has properties."""
_EMPTY_OBJECT = frozenset({"type", "properties", "required", "additionalProperties", "$schema"})


class _Declaration(msgspec.Struct):
    name: str | None = None
    description: str | None = None
    parameters: Raw = ABSENT
    parametersJsonSchema: Raw = ABSENT  # noqa: N815
    behavior: Raw = ABSENT
    response: Raw = ABSENT
    responseJsonSchema: Raw = ABSENT  # noqa: N815


class _FunctionCallingConfig(msgspec.Struct):
    mode: str | None = None
    allowedFunctionNames: list[str] | None = None  # noqa: N815


_DECLARATIONS: NotingDecoder[list[_Declaration]] = NotingDecoder(list[_Declaration])
_CALLING = msgspec.json.Decoder(_FunctionCallingConfig)
_MODES = {"AUTO": "auto", "ANY": "required", "NONE": "none", "VALIDATED": "auto", "MODE_UNSPECIFIED": "auto"}


# --- decode ----------------------------------------------------------------------------------------------------------


def decode_tools(raw: Raw, unread: set[str]) -> tuple[Tool | HostedTool, ...]:
    """Adds the paths of unread fields. Raises :class:`ClientMistake` with the path of the first invalid field."""
    raw = in_camel_case(raw, at=_AT)
    entries = json_wire.decode(raw, ARRAY, at=_AT) if bytes(raw).lstrip().startswith(b"[") else [raw]
    tools: list[Tool | HostedTool] = []
    for index, entry in enumerate(entries):
        at = f"{_AT}.{index}"
        for name, value in json_wire.decode(entry, OBJECT, at=at).items():
            if not is_present(value):
                continue
            if name == "functionDeclarations":
                tools += _decode_declarations(value, unread, f"{at}.{name}")
            else:
                native = Raw(json_wire.encode({name: value}))
                tools.append(HostedTool(family=FAMILY, type=name, name=name, native=native, at=f"{at}.{name}"))
    return tuple(tools)


def _decode_declarations(raw: Raw, unread: set[str], at: str) -> list[Tool]:
    declarations = _DECLARATIONS.decode(raw, unread, at=at)
    return [_decode_declaration(declaration, f"{at}.{index}") for index, declaration in enumerate(declarations)]


def _decode_declaration(declaration: _Declaration, at: str) -> Tool:
    if not declaration.name:
        raise ClientMistake(f"{at}.name: Field required", param=f"{at}.name")
    schema = None
    if is_present(declaration.parametersJsonSchema):
        schema = declaration.parametersJsonSchema
        if not bytes(schema).startswith(b"{"):
            raise ClientMistake(f"{at}.parametersJsonSchema: must be an object", param=f"{at}.parametersJsonSchema")
    elif is_present(declaration.parameters):
        schema = json_schema(declaration.parameters, at=f"{at}.parameters")
    return Tool(
        name=declaration.name,
        description=declaration.description,
        schema=schema,
        family=FAMILY,
        native={name: value for name in _NATIVE if is_present(value := getattr(declaration, name))},
    )


def decode_choice(config: dict[str, Raw]) -> ToolChoice | None:
    """The choice in ``toolConfig``; ``None`` without one. Raises :class:`ClientMistake`."""
    raw = config.get("functionCallingConfig", ABSENT)
    if not is_present(raw):
        return None
    at = "toolConfig.functionCallingConfig"
    calling = json_wire.decode(raw, _CALLING, at=at)
    mode = _MODES.get((calling.mode or "AUTO").upper())
    if mode is None:
        raise ClientMistake(f"{at}.mode: must be AUTO, ANY, NONE or VALIDATED", param=f"{at}.mode")
    names = tuple(calling.allowedFunctionNames or ())
    if mode == "required" and len(names) == 1:
        return ToolChoice(mode="tool", name=names[0])
    if mode == "none":
        return ToolChoice(mode="none")
    if calling.mode is None and not names:
        return None
    return ToolChoice(mode="required" if mode == "required" else "auto", subset=names or None)


# --- encode ----------------------------------------------------------------------------------------------------------


def encode_tools(tools: tuple[Tool | HostedTool, ...]) -> list[Any]:
    """The functions in one entry, and hosted tools as they came."""
    declarations = [_encode_declaration(tool) for tool in tools if isinstance(tool, Tool)]
    hosted: list[Any] = [tool.native for tool in tools if isinstance(tool, HostedTool)]
    return [{"functionDeclarations": declarations}, *hosted] if declarations else hosted


def _encode_declaration(tool: Tool) -> dict[str, Any]:
    encoded: dict[str, Any] = {"name": tool.name}
    if tool.description:
        encoded["description"] = tool.description
    if tool.schema is not None and _has_arguments(tool.schema):
        encoded["parametersJsonSchema"] = tool.schema
    return encoded | (tool.native if tool.family == FAMILY else {})


def _has_arguments(schema: Raw) -> bool:
    """Whether a schema says anything: the API refuses an object without properties."""
    if len(schema) > _LONG:
        return True
    value = json_wire.decode_value(schema, at=_AT)
    if not isinstance(value, dict):
        return False
    says_more = value.get("type", "object") != "object" or value.keys() - _EMPTY_OBJECT
    return bool(says_more or value.get("properties") or value.get("required"))


def encode_choice(request: Request) -> dict[str, Any] | None:
    """``functionCallingConfig``; ``None`` if the field is not sent. A subset without force is the mode ``VALIDATED``."""
    choice = request.tool_choice
    if choice is None:
        return None
    if choice.mode == "tool":
        return {"mode": "ANY", "allowedFunctionNames": [choice.name]}
    if choice.mode == "none":
        return {"mode": "NONE"}
    names = {"allowedFunctionNames": list(choice.subset)} if choice.subset is not None else {}
    if choice.mode == "required":
        return {"mode": "ANY", **names}
    return {"mode": "VALIDATED", **names} if names else {"mode": "AUTO"}
