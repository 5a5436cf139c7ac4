"""Tool calls put together from the fragments of a chat stream (section 9.3).

Servers number fragments by ``index``, or by id, or not at all; some give every call the index 0, repeat ids, leave them empty
or send whole calls at once. What belongs together is decided here, in one place.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from proxy.translation.canonical import Event, PartDelta, PartEnded, PartStarted, ToolCall
from proxy.translation.dialects.openai_chat.wire_response import WireCall, arguments_text


class _Call:
    """One call under construction; ``part`` is its index among the parts once it was started."""

    __slots__ = ("custom", "ended", "id", "name", "number", "part", "pieces")

    def __init__(self, number: int | None, call_id: str, *, custom: bool) -> None:
        self.number = number
        self.id = call_id
        self.custom = custom
        self.name = ""
        self.pieces: list[str] = []
        self.part: int | None = None
        self.ended = False

    @property
    def is_whole(self) -> bool:
        """Whether the arguments are a complete JSON object, so that nothing of this call can follow."""
        if self.custom or not self.pieces or not self.pieces[-1].rstrip().endswith("}"):
            return False
        try:
            msgspec.json.decode("".join(self.pieces), type=msgspec.Raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return False
        return True


class Calls:
    """The calls of one stream. ``parts`` numbers the parts of the answer."""

    def __init__(self, parts: Iterator[int], *, names_in_pieces: bool) -> None:
        self._parts = parts
        self._names_in_pieces = names_in_pieces
        self._calls: list[_Call] = []
        self._by_number: dict[int, _Call] = {}
        self._by_id: dict[str, _Call] = {}

    @property
    def any_started(self) -> bool:
        """Whether the answer has a call at all."""
        return any(call.part is not None for call in self._calls)

    def feed(self, fragment: WireCall, events: list[Event]) -> None:
        """Take one fragment; what it tells is added to ``events``."""
        call_id = "" if fragment.id is None else str(fragment.id)
        name, arguments = _words(fragment)
        call = self._owner(fragment.index, call_id, name, arguments)
        if call is None:
            call = self._new(fragment, call_id)
        elif call_id and not call.id and call_id not in self._by_id:
            call.id = call_id
            self._by_id[call_id] = call
        if name and call.part is None and (not call.name or self._names_in_pieces):
            call.name += name
        if call.ended:
            return
        if arguments:
            call.pieces.append(arguments)
        if call.part is not None:
            if arguments:
                events.append(PartDelta(call.part, arguments))
                if call is not self._calls[-1] and call.is_whole:
                    self._end(call, events)
        elif call.name and (arguments or not self._names_in_pieces):
            self._start(call, events)

    def settle(self, events: list[Event]) -> None:
        """End the calls that are complete, because another part begins; the others may still be interleaved with it."""
        for call in self._calls:
            if call.part is not None and not call.ended and call.is_whole:
                self._end(call, events)

    def close(self, events: list[Event]) -> None:
        """End them all; a call that never got a name cannot be told to anybody."""
        for call in self._calls:
            if call.part is None and call.name:
                self._start(call, events)
            if call.part is not None and not call.ended:
                self._end(call, events)

    def _owner(self, number: int | None, call_id: str, name: str, arguments: str) -> _Call | None:
        """The call that a fragment continues, or ``None`` for a new one."""
        if number is not None:
            call = self._by_number.get(number)
            if call is not None and call_id and call.id and call_id != call.id:
                known = self._by_id.get(call_id)
                return known if known is not None and known.number == number else None
        elif call_id:
            return self._by_id.get(call_id)
        else:
            call = self._calls[-1] if self._calls else None
        if call is None or (name and not (call_id and call_id == call.id) and self._is_another(call, name, arguments, number)):
            return None
        return call

    def _is_another(self, call: _Call, name: str, arguments: str, number: int | None) -> bool:
        """Whether a fragment that brings a name, but no id to tell it by, begins the next call."""
        if call.name and call.is_whole:
            return bool(arguments.strip()) or name != call.name
        return number is None and bool(call.name) and name != call.name and not self._names_in_pieces

    def _new(self, fragment: WireCall, call_id: str) -> _Call:
        repeated = call_id in self._by_id
        call = _Call(fragment.index, "" if repeated else call_id, custom=fragment.custom is not None)
        if fragment.index is not None:
            self._by_number[fragment.index] = call
        if call.id:
            self._by_id[call.id] = call
        self._calls.append(call)
        return call

    def _start(self, call: _Call, events: list[Event]) -> None:
        self.settle(events)
        call.part = next(self._parts)
        events.append(PartStarted(call.part, ToolCall(call.id, call.name, "", "custom" if call.custom else "function")))
        if call.pieces:
            events.append(PartDelta(call.part, "".join(call.pieces)))

    def _end(self, call: _Call, events: list[Event]) -> None:
        assert call.part is not None, "only started calls end"
        call.ended = True
        events.append(PartEnded(call.part))


def _words(fragment: WireCall) -> tuple[str, str]:
    """Name and arguments in a fragment, empty where it has none."""
    function = fragment.function
    if function is not None:
        arguments = function.arguments
        return function.name or "", arguments if arguments.__class__ is str else arguments_text(arguments)
    if fragment.custom is not None:
        return fragment.custom.name or "", fragment.custom.input or ""
    return "", ""
