"""Names of models that are values of the dimension `model`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from django.db import connection

from billing.models import RollupModel
from billing.rollups import store

UNKNOWN = "(unknown)"
"""Stands for names that match no model."""
MAX_NEW_NAMES = 1000
"""Names that become values on one day (UTC); further ones count as their patterns."""


def add_names(names: Sequence[str], day: date) -> set[str]:
    """Make names values, the first ones as long as the day allows it; return those that are values now."""
    store.lock(connection)
    allowed = max(MAX_NEW_NAMES - RollupModel.objects.filter(first_seen=day).count(), 0)
    added = names[:allowed]
    RollupModel.objects.bulk_create([RollupModel(name=name, first_seen=day) for name in added], ignore_conflicts=True)
    return set(added)
