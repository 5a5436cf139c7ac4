"""Patterns: ``*`` matches any text, also the empty one. All other characters are literal, and case matters."""

from __future__ import annotations

STAR = "*"


def is_pattern(name: str) -> bool:
    """Whether a name contains ``*``."""
    return STAR in name


def literal_length(pattern: str) -> int:
    """The number of literal characters. Of two patterns that match, the one with more is more specific."""
    return len(pattern) - pattern.count(STAR)


def match(pattern: str, name: str) -> tuple[str, ...] | None:
    """The text that each ``*`` of ``pattern`` matches in ``name``; None if the pattern does not match.

    From the left, each star matches as little as possible: ``*/*`` splits ``a/b/c`` into ``a`` and ``b/c``. One pass without
    backtracking, so that a client cannot make it slow.
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
    """``template`` with its n-th star replaced by the n-th of ``stars``, and by nothing where there are fewer."""
    first, *pieces = template.split(STAR)
    filled = [*stars, *[""] * len(pieces)]
    return first + "".join(star + piece for star, piece in zip(filled, pieces, strict=False))
