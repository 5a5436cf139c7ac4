"""The list ``anthropic_beta`` of an InvokeModel body: names of the beta features that the request uses."""

from __future__ import annotations

from fnmatch import fnmatchcase

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


DOCUMENTED = (
    "compact-2026-*",
    "computer-use-*",
    "context-1m-*",
    "context-management-*",
    "dev-full-thinking-*",
    "effort-*",
    "fine-grained-tool-streaming-*",
    "interleaved-thinking-*",
    "output-128k-*",
    "token-efficient-tools-*",
    "tool-examples-*",
    "tool-search-tool-*",
)
"""The betas in the AWS documentation of Claude's request body ("Anthropic Claude Messages API", Amazon Bedrock user guide)."""


def allowed_betas(betas: list[str], quirks: Quirks) -> list[str]:
    """The betas that ``Quirks.beta_allow_list`` allows, or else :data:`DOCUMENTED`, in the order of ``betas``."""
    allowed = DOCUMENTED if quirks.beta_allow_list is None else quirks.beta_allow_list
    return [beta for beta in betas if any(fnmatchcase(beta, pattern) for pattern in allowed)]
