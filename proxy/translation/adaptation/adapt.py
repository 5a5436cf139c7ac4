"""Between decode and encode: what the target cannot carry is moved or refused, never lost.

``adapt(request, destination, ...)`` answers an :class:`Adapted`: the request that the target's encoder takes, notes of what
was dropped, and a :class:`Restorer` that leads the reply's tool calls back to the client's tools.
Everything here is a function of the request and the destination, so that the same conversation gives the same bytes in every
turn (prompt caches and bound thinking blocks depend on it).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from proxy.translation import json_wire
from proxy.translation.adaptation.tool_history import legal_ids, repaired
from proxy.translation.adaptation.tool_names import ToolNames, flat_name, named
from proxy.translation.adaptation.tool_restore import JSON_OUTPUT, Restorer
from proxy.translation.canonical import (
    JSON_OBJECT_SENTENCE,
    HostedTool,
    Image,
    Message,
    OutputFormat,
    Part,
    Request,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from proxy.translation.dialects.base import EncodeTarget, Traits
from proxy.translation.errors import ClientMistake
from proxy.translation.quirks import Quirks

_CLIENT_KINDS = ("function", "custom")
_WRAPPED_SCHEMA = msgspec.Raw(b'{"type":"object","properties":{"input":{"type":"string"}},"required":["input"]}')

replace = msgspec.structs.replace


class Adapted(msgspec.Struct, frozen=True):
    """``dropped``: hosted tools and stop sequences that the target does not take, for the log row."""

    request: Request
    restorer: Restorer | None = None
    dropped: tuple[str, ...] = ()


def adapt(request: Request, destination: EncodeTarget, *, family: str, traits: Traits) -> Adapted:
    """Fit ``request`` to a target of ``family``; raises :class:`ClientMistake` for what can neither be carried nor moved."""
    _refuse_demands(request, destination.dialect)
    request, dropped = _without_foreign_tools(request, family)
    dropped += _untaken_stops(request, destination.quirks, traits)
    request = _subset_settled(request, narrows=not traits.tool_subsets)
    request, emulated = _output_emulated(request, destination.quirks)
    for fit in (_settings, _schemas, _tool_choice):
        request = fit(request, destination.quirks)
    _refuse_images(request, destination.quirks, takes_urls=traits.image_urls or request.family == family)
    unanswered, messages = destination.quirks.unanswered_calls, request.messages
    if unanswered != "pass":
        messages = repaired(messages, insert=unanswered == "insert")
    messages = legal_ids(messages, strict=traits.strict_call_ids)
    if messages is not request.messages:
        request = replace(request, messages=messages)
    return _with_tool_names(request, destination.quirks, traits, emulated=emulated, dropped=dropped)


def _refuse_demands(request: Request, dialect: str) -> None:
    for demand in request.demands:
        if dialect not in demand.carried_by:
            raise ClientMistake(demand.message, param=demand.field, details=demand.details)


def _untaken_stops(request: Request, quirks: Quirks, traits: Traits) -> tuple[str, ...]:
    """How many stop sequences the encoder leaves out; not which, since they are the client's words."""
    limit = 0 if quirks.no_stop else traits.stops
    untaken = 0 if limit is None else len(request.stop) - limit
    return (f"{untaken} stop sequence{'s' if untaken > 1 else ''}",) if untaken > 0 else ()


# --- tools ---------------------------------------------------------------------------------------------------------


def _without_foreign_tools(request: Request, family: str) -> tuple[Request, tuple[str, ...]]:
    foreign = [tool for tool in request.tools if isinstance(tool, HostedTool) and tool.family != family]
    choice = request.tool_choice
    if choice is not None and choice.mode == "tool" and request.family != family and choice.kind not in _CLIENT_KINDS:
        raise _not_there(choice.name, choice.kind)
    if not foreign:
        return request, ()
    for tool in foreign:
        if choice is not None and choice.mode == "tool" and choice.name in (tool.name, tool.type):
            raise _not_there(tool.name, tool.type)
    left = tuple(tool for tool in request.tools if tool not in foreign)
    if not left and choice is not None and choice.mode == "required":
        raise ClientMistake("tool_choice: none of the tools is available at this model's upstream", param="tool_choice")
    return replace(request, tools=left), tuple(f"tool {tool.type}" for tool in foreign)


def _not_there(name: str, kind: str) -> ClientMistake:
    return ClientMistake(
        f"tool_choice: the tool {name!r} ({kind}) runs on its vendor's side and this model's upstream does not have it", param="tool_choice"
    )


