"""Ids of what a reply holds, all made from the reply's own id."""

from __future__ import annotations

import hashlib


def response(reply_id: str) -> str:
    """The id of a response object."""
    return f"resp_{reply_id}"


def make(prefix: str, reply_id: str, index: int) -> str:
    """The id of the item at ``index``: the prefix of its kind and 24 hexadecimal digits."""
    return prefix + hashlib.sha256(f"{reply_id}:{index}".encode()).hexdigest()[:24]
