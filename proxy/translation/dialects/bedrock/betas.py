"""The list ``anthropic_beta`` of an InvokeModel body: names of the beta features that the request uses."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from proxy.translation import json_wire
from proxy.translation.quirks import Quirks

BETAS = "anthropic_beta"
"""Name of the list in the body and in ``Request.extra``."""

_STRINGS = msgspec.json.Decoder(list[str])


def decode_betas(raw: Raw | bytes) -> list[str]:
    """Raises :class:`~proxy.translation.errors.ClientMistake` for anything but a list of strings."""
    return json_wire.decode(raw, _STRINGS, at=BETAS)


def allowed_betas(betas: list[str], quirks: Quirks) -> list[str]:
    """The betas that ``Quirks.beta_allow_list`` names, in the order of ``betas``; none where there is no such list."""
    allowed = quirks.beta_allow_list or ()
    return [beta for beta in betas if beta in allowed]
