"""Stored turns of the Responses API, for ``previous_response_id``: read only by the client key that made them, deleted when expired."""

from __future__ import annotations

from datetime import timedelta

import msgspec
from django.db.models import Q
from django.utils import timezone

from billing.models import StoredResponse

LONGEST_CHAIN = 1000
"""The most turns that :func:`load_chain` returns; a longer conversation cannot be continued."""
BATCH_ROWS = 1000


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """A turn as it is stored. ``input``: the items that it added, as a JSON list; ``response``: the response, as a JSON object."""

    id: str
    api_key_id: str
    previous_id: str = ""
    model: str = ""
    input: str = "[]"
    response: str = "{}"


def save_turn(turn: Turn, *, seconds: float) -> None:
    """Store a turn for some seconds, in place of one with the same id and key.

    Raises IntegrityError if another key has a turn with this id.
    """
    fields = msgspec.structs.asdict(turn)
    now = timezone.now()
    times = {"created_at": now, "expires_at": now + timedelta(seconds=seconds)}
    StoredResponse.objects.update_or_create(id=fields.pop("id"), api_key_id=fields.pop("api_key_id"), defaults=fields | times)


def find_turn(response_id: str, api_key_id: str) -> Turn | None:
    """The turn of this id, if this key made it and it has not expired."""
    row = StoredResponse.objects.filter(id=response_id, api_key_id=api_key_id, expires_at__gt=timezone.now()).first()
    if row is None:
        return None
    return Turn(id=row.id, api_key_id=api_key_id, previous_id=row.previous_id, model=row.model, input=row.input, response=row.response)


def find_turn_with_item(item_id: str, api_key_id: str) -> Turn | None:
    """The newest turn of this key whose input or response contains the quoted item id: of the item itself or in another text."""
    quoted = f'"{item_id}"'
    rows = StoredResponse.objects.filter(api_key_id=api_key_id, expires_at__gt=timezone.now())
    row = rows.filter(Q(response__contains=quoted) | Q(input__contains=quoted)).order_by("-created_at").first()
    return None if row is None else find_turn(row.id, api_key_id)


def load_chain(response_id: str, api_key_id: str, *, seconds: float) -> list[Turn] | None:
    """A turn and all turns before it, the oldest first, which from now on expire after `seconds` at the earliest.

    `None` if one of them is missing or there are more than :data:`LONGEST_CHAIN`.
    """
    turns: list[Turn] = []
    while response_id:
        turn = find_turn(response_id, api_key_id)
        if turn is None or len(turns) == LONGEST_CHAIN:
            return None
        turns.append(turn)
        response_id = turn.previous_id
    until = timezone.now() + timedelta(seconds=seconds)
    StoredResponse.objects.filter(id__in=[turn.id for turn in turns], api_key_id=api_key_id, expires_at__lt=until).update(expires_at=until)
    return turns[::-1]


def delete_turn(response_id: str, api_key_id: str) -> bool:
    """Delete a turn of this key; return whether there was one."""
    return StoredResponse.objects.filter(id=response_id, api_key_id=api_key_id).delete()[0] > 0


def delete_expired() -> int:
    """Delete expired turns; return their number."""
    deleted = 0
    expired = StoredResponse.objects.filter(expires_at__lte=timezone.now()).order_by("expires_at")
    while batch := list(expired.values_list("pk", flat=True)[:BATCH_ROWS]):
        deleted += StoredResponse.objects.filter(pk__in=batch).delete()[0]
    return deleted
