"""Finish reasons of Chat servers and for Chat clients (docs/wire-formats.md, section 8.2).

Servers have more words than the API's five, in upper and lower case, and the list grows. A word that is not in the table is read by
its stem: ``content_blocked`` is a refusal, ``upstream_timeout`` a failure. What no stem matches is an ordinary end.
"""

from __future__ import annotations

from typing import Literal

from proxy.translation.canonical import Finish, FinishReason
from proxy.translation.errors import Failure

_DECODED: dict[str, FinishReason | Literal["failed"]] = {
    "stop": "end",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "refusal",
    # Anthropic adapters, Mistral, Hugging Face, Z.ai, Gemini, vLLM.
    "end_turn": "end",
    "stop_sequence": "end",
    "eos_token": "end",
    "pause_turn": "pause",
    "tool_use": "tool_calls",
    "tool_call": "tool_calls",
    "function_calls": "tool_calls",
    "spii": "refusal",
    "language": "refusal",
}
_STEMS: tuple[tuple[FinishReason | Literal["failed"], tuple[str, ...]], ...] = (
    (
        "refusal",
        (
            "filter",
            "safety",
            "sensitive",
            "refus",
            "recitation",
            "blocked",
            "blocklist",
            "prohibited",
            "moderat",
            "guardrail",
            "unsafe",
            "policy",
        ),
    ),
    (
        "failed",
        (
            "error",
            "fail",
            "abort",
            "cancel",
            "interrupt",
            "timeout",
            "timed_out",
            "insufficient",
            "unavailable",
            "overload",
            "malformed",
            "unexpected",
        ),
    ),
    ("length", ("length", "max_", "token", "context_window", "window_exceeded", "truncat", "limit")),
)

ENCODED_FINISH_REASONS: dict[str, str] = {
    "end": "stop",
    "stop_sequence": "stop",
    "tool_calls": "tool_calls",
    "length": "length",
    "context_window": "length",
    "refusal": "content_filter",
    "pause": "stop",
    "compaction": "stop",
}
"""The ``finish_reason`` that a client gets."""


def _decode(finish_reason: str) -> FinishReason | Literal["failed"]:
    word = finish_reason.lower().replace("-", "_").replace(" ", "_")
    decoded = _DECODED.get(word)
    if decoded is not None:
        return decoded
    return next((reason for reason, stems in _STEMS if any(stem in word for stem in stems)), "end")


def failure_of_finish(finish_reason: str | None) -> Failure | None:
    """The failure that a ``finish_reason`` reports: the response broke off. ``None`` for every other reason."""
    if finish_reason is None or _DECODED.get(finish_reason) or _decode(finish_reason) != "failed":
        return None
    kind: Literal["overloaded", "bad_gateway"] = "overloaded" if "resource" in finish_reason.lower() else "bad_gateway"
    return Failure(kind=kind, message=f"The upstream broke off the response with the finish_reason {finish_reason[:100]}.")


def decode_finish_reason(finish_reason: str | None, *, refused: bool = False) -> Finish:
    """The finish of an upstream's ``finish_reason``; :func:`~proxy.translation.canonical.settled` then compares it with the parts.

    ``refused``: the message has a ``refusal``, so an ordinary end is a refusal.
    """
    reason = _decode(finish_reason or "stop")
    if reason == "failed":
        reason = "end"  # see failure_of_finish
    return Finish(reason="refusal" if refused and reason == "end" else reason)


def encode_finish_reason(finish: Finish, *, refused: bool = False) -> str:
    """The ``finish_reason`` for a client. ``refused``: the message has a ``refusal``; the API then ends with ``stop``."""
    return "stop" if refused and finish.reason == "refusal" else ENCODED_FINISH_REASONS[finish.reason]
