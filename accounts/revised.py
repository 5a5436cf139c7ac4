"""Tables that processes cache, and the revision counters by which processes notice changes."""

from __future__ import annotations

import functools
from typing import Any, ClassVar, Self

from django.db import models, transaction
from django.dispatch import Signal

revised = Signal()
"""Sent with ``name`` in the writing process once a change that bumped the revision ``name`` is committed."""


class RevisionManager(models.Manager["Revision"]):
    """The only writer of revisions."""

    def bump(self, name: str) -> None:
        """Add one to a counter inside the caller's transaction, and send :data:`revised` when that commits."""
        if not self.filter(pk=name).update(number=models.F("number") + 1):
            self.get_or_create(pk=name)
            self.filter(pk=name).update(number=models.F("number") + 1)
        # robust: the write is committed; a refresh that fails is logged, and the watcher's next poll tries it again.
        transaction.on_commit(functools.partial(revised.send, sender=Revision, name=name), robust=True)


class Revision(models.Model):
    """The number of changes of a group of tables: ``keys``, ``catalogue`` or ``prices``.

    It is incremented in the transaction of the change, so a reader that sees the new number also sees the change.
    """

    name = models.CharField(max_length=32, primary_key=True)
    number = models.BigIntegerField(default=0)

    objects = RevisionManager()

    def __str__(self) -> str:
        return f"{self.name} {self.number}"


class RevisedQuerySet(models.QuerySet[Any]):
    """A query set whose bulk writes count as changes, except those to the model's ``unrevised`` columns alone."""

    def update(self, **values: Any) -> int:
        """Update rows and bump the revision with them."""
        revised_model: type[Revised] = self.model
        if set(values) <= revised_model.unrevised:
            return super().update(**values)
        with transaction.atomic():
            Revision.objects.bump(revised_model.revision)
            return super().update(**values)

    update.alters_data = True  # type: ignore[attr-defined]

    def bulk_create(self, objs: Any, *args: Any, **options: Any) -> list[Any]:
        """Insert rows and bump the revision with them."""
        with transaction.atomic():
            Revision.objects.bump(self.model.revision)
            return super().bulk_create(objs, *args, **options)

    def delete(self) -> tuple[int, dict[str, int]]:
        """Delete rows and bump the revision with them."""
        with transaction.atomic():
            Revision.objects.bump(self.model.revision)
            return super().delete()

    delete.alters_data = True  # type: ignore[attr-defined]
    delete.queryset_only = True  # type: ignore[attr-defined]


class Revised(models.Model):
    """Base of the tables that processes cache: every write bumps the counter ``revision`` in the same transaction.

    The counter is always written first, so that concurrent writers wait for each other there and cannot deadlock.
    ``unrevised``: the columns that are not cached; an update of these alone does not bump the counter.
    """

    revision: ClassVar[str]
    unrevised: ClassVar[frozenset[str]] = frozenset()

    created_at = models.DateTimeField(auto_now_add=True, editable=False)
    updated_at = models.DateTimeField(auto_now=True, editable=False)

    objects = RevisedQuerySet.as_manager()

    class Meta:
        abstract = True

    loaded_values: dict[str, Any] | None = None
    """The columns as they were read from the database or last saved; ``None`` before the first save."""

    def save(self, *args: Any, **options: Any) -> None:
        """Save the row and bump the revision, both or neither. Only changed columns of an existing row are written.

        Other processes may have written other columns meanwhile (a disabled credential, a cooldown), which must not be undone.
        """
        if self.loaded_values is not None and not args and not options.keys() & {"update_fields", "force_insert"}:
            options["update_fields"] = _changed(self.loaded_values, _columns(self))
        with transaction.atomic():
            Revision.objects.bump(self.revision)
            super().save(*args, **options)
        self.loaded_values = _columns(self)

    def delete(self, *args: Any, **options: Any) -> tuple[int, dict[str, int]]:
        """Delete the row with its dependent rows and bump the revision, both or neither."""
        with transaction.atomic():
            Revision.objects.bump(self.revision)
            return super().delete(*args, **options)

    @classmethod
    def from_db(cls, *args: Any, **options: Any) -> Self:
        """Note the columns as they were read."""
        row = super().from_db(*args, **options)
        row.loaded_values = _columns(row)
        return row

    def refresh_from_db(self, *args: Any, **options: Any) -> None:
        """Note the columns as they were read."""
        super().refresh_from_db(*args, **options)
        self.loaded_values = _columns(self)


def _columns(row: Revised) -> dict[str, Any]:
    """The values of the loaded columns; deferred ones are left out."""
    loaded = row.__dict__
    return {field.attname: loaded[field.attname] for field in row._meta.concrete_fields if field.attname in loaded}  # noqa: SLF001  (documented)


def _changed(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """The columns to write: those that differ, all JSON columns (they may have been changed in place), and the time of the change."""
    changed = {name for name, value in now.items() if isinstance(value, dict | list) or name not in before or before[name] != value}
    return sorted(changed | {"updated_at"})