def _subset_settled(request: Request, *, narrows: bool) -> Request:
    """The subset as the flat names of tools that the target has; ``narrows``: the list of tools becomes the subset."""
    choice = request.tool_choice
    if choice is None or choice.subset is None or not request.tools:
        return request
    allowed = [tool for entry in dict.fromkeys(choice.subset) for tool in named(entry, request.tools)]
    if not allowed and choice.mode == "required":
        raise ClientMistake("tool_choice: none of the allowed tools is available at this model's upstream", param="tool_choice")
    if not allowed:
        return replace(request, tool_choice=ToolChoice(mode="none"))
    if narrows:
        tools = tuple(tool for tool in request.tools if tool in allowed)
        return replace(request, tools=tools, tool_choice=replace(choice, subset=None))
    subset = tuple(dict.fromkeys(flat_name(tool) for tool in allowed))
    return replace(request, tool_choice=replace(choice, subset=subset))


def _tool_choice(request: Request, quirks: Quirks) -> Request:
    choice, parallel = request.tool_choice, request.parallel_calls
    if not request.tools:
        choice, parallel = None, None
    elif quirks.tool_choice == "none" or (quirks.tool_choice == "auto_only" and choice is not None and choice.mode in ("required", "tool")):
        choice = None
    if not quirks.parallel_tool_calls:
        parallel = None
    if choice is request.tool_choice and parallel is request.parallel_calls:
        return request
    return replace(request, tool_choice=choice, parallel_calls=parallel)


def _with_tool_names(request: Request, quirks: Quirks, traits: Traits, *, emulated: bool, dropped: tuple[str, ...]) -> Adapted:
    """Tool names of the target everywhere, custom tools wrapped, and the restorer if anything has to be led back."""
    names = ToolNames(limit=quirks.tool_name_limit or traits.tool_name_limit, flatten=not traits.namespaces)
    names.learn(request)
    wraps = not (traits.custom_tools or quirks.supports_custom_tools)
    has_custom = wraps and any(origin.kind == "custom" for origin in names.origins.values())
    renamed = any(sent != origin.name or (origin.namespace and not traits.namespaces) for sent, origin in names.origins.items())
    if not renamed and not has_custom:
        restorer = Restorer(names, wraps=False, emulated=True) if emulated else None
        return Adapted(request, restorer, dropped)
    fit = _Fit(names, request.tools, wraps=wraps, flatten=not traits.namespaces)
    request = replace(
        request,
        tools=tuple(fit.tool(tool) for tool in request.tools),
        tool_choice=fit.choice(request.tool_choice),
        messages=tuple(fit.message(message) for message in request.messages),
    )
    return Adapted(request, Restorer(names, wraps=wraps, emulated=emulated), dropped)


class _Fit:
    """Applies the target's tool names to the places where they stand."""

    def __init__(self, names: ToolNames, tools: tuple[Tool | HostedTool, ...], *, wraps: bool, flatten: bool) -> None:
        self._names = names
        self._tools = tools
        self._wraps = wraps
        self._flatten = flatten

    def _namespace(self, namespace: str) -> str:
        return "" if self._flatten else namespace

    def tool(self, tool: Tool | HostedTool) -> Tool | HostedTool:
        if isinstance(tool, HostedTool):
            return tool
        name, namespace = self._names.sent(tool.name, tool.namespace), self._namespace(tool.namespace)
        if tool.kind == "custom" and self._wraps:
            return Tool(name=name, description=_wrapped_description(tool), schema=_WRAPPED_SCHEMA, namespace=namespace, cache=tool.cache)
        return replace(tool, name=name, namespace=namespace)

    def choice(self, choice: ToolChoice | None) -> ToolChoice | None:
        if choice is None:
            return None
        name, namespace = choice.name, choice.namespace
        if choice.mode == "tool":
            if not namespace:
                # A bare name may mean the tool of a namespace.
                namespace = next((tool.namespace for tool in named(name, self._tools) if isinstance(tool, Tool)), "")
            name = self._names.sent(name, namespace)
        subset = None if choice.subset is None else tuple(self._flat_sent(entry) for entry in choice.subset)
        kind = "function" if self._wraps else choice.kind
        return replace(choice, name=name, kind=kind, namespace=self._namespace(namespace), subset=subset)

    def _flat_sent(self, entry: str) -> str:
        """A flat name of the subset, as the target knows the tool."""
        for tool in named(entry, self._tools):
            return flat_name(self.tool(tool))
        return self._names.sent(entry)

    def message(self, message: Message) -> Message:
        if not any(isinstance(part, ToolCall | ToolResult) for part in message.parts):
            return message
        return replace(message, parts=tuple(self._part(part) for part in message.parts))

    def _part(self, part: Part) -> Part:
        if isinstance(part, ToolResult):
            return replace(part, kind="function") if self._wraps and part.kind == "custom" else part
        if not isinstance(part, ToolCall):
            return part
        name, namespace = self._names.sent(part.name, part.namespace), self._namespace(part.namespace)
        if part.kind == "custom" and self._wraps:
            arguments = json_wire.encode({"input": part.arguments}).decode()
            return replace(part, name=name, namespace=namespace, kind="function", arguments=arguments)
        return replace(part, name=name, namespace=namespace)


