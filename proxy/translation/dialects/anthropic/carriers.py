"""Our reasoning carriers, taken out of a conversation that goes to an upstream of the client's own dialect.

The client talked to another provider before: its thinking blocks hold our carriers. What Anthropic itself had made is
rebuilt, the rest is dropped (wire formats, section 11). All other blocks stay byte for byte.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw

from proxy.translation import json_wire, reasoning_seal
from proxy.translation.dialects.anthropic.wire import ARRAY, FAMILY, NOTHING, OBJECT, read_heads

TRACE = reasoning_seal.PREFIX.encode()
"""Bytes without which no carrier can be in a body."""


class _Sealed(msgspec.Struct):
    type: str = ""
    thinking: str = ""
    signature: str = ""
    data: str = ""

    @property
    def carrier(self) -> str:
        return {"thinking": self.signature, "redacted_thinking": self.data}.get(self.type, "")


class _Kind(msgspec.Struct):
    type: str = ""


_SEALED = msgspec.json.Decoder(_Sealed)
_KIND = msgspec.json.Decoder(_Kind)


def without_carriers(messages: Raw, seal_key: bytes) -> tuple[Raw, bool]:
    """The messages without carriers; the flag says that manual thinking is no longer allowed.

    It is not where the conversation stands in a tool loop and the last assistant turn lost its thinking (section 7.9).
    """
    heads = read_heads(messages)
    out: list[Raw] = []
    loop_broken = False
    originals = json_wire.decode(messages, ARRAY, at="messages")
    for head, message in zip(heads, originals, strict=True):
        if head.role != "assistant" or TRACE not in bytes(head.content) or not bytes(head.content).startswith(b"["):
            loop_broken = loop_broken and head.role != "assistant"
            out.append(message)
            continue
        blocks = json_wire.decode(head.content, ARRAY, at="messages")
        kept = [block for each in blocks if (block := _without_carrier(each, seal_key)) is not None]
        thinks = any(_is(block, "thinking", "redacted_thinking") for block in kept)
        loop_broken = not thinks and any(_is(block, "tool_use") for block in kept)
        if kept:
            out.append(Raw(json_wire.encode(json_wire.decode(message, OBJECT) | {"content": Raw(json_wire.encode(kept))})))
    return Raw(json_wire.encode(out)), loop_broken


def _without_carrier(block: Raw, seal_key: bytes) -> Raw | None:
    if TRACE not in bytes(block):
        return block
    try:
        sealed = _SEALED.decode(block)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return block  # no thinking block of ours: the upstream judges it
    if not reasoning_seal.is_carrier(sealed.carrier):
        return block
    seal = reasoning_seal.unpack(sealed.carrier, seal_key)
    if seal is None or seal.origin != FAMILY:
        return None
    if "redacted" in seal.fields:
        return Raw(json_wire.encode({"type": "redacted_thinking", "data": seal.fields["redacted"]}))
    if not seal.fields.get("signature"):
        return None
    return Raw(json_wire.encode({"type": "thinking", "thinking": sealed.thinking, "signature": seal.fields["signature"]}))


def _is(block: Raw, *kinds: str) -> bool:
    try:
        return _KIND.decode(block or NOTHING).type in kinds
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
