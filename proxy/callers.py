"""What a client's request says besides its body: its key, its session, who it is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

SESSION_HEADERS = ("x-claude-code-session-id", "session-id", "session_id", "x-session-id")
"""Headers by which agents say which turns belong together (Claude Code, Codex, others)."""

_LONGEST = 256
_CREDENTIAL = re.compile(r"AWS4-HMAC-SHA256\s.*?Credential=([^/,\s]+)/")


KEY_HEADER = "x-pxbin-key"
OWN_PREFIXES = ("pxb_", "pxm_")
"""How our own keys begin; such strings never go to an upstream."""


class Presented(NamedTuple):
    """The gateway key of a request (empty when there is none), and the client's own credentials as it sent them."""

    key: str
    own: tuple[tuple[str, str], ...] = ()


def presented(headers: Mapping[str, str]) -> Presented:
    """Who asks: ``X-Pxbin-Key``, else whichever of ``x-api-key`` and ``Authorization`` holds a key of ours, else the first there is.

    What is not our key may be the client's own credential for an upstream that passes it on.
    """
    direct = headers.get("x-api-key", "").strip()
    authorization = headers.get("authorization", "").strip()
    bearer = bearer_token(authorization) or aws_access_key(authorization)
    own = []
    if authorization and not bearer.startswith(OWN_PREFIXES):
        own.append(("authorization", authorization))
    if direct and not direct.startswith(OWN_PREFIXES):
        own.append(("x-api-key", direct))
    named = headers.get(KEY_HEADER, "").strip()
    ours = next((each for each in (direct, bearer) if each.startswith("pxb_")), "")
    return Presented(named or ours or direct or bearer, tuple(own))


def presented_key(headers: Mapping[str, str]) -> str:
    """The key of :func:`presented`."""
    return presented(headers).key


def bearer_token(value: str) -> str:
    """The token of an ``Authorization`` header of the scheme Bearer (any case), else empty."""
    scheme, _, token = value.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def aws_access_key(value: str) -> str:
    """The access key id of an ``Authorization`` header that AWS clients sign (SigV4), else empty.

    The gateway key stands there; the signature is not checked, because keys are stored hashed and cannot make one.
    """
    match = _CREDENTIAL.match(value)
    return match[1] if match else ""


def session_of(headers: Mapping[str, str]) -> str | None:
    """The client's session, when a header names it."""
    for name in SESSION_HEADERS:
        value = headers.get(name)
        if value:
            return value[:_LONGEST]
    return None


def speaks_anthropic(headers: Mapping[str, str]) -> bool:
    """Whether a caller of a shared path (``/v1/models``) expects Anthropic's shapes."""
    return "anthropic-version" in headers or "x-api-key" in headers
