"""Removes reasoning carriers, and citations of other vendors, from a conversation for an upstream of the client's own dialect.

A client that talked to another provider before has carriers in its thinking blocks. Carriers of this family become the
original blocks again, all others are removed (docs/wire-formats.md, section 11). Other blocks keep their bytes.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw

from proxy.translation import json_wire, reasoning_seal
from proxy.translation.dialects.anthropic.citations import own_citations
from proxy.translation.dialects.anthropic.wire import ABSENT, ARRAY, FAMILY, OBJECT, is_present, read_heads

CARRIER_PREFIX = reasoning_seal.PREFIX.encode()
"""Bytes that every body with a carrier contains; a cheap test before the body is decoded."""


class _CarrierBlock(msgspec.Struct):
    type: str = ""
    thinking: str = ""
    signature: str = ""
    data: str = ""
    citations: Raw = ABSENT

    @property
    def carrier(self) -> str:
        return {"thinking": self.signature, "redacted_thinking": self.data}.get(self.type, "")


class _TypeOnly(msgspec.Struct):
    type: str = ""


_CARRIER_BLOCK = msgspec.json.Decoder(_CarrierBlock)
_TYPE_ONLY = msgspec.json.Decoder(_TypeOnly)


def remove_carriers(messages: Raw, seal_key: bytes) -> tuple[Raw, bool]:
    """The messages without carriers, and whether ``thinking`` of type ``enabled`` is no longer allowed.

    That is so if the conversation is inside a tool loop whose last assistant message lost its thinking block
    (docs/wire-formats.md, section 7.9). A message whose blocks were all removed is removed, too.
    """
    heads = read_heads(messages)
    messages_out: list[Raw] = []
    loop_broken = False
    originals = json_wire.decode(messages, ARRAY, at="messages")
    for head, message in zip(heads, originals, strict=True):
        if head.role != "assistant" or CARRIER_PREFIX not in bytes(head.content) or not bytes(head.content).startswith(b"["):
            loop_broken = loop_broken and head.role != "assistant"
            messages_out.append(message)
            continue
        blocks = json_wire.decode(head.content, ARRAY, at="messages")
        remaining = [block for original in blocks if (block := _restore_block(original, seal_key)) is not None]
        thinks = any(_has_type(block, "thinking", "redacted_thinking") for block in remaining)
        loop_broken = not thinks and any(_has_type(block, "tool_use") for block in remaining)
        if remaining:
            messages_out.append(Raw(json_wire.encode(json_wire.decode(message, OBJECT) | {"content": Raw(json_wire.encode(remaining))})))
    return Raw(json_wire.encode(messages_out)), loop_broken


def _restore_block(block: Raw, seal_key: bytes) -> Raw | None:
    """The block as this family made it; ``None`` for a carrier of another family or without a valid MAC."""
    if CARRIER_PREFIX not in bytes(block):
        return block
    try:
        fields = _CARRIER_BLOCK.decode(block)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return block  # the upstream validates it
    if fields.type == "text" and is_present(fields.citations):
        return _without_foreign_citations(block, fields.citations)
    if not reasoning_seal.is_carrier(fields.carrier):
        return block
    seal = reasoning_seal.unpack(fields.carrier, seal_key)
    if seal is None or seal.origin != FAMILY:
        return None
    if "redacted" in seal.fields:
        return Raw(json_wire.encode({"type": "redacted_thinking", "data": seal.fields["redacted"]}))
    if not seal.fields.get("signature"):
        return None
    return Raw(json_wire.encode({"type": "thinking", "thinking": fields.thinking, "signature": seal.fields["signature"]}))


def _without_foreign_citations(block: Raw, citations: Raw) -> Raw:
    own = own_citations(citations, at="citations")
    fields = json_wire.decode(block, OBJECT)
    if own:
        return Raw(json_wire.encode(fields | {"citations": Raw(json_wire.encode(own))}))
    return Raw(json_wire.encode({name: value for name, value in fields.items() if name != "citations"}))


def _has_type(block: Raw, *types: str) -> bool:
    try:
        return _TYPE_ONLY.decode(block or ABSENT).type in types
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
