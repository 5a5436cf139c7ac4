"""Client keys and management keys, and the revision counters by which processes notice changes."""

from __future__ import annotations

import functools
import uuid
from enum import StrEnum
from typing import Any, ClassVar, Self

from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator, RegexValidator
from django.db import models, transaction
from django.dispatch import Signal
from django.utils import timezone
from simple_history.models import HistoricalRecords

from accounts.common.model_fields import NameField, ObjectField, ip_ranges, json_object, strings

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


class Permission(StrEnum):
    """What a management key may do."""

    READ = "read"
    WRITE = "write"


def read_only() -> list[str]:
    """The default permissions of a management key. Migrations refer to it by name."""
    return [Permission.READ.value]


def known_permissions(value: object) -> None:
    """Validator: the value is a list of permissions. Migrations refer to it by name."""
    if not isinstance(value, list) or not all(item in list(Permission) for item in value):
        raise ValidationError('Permissions are a list of "read" and "write".')


class IssuedKey(Revised):
    """Base of both kinds of keys. The key itself is shown once and never stored."""

    revision = "keys"
    unrevised = frozenset({"last_used_at"})

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    key_hash = models.CharField(
        max_length=64, unique=True, editable=False, validators=[RegexValidator(r"^[0-9a-f]{64}$")], help_text="SHA-256 of the key, in hex."
    )
    key_prefix = models.CharField("prefix", max_length=8, editable=False)
    old_key_hash = models.CharField(
        max_length=64, unique=True, null=True, editable=False, help_text="SHA-256 of the key before the last rotation, while it is valid."
    )
    old_key_prefix = models.CharField(max_length=8, blank=True, editable=False)
    old_key_valid_until = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="From this time on the key before the last rotation is refused."
    )
    name = models.CharField(max_length=200, blank=True, help_text="Who or what uses this key.")
    is_active = models.BooleanField("active", default=True, help_text="A revoked key is refused within a second.")
    expires_at = models.DateTimeField(null=True, blank=True, help_text="From this time on the key is refused. Empty: it does not expire.")
    metadata = ObjectField(validators=[json_object], help_text="Notes for your own use, as a JSON object.")
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self.name or 'unnamed'} ({self.key_prefix}…)"

    @property
    def old_key_is_valid(self) -> bool:
        """Whether the key before the last rotation is still accepted."""
        return self.old_key_hash is not None and self.old_key_valid_until is not None and self.old_key_valid_until > timezone.now()


class Owner(Revised):
    """A user or a team to whom keys belong. Created when a key or a budget first names it."""

    class Kind(models.TextChoices):
        """What an owner is."""

        USER = "user", "User"
        TEAM = "team", "Team"

    revision = "keys"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = NameField(max_length=200, unique=True)
    kind = models.CharField(max_length=8, choices=Kind.choices, default=Kind.USER)

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return str(self.name)

    @classmethod
    def named(cls, name: str, *, kind: str = "") -> Owner:
        """The owner of a name, which is created if there is none yet. ``kind``, if it is not empty, becomes its kind."""
        owner: Owner
        owner, _ = cls.objects.get_or_create(name=name, defaults={"kind": kind or cls.Kind.USER})
        if kind and owner.kind != kind:
            owner.kind = kind
            owner.save()
        return owner


class ApiKey(IssuedKey):
    """A client key (``pxb_…``) for the model endpoints."""

    owner = models.ForeignKey(
        Owner, models.SET_NULL, null=True, blank=True, related_name="keys", help_text="The user or team to whom the key belongs."
    )
    rate_limit = models.PositiveIntegerField("requests per minute", null=True, blank=True, validators=[MinValueValidator(1)])
    token_limit = models.PositiveIntegerField(
        "tokens per minute", null=True, blank=True, validators=[MinValueValidator(1)], help_text="Input and output together."
    )
    concurrency_limit = models.PositiveIntegerField("concurrent requests", null=True, blank=True, validators=[MinValueValidator(1)])
    allowed_models = models.JSONField(
        null=True, blank=True, validators=[strings], help_text="Model names; * stands for any text. null: every model; []: none."
    )
    allowed_ips = models.JSONField(
        "allowed addresses", null=True, blank=True, validators=[ip_ranges], help_text="IP addresses and ranges of clients. null: every one."
    )
    capture_payloads = models.BooleanField(
        default=False, help_text="Store the bodies of its requests and responses for PXBIN_PAYLOAD_RETENTION_DAYS, redacted."
    )
    may_choose_upstream = models.BooleanField(default=False, help_text="Requests may name their upstream in the header X-Pxbin-Upstream.")

    history = HistoricalRecords(excluded_fields=["key_hash", "old_key_hash", "last_used_at"])

    class Meta:
        verbose_name = "API key"
        ordering = ("-created_at", "-id")


class ManagementKey(IssuedKey):
    """A key (``pxm_…``) for the management API."""

    permissions = models.JSONField(default=read_only, validators=[known_permissions], help_text='["read"] or ["read", "write"].')

    history = HistoricalRecords(excluded_fields=["key_hash", "old_key_hash", "last_used_at"])

    class Meta:
        ordering = ("-created_at", "-id")


class ImportedFile(models.Model):
    """A configuration file that `serve --config` has imported. It is imported again only when its content has changed."""

    path = models.CharField(max_length=1000, primary_key=True)
    digest = models.CharField(max_length=64, help_text="SHA-256 of the content, in hex.")
    imported_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return self.path
