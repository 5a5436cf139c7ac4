"""Reasoning blocks: signatures, blobs, and the carriers of other providers' reasoning (docs/wire-formats.md, section 17.5)."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from proxy.translation import reasoning_seal
from proxy.translation.canonical import Reasoning, Seal
from proxy.translation.dialects.bedrock_converse.wire import FAMILY, ReasoningContent

BLOB_CARRIER = base64.b64encode(b"pxr1.e")
"""The beginning of every carrier in a blob, as the bytes of a body contain it."""
TEXT_CARRIER = reasoning_seal.PREFIX.encode()
"""The beginning of every carrier in a signature."""


def decode_reasoning(content: ReasoningContent, upstream: str | None) -> Reasoning | None:
    """The reasoning in a block as the API makes it; ``None`` for an empty block."""
    if content.redactedContent is not None:
        return Reasoning("", Seal(FAMILY, upstream, {"redacted": content.redactedContent}))
    if content.reasoningText is None:
        return None
    signature = content.reasoningText.signature
    return Reasoning(content.reasoningText.text, Seal(FAMILY, upstream, {"signature": signature} if signature else {}))


def decode_client_reasoning(content: ReasoningContent, key: bytes) -> Reasoning | None:
    """The reasoning in a client's block, which may be a carrier; ``None`` for a carrier whose MAC is not valid."""
    text = content.reasoningText.text if content.reasoningText is not None else ""
    signature = (content.reasoningText.signature or "") if content.reasoningText is not None else ""
    carrier = signature if reasoning_seal.is_carrier(signature) else _carrier_in_blob(content.redactedContent)
    if not carrier:
        return decode_reasoning(content, None)
    seal = reasoning_seal.unpack(carrier, key)
    if seal is None:
        return None
    fields = dict(seal.fields)
    withheld = fields.pop("text", "")
    return Reasoning(text or withheld, Seal(seal.origin, seal.upstream, fields))


def _carrier_in_blob(blob: str | None) -> str:
    if not blob or not blob.startswith(BLOB_CARRIER.decode()):
        return ""
    try:
        return base64.b64decode(blob).decode()
    except (binascii.Error, ValueError):
        return ""


def encode_reasoning(part: Reasoning, key: bytes) -> dict[str, Any] | None:
    """The ``reasoningContent`` for a client; ``None`` if the part has neither text nor a seal."""
    seal = part.seal
    if seal is not None and seal.origin == FAMILY and "redacted" in seal.fields:
        return {"redactedContent": seal.fields["redacted"]}
    signature = client_signature(seal, key)
    if part.text:
        return {"reasoningText": {"text": part.text, **({"signature": signature} if signature else {})}}
    if seal is None or not seal.fields:
        return None
    if seal.origin == FAMILY:
        return {"reasoningText": {"text": "", "signature": signature}}
    return {"redactedContent": base64.b64encode(signature.encode()).decode()}


def client_signature(seal: Seal | None, key: bytes) -> str:
    """The signature of this family, or a carrier of another one's seal; empty without a seal."""
    if seal is None:
        return ""
    return seal.fields.get("signature", "") if seal.origin == FAMILY else reasoning_seal.pack(seal, key)


def is_own(seal: Seal | None) -> bool:
    """Whether an upstream of this dialect gets the reasoning back: what it signed, or sent as a blob."""
    return seal is not None and seal.origin == FAMILY and bool(seal.fields)


def encode_own(part: Reasoning) -> dict[str, Any]:
    """The block of own reasoning for an upstream."""
    fields = part.seal.fields if part.seal is not None else {}
    if "redacted" in fields:
        return {"reasoningContent": {"redactedContent": fields["redacted"]}}
    return {"reasoningContent": {"reasoningText": {"text": part.text, "signature": fields.get("signature", "")}}}
