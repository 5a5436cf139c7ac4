"""Finish reasons, and the reasons for which a prompt is blocked (docs/wire-formats.md, section 16.5)."""

from __future__ import annotations

from proxy.translation.canonical import Finish, FinishReason
from proxy.translation.dialects.refusals import explanation
from proxy.translation.errors import Failure

_DECODED: dict[str, FinishReason] = {
    "STOP": "end",
    "MAX_TOKENS": "length",
    "CONTINUATION": "length",
    "SAFETY": "refusal",
    "RECITATION": "refusal",
    "LANGUAGE": "refusal",
    "BLOCKLIST": "refusal",
    "PROHIBITED_CONTENT": "refusal",
    "SPII": "refusal",
    "IMAGE_SAFETY": "refusal",
    "IMAGE_PROHIBITED_CONTENT": "refusal",
    "IMAGE_RECITATION": "refusal",
    "ESCALATION": "refusal",
    "MODEL_ARMOR": "refusal",
}
_BROKEN_OFF = frozenset(
    {"MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS", "MISSING_THOUGHT_SIGNATURE", "MALFORMED_RESPONSE"}
)
"""The model's output is not usable: another attempt may succeed."""
_ENCODED: dict[FinishReason, str] = {
    "end": "STOP",
    "stop_sequence": "STOP",
    "tool_calls": "STOP",
    "pause": "STOP",
    "compaction": "STOP",
    "length": "MAX_TOKENS",
    "context_window": "MAX_TOKENS",
    "refusal": "SAFETY",
}


def failure_of_finish(reason: str | None, message: str | None) -> Failure | None:
    """The failure that a ``finishReason`` reports; ``None`` for every other reason."""
    if reason not in _BROKEN_OFF:
        return None
    detail = f": {message}" if message else ""
    return Failure(kind="bad_gateway", message=f"The upstream broke off the response with the finishReason {reason}{detail}")


def decode_finish(reason: str | None, message: str | None) -> Finish:
    """The finish of a candidate; unknown reasons are an ordinary end."""
    decoded = _DECODED.get(reason or "STOP", "end")
    return _refusal(message) if decoded == "refusal" else Finish(reason=decoded)


def blocked_prompt(reason: str, message: str | None) -> Finish:
    """The finish of a response without candidates, because the prompt was blocked."""
    return _refusal(message or f"The prompt was blocked: {reason}")


def _refusal(message: str | None) -> Finish:
    return Finish(reason="refusal", details={"type": "refusal", "category": None, "explanation": message})


def encode_finish(finish: Finish) -> dict[str, str]:
    """``finishReason``, and the explanation of a refusal in ``finishMessage``."""
    text = explanation(finish)
    return {"finishReason": _ENCODED[finish.reason], **({"finishMessage": text} if text else {})}
