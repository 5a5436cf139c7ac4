"""Stop reasons, in both directions (docs/wire-formats.md, section 8.2)."""

from __future__ import annotations

from typing import Any

from proxy.translation.canonical import Finish, FinishReason, settled

FINISH_REASONS: dict[str, FinishReason] = {
    "end_turn": "end",
    "stop_sequence": "stop_sequence",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "context_window",
    "refusal": "refusal",
    "pause_turn": "pause",
    "compaction": "compaction",
}
STOP_REASONS = {reason: stop_reason for stop_reason, reason in FINISH_REASONS.items()}


def decode_finish(
    reason: str | None, sequence: str | None, details: dict[str, Any] | None, *, has_calls: bool, container: Any = None
) -> Finish:
    """The canonical finish. Unknown and missing stop reasons become ``end``."""
    finish = Finish(reason=FINISH_REASONS.get(reason or "", "end"), stop_sequence=sequence, details=details, container=container)
    return settled(finish, has_calls=has_calls)


def encode_finish(finish: Finish) -> dict[str, Any]:
    """The fields of a response or a ``message_delta`` that say how it ended; ``container`` is required with them (``MessageDelta``)."""
    return {
        "stop_reason": STOP_REASONS[finish.reason],
        "stop_sequence": finish.stop_sequence,
        "stop_details": finish.details,
        "container": finish.container,
    }
