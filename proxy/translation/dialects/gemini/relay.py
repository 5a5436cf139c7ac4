"""Bodies and frames between clients and upstreams of this dialect, without translation (docs/wire-formats.md, section 6.1).

Only carriers of other providers' reasoning are removed from requests, and the model's name changes in responses.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Raw

from proxy.translation import json_wire
from proxy.translation.dialects.base import EncodeTarget
from proxy.translation.dialects.gemini.signatures import CARRIER, UNSIGNED_CALL, is_carrier
from proxy.translation.dialects.gemini.wire import ARRAY, OBJECT, generation, in_camel_case
from proxy.translation.framing.sse import Frame
from proxy.translation.json_wire import Envelope

_MODEL_MEMBER = re.compile(rb'"modelVersion"\s*:\s*"(?:[^"\\]|\\.)*"')
_FIELDS = msgspec.json.Decoder(dict[str, Raw])
_STRING = msgspec.json.Decoder(str)


def patch_request(envelope: Envelope, target: EncodeTarget, seal_key: bytes) -> bytes:  # noqa: ARG001 - removes all carriers
    """The client's body without carriers; the path has the model."""
    contents = envelope.fields["contents"]
    if CARRIER not in bytes(contents):
        return json_wire.encode(envelope.fields)
    items = json_wire.decode(in_camel_case(contents, at="contents"), ARRAY, at="contents")
    retained = [item for original in items if (item := _without_carriers(original, target)) is not None]
    return json_wire.encode(envelope.fields | {"contents": Raw(json_wire.encode(retained))})


def _without_carriers(content: Raw, target: EncodeTarget) -> Raw | None:
    """A content without carriers; ``None`` if nothing is left of it."""
    if CARRIER not in bytes(content):
        return content
    fields = json_wire.decode(content, OBJECT, at="contents")
    parts = [json_wire.decode(part, OBJECT, at="contents") for part in json_wire.decode(fields["parts"], ARRAY, at="contents")]
    retained = [part for original in parts if (part := _without_carrier(original, target))]
    return Raw(json_wire.encode(fields | {"parts": retained})) if retained else None


def _without_carrier(part: dict[str, Raw], target: EncodeTarget) -> dict[str, Any]:
    """A part without its carrier, empty if it was an empty text. From generation 3 on a call needs a signature."""
    signature = part.get("thoughtSignature", Raw(b""))
    if CARRIER not in bytes(signature) or not is_carrier(json_wire.decode(signature, _STRING, at="contents")):
        return part
    rest: dict[str, Any] = {name: value for name, value in part.items() if name != "thoughtSignature"}
    if bytes(rest.get("text", b"")) == b'""':
        return {}
    return rest | ({"thoughtSignature": UNSIGNED_CALL} if "functionCall" in rest and generation(target.model) >= 3 else {})


# --- responses and streams -------------------------------------------------------------------------------------------


def patch_response(body: bytes, model: str) -> bytes:
    """The response with the client's name of the model."""
    return _renamed(body, json_wire.encode(model))


def relay(model: str | None, hide_usage: bool) -> Callable[[Frame], Frame | None]:  # noqa: ARG001 -- usage is in every stream
    """A function from an upstream's frame to the client's. ``model`` replaces the upstream's name; ``None``: no replacement."""
    if model is None:
        return lambda frame: frame
    client_model = json_wire.encode(model)
    return lambda frame: Frame(_renamed(frame.data, client_model))


def _renamed(data: bytes, model: bytes) -> bytes:
    """The JSON with its top-level ``modelVersion`` set to ``model``, a JSON string; all other bytes unchanged.

    A quoted name before a colon is always a key. The object is decoded only if it has several of these.
    """
    occurrences = data.count(b'"modelVersion"')
    if occurrences == 1:
        return _MODEL_MEMBER.sub(lambda _: b'"modelVersion":' + model, data, count=1)
    if not occurrences:
        return data
    try:
        fields = _FIELDS.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return data
    if "modelVersion" not in fields:
        return data
    return json_wire.encode(fields | {"modelVersion": Raw(model)})
