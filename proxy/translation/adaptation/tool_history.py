"""The pairing of tool calls and results, as every provider demands it.

Each call of an assistant turn has exactly one result in the turn right after it, results first (wire formats, sections 1.3,
2.3 and 7.3). Clients that were interrupted leave calls without results: those get one that says so. A result that belongs to
no call, or comes twice, is the client's mistake.
"""

from __future__ import annotations

import hashlib
import re

import msgspec

from proxy.translation.canonical import Message, Part, Text, ToolCall, ToolResult
from proxy.translation.errors import ClientMistake

NO_RESULT = "(no result)"
_ILLEGAL = re.compile(r"[^a-zA-Z0-9_-]")
_MAX_ID = 64


def repaired(messages: tuple[Message, ...], *, insert: bool) -> tuple[Message, ...]:
    """The messages with every call answered, in place; ``insert`` false refuses unanswered calls instead.

    Results move to the head of the run of messages that follows their calls, and system messages behind them.
    Raises :class:`ClientMistake` for a result without its call, for a second result of one call and for two calls of one id.
    """
    if not any(isinstance(part, ToolCall | ToolResult) for message in messages for part in message.parts):
        return messages
    out: list[Message] = []
    position = 0
    while position < len(messages):
        turn_end = _run_end(messages, position, assistant=messages[position].role == "assistant")
        run = messages[position:turn_end]
        if run[0].role != "assistant":
            _refuse_results(run)
            out += run
            position = turn_end
            continue
        calls = _calls(run)
        out += run
        position = _run_end(messages, turn_end, assistant=False)
        out += _answered(calls, messages[turn_end:position], insert=insert)
    return tuple(out)


def has_unanswered(messages: tuple[Message, ...]) -> bool:
    """Whether any tool call has no result."""
    parts = [part for message in messages for part in message.parts]
    results = {part.call_id for part in parts if isinstance(part, ToolResult)}
    return any(isinstance(part, ToolCall) and part.id not in results for part in parts)


def _calls(run: tuple[Message, ...]) -> dict[str, ToolCall]:
    """The calls of an assistant's run of messages, by id."""
    calls: dict[str, ToolCall] = {}
    for message in run:
        for part in message.parts:
            if isinstance(part, ToolCall):
                if part.id in calls:
                    raise ClientMistake(f"messages: the tool call id {part.id!r} stands twice in one turn", param="messages")
                calls[part.id] = part
    return calls


def _run_end(messages: tuple[Message, ...], start: int, *, assistant: bool) -> int:
    end = start
    while end < len(messages) and (messages[end].role == "assistant") == assistant:
        end += 1
    return end


def _refuse_results(run: tuple[Message, ...]) -> None:
    for message in run:
        for part in message.parts:
            if isinstance(part, ToolResult):
                raise ClientMistake(
                    f"messages: the tool result for {part.call_id!r} has no tool call in the turn before it", param="messages"
                )


def _answered(calls: dict[str, ToolCall], run: tuple[Message, ...], *, insert: bool) -> list[Message]:
    """The run of user and system messages behind ``calls``, their results first."""
    results: dict[str, Part] = {}
    for message in run:
        for part in message.parts:
            if isinstance(part, ToolResult):
                if part.call_id not in calls:
                    raise ClientMistake(
                        f"messages: the tool result for {part.call_id!r} has no tool call in the turn before it", param="messages"
                    )
                if part.call_id in results:
                    raise ClientMistake(f"messages: the tool call {part.call_id!r} has more than one result", param="messages")
                results[part.call_id] = part
    missing = [call_id for call_id in calls if call_id not in results]
    if missing and not insert:
        raise ClientMistake(f"messages: the tool call {missing[0]!r} has no result", param="messages")
    for call_id in missing:
        results[call_id] = ToolResult(call_id, (Text(NO_RESULT),), is_error=True, kind=calls[call_id].kind)
    if not results:
        return list(run)
    return _with_results_first(tuple(results.values()), run)


def _with_results_first(results: tuple[Part, ...], run: tuple[Message, ...]) -> list[Message]:
    rest = [
        msgspec.structs.replace(message, parts=parts)
        for message in run
        if (parts := tuple(part for part in message.parts if not isinstance(part, ToolResult))) or not message.parts
    ]
    if rest and rest[0].role == "user":
        return [msgspec.structs.replace(rest[0], parts=results + rest[0].parts), *rest[1:]]
    return [Message("user", results), *rest]


def legal_ids(messages: tuple[Message, ...], *, strict: bool) -> tuple[Message, ...]:
    """The messages with call ids that the target takes, the same function for calls and results.

    ``strict``: ids must match ``^[a-zA-Z0-9_-]+$``. Ids of more than 64 characters are shortened for everyone. The result is
    a function of the conversation, so that a history stays consistent from turn to turn.
    """
    known: dict[str, str] = {}
    changed = False
    for message in messages:
        for part in message.parts:
            if isinstance(part, ToolCall) and part.id not in known:
                known[part.id] = _legal_id(part.id, strict=strict, taken=known)
                changed = changed or known[part.id] != part.id
    if not changed:
        return messages
    return tuple(msgspec.structs.replace(message, parts=tuple(_renamed(part, known) for part in message.parts)) for message in messages)


def _legal_id(call_id: str, *, strict: bool, taken: dict[str, str]) -> str:
    legal = _ILLEGAL.sub("_", call_id) if strict else call_id
    if not legal:
        legal = "call_0"
    if len(legal) > _MAX_ID:
        legal = f"{legal[:55]}_{hashlib.sha256(call_id.encode(errors='replace')).hexdigest()[:8]}"
    used = set(taken.values())
    base, count = legal, 1
    while legal in used:
        count += 1
        legal = f"{base}_{count}"
    return legal


def _renamed(part: Part, known: dict[str, str]) -> Part:
    if isinstance(part, ToolCall):
        return msgspec.structs.replace(part, id=known[part.id])
    if isinstance(part, ToolResult) and part.call_id in known:
        return msgspec.structs.replace(part, call_id=known[part.call_id])
    return part
