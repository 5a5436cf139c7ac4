"""Assembles tool calls from the fragments of a Chat stream (docs/wire-formats.md, section 9.3).

Servers identify the call of a fragment by ``index``, by ``id``, or not at all. Some give every call the index 0, repeat ids, leave
ids empty, or send whole calls at once. :meth:`CallAssembler._find_call` decides which call a fragment continues.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from proxy.translation.canonical import Event, PartDelta, PartEnded, PartStarted, ToolCall
from proxy.translation.dialects.openai_chat.opaque_state import call_part
from proxy.translation.dialects.openai_chat.wire_response import WireCall, arguments_as_json, is_quoted, unquoted


class _Call:
    """A call that is being assembled. ``part`` is the index of its canonical part, ``None`` until ``PartStarted`` was emitted."""

    __slots__ = ("custom", "ended", "id", "index", "name", "part", "pieces", "state")

    def __init__(self, index: int | None, call_id: str, *, custom: bool) -> None:
        self.index = index
        self.id = call_id
        self.custom = custom
        self.name = ""
        self.pieces: list[str] = []
        self.part: int | None = None
        self.ended = False
        self.state: dict[str, msgspec.Raw] = {}

    @property
    def is_quoted(self) -> bool:
        """Whether the arguments are encoded twice; they are then decoded when they are complete."""
        return not self.custom and bool(self.pieces) and is_quoted(self.pieces[0])

    @property
    def is_complete(self) -> bool:
        """Whether the arguments are a complete JSON object, so that no fragment of this call can follow."""
        if self.custom or not self.pieces or not self.pieces[-1].rstrip().endswith('"' if self.is_quoted else "}"):
            return False
        try:
            msgspec.json.decode("".join(self.pieces), type=msgspec.Raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return False
        return True


class CallAssembler:
    """The calls of one stream.

    ``parts`` numbers the canonical parts of the response. ``names_in_pieces``: the fragments of a name are joined, because the
    upstream sends names in several fragments.
    """

    def __init__(self, parts: Iterator[int], *, names_in_pieces: bool) -> None:
        self._parts = parts
        self._names_in_pieces = names_in_pieces
        self._calls: list[_Call] = []
        self._by_index: dict[int, _Call] = {}
        self._by_id: dict[str, _Call] = {}

    @property
    def any_started(self) -> bool:
        """Whether ``PartStarted`` was emitted for a call."""
        return any(call.part is not None for call in self._calls)

    def feed(self, fragment: WireCall, events: list[Event]) -> None:
        """Add a fragment to its call, and the resulting events to ``events``."""
        call_id = "" if fragment.id is None else str(fragment.id)
        name, arguments = _name_and_arguments(fragment)
        call = self._find_call(fragment.index, call_id, name, arguments)
        if call is None:
            call = self._add_call(fragment, call_id)
        elif call_id and not call.id:
            self._learn_id(call, call_id)
        self._read_head(call, fragment, name)
        if call.ended:
            self._emit_state(call, events)
            return
        if arguments:
            call.pieces.append(arguments)
        if call.part is not None:
            if arguments and not call.is_quoted:
                events.append(PartDelta(call.part, arguments))
                if call is not self._calls[-1] and call.is_complete:
                    self._end(call, events)
        elif call.name and (arguments or not self._names_in_pieces):
            self._start(call, events)

    @property
    def any(self) -> bool:
        """Whether a fragment of a call has come."""
        return bool(self._calls)

    def end_complete(self, events: list[Event]) -> None:
        """End the calls whose arguments are complete, because another part begins. Fragments of the others may still follow."""
        for call in self._calls:
            if call.part is not None and not call.ended and call.is_complete:
                self._end(call, events)

    def close(self, events: list[Event]) -> None:
        """End all calls. A call without a name is dropped."""
        for call in self._calls:
            if call.part is None and call.name:
                self._start(call, events)
            if call.part is not None and not call.ended:
                self._end(call, events)

    def _find_call(self, index: int | None, call_id: str, name: str, arguments: str) -> _Call | None:
        """The call that a fragment continues; ``None`` if it begins a new one."""
        if index is not None:
            call = self._by_index.get(index)
            if call is not None and call_id and call.id and call_id != call.id:
                call_of_id = self._by_id.get(call_id)
                return call_of_id if call_of_id is not None and call_of_id.index == index else None
        elif call_id:
            return self._by_id.get(call_id)
        else:
            call = self._calls[-1] if self._calls else None
        if call is None or (name and not (call_id and call_id == call.id) and self._starts_new_call(call, name, arguments, index)):
            return None
        return call

    def _read_head(self, call: _Call, fragment: WireCall, name: str) -> None:
        """Add the name and the opaque state of a fragment to its call."""
        if name and call.part is None and (not call.name or self._names_in_pieces):
            call.name += name
        if fragment.extra_content or fragment.provider_specific_fields:
            call.state |= fragment.state()

    def _learn_id(self, call: _Call, call_id: str) -> None:
        if call_id not in self._by_id:
            call.id = call_id
            self._by_id[call_id] = call

    def _starts_new_call(self, call: _Call, name: str, arguments: str, index: int | None) -> bool:
        """Whether a fragment with a name, which no id assigns to ``call``, begins the next call."""
        if call.name and call.is_complete:
            return bool(arguments.strip()) or name != call.name
        return index is None and bool(call.name) and name != call.name and not self._names_in_pieces

    def _add_call(self, fragment: WireCall, call_id: str) -> _Call:
        repeated = call_id in self._by_id
        call = _Call(fragment.index, "" if repeated else call_id, custom=fragment.custom is not None)
        if fragment.index is not None:
            self._by_index[fragment.index] = call
        if call.id:
            self._by_id[call.id] = call
        self._calls.append(call)
        return call

    def _start(self, call: _Call, events: list[Event]) -> None:
        self.end_complete(events)
        self._emit_state(call, events)
        call.part = next(self._parts)
        events.append(PartStarted(call.part, ToolCall(call.id, call.name, "", "custom" if call.custom else "function")))
        if call.pieces and not call.is_quoted:
            events.append(PartDelta(call.part, "".join(call.pieces)))

    def _end(self, call: _Call, events: list[Event]) -> None:
        assert call.part is not None, "a call ends only after it was started"
        call.ended = True
        if call.is_quoted:
            events.append(PartDelta(call.part, unquoted("".join(call.pieces))))
        events.append(PartEnded(call.part))
        self._emit_state(call, events)

    def _emit_state(self, call: _Call, events: list[Event]) -> None:
        """A part with the state of ``call`` that has come since the last one: in front of the call where it is known by then."""
        if call.state:
            index = next(self._parts)
            events += [PartStarted(index, call_part(call.state, call.id, self._calls.index(call))), PartEnded(index)]
            call.state = {}


def _name_and_arguments(fragment: WireCall) -> tuple[str, str]:
    """The name and the arguments in a fragment; each is empty if the fragment has none."""
    function = fragment.function
    if function is not None:
        arguments = function.arguments
        return function.name or "", arguments if isinstance(arguments, str) else arguments_as_json(arguments)
    if fragment.custom is not None:
        return fragment.custom.name or "", fragment.custom.input or ""
    return "", ""
