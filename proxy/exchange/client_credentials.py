"""What a client's request says besides its body: its key, its session, who it is."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Mapping
from typing import NamedTuple

from accounts.keys import MISPLACED, PREFIXES
from proxy.translation.errors import ClientMistake
from upstreams.http.headers import holds_own_key

SESSION_HEADERS = ("x-claude-code-session-id", "session-id", "session_id", "x-session-id")
"""Headers by which agents say which turns belong together (Claude Code, Codex, others)."""

_LONGEST = 256
_CREDENTIAL = re.compile(r"AWS4-HMAC-SHA256\s.*?Credential=([^/,\s]+)/")


KEY_HEADER = "x-pxbin-key"
ELSEWHERE = ("authorization", "api-key", "x-goog-api-key")
"""Where clients of other APIs have their keys; ``Authorization`` in words that mean nothing here."""


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
    own = [(name, value) for name, value in (("authorization", authorization), ("x-api-key", direct)) if value and not _is_ours(value)]
    named = headers.get(KEY_HEADER, "").strip()
    ours = next((each for each in (direct, bearer) if each.startswith(PREFIXES["llm"])), "")
    return Presented(named or ours or direct or bearer, tuple(own))


def presented_key(headers: Mapping[str, str]) -> str:
    """The key of :func:`presented`, empty when there is none. Raises :class:`ClientMistake` where one may be in the wrong place."""
    key = presented(headers).key
    if not key and any(headers.get(name) for name in ELSEWHERE):
        raise ClientMistake(MISPLACED, kind="authentication")
    return key


def bearer_token(value: str) -> str:
    """The token of an ``Authorization`` header of the scheme Bearer (any case), or a key of ours without one, else empty."""
    scheme, _, token = value.partition(" ")
    if scheme.lower() == "bearer":
        return token.strip()
    return value if value.startswith(tuple(PREFIXES.values())) else ""


def _is_ours(credential: str) -> bool:
    """Whether a credential holds a key of ours, whatever stands around it."""
    scheme, _, rest = credential.partition(" ")
    if scheme.lower() == "basic":
        try:
            return holds_own_key(b64decode(rest).decode("latin-1"))
        except ValueError:  # no Base64
            pass
    return holds_own_key(credential)


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
