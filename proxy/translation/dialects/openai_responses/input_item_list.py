"""The body of ``GET /v1/responses/{id}/input_items``: the input items of a stored response."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from proxy.translation.dialects.openai_responses import ids
from proxy.translation.dialects.openai_responses.response_encode_items import ITEM_PREFIXES
from proxy.translation.errors import ClientMistake

DEFAULT_LIMIT, MAX_LIMIT = 20, 100
ORDERS = ("asc", "desc")


def list_input_items(
    items: Sequence[msgspec.Raw], response_id: str, *, limit: str = "", order: str = "", after: str = ""
) -> dict[str, Any]:
    """One page of the items.

    ``limit``: 1 to 100, by default 20. ``order``: ``asc``, or ``desc`` (default: the newest first). ``after``: the id of the last item of
    the previous page. Raises :class:`~proxy.translation.errors.ClientMistake` for any other value.
    """
    if order not in ("", *ORDERS):
        raise ClientMistake("order: must be 'asc' or 'desc'", param="order")
    if limit and not (limit.isascii() and limit.isdigit() and 1 <= int(limit) <= MAX_LIMIT):
        raise ClientMistake(f"limit: must be an integer from 1 to {MAX_LIMIT}", param="limit")
    all_items = [_complete_item(item, response_id, position) for position, item in enumerate(items)]
    if order != "asc":
        all_items.reverse()
    cursor_positions = [position for position, item in enumerate(all_items) if item["id"] == after]
    if after and not cursor_positions:
        raise ClientMistake(f"after: there is no item {after!r}", param="after")
    start = cursor_positions[0] + 1 if cursor_positions else 0
    page = all_items[start : start + int(limit or DEFAULT_LIMIT)]
    return {
        "object": "list",
        "data": page,
        "first_id": page[0]["id"] if page else None,
        "last_id": page[-1]["id"] if page else None,
        "has_more": start + len(page) < len(all_items),
    }


def _complete_item(raw: msgspec.Raw, response_id: str, position: int) -> dict[str, Any]:
    """An item with the fields that every listed item has: ``type``, ``id``, and for messages a list of parts and ``status``."""
    item: dict[str, Any] = msgspec.json.decode(raw)
    kind = item.get("type") or "message"
    prefix = ITEM_PREFIXES.get(kind, "item_")
    complete = {"id": ids.item_id(prefix, response_id, position), **item, "type": kind}
    if kind == "message":
        text_type = "output_text" if item.get("role") == "assistant" else "input_text"
        if isinstance(item.get("content"), str):
            complete["content"] = [
                {"type": text_type, "text": item["content"], **({"annotations": []} if text_type == "output_text" else {})}
            ]
        complete.setdefault("status", "completed")
    return complete
