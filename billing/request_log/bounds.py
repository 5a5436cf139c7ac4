"""Bounds of what a log row holds: texts that every database takes, and counts that fit their columns. Pure."""

from __future__ import annotations

import re

MAX_COUNT = 2**31 - 1
"""The largest value of an integer column."""
_KEY = re.compile(r"(px[bm]_)[0-9a-f]{40}")


def clean_text(text: str, max_length: int) -> str:
    """Make a text valid for every database: no NUL bytes, no lone surrogates, at most `max_length` characters.

    pxbin keys that a client has put in a wrong place, such as a path or a model name, are masked (`pxb_***`).
    """
    if "pxb_" in text or "pxm_" in text:
        text = _KEY.sub(r"\1***", text)
    if text.isascii() and "\0" not in text:
        return text[:max_length]
    return text[:max_length].replace("\0", "").encode("utf-8", "replace").decode("utf-8")


def bound_count(number: int) -> int:
    """Limit a number to 0 to 2^31-1, the range of an integer column: an upstream may report negative or absurd counts."""
    return number if 0 <= number <= MAX_COUNT else min(max(number, 0), MAX_COUNT)
