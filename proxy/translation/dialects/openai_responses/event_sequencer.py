"""The events of a stream, and the writers of the items in it (wire formats, section 3.5).

A writer tells one part: it opens when there is something to tell, passes every delta on, and closes with the whole item.
Ids and indices are the same in all its events.
"""

from __future__ import annotations

from typing import Any

import msgspec

from proxy.translation import json_wire
from proxy.translation.dialects.openai_responses import ids
from proxy.translation.dialects.openai_responses.response_encode_items import (
    ITEM_PREFIXES,
)
from proxy.translation.framing.sse import Frame

_string = msgspec.json.encode
_ONE_LINE = bytes.maketrans(b"\r\n", b"  ")


class EventSequencer:
    """Numbers the events and collects the finished items of one reply."""

    def __init__(self, reply_id: str, seal_key: bytes) -> None:
        self.reply_id = reply_id
        self.seal_key = seal_key
        self.sequence = 0
        self.done: dict[int, bytes] = {}
        self._next_index = 0

    def event(self, kind: str, fields: bytes) -> Frame:
        """An event whose other fields are JSON members already.

        The client's own JSON, which is echoed, may have line breaks between its tokens; an event has to be on one line.
        """
        data = b'{"type":"%b",%b,"sequence_number":%d}' % (kind.encode(), fields.translate(_ONE_LINE), self.sequence)
        self.sequence += 1
        return Frame(data, kind)

    def delta(self, kind: str, head: bytes, text: str, tail: bytes) -> Frame:
        """The event that comes thousands of times: ``head`` up to the text, ``tail`` up to the number."""
        data = b"%b%b%b%d}" % (head, _string(text), tail, self.sequence)
        self.sequence += 1
        return Frame(data, kind)

    def take_index(self) -> int:
        """The output index of the next item."""
        index = self._next_index
        self._next_index += 1
        return index

    def item_id(self, kind: str, index: int) -> str:
        """The id of the item at ``index``."""
        return ids.make(ITEM_PREFIXES[kind], self.reply_id, index)

    def item_added(self, index: int, item: dict[str, Any]) -> Frame:
        """The skeleton of the item at ``index``."""
        return self.event("response.output_item.added", b'"output_index":%d,"item":%b' % (index, json_wire.encode(item)))

    def item_done(self, index: int, item: dict[str, Any]) -> Frame:
        """The whole item at ``index``, which is kept for the response's output."""
        body = json_wire.encode(item)
        self.done[index] = body
        return self.event("response.output_item.done", b'"output_index":%d,"item":%b' % (index, body))

    def output(self) -> list[bytes]:
        """The finished items in their order."""
        return [self.done[index] for index in sorted(self.done)]
