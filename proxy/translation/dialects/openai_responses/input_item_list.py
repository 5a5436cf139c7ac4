"""The items of a stored turn's input, as ``GET /v1/responses/{id}/input_items`` lists them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from proxy.translation.dialects.openai_responses import ids
from proxy.translation.dialects.openai_responses.response_encode_items import ITEM_PREFIXES
from proxy.translation.errors import ClientMistake

DEFAULT_LIMIT, LARGEST_LIMIT = 20, 100
ORDERS = ("asc", "desc")


def page(items: Sequence[msgspec.Raw], response_id: str, *, limit: str = "", order: str = "", after: str = "") -> dict[str, Any]:
    """One page of the items, the newest first unless ``order`` is ``asc``; ``after`` is the id of the last item of the page before.

    Raises :class:`~proxy.translation.errors.ClientMistake` for values that mean nothing.
    """
    if order not in ("", *ORDERS):
        raise ClientMistake("order: 'asc' or 'desc' is expected", param="order")
    if limit and not (limit.isascii() and limit.isdigit() and 1 <= int(limit) <= LARGEST_LIMIT):
        raise ClientMistake(f"limit: a whole number from 1 to {LARGEST_LIMIT} is expected", param="limit")
    listed = [_shown(item, response_id, place) for place, item in enumerate(items)]
    if order != "asc":
        listed.reverse()
    places = [place for place, item in enumerate(listed) if item["id"] == after]
    if after and not places:
        raise ClientMistake(f"after: there is no item {after!r}", param="after")
    begin = places[0] + 1 if places else 0
    shown = listed[begin : begin + int(limit or DEFAULT_LIMIT)]
    return {
        "object": "list",
        "data": shown,
        "first_id": shown[0]["id"] if shown else None,
        "last_id": shown[-1]["id"] if shown else None,
        "has_more": begin + len(shown) < len(listed),
    }


def _shown(raw: msgspec.Raw, response_id: str, place: int) -> dict[str, Any]:
    """An item with what lists show of each: its type, an id, parts instead of a text."""
    item: dict[str, Any] = msgspec.json.decode(raw)
    kind = item.get("type") or "message"
    prefix = ITEM_PREFIXES.get(kind, "item_")
    shown = {"id": ids.make(prefix, response_id, place), **item, "type": kind}
    if kind == "message":
        words = "output_text" if item.get("role") == "assistant" else "input_text"
        if isinstance(item.get("content"), str):
            shown["content"] = [{"type": words, "text": item["content"], **({"annotations": []} if words == "output_text" else {})}]
        shown.setdefault("status", "completed")
    return shown
