"""Opaque state of Chat upstreams that must come back with the next request (docs/wire-formats.md, section 11).

Gemini's endpoint puts ``extra_content`` with a thought signature on tool calls and messages (Google: "Thought signatures", OpenAI
compatibility), LiteLLM ``provider_specific_fields``; OpenRouter and MiniMax send ``reasoning_details`` (OpenRouter: "Preserving
reasoning"), GitHub Copilot ``reasoning_opaque``. In the canonical form such state is the seal of a reasoning part, which clients of
every dialect return. A part without text holds the state of one message or of one tool call.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from proxy.translation import json_wire
from proxy.translation.canonical import Part, Reasoning, Seal, ToolCall
from proxy.translation.dialects.openai_chat.wire_request import FAMILY

EMPTY_SEAL = Seal(FAMILY, "")
"""The seal of reasoning without state besides its text."""

_DETAILS, _MESSAGE, _CALL, _CALL_ID, _CALL_NUMBER = "reasoning_details", "message", "call", "call_id", "call_number"
_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ENTRIES = msgspec.json.Decoder(list[msgspec.Raw])

Raw = msgspec.Raw


# --- state to reasoning parts --------------------------------------------------------------------------------------------


def details_seal(details: list[Any], upstream: str | None = "") -> Seal:
    """The seal of reasoning with these ``reasoning_details``. ``upstream``: see :class:`~proxy.translation.canonical.Seal`."""
    return Seal(FAMILY, upstream, {_DETAILS: json_wire.encode(details).decode()} if details else {})


def message_part(state: dict[str, Raw], upstream: str | None = "") -> Reasoning:
    """The part with the state of a message."""
    return Reasoning("", Seal(FAMILY, upstream, {_MESSAGE: json_wire.encode(state).decode()}))


def call_part(state: dict[str, Raw], call_id: str, number: int, upstream: str | None = "") -> Reasoning:
    """The part with the state of a call; ``number`` counts the calls of its message from 0."""
    fields = {_CALL: json_wire.encode(state).decode(), _CALL_ID: call_id, _CALL_NUMBER: str(number)}
    return Reasoning("", Seal(FAMILY, upstream, fields))


class DetailsCollector:
    """The ``reasoning_details`` of a message, or of the deltas of a stream: consecutive pieces of one entry are joined."""

    def __init__(self) -> None:
        self._entries: list[Any] = []

    def add(self, details: Any) -> None:
        """Add the field of a message or of a delta."""
        for entry in details if isinstance(details, list) else ():
            last = self._entries[-1] if self._entries else None
            if isinstance(entry, dict) and isinstance(last, dict) and _continues(last, entry):
                self._entries[-1] = _joined(last, entry)
            else:
                self._entries.append(entry)

    def __bool__(self) -> bool:
        return bool(self._entries)

    def take(self) -> Seal:
        """The seal with the entries since the last call."""
        entries, self._entries = self._entries, []
        return details_seal(entries) if entries else EMPTY_SEAL


def _continues(last: dict[str, Any], entry: dict[str, Any]) -> bool:
    kind = entry.get("type")
    return (
        kind == last.get("type")
        and kind in ("reasoning.text", "reasoning.summary")
        and entry.get("index") == last.get("index")
        and (entry.get("id") is None or entry.get("id") == last.get("id"))
        and not last.get("signature")
    )


def _joined(last: dict[str, Any], entry: dict[str, Any]) -> dict[str, Any]:
    joined = last | {name: value for name, value in entry.items() if value is not None or name not in last}
    for name in ("text", "summary"):
        if isinstance(last.get(name), str) and isinstance(entry.get(name), str):
            joined[name] = last[name] + entry[name]
    return joined


# --- reasoning parts to state --------------------------------------------------------------------------------------------


class RestoredState:
    """The state in the reasoning parts of one message: what returns to the upstream, or to a client of this dialect.

    ``owner``: the upstream that the message is for; state of another one is left out. ``None``: a client, which gets all.
    ``text``: the reasoning whose text is not in ``details``.
    """

    def __init__(self, parts: Iterable[Part], owner: str | None) -> None:
        self.text: list[str] = []
        self.all_text: list[str] = []
        self.details: list[Raw] = []
        self.message: dict[str, Raw] = {}
        self._by_id: dict[str, dict[str, Raw]] = {}
        self._by_number: dict[int, dict[str, Raw]] = {}
        parts = tuple(parts)
        self._call_ids = {part.id for part in parts if isinstance(part, ToolCall)}
        for part in parts:
            if isinstance(part, Reasoning) and part.seal is not None and part.seal.origin == FAMILY:
                self._add(part.text, part.seal, owner)

    def _add(self, text: str, seal: Seal, owner: str | None) -> None:
        is_own = owner is None or seal.upstream in (None, owner)
        fields = seal.fields if is_own else {}
        if text:
            self.all_text.append(text)
            if _DETAILS not in fields or seal.upstream is None:
                self.text.append(text)
        if _DETAILS in fields:
            self.details += _ENTRIES.decode(fields[_DETAILS])
        if _MESSAGE in fields:
            self.message |= _FIELDS.decode(fields[_MESSAGE])
        if _CALL in fields:
            self._add_call(fields[_CALL], fields.get(_CALL_ID, ""), fields.get(_CALL_NUMBER, ""))

    def _add_call(self, state: str, call_id: str, number: str) -> None:
        """Keep the state of a call by its id, or by its number where the upstream sent no id or the id was replaced."""
        if call_id in self._call_ids:
            self._by_id[call_id] = self._by_id.get(call_id, {}) | _FIELDS.decode(state)
        elif number.isdecimal():
            self._by_number[int(number)] = self._by_number.get(int(number), {}) | _FIELDS.decode(state)

    def of_call(self, call: ToolCall, number: int) -> dict[str, Raw]:
        """The state of a call, the one with the given number in its message."""
        return self._by_id.get(call.id) or self._by_number.get(number) or {}


class StreamedState(msgspec.Struct, frozen=True):
    """The state in the seal of one reasoning part of a stream. ``call``: the state of the call with ``call_id`` or ``call_number``."""

    details: list[Raw] = []
    message: dict[str, Raw] = {}
    call: dict[str, Raw] = {}
    call_id: str = ""
    call_number: int = 0


def streamed_state(seal: Seal) -> StreamedState:
    """The state in a seal of this family."""
    fields = seal.fields
    return StreamedState(
        details=_ENTRIES.decode(fields[_DETAILS]) if _DETAILS in fields else [],
        message=_FIELDS.decode(fields[_MESSAGE]) if _MESSAGE in fields else {},
        call=_FIELDS.decode(fields[_CALL]) if _CALL in fields else {},
        call_id=fields.get(_CALL_ID, ""),
        call_number=int(fields.get(_CALL_NUMBER, "0")),
    )
