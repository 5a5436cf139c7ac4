"""Stop reasons, in both directions (docs/wire-formats.md, section 8.2)."""

from __future__ import annotations

from typing import Any

from proxy.translation.canonical import Finish, FinishReason, settled

REASONS: dict[str, FinishReason] = {
    "end_turn": "end",
    "stop_sequence": "stop_sequence",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "context_window",
    "refusal": "refusal",
    "pause_turn": "pause",
    "compaction": "compaction",
}


STOP_REASONS = {reason: word for word, reason in REASONS.items()}


def finish(reason: str | None, sequence: str | None, details: dict[str, Any] | None, *, has_calls: bool) -> Finish:
    """The canonical finish; an unknown reason is an ordinary end."""
    known = REASONS.get(reason or "", "end")
    return settled(Finish(reason=known, stop_sequence=sequence, details=details), has_calls=has_calls)


def encode_finish(finish_: Finish) -> dict[str, Any]:
    """``stop_reason``, ``stop_sequence`` and ``stop_details``."""
    return {"stop_reason": STOP_REASONS[finish_.reason], "stop_sequence": finish_.stop_sequence, "stop_details": finish_.details}
