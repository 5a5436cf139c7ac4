"""Reasoning carriers: a provider's seal as a string in a field that the client returns (docs/wire-formats.md, section 11).

The string is ``"pxr1." + base64url(JSON)`` without padding; the JSON is ``{"v": 1, "o": origin, "u": upstream, "d": fields,
"m": MAC}``. The MAC is the first 18 bytes of an HMAC-SHA256 of the same JSON with an empty ``m``, in base64url. Its key is shared by
all processes, so that clients cannot forge seals. Carriers with a wrong MAC are ignored.
"""

from __future__ import annotations

import base64
import binascii
import functools
import hashlib
import hmac

import msgspec

from proxy.translation.canonical import Event, PartEnded, PartStarted, Reasoning, Response, Seal

PREFIX = "pxr1."


class _Packed(msgspec.Struct):
    v: int
    o: str
    u: str
    d: dict[str, str]
    m: str = ""


_decoder = msgspec.json.Decoder(_Packed)


def is_carrier(text: str) -> bool:
    """Whether ``text`` has the prefix of a carrier. Its MAC is not verified."""
    return text.startswith(PREFIX)


def pack(seal: Seal, key: bytes) -> str:
    """The carrier of ``seal``. The same seal and key always give the same text: prompt caches depend on that."""
    packed = _Packed(v=1, o=seal.origin, u=seal.upstream or "", d=dict(sorted(seal.fields.items())))
    packed.m = _sign(packed, key)
    return PREFIX + base64.urlsafe_b64encode(msgspec.json.encode(packed)).rstrip(b"=").decode()


def unpack(text: str, key: bytes) -> Seal | None:
    """The seal in a carrier; ``None`` if ``text`` is not a carrier, is damaged or has a MAC of another key."""
    if not text.startswith(PREFIX):
        return None
    encoded = text[len(PREFIX) :].encode(errors="replace")
    try:
        packed = _decoder.decode(base64.urlsafe_b64decode(encoded + b"=" * (-len(encoded) % 4)))
    except (binascii.Error, msgspec.DecodeError, UnicodeDecodeError):
        return None
    mac, packed.m = packed.m, ""
    if packed.v != 1 or not hmac.compare_digest(mac.encode(), _sign(packed, key).encode()):
        return None
    return Seal(origin=packed.o, upstream=packed.u, fields=packed.d)


def _sign(packed: _Packed, key: bytes) -> str:
    digest = hmac.new(key, msgspec.json.encode(packed), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest[:18]).decode()


def bound(event: Event, upstream: str, origin: str) -> Event:
    """``event`` with its seal of the family ``origin`` bound to the upstream that made it (``Dialect.binds_seals``)."""
    if isinstance(event, PartEnded) and event.seal is not None:
        return PartEnded(event.index, _bound(event.seal, upstream, origin))
    if isinstance(event, PartStarted) and isinstance(event.part, Reasoning) and event.part.seal is not None:
        return PartStarted(event.index, Reasoning(event.part.text, _bound(event.part.seal, upstream, origin)))
    return event


def bound_response(response: Response, upstream: str, origin: str) -> Response:
    """A whole response with its seals bound, as :func:`bound` does it."""
    parts = tuple(
        Reasoning(part.text, _bound(part.seal, upstream, origin)) if isinstance(part, Reasoning) and part.seal is not None else part
        for part in response.parts
    )
    return msgspec.structs.replace(response, parts=parts)


@functools.lru_cache(maxsize=256)
def address_id(base_url: str) -> str:
    """The owner of seals that every account of one provider can open: a hash of the upstream's address, which clients must not see."""
    return hashlib.sha256(base_url.rstrip("/").encode()).hexdigest()[:12]


def _bound(seal: Seal, upstream: str, origin: str) -> Seal:
    return Seal(seal.origin, upstream, seal.fields) if seal.origin == origin and seal.fields else seal
