"""Client keys and management keys, owners and pools of keys, budgets."""

from __future__ import annotations

import uuid
from enum import StrEnum
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator, RegexValidator
from django.db import models, transaction
from django.db.models.signals import m2m_changed
from django.dispatch import receiver
from django.utils import timezone
from simple_history.models import HistoricalRecords

from accounts.common.model_fields import NameField, ObjectField, ip_ranges, json_object, strings
from accounts.revised import Revised, RevisedQuerySet, Revision, revised

__all__ = [
    "LIMITS", "ApiKey", "Budget", "BudgetMode", "IssuedKey", "KeyDefaults", "ManagementKey", "Owner", "Period", "Permission", "Pool",
    "Revised", "RevisedQuerySet", "Revision", "known_permissions", "read_only", "require_shared_counts", "revised",
]  # fmt: skip

LIMITS = ("rate_limit", "token_limit", "concurrency_limit")
"""The columns of limits that a key or the defaults for new keys have."""
UNSHARED = (
    "This gateway runs {} web processes without Redis, which cannot count limits and budgets together: set PXBIN_REDIS_URL, or "
    "PXBIN_WEB_PROCESSES=1."
)


def require_shared_counts() -> None:
    """Raise ValidationError with the code ``conflict`` if several web processes of this gateway have no Redis."""
    processes = settings.PXBIN.web_processes
    if processes > 1 and not settings.PXBIN.redis_url:
        raise ValidationError(UNSHARED.format(processes), code="conflict")


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


class Pool(Revised):
    """A group of keys with common budgets. Created when a key or a budget first names it."""

    revision = "keys"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = NameField(max_length=200, unique=True)

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return str(self.name)

    @classmethod
    def named(cls, name: str) -> Pool:
        """The pool of a name, which is created if there is none yet."""
        pool: Pool
        pool, _ = cls.objects.get_or_create(name=name)
        return pool


class Period(models.TextChoices):
    """The periods of budgets, in UTC; weeks begin on Monday."""

    DAILY = "daily", "Day"
    WEEKLY = "weekly", "Week"
    MONTHLY = "monthly", "Month"
    TOTAL = "total", "For ever"


class BudgetMode(models.TextChoices):
    """What happens when a budget is used up."""

    HARD = "hard", "Requests are refused"
    SOFT = "soft", "Requests are only counted"


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
    pools = models.ManyToManyField(Pool, blank=True, related_name="keys", help_text="Pools whose budgets the key shares.")
    may_choose_upstream = models.BooleanField(default=False, help_text="Requests may name their upstream in the header X-Pxbin-Upstream.")

    history = HistoricalRecords(excluded_fields=["key_hash", "old_key_hash", "last_used_at"])

    class Meta:
        verbose_name = "API key"
        ordering = ("-created_at", "-id")

    def clean(self) -> None:
        """Raise ValidationError for limits that the processes cannot count together."""
        super().clean()
        if any(getattr(self, name) is not None for name in LIMITS):
            require_shared_counts()


@receiver(m2m_changed, sender=ApiKey.pools.through)
def _bump_for_members(action: str, **_: Any) -> None:
    """Keys hold the budgets of their pools."""
    if action in ("post_add", "post_remove", "post_clear"):
        with transaction.atomic():
            Revision.objects.bump(ApiKey.revision)


class Budget(Revised):
    """The most that a key, an owner, a pool or all requests may cost in a period. All budgets of a request must admit it."""

    class Scope(models.TextChoices):
        """Whose costs a budget counts."""

        KEY = "key", "One key"
        OWNER = "owner", "All keys of an owner"
        POOL = "pool", "All keys of a pool"
        GLOBAL = "global", "All requests"

    revision = "keys"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    scope = models.CharField(max_length=8, choices=Scope.choices, default=Scope.KEY)
    key = models.ForeignKey(ApiKey, models.CASCADE, null=True, blank=True, related_name="budgets")
    owner = models.ForeignKey(Owner, models.CASCADE, null=True, blank=True, related_name="budgets")
    pool = models.ForeignKey(Pool, models.CASCADE, null=True, blank=True, related_name="budgets")
    amount_usd = models.DecimalField("amount", max_digits=19, decimal_places=12, validators=[MinValueValidator(0)], help_text="USD.")
    period = models.CharField(max_length=8, choices=Period.choices, default=Period.TOTAL)
    mode = models.CharField(max_length=4, choices=BudgetMode.choices, default=BudgetMode.HARD)

    class Meta:
        ordering = ("created_at", "id")

    def __str__(self) -> str:
        return f"{self.subject}, {self.get_period_display().lower()}"

    @property
    def subject(self) -> str:
        """Whose costs are counted: `key laptop`, `owner anna`, `pool agents`, `all requests`."""
        subjects = {"key": self.key and self.key.name, "owner": self.owner, "pool": self.pool}
        return "all requests" if self.scope == self.Scope.GLOBAL else f"{self.scope} {subjects[self.scope] or 'unnamed'}"

    def clean(self) -> None:
        """Raise ValidationError unless exactly the column that the scope names is set."""
        named = {name for name in ("key", "owner", "pool") if getattr(self, name) is not None}  # also a new key
        needed = set() if self.scope == self.Scope.GLOBAL else {self.scope}
        if named != needed:
            raise ValidationError(
                f"A budget of scope {self.scope} needs {' and '.join(needed) or 'no key, owner or pool'}"
                + (f", without {' and '.join(sorted(named - needed))}." if named - needed and needed else ".")
            )
        require_shared_counts()


class KeyDefaults(Revised):
    """The limits and the budget of new keys that name none themselves: one row, or none."""

    revision = "keys"

    id = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    rate_limit = models.PositiveIntegerField("requests per minute", null=True, blank=True, validators=[MinValueValidator(1)])
    token_limit = models.PositiveIntegerField("tokens per minute", null=True, blank=True, validators=[MinValueValidator(1)])
    concurrency_limit = models.PositiveIntegerField("concurrent requests", null=True, blank=True, validators=[MinValueValidator(1)])
    budget_usd = models.DecimalField(
        "budget", max_digits=19, decimal_places=12, null=True, blank=True, validators=[MinValueValidator(0)], help_text="USD."
    )
    budget_period = models.CharField(max_length=8, choices=Period.choices, default=Period.TOTAL)
    budget_mode = models.CharField(max_length=4, choices=BudgetMode.choices, default=BudgetMode.HARD)

    class Meta:
        verbose_name, verbose_name_plural = "defaults for new keys", "defaults for new keys"

    def __str__(self) -> str:
        return "Defaults for new keys"

    def clean(self) -> None:
        """Raise ValidationError for limits that the processes cannot count together."""
        if any(getattr(self, name) is not None for name in (*LIMITS, "budget_usd")):
            require_shared_counts()

    @classmethod
    def current(cls) -> KeyDefaults:
        """The row, or one without limits."""
        return cls.objects.filter(pk=1).first() or cls()


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
