"""Names with stars: ``*`` stands for any text, also for none. Everything else is literal and case counts."""

from __future__ import annotations

STAR = "*"


def is_pattern(name: str) -> bool:
    """Whether a name stands for many."""
    return STAR in name


def literal_length(pattern: str) -> int:
    """How many characters a pattern fixes: of two patterns that match, the one that fixes more says more."""
    return len(pattern) - pattern.count(STAR)


def match(pattern: str, name: str) -> tuple[str, ...] | None:
    """What each star of ``pattern`` stands for in ``name``; None when they do not match.

    Where several readings are possible, each star takes as little as it can, from the left: ``*/*`` reads ``a/b/c`` as ``a``
    and ``b/c``. One pass without backtracking, so that no name of a client can make it slow.
    """
    first, *pieces = pattern.split(STAR)
    if not pieces:
        return () if name == pattern else None
    last = pieces.pop()
    start, end = len(first), len(name) - len(last)
    if start > end or not name.startswith(first) or not name.endswith(last):
        return None
    stars = []
    for piece in pieces:
        at = name.find(piece, start, end)
        if at < 0:
            return None
        stars.append(name[start:at])
        start = at + len(piece)
    return (*stars, name[start:end])


def fill(template: str, stars: tuple[str, ...]) -> str:
    """``template`` with its n-th star replaced by the n-th of ``stars``; stars beyond those vanish."""
    first, *pieces = template.split(STAR)
    filled = [*stars, *[""] * len(pieces)]
    return first + "".join(star + piece for star, piece in zip(filled, pieces, strict=False))
