"""Pairs tool calls with their results, as every provider demands.

Each call of an assistant turn has exactly one result in the next turn, and results come first (docs/wire-formats.md, sections
1.3, 2.3 and 7.3). Interrupted clients leave calls without results: these get the result ``NO_RESULT``. A result without a call,
or a second result of one call, is a mistake of the client.
"""

from __future__ import annotations

import hashlib
import re

import msgspec

from proxy.translation import call_ids
from proxy.translation.canonical import Message, Part, Text, ToolCall, ToolResult
from proxy.translation.errors import ClientMistake

NO_RESULT = "(no result)"
_ILLEGAL = re.compile(r"[^a-zA-Z0-9_-]")
_MAX_ID = 64


def pair_tool_results(messages: tuple[Message, ...], *, insert: bool) -> tuple[Message, ...]:
    """The messages with a result for every call. ``insert`` false: a call without a result is refused instead.

    Results move to the head of the messages that follow their calls; system messages come behind them.
    Raises :class:`ClientMistake` for a result without its call, for a second result of one call and for two calls of one id.
    """
    if not any(isinstance(part, ToolCall | ToolResult) for message in messages for part in message.parts):
        return messages
    out: list[Message] = []
    position = 0
    while position < len(messages):
        turn_end = _end_of_run(messages, position, assistant=messages[position].role == "assistant")
        run = messages[position:turn_end]
        if run[0].role != "assistant":
            _refuse_results(run)
            out += run
            position = turn_end
            continue
        calls = _calls_by_id(run)
        out += run
        position = _end_of_run(messages, turn_end, assistant=False)
        out += _with_results(calls, messages[turn_end:position], insert=insert)
    return tuple(out)


def has_unanswered_calls(messages: tuple[Message, ...]) -> bool:
    """Whether any tool call has no result."""
    parts = [part for message in messages for part in message.parts]
    results = {part.call_id for part in parts if isinstance(part, ToolResult)}
    return any(isinstance(part, ToolCall) and part.id not in results for part in parts)


def _calls_by_id(run: tuple[Message, ...]) -> dict[str, ToolCall]:
    """The calls of consecutive assistant messages, by id."""
    calls: dict[str, ToolCall] = {}
    for message in run:
        for part in message.parts:
            if isinstance(part, ToolCall):
                if part.id in calls:
                    raise ClientMistake(f"messages: the tool call id {part.id!r} occurs twice in one turn", param="messages")
                calls[part.id] = part
    return calls


def _end_of_run(messages: tuple[Message, ...], start: int, *, assistant: bool) -> int:
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


def _with_results(calls: dict[str, ToolCall], run: tuple[Message, ...], *, insert: bool) -> list[Message]:
    """The user and system messages that follow ``calls``, with the results of the calls first."""
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


def with_legal_call_ids(messages: tuple[Message, ...], *, strict: bool, nine: bool = False) -> tuple[Message, ...]:
    """The messages with call ids that the target accepts; a call and its result get the same id.

    ``strict``: ids must match ``^[a-zA-Z0-9_-]+$``. ``nine``: they must be nine letters and digits. An id that was escaped for the
    client becomes the upstream's own again. Ids of more than 64 characters are shortened for every target. The result
    depends on the conversation alone, so that a history keeps its ids from turn to turn.
    """
    legal_by_id: dict[str, str] = {}
    suffixes: dict[str, int] = {}
    for message in messages:
        for part in message.parts:
            if isinstance(part, ToolCall) and part.id not in legal_by_id:
                own_id = call_ids.unescape(part.id)
                legal_by_id[part.id] = _unused_nine(own_id, suffixes) if nine else _unused_id(_legal_id(own_id, strict=strict), suffixes)
    if all(call_id == legal for call_id, legal in legal_by_id.items()):
        return messages
    return tuple(
        msgspec.structs.replace(message, parts=tuple(_with_call_id(part, legal_by_id) for part in message.parts)) for message in messages
    )


def _legal_id(call_id: str, *, strict: bool) -> str:
    legal = (_ILLEGAL.sub("_", call_id) if strict else call_id) or "call_0"
    if len(legal) > _MAX_ID:
        return f"{legal[:55]}_{hashlib.sha256(call_id.encode(errors='replace')).hexdigest()[:8]}"
    return legal


def _unused_id(legal: str, suffixes: dict[str, int]) -> str:
    """``legal``, or with ``_2``, ``_3`` … when it is in use. ``suffixes``: the last suffix of each id in use."""
    unused = legal
    while unused in suffixes:
        suffixes[legal] += 1
        unused = f"{legal}_{suffixes[legal]}"
    suffixes[unused] = 1
    return unused


def _unused_nine(call_id: str, used: dict[str, int]) -> str:
    """Nine letters and digits for ``call_id`` that no other call of the conversation has."""
    attempt = 0
    while (legal := call_ids.nine_characters(call_id, attempt)) in used:
        attempt += 1
    used[legal] = 1
    return legal


def _with_call_id(part: Part, legal_by_id: dict[str, str]) -> Part:
    if isinstance(part, ToolCall):
        return msgspec.structs.replace(part, id=legal_by_id[part.id])
    if isinstance(part, ToolResult) and part.call_id in legal_by_id:
        return msgspec.structs.replace(part, call_id=legal_by_id[part.call_id])
    return part
