"""What sums need to know of a request besides its columns: the value of the dimension `tags`, and what the cache saved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from billing.log_columns import LogColumns
from billing.models import RollupTags
from billing.rollups.known_names import OTHER, KnownNames
from billing.rollups.savings import Savings

MAX_TAGS = 1000
"""Characters of the tags of a request in their text form; longer ones count as others."""
_encode = msgspec.json.Encoder(order="sorted").encode


class Counting:
    """Gives these values. :meth:`learn` comes before the first request with tags that are new."""

    def __init__(self) -> None:
        self._known = KnownNames(RollupTags)
        self._fresh: set[str] = set()
        self.saving_of = Savings().of

    def learn(self, entries: Sequence[LogColumns]) -> None:
        """Make the tags of requests values of the dimension, inside the transaction that counts them."""
        texts = {tags_text(entry.tags) for entry in entries if entry.tags}
        new = {text for text in texts if text not in self._known and len(text) <= MAX_TAGS}
        self._fresh = self._known.look_up(new) if new else set()  # the process is sure of them after the commit only
        if unknown := sorted(new - self._fresh):
            self._fresh |= self._known.add(unknown)

    def tags_of(self, entry: LogColumns) -> str:
        """The value of the dimension for a request: its tags as JSON, sorted by key; empty without tags."""
        if not entry.tags:
            return ""
        text = tags_text(entry.tags)
        return text if text in self._known or text in self._fresh else OTHER


def tags_text(tags: Mapping[str, str]) -> str:
    """Tags as JSON, sorted by key."""
    return _encode(tags).decode()
