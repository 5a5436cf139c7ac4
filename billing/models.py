"""What requests cost and what became of them: prices, one row for each request, its tries and, where kept, its bodies.

Rows of the log name keys, models and upstreams by id and by name, without foreign keys: they outlive what they name.
"""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Self

from django.core.exceptions import ValidationError
from django.db import models
from django.utils import timezone

from accounts.models import Revised
from billing.fields import MoneyField
from billing.outcomes import OUTCOME_LABELS
from billing.rates import CLASSES, read_tiers
from upstreams.models import Model, Upstream


def price_tiers(value: object) -> None:
    """Refuse tiers that the price book could not read."""
    try:
        read_tiers(value)
    except ValueError as error:
        raise ValidationError(str(error)) from error


class Price(Revised):
    """What a million tokens of each class cost in USD. Empty means unknown, 0 means free.

    It belongs to one of our models, or to every model that an upstream calls `name`; and to one upstream, or to all.
    Rows that were replaced stay, inactive, so that old log rows can say which prices they were billed at.
    """

    class Source(models.TextChoices):
        """Where a price comes from."""

        MANUAL = "manual", "Entered by hand"
        GENAI_PRICES = "genai-prices", "genai-prices"
        LITELLM = "litellm", "LiteLLM price file"

    revision = "prices"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    model = models.ForeignKey(Model, models.CASCADE, null=True, blank=True, related_name="prices")
    name = models.CharField(max_length=500, blank=True, help_text="The upstream's name of the model, where no model is chosen.")
    upstream = models.ForeignKey(
        Upstream, models.CASCADE, null=True, blank=True, related_name="prices", help_text="Only what this upstream answers. Empty: any."
    )
    input = MoneyField(null=True, blank=True, help_text="USD per million tokens that no cache was involved in.")
    output = MoneyField(null=True, blank=True, help_text="USD per million tokens, reasoning included.")
    cache_read = MoneyField(null=True, blank=True, help_text="USD per million tokens read from a cache. Empty: as input.")
    cache_write_5m = MoneyField(null=True, blank=True, help_text="USD per million tokens written to a cache. Empty: as input.")
    cache_write_1h = MoneyField(null=True, blank=True, help_text="USD per million tokens cached for an hour. Empty: as for 5 minutes.")
    tiers = models.JSONField(
        default=dict,
        blank=True,
        validators=[price_tiers],
        help_text='{"prompt": [{"above": 200000, "input": "6"}], "service": {"flex": {"input": "1"}}}; what a tier leaves out stays.',
    )
    source = models.CharField(max_length=16, choices=Source.choices, default=Source.MANUAL, editable=False)
    version = models.CharField(max_length=64, blank=True, editable=False, help_text="Which edition of the source.")
    is_active = models.BooleanField("active", default=True)

    class Meta:
        ordering = ("name", "-created_at", "-id")
        constraints = (
            models.CheckConstraint(
                condition=models.Q(model__isnull=False) | ~models.Q(name=""),
                name="price_of_something",
                violation_error_message="Choose a model or give a name.",
            ),
        )

    def clean(self) -> None:
        """Refuse a price that says nothing, and would win all the same."""
        if not self.tiers and all(getattr(self, name) is None for name in CLASSES):
            raise ValidationError("Give at least one price. 0 means free.")

    def __str__(self) -> str:
        owner = str(self.model) if self.model_id else self.name
        return f"{owner} at {self.upstream}" if self.upstream_id else owner


class RequestLogQuerySet(models.QuerySet["RequestLog", "RequestLog"]):
    """Questions that are asked of the log."""

    def newest_first(self) -> Self:
        """In the order in which the log is shown."""
        return self.order_by("-timestamp", "-id")

    def since(self, moment: datetime) -> Self:
        """Requests that began after a moment."""
        return self.filter(timestamp__gt=moment)