def _wrapped_description(tool: Tool) -> str:
    paragraphs = [tool.description] if tool.description else []
    paragraphs.append("Give the tool's whole input as the string `input`.")
    if tool.format is not None:
        form = msgspec.json.decode(tool.format)
        if isinstance(form, dict) and isinstance(form.get("grammar"), dict):
            form = form["grammar"]  # chat's shape; Responses has the grammar's fields beside the type
        if isinstance(form, dict) and isinstance(form.get("definition"), str):
            paragraphs.append(
                f"The input must follow this {form.get('syntax', '')} grammar:".replace("  ", " ") + f"\n{form['definition']}"
            )
    return "\n\n".join(paragraphs)


# --- settings ------------------------------------------------------------------------------------------------------


def _settings(request: Request, quirks: Quirks) -> Request:
    if quirks.no_sampling:
        request = replace(request, temperature=None, top_p=None, top_k=None)
    if quirks.settings_refused:
        extra = {name: raw for name, raw in request.extra.items() if name not in quirks.settings_refused}
        request = replace(request, extra=extra, **dict.fromkeys(quirks.settings_refused))
    return replace(request, stop=()) if quirks.no_stop and request.stop else request


def _output_emulated(request: Request, quirks: Quirks) -> tuple[Request, bool]:
    """A JSON schema for an upstream that knows none becomes a tool that must be called; the flag says so."""
    output = request.output
    if output is None:
        return request, False
    if output.kind == "json_object":
        return (request, False) if quirks.json_object else (_asked_for_json(request), False)
    if quirks.structured_output:
        return request, False
    schema = output.schema or msgspec.Raw(b'{"type":"object"}')
    tool = Tool(name=JSON_OUTPUT, description=output.description or "Give the final answer.", schema=schema)
    choice = ToolChoice(mode="required") if request.tools else ToolChoice(mode="tool", name=JSON_OUTPUT)
    return replace(request, output=None, tools=(*request.tools, tool), tool_choice=choice), True


def _asked_for_json(request: Request) -> Request:
    return replace(request, output=None, system=(*request.system, Text(JSON_OBJECT_SENTENCE)))


def _schemas(request: Request, quirks: Quirks) -> Request:
    refused = frozenset(quirks.schema_keywords_refused)
    if not refused:
        return request
    tools = tuple(
        replace(tool, schema=_cleaned(tool.schema, refused)) if isinstance(tool, Tool) and tool.schema is not None else tool
        for tool in request.tools
    )
    output = request.output
    if isinstance(output, OutputFormat) and output.schema is not None:
        output = replace(output, schema=_cleaned(output.schema, refused))
    return replace(request, tools=tools, output=output)


def _cleaned(schema: msgspec.Raw, refused: frozenset[str]) -> msgspec.Raw:
    return msgspec.Raw(json_wire.encode(_without(msgspec.json.decode(schema), refused)))


_NAMED_SCHEMAS = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})


def _without(schema: Any, refused: frozenset[str]) -> Any:
    """``schema`` without the refused keywords; names of properties that look like keywords stay."""
    if isinstance(schema, list):
        return [_without(each, refused) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: _each_without(value, refused) if key in _NAMED_SCHEMAS and isinstance(value, dict) else _without(value, refused)
        for key, value in schema.items()
        if key not in refused
    }


def _each_without(schemas: dict[str, Any], refused: frozenset[str]) -> dict[str, Any]:
    return {name: _without(each, refused) for name, each in schemas.items()}


def _refuse_images(request: Request, quirks: Quirks, *, takes_urls: bool) -> None:
    if quirks.image_urls is not None:
        takes_urls = quirks.image_urls
    if quirks.images and takes_urls:
        return

    def check(part: Part) -> None:
        if isinstance(part, Image):
            if not quirks.images:
                raise ClientMistake(f"{part.at}: this model does not take images", param=part.at)
            if part.source.kind == "url":
                raise ClientMistake(f"{part.at}: this model takes no image URLs; send the image inline", param=part.at)
        if isinstance(part, ToolResult):
            _each(part.content, check)

    for message in request.messages:
        _each(message.parts, check)


def _each(parts: tuple[Part, ...], check: Callable[[Part], None]) -> None:
    for part in parts:
        check(part)
