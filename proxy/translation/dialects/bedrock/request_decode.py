"""InvokeModel requests to canonical requests: a Messages body whose model and ``stream`` are in the path.

The path is ``/model/{model}/invoke`` or ``/model/{model}/invoke-with-response-stream`` (docs/wire-formats.md, section 4).
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from proxy.translation.canonical import Request
from proxy.translation.dialects.anthropic import request_decode as messages
from proxy.translation.dialects.anthropic.envelope import check_fields
from proxy.translation.dialects.anthropic.wire import ABSENT, is_present
from proxy.translation.dialects.bedrock.betas import BETAS, decode_betas
from proxy.translation.errors import ClientMistake
from proxy.translation.json_object import open_object
from proxy.translation.json_wire import Envelope


def open_request(body: bytes) -> Envelope:
    """An envelope with an empty model name, which :func:`opener` fills in.

    Raises :class:`~proxy.translation.errors.ClientMistake` with the path of the first invalid field.
    """
    fields = open_object(body)
    if "model" in fields:
        raise ClientMistake("model: the field is not part of this API; the path names the model", param="model")
    check_fields(fields)
    return Envelope(fields, "")


def opener(model: str, *, stream: bool) -> Callable[[bytes], Envelope]:
    """A function that opens bodies which were posted to the path of ``model``."""

    def open_with_model(body: bytes) -> Envelope:
        return msgspec.structs.replace(open_request(body), model=model, stream=stream)

    return open_with_model


def decode_request(envelope: Envelope, seal_key: bytes) -> Request:
    """Raises :class:`~proxy.translation.errors.ClientMistake` with the path of the first invalid field."""
    request = messages.decode_request(envelope, seal_key)
    betas = envelope.fields.get(BETAS, ABSENT)
    if not is_present(betas):
        return request
    decode_betas(betas)
    return msgspec.structs.replace(request, extra=request.extra | {BETAS: betas})
