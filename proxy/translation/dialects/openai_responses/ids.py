"""Ids of a response and of its items, all derived from ``EncodeContext.id``."""

from __future__ import annotations

import hashlib


def response_id(context_id: str) -> str:
    """The id of the response object."""
    return f"resp_{context_id}"


def item_id(prefix: str, context_id: str, index: int) -> str:
    """The id of the item at ``index``: the prefix of its kind and 24 hexadecimal digits of a SHA-256."""
    return prefix + hashlib.sha256(f"{context_id}:{index}".encode()).hexdigest()[:24]