class RequestLog(models.Model):
    """One request of a client, however it ended. Rows are inserted by `billing.request_log.writer` and never changed.

    `billing.request_log.entry.LogColumns` defines the columns and describes them; a test compares the two.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    request_id = models.CharField(max_length=128)
    timestamp = models.DateTimeField()
    created_at = models.DateTimeField(default=timezone.now)

    method = models.CharField(max_length=16)
    path = models.CharField(max_length=500)
    dialect = models.CharField(max_length=32, blank=True)
    input_format = models.CharField(max_length=16)
    upstream_dialect = models.CharField(max_length=32, blank=True)
    stream = models.BooleanField(default=False)

    api_key_id = models.UUIDField(null=True)
    key_prefix = models.CharField(max_length=8, blank=True)
    key_name = models.CharField(max_length=200, blank=True)
    session_id = models.CharField(max_length=200, blank=True)
    client_ip = models.CharField("client address", max_length=45, blank=True)
    user_agent = models.CharField(max_length=200, blank=True)

    model = models.CharField(max_length=200, blank=True)
    remote_model = models.CharField(max_length=500, blank=True)
    upstream_id = models.UUIDField(null=True)
    upstream_name = models.CharField(max_length=200, blank=True)

    status_code = models.IntegerField("status")
    upstream_status = models.IntegerField(null=True)
    outcome = models.CharField(max_length=16, choices=list(OUTCOME_LABELS.items()))
    error_type = models.CharField(max_length=64, blank=True)
    error_message = models.TextField(blank=True)
    attempts = models.IntegerField(default=0)

    latency_ms = models.IntegerField("latency (ms)")
    overhead_us = models.IntegerField("overhead (µs)")
    ttft_ms = models.IntegerField("time to first token (ms)", null=True)

    input_tokens = models.IntegerField(default=0)
    cache_read_tokens = models.IntegerField(default=0)
    cache_write_5m_tokens = models.IntegerField(default=0)
    cache_write_1h_tokens = models.IntegerField(default=0)
    output_tokens = models.IntegerField(default=0)
    reasoning_tokens = models.IntegerField(default=0)
    usage_estimated = models.BooleanField(default=False)
    service_tier = models.CharField(max_length=32, blank=True)
    cost = MoneyField(null=True)
    price_id = models.UUIDField(null=True)
    price_version = models.CharField(max_length=64, blank=True)

    request_metadata = models.JSONField(null=True)
    routing = models.JSONField(null=True)

    objects = RequestLogQuerySet.as_manager()

    class Meta:
        verbose_name = "request"
        ordering = ("-timestamp", "-id")
        indexes = (
            models.Index(fields=("-timestamp", "-id"), name="log_newest"),
            models.Index(fields=("api_key_id", "-timestamp"), name="log_by_key"),
            models.Index(fields=("model", "-timestamp"), name="log_by_model"),
            models.Index(fields=("status_code", "-timestamp"), name="log_by_status"),
            models.Index(fields=("upstream_id", "-timestamp"), name="log_by_upstream"),
            models.Index(fields=("outcome", "-timestamp"), name="log_by_outcome"),
            models.Index(fields=("request_id",), name="log_by_request_id"),
        )

    def __str__(self) -> str:
        return f"{self.timestamp:%Y-%m-%d %H:%M:%S} {self.model} {self.outcome}"

    @property
    def cache_creation_tokens(self) -> int:
        """Tokens written to a cache, for however long."""
        return self.cache_write_5m_tokens + self.cache_write_1h_tokens


class RequestAttempt(models.Model):
    """One call of an upstream for a request, in the order of `number` (from 1).

    `billing.request_log.entry.AttemptEntry` defines the columns and describes them; a test compares the two.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    log = models.ForeignKey(RequestLog, models.DO_NOTHING, db_constraint=False, related_name="tries")
    number = models.IntegerField()
    timestamp = models.DateTimeField()
    upstream_id = models.UUIDField(null=True)
    upstream_name = models.CharField(max_length=200, blank=True)
    credential_id = models.UUIDField(null=True)
    credential_name = models.CharField(max_length=200, blank=True)
    route_id = models.UUIDField(null=True)
    remote_model = models.CharField(max_length=500, blank=True)
    status_code = models.IntegerField(null=True)
    outcome = models.CharField(max_length=16, choices=list(OUTCOME_LABELS.items()))
    error_type = models.CharField(max_length=64, blank=True)
    error_message = models.TextField(blank=True)
    latency_ms = models.IntegerField("latency (ms)")
    ttft_ms = models.IntegerField("time to first token (ms)", null=True)
    input_tokens = models.IntegerField(default=0)
    cache_read_tokens = models.IntegerField(default=0)
    cache_write_5m_tokens = models.IntegerField(default=0)
    cache_write_1h_tokens = models.IntegerField(default=0)
    output_tokens = models.IntegerField(default=0)
    reasoning_tokens = models.IntegerField(default=0)
    cost = MoneyField(null=True)

    class Meta:
        ordering = ("log", "number")
        indexes = (models.Index(fields=("timestamp",), name="attempt_by_time"),)

    def __str__(self) -> str:
        return f"{self.number}. {self.upstream_name} {self.outcome}"


class RequestPayload(models.Model):
    """The bodies of a request and its answer, kept only where somebody asked for it, and for a time of their own."""

    log = models.OneToOneField(RequestLog, models.DO_NOTHING, primary_key=True, db_constraint=False, related_name="payload")
    timestamp = models.DateTimeField()
    request_body = models.TextField(blank=True)
    response_body = models.TextField(blank=True)
    truncated = models.BooleanField(default=False, help_text="A body was longer than what is kept.")

    class Meta:
        verbose_name, verbose_name_plural = "kept bodies", "kept bodies"
        indexes = (models.Index(fields=("timestamp",), name="payload_by_time"),)

    def __str__(self) -> str:
        return f"Bodies of {self.log_id}"


class CommittedSegment(models.Model):
    """A segment of the journal whose rows are in the database: written with them, so it is never written twice."""

    id = models.UUIDField(primary_key=True)
    rows = models.IntegerField()
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes = (models.Index(fields=("created_at",), name="segment_by_time"),)

    def __str__(self) -> str:
        return f"{self.id} ({self.rows})"


class StoredResponse(models.Model):
    """One turn of a conversation, kept for clients of the Responses API that name it instead of sending it again.

    `input` holds the items that this turn added, as a JSON list; `response` is the whole answer as the client got it.
    """

    id = models.CharField(max_length=200, primary_key=True)
    api_key_id = models.UUIDField(help_text="Only this key may read it or go on from it.")
    previous_id = models.CharField(max_length=200, blank=True, help_text="The turn that it went on from.")
    model = models.CharField(max_length=200)
    input = models.TextField()
    response = models.TextField()
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()

    class Meta:
        indexes = (models.Index(fields=("expires_at",), name="response_by_end"),)

    def __str__(self) -> str:
        return self.id
