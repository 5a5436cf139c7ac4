"""What a client's request says besides its body: its key, its session, who it is."""

from __future__ import annotations

from collections.abc import Mapping

SESSION_HEADERS = ("x-claude-code-session-id", "session-id", "session_id", "x-session-id")
"""Headers by which agents say which turns belong together (Claude Code, Codex, others)."""

_LONGEST = 256


def presented_key(headers: Mapping[str, str]) -> str:
    """The gateway key of a request: ``x-api-key`` first, then ``Authorization: Bearer``; empty when there is none.

    Where both are present and only the second looks like one of ours, that one is meant.
    """
    direct = headers.get("x-api-key", "").strip()
    bearer = bearer_token(headers.get("authorization", ""))
    if direct and bearer.startswith("pxb_") and not direct.startswith("pxb_"):
        return bearer
    return direct or bearer


def bearer_token(value: str) -> str:
    """The token of an ``Authorization`` header of the scheme Bearer (any case), else empty."""
    scheme, _, token = value.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


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
