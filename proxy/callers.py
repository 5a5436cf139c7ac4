"""What a client's request says besides its body: its key, its session, who it is."""

from __future__ import annotations

import re
from collections.abc import Mapping

SESSION_HEADERS = ("x-claude-code-session-id", "session-id", "session_id", "x-session-id")
"""Headers by which agents say which turns belong together (Claude Code, Codex, others)."""

_LONGEST = 256
_CREDENTIAL = re.compile(r"AWS4-HMAC-SHA256\s.*?Credential=([^/,\s]+)/")


def presented_key(headers: Mapping[str, str]) -> str:
    """The gateway key of a request: ``x-api-key`` first, then ``Authorization: Bearer``; empty when there is none.

    Where both are present and only the second looks like one of ours, that one is meant.
    """
    direct = headers.get("x-api-key", "").strip()
    authorization = headers.get("authorization", "")
    bearer = bearer_token(authorization) or aws_access_key(authorization)
    if direct and bearer.startswith("pxb_") and not direct.startswith("pxb_"):
        return bearer
    return direct or bearer


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
