"""Fits a decoded request to its target: content that the target cannot carry is moved, refused or noted as dropped.

``adapt(request, target, ...)`` returns an :class:`Adapted`: the request for the target's encoder, notes of what was dropped,
and a :class:`Restorer` that maps the tool calls of the response back to the client's tools. The result depends on the request
and the target alone, so that the same conversation gives the same bytes in every turn: prompt caches and signed thinking
blocks depend on that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from proxy.translation import json_wire
from proxy.translation.adaptation.tool_history import pair_tool_results, with_legal_call_ids
from proxy.translation.adaptation.tool_names import ToolNames, flat_name, tools_by_entry
from proxy.translation.adaptation.tool_restore import JSON_OUTPUT, Restorer
from proxy.translation.canonical import (
    HostedTool,
    Image,
    Message,
    Opaque,
    OutputFormat,
    Part,
    Request,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from proxy.translation.dialects.base import JSON_OBJECT_SENTENCE, EncodeTarget, Traits
from proxy.translation.errors import ClientMistake
from proxy.translation.quirks import Quirks

_CACHE_SETTINGS = ("prompt_cache_options", "prompt_cache_retention")
"""Settings of upstreams that know ``prompt_cache_key``."""
_CLIENT_KINDS = ("function", "custom")
_WRAPPED_SCHEMA = msgspec.Raw(b'{"type":"object","properties":{"input":{"type":"string"}},"required":["input"]}')

replace = msgspec.structs.replace


class Adapted(msgspec.Struct, frozen=True):
    """``dropped``: hosted tools and stop sequences that the target does not take, for the log row."""

    request: Request
    restorer: Restorer | None = None
    dropped: tuple[str, ...] = ()


def adapt(request: Request, target: EncodeTarget, *, family: str, traits: Traits) -> Adapted:
    """Fit ``request`` to a target of ``family``. Raises :class:`ClientMistake` for content that can be neither carried nor moved."""
    _refuse_demands(request, target.dialect)
    request, dropped = _without_foreign_tools(request, family)
    request = _with_summary(request, family)
    dropped += _dropped_stops(request, target.quirks, traits)
    request = _with_subset(request, narrows=not traits.tool_subsets)
    request, emulated = _with_emulated_output(request, target.quirks)
    for fit in (_fit_settings, _fit_schemas, _fit_tool_choice):
        request = fit(request, target.quirks)
    _refuse_images(request, target.quirks, takes_urls=traits.image_urls or request.family == family)
    unanswered, messages = target.quirks.unanswered_calls, request.messages
    if unanswered != "pass":
        messages = pair_tool_results(messages, insert=unanswered == "insert")
    messages = with_legal_call_ids(messages, strict=traits.strict_call_ids, nine=target.quirks.call_ids == "nine_characters")
    if messages is not request.messages:
        request = replace(request, messages=messages)
    return _with_tool_names(request, target.quirks, traits, emulated=emulated, dropped=dropped)


def _refuse_demands(request: Request, dialect: str) -> None:
    for demand in request.demands:
        if dialect not in demand.carried_by:
            raise ClientMistake(demand.message, param=demand.field, details=demand.details)


def _with_summary(request: Request, family: str) -> Request:
    """A request whose history begins with the last summary in it, as a user message: other families do not know that it replaces text."""
    if request.family == family:
        return request
    for index in range(len(request.messages) - 1, -1, -1):
        parts = request.messages[index].parts
        for position in range(len(parts) - 1, -1, -1):
            part = parts[position]
            if isinstance(part, Opaque) and part.replaces and part.text:
                rest = replace(request.messages[index], parts=parts[position + 1 :])
                leading = (rest,) if rest.parts else ()
                return replace(request, messages=(Message("user", (Text(part.text),)), *leading, *request.messages[index + 1 :]))
    return request


def _dropped_stops(request: Request, quirks: Quirks, traits: Traits) -> tuple[str, ...]:
    """A note with the number of stop sequences that the encoder leaves out. The note has no texts of the client."""
    limit = 0 if quirks.no_stop else traits.stops
    dropped = 0 if limit is None else len(request.stop) - limit
    return (f"{dropped} stop sequence{'s' if dropped > 1 else ''}",) if dropped > 0 else ()


# --- tools ---------------------------------------------------------------------------------------------------------


def _without_foreign_tools(request: Request, family: str) -> tuple[Request, tuple[str, ...]]:
    foreign = [tool for tool in request.tools if isinstance(tool, HostedTool) and tool.family != family]
    choice = request.tool_choice
    if choice is not None and choice.mode == "tool" and request.family != family and choice.kind not in _CLIENT_KINDS:
        raise _hosted_tool_unavailable(choice.name, choice.kind)
    if not foreign:
        return request, ()
    for tool in foreign:
        if choice is not None and choice.mode == "tool" and choice.name in (tool.name, tool.type):
            raise _hosted_tool_unavailable(tool.name, tool.type)
    remaining = tuple(tool for tool in request.tools if tool not in foreign)
    if not remaining and choice is not None and choice.mode == "required":
        raise ClientMistake("tool_choice: none of the tools is available at the upstream of this model", param="tool_choice")
    return replace(request, tools=remaining), tuple(f"tool {tool.type}" for tool in foreign)


def _hosted_tool_unavailable(name: str, kind: str) -> ClientMistake:
    return ClientMistake(
        f"tool_choice: the tool {name!r} ({kind}) runs at its vendor; the upstream of this model does not have it", param="tool_choice"
    )


def _with_subset(request: Request, *, narrows: bool) -> Request:
    """Map the allowed subset to flat names of tools that the target has. ``narrows``: the subset replaces the list of tools."""
    choice = request.tool_choice
    if choice is None or choice.subset is None or not request.tools:
        return request
    allowed = [tool for entry in dict.fromkeys(choice.subset) for tool in tools_by_entry(entry, request.tools)]
    if not allowed and choice.mode == "required":
        raise ClientMistake("tool_choice: none of the allowed tools is available at the upstream of this model", param="tool_choice")
    if not allowed:
        return replace(request, tool_choice=ToolChoice(mode="none"))
    if narrows:
        tools = tuple(tool for tool in request.tools if tool in allowed)
        return replace(request, tools=tools, tool_choice=replace(choice, subset=None))
    subset = tuple(dict.fromkeys(flat_name(tool) for tool in allowed))
    return replace(request, tool_choice=replace(choice, subset=subset))


def _fit_tool_choice(request: Request, quirks: Quirks) -> Request:
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
    """Put in the target's tool names and wrap custom tools; add a restorer where the response must be mapped back."""
    names = ToolNames(limit=quirks.tool_name_limit or traits.tool_name_limit, flatten=not traits.namespaces)
    names.learn(request)
    wraps = not (traits.custom_tools or quirks.supports_custom_tools)
    has_custom = wraps and any(origin.kind == "custom" for origin in names.origins.values())
    renamed = any(sent_name != origin.name or (origin.namespace and not traits.namespaces) for sent_name, origin in names.origins.items())
    if not renamed and not has_custom:
        restorer = Restorer(names, wraps=False, emulated=True) if emulated else None
        return Adapted(request, restorer, dropped)
    fit = _ToolRenaming(names, request.tools, wraps=wraps, flatten=not traits.namespaces)
    request = replace(
        request,
        tools=tuple(fit.tool(tool) for tool in request.tools),
        tool_choice=fit.choice(request.tool_choice),
        messages=tuple(fit.message(message) for message in request.messages),
    )
    return Adapted(request, Restorer(names, wraps=wraps, emulated=emulated), dropped)


