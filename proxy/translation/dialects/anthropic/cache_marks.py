"""Cache breakpoints (``cache_control``) of an encoded request."""

from __future__ import annotations

from msgspec import Raw

from proxy.translation.canonical import CacheMark
from proxy.translation.dialects.anthropic.wire import EncodedBlock

_MARK = Raw(b'{"type":"ephemeral"}')


_MAX_MARKS = 4


class Marks:
    """The cache breakpoints of one request; the API takes four, so :meth:`settle` keeps the last ones."""

    def __init__(self, *, native: bool, automatic: bool = False) -> None:
        self._native = native
        self._blocks: list[EncodedBlock] = []
        self._fixed = 1 if automatic else 0

    def set(self, block: EncodedBlock, mark: CacheMark | None) -> EncodedBlock:
        """``block``, marked if ``mark`` says so; markers of other dialects become the ordinary one."""
        if mark is not None:
            block["cache_control"] = mark.native if self._native else _MARK
            self._blocks.append(block)
        return block

    def count_native(self, native: Raw) -> None:
        """A block that goes as it came and may hold a mark of its own."""
        if b'"cache_control"' in bytes(native):
            self._fixed += 1

    @property
    def any(self) -> bool:
        """Whether the request has breakpoints."""
        return bool(self._blocks) or self._fixed > 0

    def settle(self, first: list[EncodedBlock]) -> None:
        """Drop the earliest marks beyond four. ``first``: the marked blocks that stand before all others (tools, system)."""
        heads = [block for block in first if "cache_control" in block]
        known = {id(block) for block in heads}
        ordered = heads + [block for block in self._blocks if id(block) not in known]
        for block in ordered[: max(0, len(ordered) + self._fixed - _MAX_MARKS)]:
            del block["cache_control"]
