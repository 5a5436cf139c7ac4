"""Numbers the events of a stream and collects its finished items (docs/wire-formats.md, section 3.5)."""

from __future__ import annotations

from typing import Any

import msgspec

from proxy.translation import json_wire
from proxy.translation.dialects.openai_responses import ids
from proxy.translation.dialects.openai_responses.response_encode_items import (
    ITEM_PREFIXES,
)
from proxy.translation.framing.sse import Frame

_encode_string = msgspec.json.encode
_ONE_LINE = bytes.maketrans(b"\r\n", b"  ")


class EventSequencer:
    """Makes the events of one response.

    ``sequence``: the ``sequence_number`` of the next event. ``done_items``: the JSON of the finished items by output index.
    """

    def __init__(self, context_id: str, seal_key: bytes) -> None:
        self.context_id = context_id
        self.seal_key = seal_key
        self.sequence = 0
        self.done_items: dict[int, bytes] = {}
        self._next_index = 0

    def event(self, kind: str, fields: bytes) -> Frame:
        """An event of the type ``kind``; ``fields`` are its other members as JSON, without braces.

        Line breaks become spaces: the echoed JSON of the client may have them between tokens, and an SSE event has to be on one line.
        """
        data = b'{"type":"%b",%b,"sequence_number":%d}' % (kind.encode(), fields.translate(_ONE_LINE), self.sequence)
        self.sequence += 1
        return Frame(data, kind)

    def delta(self, kind: str, head: bytes, text: str, tail: bytes) -> Frame:
        """A delta event, made without a JSON encoder for the whole: ``head`` is the JSON up to the text, ``tail`` that up to the number."""
        data = b"%b%b%b%d}" % (head, _encode_string(text), tail, self.sequence)
        self.sequence += 1
        return Frame(data, kind)

    def take_index(self) -> int:
        """The output index of a new item."""
        index = self._next_index
        self._next_index += 1
        return index

    def item_id(self, kind: str, index: int) -> str:
        """The id of the item at ``index``."""
        return ids.item_id(ITEM_PREFIXES[kind], self.context_id, index)

    def item_added(self, index: int, item: dict[str, Any]) -> Frame:
        """``response.output_item.added``: the item at ``index`` without its content."""
        return self.event("response.output_item.added", b'"output_index":%d,"item":%b' % (index, json_wire.encode(item)))

    def item_done(self, index: int, item: dict[str, Any]) -> Frame:
        """``response.output_item.done``: the whole item at ``index``, which is also kept for the final response object."""
        body = json_wire.encode(item)
        self.done_items[index] = body
        return self.event("response.output_item.done", b'"output_index":%d,"item":%b' % (index, body))

    def output(self) -> list[bytes]:
        """The JSON of the finished items in the order of their output index."""
        return [self.done_items[index] for index in sorted(self.done_items)]
