"""Ids of tool calls that survive a client or an upstream with a narrower alphabet (docs/wire-formats.md, section 7.7).

Some upstreams need their own id back letter for letter: Kimi's ``functions.<name>:<n>`` is a part of the model's prompt (Moonshot,
"Tool use: the tool call id"). A client of the Anthropic dialect gets such an id in a reversible form that has only the characters
``[a-zA-Z0-9_-]``.
"""

from __future__ import annotations

import hashlib
import re

_PREFIX = "pxid-"
_ESCAPED = re.compile(r"pxid-(?:[a-zA-Z0-9_]|-[0-9a-f]{2})+")
_TO_ESCAPE = re.compile(rb"[^a-zA-Z0-9_]")
_NINE = re.compile(r"[a-zA-Z0-9]{9}")
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_MAX_ESCAPED = 256


def escape(call_id: str) -> str | None:
    """The id in the alphabet ``[a-zA-Z0-9_-]``; ``None`` if it would be longer than 256 characters."""
    escaped = _PREFIX + _TO_ESCAPE.sub(lambda match: b"-%02x" % match[0][0], call_id.encode(errors="replace")).decode()
    return escaped if len(escaped) <= _MAX_ESCAPED else None


def unescape(call_id: str) -> str:
    """The upstream's own id that :func:`escape` made ``call_id`` of; any other id unchanged."""
    if not call_id.startswith(_PREFIX) or not _ESCAPED.fullmatch(call_id):
        return call_id
    raw = re.sub(r"-([0-9a-f]{2})", lambda match: chr(int(match[1], 16)), call_id.removeprefix(_PREFIX))
    try:
        return raw.encode("latin-1").decode()
    except UnicodeDecodeError:
        return call_id


def has_nine_characters(call_id: str) -> bool:
    """Whether Mistral accepts the id: ``^[a-zA-Z0-9]{9}$``, its error 3280 otherwise."""
    return _NINE.fullmatch(call_id) is not None


def nine_characters(call_id: str, attempt: int = 0) -> str:
    """Nine letters and digits that depend on ``call_id`` and ``attempt`` alone; a valid id is returned unchanged at attempt 0."""
    if attempt == 0 and has_nine_characters(call_id):
        return call_id
    text = call_id if attempt == 0 else f"{call_id}#{attempt}"
    number = int.from_bytes(hashlib.sha256(text.encode(errors="replace")).digest()[:8], "big")
    digits = ""
    for _ in range(9):
        number, digit = divmod(number, 62)
        digits += _DIGITS[digit]
    return digits
