"""How commands name an upstream: by its name or its id."""

from __future__ import annotations

import uuid

from django.core.management.base import CommandError

from upstreams.models import Upstream

HELP = "name or id of the upstream"
MOST_NAMES = 20


def find_upstream(reference: str) -> Upstream:
    """The upstream of a name or id. Raises CommandError, which lists the names that there are."""
    row: Upstream | None = Upstream.objects.filter(name=reference).first()
    if row is None:
        try:
            row = Upstream.objects.filter(pk=uuid.UUID(reference)).first()
        except ValueError:
            row = None
    if row is None:
        names = list(Upstream.objects.order_by("name").values_list("name", flat=True)[: MOST_NAMES + 1])
        listed = ", ".join(names[:MOST_NAMES]) + (", …" if len(names) > MOST_NAMES else "")
        raise CommandError(f"There is no upstream {reference!r}; " + (f"there are {listed}" if names else "there is none at all"))
    return row