class _ToolRenaming:
    """Applies the target's tool names to tools, tool choice and messages."""

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
                # A name without a namespace may mean a tool inside one.
                namespace = next((tool.namespace for tool in tools_by_entry(name, self._tools) if isinstance(tool, Tool)), "")
            name = self._names.sent(name, namespace)
        subset = None if choice.subset is None else tuple(self._flat_sent(entry) for entry in choice.subset)
        kind = "function" if self._wraps else choice.kind
        return replace(choice, name=name, kind=kind, namespace=self._namespace(namespace), subset=subset)

    def _flat_sent(self, entry: str) -> str:
        """The target's flat name for an entry of the subset."""
        for tool in tools_by_entry(entry, self._tools):
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
        form = json_wire.decode_value(tool.format, at="tools")
        if isinstance(form, dict) and isinstance(form.get("grammar"), dict):
            form = form["grammar"]  # Chat nests the grammar; Responses has its fields beside the type
        if isinstance(form, dict) and isinstance(form.get("definition"), str):
            paragraphs.append(
                f"The input must follow this {form.get('syntax', '')} grammar:".replace("  ", " ") + f"\n{form['definition']}"
            )
    return "\n\n".join(paragraphs)


# --- settings ------------------------------------------------------------------------------------------------------


def _fit_settings(request: Request, quirks: Quirks) -> Request:
    if quirks.no_sampling:
        request = replace(request, temperature=None, top_p=None, top_k=None)
    if quirks.settings_refused:
        refused = {*quirks.settings_refused, *(_CACHE_SETTINGS if "prompt_cache_key" in quirks.settings_refused else ())}
        extra = {name: raw for name, raw in request.extra.items() if name not in refused}
        request = replace(request, extra=extra, **dict.fromkeys(quirks.settings_refused))
    return replace(request, stop=()) if quirks.no_stop and request.stop else request


