"""generateContent requests to canonical requests (docs/wire-formats.md, sections 16.2 and 16.3)."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from proxy.translation import json_wire
from proxy.translation.canonical import Demand, OutputFormat, Request, Text
from proxy.translation.dialects.gemini.request_decode_parts import ContentsDecoder
from proxy.translation.dialects.gemini.schemas import json_schema
from proxy.translation.dialects.gemini.thinking import decode_thinking
from proxy.translation.dialects.gemini.tools import decode_choice, decode_tools
from proxy.translation.dialects.gemini.wire import ABSENT, FAMILY, INSTRUCTION, OBJECT, in_camel_case, is_present
from proxy.translation.dialects.openai_strict_schema import is_strict
from proxy.translation.errors import ClientMistake
from proxy.translation.json_wire import Envelope

FAMILY_FIELDS = ("safetySettings", "cachedContent", "labels", "store", "continuationToken")
"""Top-level fields that only this family knows. They become ``Request.extra``."""
MAPPED_CONFIG = frozenset(
    {
        "maxOutputTokens", "temperature", "topP", "topK", "stopSequences", "responseMimeType", "responseSchema", "responseJsonSchema",
        "thinkingConfig",
    }
)  # fmt: skip
"""Fields of ``generationConfig`` with a place in the canonical form; the others become ``Request.extra``: ``field.setting``."""
CONFIG_PREFIX = "generationConfig."
TOOL_CONFIG_PREFIX = "toolConfig."
_TIERS = {"standard": "default", "flex": "flex", "priority": "priority"}
_TEXT_ONLY = frozenset({b'["TEXT"]', b"[]"})


class _Config(msgspec.Struct):
    """The scalar settings of ``generationConfig``."""

    maxOutputTokens: int | None = None  # noqa: N815
    temperature: float | None = None
    topP: float | None = None  # noqa: N815
    topK: float | None = None  # noqa: N815
    stopSequences: list[str] | None = None  # noqa: N815
    candidateCount: int | None = None  # noqa: N815
    responseMimeType: str | None = None  # noqa: N815
    responseSchema: Raw = ABSENT  # noqa: N815
    responseJsonSchema: Raw = ABSENT  # noqa: N815
    responseModalities: Raw = ABSENT  # noqa: N815
    thinkingConfig: Raw = ABSENT  # noqa: N815


_CONFIG = msgspec.json.Decoder(_Config)
_STRING = msgspec.json.Decoder(str)


def decode_request(envelope: Envelope, seal_key: bytes) -> Request:
    """Raises :class:`ClientMistake` with the path of the first invalid field. ``seal_key`` verifies reasoning carriers."""
    fields = envelope.fields
    unread: set[str] = set()
    raw_config = fields.get("generationConfig", ABSENT)
    config = json_wire.decode(raw_config, _CONFIG, at="generationConfig") if is_present(raw_config) else _Config()
    if config.maxOutputTokens is not None and config.maxOutputTokens < 0:
        raise ClientMistake("generationConfig.maxOutputTokens: must not be negative", param="generationConfig.maxOutputTokens")
    tool_config = json_wire.decode(fields["toolConfig"], OBJECT) if is_present(fields.get("toolConfig", ABSENT)) else {}
    decoder = ContentsDecoder(seal_key, unread)
    return Request(
        model=envelope.model,
        messages=decoder.decode(in_camel_case(fields["contents"], at="contents")),
        family=FAMILY,
        system=_decode_instruction(fields.get("systemInstruction", ABSENT), unread),
        tools=decode_tools(fields["tools"], unread) if is_present(fields.get("tools", ABSENT)) else (),
        tool_choice=decode_choice(tool_config),
        max_tokens=config.maxOutputTokens,
        stop=tuple(config.stopSequences or ()),
        temperature=config.temperature,
        top_p=config.topP,
        top_k=None if config.topK is None else int(config.topK),
        reasoning=decode_thinking(config.thinkingConfig),
        output=_decode_output(config),
        service_tier=_decode_tier(fields.get("serviceTier", ABSENT)),
        stream=envelope.stream,
        demands=_find_demands(fields, config),
        extra=_extra(fields, raw_config, tool_config),
        unread=tuple(sorted(unread)),
    )


def _decode_instruction(raw: Raw, unread: set[str]) -> tuple[Text, ...]:
    if not is_present(raw):
        return ()
    at = "systemInstruction"
    instruction = INSTRUCTION.decode(in_camel_case(raw, at=at), unread, at=at)
    if isinstance(instruction, str):
        return (Text(instruction),) if instruction else ()
    texts: list[Text] = []
    for index, part in enumerate(instruction.parts or ()):
        if part.text is None:
            raise ClientMistake(f"{at}.parts.{index}: only text is allowed", param=f"{at}.parts.{index}")
        if part.text:
            texts.append(Text(part.text))
    return tuple(texts)


def _decode_output(config: _Config) -> OutputFormat | None:
    at = "generationConfig.responseSchema"
    schema = None
    if is_present(config.responseJsonSchema):
        at = "generationConfig.responseJsonSchema"
        json_wire.decode(config.responseJsonSchema, OBJECT, at=at)
        schema = config.responseJsonSchema
    elif is_present(config.responseSchema):
        schema = json_schema(config.responseSchema, at=at)
    mime_type = (config.responseMimeType or "").lower()
    if schema is not None:
        # Formats are always binding here; OpenAI's API takes a schema of its own subset as such.
        return OutputFormat(kind="json_schema", schema=schema, strict=True if is_strict(schema) else None)
    return OutputFormat(kind="json_object") if mime_type == "application/json" else None


def _decode_tier(raw: Raw) -> str | None:
    if not is_present(raw):
        return None
    return _TIERS.get(json_wire.decode(raw, _STRING, at="serviceTier").lower())


def _find_demands(fields: dict[str, Raw], config: _Config) -> tuple[Demand, ...]:
    """A demand for each field that changes the response and that only this API has."""
    demands: list[Demand] = []

    def demand(field: str, message: str) -> None:
        demands.append(Demand(field=field, message=f"{field}: {message}", carried_by=("gemini",)))

    if is_present(fields.get("cachedContent", ABSENT)):
        demand("cachedContent", "cached contents are not available at this model's upstream; send the whole conversation")
    if config.candidateCount is not None and config.candidateCount > 1:
        demand("generationConfig.candidateCount", "only 1 is available at this model's upstream")
    modalities = bytes(config.responseModalities).replace(b" ", b"").upper()
    if modalities and modalities != b"NULL" and modalities not in _TEXT_ONLY:
        demand("generationConfig.responseModalities", "only TEXT is available at this model's upstream")
    return tuple(demands)


def _extra(fields: dict[str, Raw], config: Raw, tool_config: dict[str, Raw]) -> dict[str, Raw]:
    extra: dict[str, Any] = {name: fields[name] for name in FAMILY_FIELDS if is_present(fields.get(name, ABSENT))}
    if is_present(config):
        items = json_wire.decode(config, OBJECT, at="generationConfig").items()
        extra |= {f"{CONFIG_PREFIX}{name}": raw for name, raw in items if name not in MAPPED_CONFIG and is_present(raw)}
    extra |= {
        f"{TOOL_CONFIG_PREFIX}{name}": raw for name, raw in tool_config.items() if name != "functionCallingConfig" and is_present(raw)
    }
    return extra
