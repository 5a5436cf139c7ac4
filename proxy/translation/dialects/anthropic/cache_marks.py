"""Cache breakpoints (``cache_control``) of an encoded request (docs/wire-formats.md, section 7.12)."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Raw

from proxy.translation.canonical import CacheMark
from proxy.translation.dialects.anthropic.wire import EncodedBlock

_MARK = Raw(b'{"type":"ephemeral"}')
_MAX_MARKS = 4


class CacheMarks:
    """The cache breakpoints of one request. The API accepts four; :meth:`drop_excess` removes the earliest ones beyond that.

    ``native``: the client is of this family, so that its breakpoints keep their JSON (with a ``ttl``, for example).
    ``automatic``: the body has a top-level ``cache_control``, which counts as one of the four. ``mark``: reduces the JSON of a
    native breakpoint to what the endpoint accepts.
    """

    def __init__(self, *, native: bool, automatic: bool = False, mark: Callable[[Raw], Raw] | None = None) -> None:
        self._native = native
        self._mark = mark or (lambda native_mark: native_mark)
        self._blocks: list[EncodedBlock] = []
        self._fixed = 1 if automatic else 0

    def set(self, block: EncodedBlock, mark: CacheMark | None) -> EncodedBlock:
        """Set ``cache_control`` of ``block`` unless ``mark`` is ``None``. Breakpoints of other families become ``ephemeral``."""
        if mark is not None:
            block["cache_control"] = self._mark(mark.native) if self._native else _MARK
            self._blocks.append(block)
        return block

    def count_native(self, native: Raw) -> None:
        """Count the breakpoint that ``native``, a block or tool which is sent unchanged, may contain."""
        if b'"cache_control"' in bytes(native):
            self._fixed += 1

    @property
    def any(self) -> bool:
        """Whether the request has breakpoints."""
        return bool(self._blocks) or self._fixed > 0

    def drop_excess(self, first: list[EncodedBlock]) -> None:
        """Remove the earliest breakpoints beyond four. ``first``: the blocks of tools and system, which precede all messages."""
        first_marked = [block for block in first if "cache_control" in block]
        leading = {id(block) for block in first_marked}
        ordered = first_marked + [block for block in self._blocks if id(block) not in leading]
        for block in ordered[: max(0, len(ordered) + self._fixed - _MAX_MARKS)]:
            del block["cache_control"]
