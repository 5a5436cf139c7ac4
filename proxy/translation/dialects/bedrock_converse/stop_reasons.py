"""Stop reasons (``StopReason`` of the API; docs/wire-formats.md, section 17.6)."""

from __future__ import annotations

from typing import Any

from proxy.translation.canonical import Finish, FinishReason, settled
from proxy.translation.errors import Failure

_DECODED: dict[str, FinishReason] = {
    "end_turn": "end",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "stop_sequence": "stop_sequence",
    "guardrail_intervened": "refusal",
    "content_filtered": "refusal",
    "refusal": "refusal",
    "model_context_window_exceeded": "context_window",
}
_BROKEN_OFF = frozenset({"malformed_model_output", "malformed_tool_use"})
_ENCODED: dict[FinishReason, str] = {
    "end": "end_turn",
    "tool_calls": "tool_use",
    "length": "max_tokens",
    "stop_sequence": "stop_sequence",
    "refusal": "content_filtered",
    "context_window": "model_context_window_exceeded",
    "pause": "end_turn",
    "compaction": "end_turn",
}
_EXPLANATIONS = {"guardrail_intervened": "A guardrail has intervened"}


def failure_of_stop(reason: str | None) -> Failure | None:
    """The failure that a stop reason reports: the model's output is not usable. ``None`` for every other reason."""
    if reason not in _BROKEN_OFF:
        return None
    return Failure(kind="bad_gateway", message=f"The upstream broke off the response with the stop reason {reason}")


def decode_finish(reason: str | None, *, has_calls: bool) -> Finish:
    """The finish; unknown reasons are an ordinary end."""
    decoded = _DECODED.get(reason or "end_turn", "end")
    details: dict[str, Any] | None = None
    if decoded == "refusal" and reason in _EXPLANATIONS:
        details = {"type": "refusal", "category": None, "explanation": _EXPLANATIONS[reason]}
    return settled(Finish(reason=decoded, details=details), has_calls=has_calls)


def encode_finish(finish: Finish) -> str:
    """The ``stopReason`` that a client gets."""
    return _ENCODED[finish.reason]
