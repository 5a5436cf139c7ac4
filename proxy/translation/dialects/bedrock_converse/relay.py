"""Bodies and frames between clients and upstreams of this dialect, without translation (docs/wire-formats.md, section 6.1).

Only carriers of other providers' reasoning are removed from requests. Responses do not name the model and stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Raw

from proxy.translation import json_wire
from proxy.translation.dialects.base import EncodeTarget
from proxy.translation.dialects.bedrock_converse.seals import BLOB_CARRIER, TEXT_CARRIER
from proxy.translation.dialects.bedrock_converse.wire import ARRAY, OBJECT
from proxy.translation.framing.eventstream import write_named
from proxy.translation.framing.sse import Frame
from proxy.translation.json_wire import Envelope

PING = write_named(Frame(b"{}", "ping"))
"""The keep-alive: an event of a type that the API does not have, which AWS clients skip."""


def patch_request(envelope: Envelope, target: EncodeTarget, seal_key: bytes) -> bytes:  # noqa: ARG001 - removes all carriers
    """The client's body without carriers; the path has the model."""
    messages = envelope.fields["messages"]
    if not _has_carrier(messages):
        return json_wire.encode(envelope.fields)
    originals = json_wire.decode(messages, ARRAY, at="messages")
    retained = [message for original in originals if (message := _without_carriers(original)) is not None]
    return json_wire.encode(envelope.fields | {"messages": Raw(json_wire.encode(retained))})


def _has_carrier(raw: Raw) -> bool:
    return TEXT_CARRIER in bytes(raw) or BLOB_CARRIER in bytes(raw)


def _without_carriers(message: Raw) -> Raw | None:
    """A message without blocks of carriers; ``None`` if nothing is left of it."""
    if not _has_carrier(message):
        return message
    fields = json_wire.decode(message, OBJECT, at="messages")
    blocks = json_wire.decode(fields["content"], ARRAY, at="messages")
    retained = [
        block for block in blocks if not (_has_carrier(block) and "reasoningContent" in json_wire.decode(block, OBJECT, at="messages"))
    ]
    return Raw(json_wire.encode(fields | {"content": retained})) if retained else None


def patch_response(body: bytes, model: str) -> bytes:  # noqa: ARG001 -- the signature of all dialects
    """The response itself."""
    return body


def relay(model: str | None, hide_usage: bool) -> Callable[[Frame], Frame | None]:  # noqa: ARG001 -- the signature of all dialects
    """A function that forwards every frame."""
    return lambda frame: frame
