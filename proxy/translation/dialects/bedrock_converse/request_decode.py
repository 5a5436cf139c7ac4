"""Converse requests to canonical requests (docs/wire-formats.md, sections 17.2 and 17.3)."""

from __future__ import annotations

from typing import TypeVar

import msgspec
from msgspec import Raw

from proxy.translation import json_wire
from proxy.translation.canonical import CacheMark, Demand, OutputFormat, Request, Text
from proxy.translation.dialects.bedrock_converse.request_decode_parts import MessageDecoder
from proxy.translation.dialects.bedrock_converse.thinking import decode_setting
from proxy.translation.dialects.bedrock_converse.tools import decode_choice, decode_tools
from proxy.translation.dialects.bedrock_converse.wire import ABSENT, FAMILY, MESSAGES, OBJECT, SYSTEM, is_present
from proxy.translation.dialects.openai_strict_schema import is_strict
from proxy.translation.errors import ClientMistake
from proxy.translation.json_wire import Envelope

T = TypeVar("T")
D = TypeVar("D")

FAMILY_FIELDS = ("guardrailConfig", "promptVariables", "additionalModelResponseFieldPaths", "performanceConfig")
"""Top-level fields that only this family knows. They become ``Request.extra``."""
MODEL_FIELDS_PREFIX = "additionalModelRequestFields."
_MAPPED_MODEL_FIELDS = frozenset({"thinking", "top_k"})
_DEMANDS = {
    "guardrailConfig": "guardrails are not available at this model's upstream",
    "promptVariables": "prompts with variables are not available at this model's upstream",
}


class _Inference(msgspec.Struct):
    maxTokens: int | None = None  # noqa: N815
    temperature: float | None = None
    topP: float | None = None  # noqa: N815
    stopSequences: list[str] | None = None  # noqa: N815


class _JsonSchema(msgspec.Struct):
    schema: str
    name: str | None = None
    description: str | None = None


class _Structure(msgspec.Struct):
    jsonSchema: _JsonSchema  # noqa: N815


class _TextFormat(msgspec.Struct):
    type: str
    structure: _Structure


class _Tier(msgspec.Struct):
    type: str


_INFERENCE = msgspec.json.Decoder(_Inference)
_TEXT_FORMAT = msgspec.json.Decoder(_TextFormat)
_TIER = msgspec.json.Decoder(_Tier)
_TOP_K = msgspec.json.Decoder(int)
_METADATA = msgspec.json.Decoder(dict[str, str])


def decode_request(envelope: Envelope, seal_key: bytes) -> Request:
    """Raises :class:`ClientMistake` with the path of the first invalid field. ``seal_key`` verifies reasoning carriers."""
    fields = envelope.fields
    unread: set[str] = set()
    inference = _object(fields, "inferenceConfig", _INFERENCE, _Inference())
    if inference.maxTokens is not None and inference.maxTokens < 1:
        raise ClientMistake("inferenceConfig.maxTokens: must be at least 1", param="inferenceConfig.maxTokens")
    tool_config = _object(fields, "toolConfig", OBJECT, {})
    output_config = _object(fields, "outputConfig", OBJECT, {})
    model_fields = _object(fields, "additionalModelRequestFields", OBJECT, {})
    messages = MESSAGES.decode(fields["messages"], unread, at="messages")
    top_k = model_fields.get("top_k", ABSENT)
    return Request(
        model=envelope.model,
        messages=MessageDecoder(fields["messages"], seal_key).decode(messages),
        family=FAMILY,
        system=_decode_system(fields.get("system", ABSENT), unread),
        tools=decode_tools(tool_config["tools"], unread) if is_present(tool_config.get("tools", ABSENT)) else (),
        tool_choice=decode_choice(tool_config.get("toolChoice", ABSENT)),
        max_tokens=inference.maxTokens,
        stop=tuple(inference.stopSequences or ()),
        temperature=inference.temperature,
        top_p=inference.topP,
        top_k=json_wire.decode(top_k, _TOP_K, at=f"{MODEL_FIELDS_PREFIX}top_k") if is_present(top_k) else None,
        reasoning=decode_setting(model_fields.get("thinking", ABSENT), output_config.get("effort", ABSENT)),
        output=_decode_output(output_config.get("textFormat", ABSENT)),
        metadata=_object(fields, "requestMetadata", _METADATA, None),
        service_tier=tier.type if (tier := _object(fields, "serviceTier", _TIER, None)) is not None else None,
        stream=envelope.stream,
        demands=tuple(
            Demand(field=name, message=f"{name}: {message}", carried_by=("bedrock_converse",))
            for name, message in _DEMANDS.items()
            if is_present(fields.get(name, ABSENT))
        ),
        extra=_extra(fields, model_fields),
        unread=tuple(sorted(unread)),
    )


def _object(fields: dict[str, Raw], name: str, decoder: msgspec.json.Decoder[T], default: D) -> T | D:
    raw = fields.get(name, ABSENT)
    return json_wire.decode(raw, decoder, at=name) if is_present(raw) else default


def _decode_system(raw: Raw, unread: set[str]) -> tuple[Text, ...]:
    """The texts; a cache point marks the text before it, and text for a guardrail is text."""
    if not is_present(raw):
        return ()
    texts: list[Text] = []
    for index, block in enumerate(SYSTEM.decode(raw, unread, at="system")):
        if block.text is not None:
            texts.append(Text(block.text))
        elif is_present(block.cachePoint):
            if texts:
                texts[-1] = Text(texts[-1].text, CacheMark(block.cachePoint))
        else:
            raise ClientMistake(f"system.{index}: must have text or cachePoint", param=f"system.{index}")
    return tuple(texts)


def _decode_output(raw: Raw) -> OutputFormat | None:
    if not is_present(raw):
        return None
    at = "outputConfig.textFormat"
    form = json_wire.decode(raw, _TEXT_FORMAT, at=at)
    if form.type != "json_schema":
        raise ClientMistake(f"{at}.type: json_schema is expected", param=f"{at}.type")
    wire = form.structure.jsonSchema
    schema = Raw(wire.schema.encode())
    json_wire.decode(schema, OBJECT, at=f"{at}.structure.jsonSchema.schema")
    # Formats are always binding here; OpenAI's API takes a schema of its own subset as such.
    strict = True if is_strict(schema) else None
    return OutputFormat(kind="json_schema", name=wire.name or "", schema=schema, description=wire.description, strict=strict)


def _extra(fields: dict[str, Raw], model_fields: dict[str, Raw]) -> dict[str, Raw]:
    extra = {name: fields[name] for name in FAMILY_FIELDS if is_present(fields.get(name, ABSENT))}
    return extra | {
        f"{MODEL_FIELDS_PREFIX}{name}": raw for name, raw in model_fields.items() if name not in _MAPPED_MODEL_FIELDS and is_present(raw)
    }
