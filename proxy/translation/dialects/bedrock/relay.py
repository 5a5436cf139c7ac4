"""Bodies and keep-alives between Bedrock clients and Bedrock upstreams, without translation.

Responses and frames are relayed by :mod:`proxy.translation.dialects.anthropic.relay`: the chunks hold Messages events.
"""

from __future__ import annotations

from msgspec import Raw

from proxy.translation import json_wire
from proxy.translation.dialects.anthropic.relay import patch_fields
from proxy.translation.dialects.anthropic.wire import ABSENT, is_present
from proxy.translation.dialects.base import EncodeTarget
from proxy.translation.dialects.bedrock.betas import BETAS, allowed_betas, decode_betas
from proxy.translation.framing.eventstream import CHUNK, write
from proxy.translation.framing.sse import Frame
from proxy.translation.json_wire import Envelope

PING = write(Frame(b'{"type":"ping"}', CHUNK))
"""The keep-alive: a ``ping`` event of Messages in a chunk."""


def patch_request(envelope: Envelope, target: EncodeTarget, seal_key: bytes) -> bytes:
    """The client's body without reasoning carriers, its betas reduced to ``Quirks.beta_allow_list`` where that is set."""
    fields = patch_fields(envelope.fields, target, seal_key)
    if target.quirks.beta_allow_list is not None and is_present(fields.get(BETAS, ABSENT)):
        betas = allowed_betas(decode_betas(fields[BETAS]), target.quirks)
        del fields[BETAS]
        if betas:
            fields[BETAS] = Raw(json_wire.encode(betas))
    return json_wire.encode(fields)
