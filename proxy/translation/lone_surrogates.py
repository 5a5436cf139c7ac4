r"""Lone surrogates in JSON: escapes such as ``\ud83d`` that have no partner, which no UTF-8 text can contain.

All steps run in C over slices of the text: their time is linear, and in a worker thread other threads run between two slices.
"""

from __future__ import annotations

import re

_LONE = re.compile(
    rb"\\u[dD](?:[89aAbB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    rb"|(?<!\\u[dD][89aAbB][0-9a-fA-F]{2}\\u[dD])[c-fC-F][0-9a-fA-F]{2})"
)
_HIGH = re.compile(rb"\\u[dD][89aAbB][0-9a-fA-F]{2}")
_ESCAPE_BYTES = 6
_SLICE_BYTES = 65_536


def replace_lone_surrogates(text: bytes) -> bytes:
    """The JSON text with every escaped lone surrogate replaced by U+FFFD; nothing else changes.

    A text with NUL bytes is no JSON and stays unchanged.
    """
    if (b"\\ud" not in text and b"\\uD" not in text) or b"\0" in text:
        return text
    # Without the escaped backslashes, every backslash that is left begins an escape.
    masked = text.replace(b"\\\\", b"\0\0")
    pieces, begin = [], 0
    while begin < len(masked):
        end = _slice_end(masked, begin)
        pieces.append(_LONE.sub(rb"\\ufffd", masked[begin:end]))
        begin = end
    return b"".join(pieces).replace(b"\0\0", b"\\\\")


def _slice_end(masked: bytes, begin: int) -> int:
    """Where a slice ends that begins at ``begin``: between two escapes, and not between the halves of a pair."""
    end = begin + _SLICE_BYTES
    if end >= len(masked):
        return len(masked)
    escape = masked.rfind(b"\\", end - _ESCAPE_BYTES, end)
    if escape < 0:
        escape = end
    return escape - _ESCAPE_BYTES if _HIGH.fullmatch(masked, escape - _ESCAPE_BYTES, escape) else escape
