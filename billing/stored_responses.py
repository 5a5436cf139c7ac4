"""Turns that are kept for ``previous_response_id``: written when they end, read by the key that made them, forgotten in time."""

from __future__ import annotations

from datetime import timedelta

import msgspec
from django.db.models import Q
from django.utils import timezone

from billing.models import StoredResponse

LONGEST_CHAIN = 1000
"""Turns of one conversation that are put together; a client that goes on for longer has to begin anew."""
BATCH_ROWS = 1000


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of a turn. ``input``: a JSON list of what it added; ``response``: the answer, a JSON object."""

    id: str
    api_key_id: str
    previous_id: str = ""
    model: str = ""
    input: str = "[]"
    response: str = "{}"


def keep(turn: Turn, *, seconds: float) -> None:
    """Write a turn down for a time; one of the same id and key is replaced, another key's stays as it is."""
    fields = msgspec.structs.asdict(turn)
    now = timezone.now()
    times = {"created_at": now, "expires_at": now + timedelta(seconds=seconds)}
    StoredResponse.objects.update_or_create(id=fields.pop("id"), api_key_id=fields.pop("api_key_id"), defaults=fields | times)


def find(response_id: str, api_key_id: str) -> Turn | None:
    """A turn that this key made and that has not expired."""
    row = StoredResponse.objects.filter(id=response_id, api_key_id=api_key_id, expires_at__gt=timezone.now()).first()
    if row is None:
        return None
    return Turn(id=row.id, api_key_id=api_key_id, previous_id=row.previous_id, model=row.model, input=row.input, response=row.response)


def with_item(item_id: str, api_key_id: str) -> Turn | None:
    """The newest turn of this key that has an item of that id, or at least the id somewhere in its text."""
    quoted = f'"{item_id}"'
    rows = StoredResponse.objects.filter(api_key_id=api_key_id, expires_at__gt=timezone.now())
    row = rows.filter(Q(response__contains=quoted) | Q(input__contains=quoted)).order_by("-created_at").first()
    return None if row is None else find(row.id, api_key_id)


def chain(response_id: str, api_key_id: str, *, seconds: float) -> list[Turn] | None:
    """A turn and all before it, the first one first; None when one of them is gone. They are kept for another while."""
    turns: list[Turn] = []
    while response_id:
        turn = find(response_id, api_key_id)
        if turn is None or len(turns) == LONGEST_CHAIN:
            return None
        turns.append(turn)
        response_id = turn.previous_id
    until = timezone.now() + timedelta(seconds=seconds)
    StoredResponse.objects.filter(id__in=[turn.id for turn in turns], api_key_id=api_key_id, expires_at__lt=until).update(expires_at=until)
    return turns[::-1]


def delete(response_id: str, api_key_id: str) -> bool:
    """Forget a turn; whether there was one."""
    return StoredResponse.objects.filter(id=response_id, api_key_id=api_key_id).delete()[0] > 0


def prune() -> int:
    """Delete what has expired; the number of turns."""
    deleted = 0
    expired = StoredResponse.objects.filter(expires_at__lte=timezone.now()).order_by("expires_at")
    while batch := list(expired.values_list("pk", flat=True)[:BATCH_ROWS]):
        deleted += StoredResponse.objects.filter(pk__in=batch).delete()[0]
    return deleted
