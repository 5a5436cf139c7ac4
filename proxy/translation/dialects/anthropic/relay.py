"""Bodies and frames between clients and upstreams of this dialect, without translation (docs/wire-formats.md, section 6.1).

Only the model's name, ``stream``, a missing ``max_tokens`` and reasoning carriers change; all other fields keep their bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Raw

from proxy.translation import json_wire
from proxy.translation.dialects.anthropic.carriers import CARRIER_PREFIX, remove_carriers
from proxy.translation.dialects.anthropic.thinking import default_max_tokens
from proxy.translation.dialects.anthropic.wire import OBJECT, has_field
from proxy.translation.dialects.base import EncodeTarget, with_event_name
from proxy.translation.framing.sse import Frame
from proxy.translation.json_wire import Envelope

PING = b'event: ping\ndata: {"type":"ping"}\n\n'
"""The keep-alive of a stream."""


def relay(model: str | None, hide_usage: bool) -> Callable[[Frame], Frame | None]:  # noqa: ARG001 -- the signature of all dialects
    """A function that sets the model's name in ``message_start`` and adds an ``event:`` line where the server sent none.

    ``model``: the name that the client asked for; ``None`` if the upstream's name is the same.
    """
    if model is None:
        return with_event_name
    name = Raw(json_wire.encode(model))

    def rename_model(frame: Frame) -> Frame:
        return with_event_name(_with_model(frame, name) if b'"message_start"' in frame.data else frame)

    return rename_model


def _with_model(frame: Frame, name: Raw) -> Frame:
    try:
        fields = OBJECT.decode(frame.data)
        if bytes(fields.get("type", b"")) != b'"message_start"':
            return frame
        message = OBJECT.decode(fields["message"])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError):
        return frame
    if "model" not in message:
        return frame
    return Frame(json_wire.encode(fields | {"message": Raw(json_wire.encode(message | {"model": name}))}), frame.event)


def patch_response(body: bytes, model: str) -> bytes:
    """The upstream's body with the client's name of the model. A body that is no JSON object stays unchanged."""
    try:
        fields = OBJECT.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return body
    if "model" not in fields:
        return body
    return json_wire.encode(fields | {"model": Raw(json_wire.encode(model))})


class _Thinking(msgspec.Struct):
    type: Any = None
    budget_tokens: Any = None


_THINKING = msgspec.json.Decoder(_Thinking)


def patch_request(envelope: Envelope, target: EncodeTarget, seal_key: bytes) -> bytes:
    """The client's body with the upstream's name of the model and ``stream``, without reasoning carriers."""
    fields = patch_fields(envelope.fields, target, seal_key)
    if target.model != envelope.model:
        fields["model"] = Raw(json_wire.encode(target.model))
    if target.stream != envelope.stream:
        fields["stream"] = Raw(b"true" if target.stream else b"false")
    return json_wire.encode(fields)


def patch_fields(fields: dict[str, Raw], target: EncodeTarget, seal_key: bytes) -> dict[str, Raw]:
    """A copy of the fields without reasoning carriers, and with ``max_tokens``, which the API requires.

    Where that removes the thinking of an open tool loop, ``thinking`` of type ``enabled`` is removed, too: the API answers 400
    when the last assistant message of such a loop has no thinking block.
    """
    patched = dict(fields)
    if not has_field(fields, "max_tokens"):
        patched["max_tokens"] = Raw(b"%d" % default_max_tokens(target, thinking=_budget(fields)))
    if CARRIER_PREFIX not in bytes(fields["messages"]):
        return patched
    patched["messages"], loop_broken = remove_carriers(fields["messages"], seal_key)
    if loop_broken and has_field(fields, "thinking") and _THINKING.decode(fields["thinking"]).type == "enabled":
        del patched["thinking"]
    return patched


def _budget(fields: dict[str, Raw]) -> int:
    budget = _THINKING.decode(fields["thinking"]).budget_tokens if has_field(fields, "thinking") else None
    return budget if isinstance(budget, int) else 0
