"""Canonical requests to Converse requests (docs/wire-formats.md, sections 17.2 and 17.4)."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from msgspec import Raw

from proxy.translation.canonical import Request, Text, Tool
from proxy.translation.dialects.anthropic.strict_schema import strict_schema
from proxy.translation.dialects.base import JSON_OBJECT_SENTENCE, EncodeTarget
from proxy.translation.dialects.bedrock_converse.request_decode import FAMILY_FIELDS, MODEL_FIELDS_PREFIX
from proxy.translation.dialects.bedrock_converse.request_encode_turns import CachePoints, TurnEncoder, has_lost_reasoning
from proxy.translation.dialects.bedrock_converse.thinking import is_claude, model_fields, plan
from proxy.translation.dialects.bedrock_converse.tools import encode_tools
from proxy.translation.dialects.bedrock_converse.wire import FAMILY
from proxy.translation.errors import ClientMistake

_TIERS = frozenset({"default", "flex", "priority", "reserved"})


def path(target: EncodeTarget) -> str:
    """The upstream's path, with the model's id or ARN percent-encoded except for its colons."""
    verb = "converse-stream" if target.stream else "converse"
    return target.quirks.api_path or f"/model/{quote(target.model, safe=':')}/{verb}"


def encode_fields(request: Request, target: EncodeTarget) -> dict[str, Any]:
    """Raises :class:`~proxy.translation.errors.ClientMistake` for content that the API cannot express."""
    native = request.family == FAMILY
    points = CachePoints(native=native, takes_points=is_claude(target.model) or "nova" in target.model)
    encoder = TurnEncoder(points, native=native)
    tool_config = encode_tools(request)
    if tool_config is not None:
        tool_config["tools"] = _with_points(tool_config["tools"], request, points)
    texts = (*request.system, *encoder.late_system(request.messages), *_json_sentence(request))
    system = [block for text in texts if text.text for block in points.behind({"text": text.text}, text.cache)]
    points.add(system)
    messages = encoder.encode(request.messages)
    if not messages and system:  # Chat accepts system text alone, this API requires a message
        messages, system = [{"role": "user", "content": [block for block in system if "text" in block]}], []
    if not messages:
        raise ClientMistake("messages: at least one message with content is required", param="messages")
    points.drop_excess()
    body: dict[str, Any] = {"messages": messages}
    if system:
        body["system"] = system
    if tool_config is not None:
        body["toolConfig"] = tool_config
    return body | _settings(request, target, loop_broken=has_lost_reasoning(messages)) | _native_fields(request, native=native)


def _with_points(tools: list[Any], request: Request, points: CachePoints) -> list[Any]:
    marks = [tool.cache if isinstance(tool, Tool) else None for tool in request.tools]
    marks += [None] * (len(tools) - len(marks))
    entries = [entry for tool, mark in zip(tools, marks, strict=False) for entry in points.behind(tool, mark)]
    points.add(entries)
    return entries


def _json_sentence(request: Request) -> tuple[Text, ...]:
    return (Text(JSON_OBJECT_SENTENCE),) if request.output is not None and request.output.kind == "json_object" else ()


def _settings(request: Request, target: EncodeTarget, *, loop_broken: bool) -> dict[str, Any]:
    planned = plan(request, target, loop_broken=loop_broken)
    has_limit = request.max_tokens is not None or planned.thinking is not None
    inference = {
        "maxTokens": planned.max_tokens if has_limit else None,
        "temperature": planned.temperature,
        "topP": planned.top_p,
        "stopSequences": [text for text in request.stop if text and not text.isspace()] or None,
    }
    extra = request.extra if request.family == FAMILY else {}
    own = {name.removeprefix(MODEL_FIELDS_PREFIX): raw for name, raw in extra.items() if name.startswith(MODEL_FIELDS_PREFIX)}
    optional: dict[str, Any] = {
        "inferenceConfig": {name: value for name, value in inference.items() if value is not None},
        "additionalModelRequestFields": model_fields(planned) | own,
        "outputConfig": _output_config(request, target, planned.effort),
        "serviceTier": {"type": request.service_tier} if request.service_tier in _TIERS else None,
        "requestMetadata": request.metadata,
    }
    return {name: value for name, value in optional.items() if value}


def _output_config(request: Request, target: EncodeTarget, effort: str | None) -> dict[str, Any]:
    config: dict[str, Any] = {"effort": effort} if effort else {}
    output = request.output
    if output is not None and output.kind == "json_schema":
        schema = output.schema or Raw(b'{"type":"object"}')
        if request.family != FAMILY and is_claude(target.model):
            schema = strict_schema(schema, at="schema of the output format")
        json_schema: dict[str, Any] = {"schema": bytes(schema).decode()}
        json_schema |= {"name": output.name} if output.name else {}
        json_schema |= {"description": output.description} if output.description else {}
        config["textFormat"] = {"type": "json_schema", "structure": {"jsonSchema": json_schema}}
    return config


def _native_fields(request: Request, *, native: bool) -> dict[str, Any]:
    return {name: request.extra[name] for name in FAMILY_FIELDS if name in request.extra} if native else {}