def _with_emulated_output(request: Request, quirks: Quirks) -> tuple[Request, bool]:
    """Replace a JSON schema by a tool that must be called where the upstream has no structured output; true when replaced."""
    output = request.output
    if output is None:
        return request, False
    if output.kind == "json_object":
        return (request, False) if quirks.json_object else (_with_json_instruction(request), False)
    if quirks.structured_output:
        return request, False
    schema = output.schema or msgspec.Raw(b'{"type":"object"}')
    tool = Tool(name=JSON_OUTPUT, description=output.description or "Give the final answer.", schema=schema)
    choice = ToolChoice(mode="required") if request.tools else ToolChoice(mode="tool", name=JSON_OUTPUT)
    return replace(request, output=None, tools=(*request.tools, tool), tool_choice=choice), True


def _with_json_instruction(request: Request) -> Request:
    return replace(request, output=None, system=(*request.system, Text(JSON_OBJECT_SENTENCE)))


def _fit_schemas(request: Request, quirks: Quirks) -> Request:
    refused = frozenset(quirks.schema_keywords_refused)
    if not refused:
        return request
    tools = tuple(
        replace(tool, schema=_without_keywords(tool.schema, refused)) if isinstance(tool, Tool) and tool.schema is not None else tool
        for tool in request.tools
    )
    output = request.output
    if isinstance(output, OutputFormat) and output.schema is not None:
        output = replace(output, schema=_without_keywords(output.schema, refused))
    return replace(request, tools=tools, output=output)


def _without_keywords(schema: msgspec.Raw, refused: frozenset[str]) -> msgspec.Raw:
    return msgspec.Raw(json_wire.encode(_strip_keywords(json_wire.decode_value(schema, at="tools"), refused)))


_NAMED_SCHEMAS = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})


def _strip_keywords(schema: Any, refused: frozenset[str]) -> Any:
    """``schema`` without the refused keywords. Names of properties that equal a keyword stay."""
    if isinstance(schema, list):
        return [_strip_keywords(item, refused) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: _strip_named_schemas(value, refused) if key in _NAMED_SCHEMAS and isinstance(value, dict) else _strip_keywords(value, refused)
        for key, value in schema.items()
        if key not in refused
    }


def _strip_named_schemas(schemas: dict[str, Any], refused: frozenset[str]) -> dict[str, Any]:
    return {name: _strip_keywords(schema, refused) for name, schema in schemas.items()}


def _refuse_images(request: Request, quirks: Quirks, *, takes_urls: bool) -> None:
    if quirks.image_urls is not None:
        takes_urls = quirks.image_urls
    if quirks.images and takes_urls:
        return

    def check(part: Part) -> None:
        if isinstance(part, Image):
            if not quirks.images:
                raise ClientMistake(f"{part.at}: this model does not accept images", param=part.at)
            if part.source.kind == "url":
                raise ClientMistake(f"{part.at}: this model does not accept image URLs; send the image inline", param=part.at)
        if isinstance(part, ToolResult):
            _visit(part.content, check)

    for message in request.messages:
        _visit(message.parts, check)


def _visit(parts: tuple[Part, ...], check: Callable[[Part], None]) -> None:
    for part in parts:
        check(part)
