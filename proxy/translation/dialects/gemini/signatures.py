"""Thought signatures: a provider's seal at a part of a model's turn (docs/wire-formats.md, section 16.6).

The API puts ``thoughtSignature`` on the first function call of a step, on the last text, or on a thought, and wants it back on the same
part. In the canonical form a signature of a call or of a text is a reasoning part of its own: before its call, behind its text.

A client of this dialect returns other providers' reasoning in the same field: as a carrier in base64, on the next call, or on an empty
text at the end. Clients keep the signatures of calls, but many leave out thoughts; the carrier therefore holds the text, too.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from typing import Any

from proxy.translation import reasoning_seal
from proxy.translation.canonical import Part, Reasoning, Seal, ToolCall
from proxy.translation.dialects.gemini.wire import FAMILY, standard_base64

CARRIER = base64.b64encode(b"pxr1.e")
"""The beginning of every carrier, as the bytes of a body contain it."""
UNSIGNED_CALL = "skip_thought_signature_validator"
"""What models from generation 3 on accept in place of the signature of a call that they did not make
(Google: "Thought signatures", calls of other models)."""

_SIGNATURE, _PLACE, _CALL_ID, _CALL_NUMBER = "signature", "place", "call_id", "call_number"
_WITHHELD = "text"


# --- signatures of the API -----------------------------------------------------------------------------------------------


def thought_seal(signature: str | None, upstream: str | None = "") -> Seal:
    """The seal of a thought. ``upstream``: see :class:`~proxy.translation.canonical.Seal`."""
    return Seal(FAMILY, upstream, {_SIGNATURE: signature} if signature else {})


def text_signature(signature: str, upstream: str | None = "") -> Reasoning:
    """The part behind a text that is signed."""
    return Reasoning("", Seal(FAMILY, upstream, {_SIGNATURE: signature, _PLACE: "text"}))


def call_signature(signature: str, call_id: str, number: int, upstream: str | None = "") -> Reasoning:
    """The part before a call that is signed; ``number`` counts the calls of its message from 0."""
    fields = {_SIGNATURE: signature, _PLACE: "call", _CALL_ID: call_id, _CALL_NUMBER: str(number)}
    return Reasoning("", Seal(FAMILY, upstream, fields))


def place_of(seal: Seal) -> str:
    """What a seal of this family signs: ``call``, ``text``, or an empty string for the thought itself."""
    return seal.fields.get(_PLACE, "")


def signature_of(seal: Seal) -> str:
    """The signature in a seal of this family; empty if there is none."""
    return seal.fields.get(_SIGNATURE, "")


class CallSignatures:
    """The signatures of the calls in one message that a target may get: its own, and those that a client sent without a carrier."""

    def __init__(self, parts: Iterable[Part], owner: str) -> None:
        parts = tuple(parts)
        call_ids = {part.id for part in parts if isinstance(part, ToolCall)} - {""}
        self._by_id: dict[str, str] = {}
        self._by_number: dict[str, str] = {}
        for part in parts:
            if isinstance(part, Reasoning) and is_own(part.seal, owner) and part.seal is not None and place_of(part.seal) == "call":
                fields = part.seal.fields
                if fields.get(_CALL_ID) in call_ids:
                    self._by_id[fields[_CALL_ID]] = fields[_SIGNATURE]
                else:
                    self._by_number[fields.get(_CALL_NUMBER, "0")] = fields[_SIGNATURE]

    def of(self, call: ToolCall, number: int) -> str:
        """The signature of a call, the one with this number in its message; empty if there is none."""
        return self._by_id.get(call.id) or self._by_number.get(str(number), "")


def is_own(seal: Seal | None, owner: str) -> bool:
    """Whether a seal is of this family and of the upstream ``owner``; nobody owns a thought without a signature."""
    return seal is not None and seal.origin == FAMILY and (seal.upstream in (None, owner) or not seal.fields)


# --- carriers ------------------------------------------------------------------------------------------------------------


def encode_carrier(seal: Seal, text: str, key: bytes) -> str:
    """The carrier of another family's reasoning, as a signature: base64 of the standard alphabet, which the SDKs decode."""
    if text:
        seal = Seal(seal.origin, seal.upstream, {**seal.fields, _WITHHELD: text})
    return base64.b64encode(reasoning_seal.pack(seal, key).encode()).decode()


def is_carrier(signature: str) -> bool:
    """Whether a client's signature holds a carrier."""
    return signature.startswith(CARRIER.decode())


def decode_carrier(signature: str, key: bytes) -> Reasoning | None:
    """The reasoning in a carrier; ``None`` if its MAC is not valid."""
    try:
        carrier = base64.b64decode(standard_base64(signature)).decode()
    except (binascii.Error, ValueError):
        return None
    seal = reasoning_seal.unpack(carrier, key)
    if seal is None:
        return None
    fields: dict[str, Any] = dict(seal.fields)
    return Reasoning(fields.pop(_WITHHELD, ""), Seal(seal.origin, seal.upstream, fields))
