"""Stop reasons, in both directions (docs/wire-formats.md, section 8.2)."""

from __future__ import annotations

from typing import Any

from proxy.translation.canonical import Finish, FinishReason, settled
from proxy.translation.dialects.anthropic.wire import FAMILY

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


MESSAGE_FIELDS = ("container", "context_management", "diagnostics", "input_transformations")
"""Fields of a message or a ``message_delta`` that only this family knows."""


def native_of_message(message: Any) -> dict[str, Any]:
    """The values of :data:`MESSAGE_FIELDS` in a wire struct that has some of them."""
    return {name: value for name in MESSAGE_FIELDS if (value := getattr(message, name, None)) is not None}


def decode_finish(
    reason: str | None, sequence: str | None, details: dict[str, Any] | None, *, has_calls: bool, native: dict[str, Any]
) -> Finish:
    """The canonical finish. Unknown and missing stop reasons become ``end``. ``native``: the values of :func:`native_of_message`."""
    by_family = {FAMILY: native} if native else {}
    finish = Finish(reason=FINISH_REASONS.get(reason or "", "end"), stop_sequence=sequence, details=details, native=by_family)
    return settled(finish, has_calls=has_calls)


def encode_finish(finish: Finish) -> dict[str, Any]:
    """The fields of a response or a ``message_delta`` that say how it ended; ``container`` is required with them (``MessageDelta``)."""
    return {
        "stop_reason": STOP_REASONS[finish.reason],
        "stop_sequence": finish.stop_sequence,
        "stop_details": finish.details,
        "container": finish.native.get(FAMILY, {}).get("container"),
    }


def message_fields(finish: Finish) -> dict[str, Any]:
    """The fields of :data:`MESSAGE_FIELDS` beside the finish, at the top level of a response or a ``message_delta``."""
    return {name: value for name, value in finish.native.get(FAMILY, {}).items() if name != "container"}
