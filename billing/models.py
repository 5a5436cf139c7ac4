"""Tables of prices and of the request log: one row for each request, its attempts, and its payload if that is stored.

Rows of the log hold ids and names of keys, models and upstreams instead of foreign keys, because they stay when those are deleted.
"""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone

from accounts.models import Revised
from billing.column_models import abstract_model
from billing.fields import MoneyField
from billing.log_columns import AttemptColumns, LogColumns
from billing.patterns import quick_pattern
from billing.rates import CLASSES, read_geo, read_tiers
from billing.rollup_models import Rollup, RollupHistogram, RollupModel, RollupSeries, RollupState, RollupTags
from upstreams.models import Model, Upstream

__all__ = [
    "CommittedSegment", "Price", "RemoteObject", "RequestAttempt", "RequestLog", "RequestPayload", "Rollup", "RollupHistogram",
    "RollupModel", "RollupSeries", "RollupState", "RollupTags", "StoredResponse",
]  # fmt: skip


def price_tiers(value: object) -> None:
    """Raise ValidationError for tiers that `rates.read_tiers` or `rates.read_geo` reject."""
    try:
        read_tiers(value)
        read_geo(value)
    except ValueError as error:
        raise ValidationError(str(error)) from error


class Price(Revised):
    """USD per million tokens of each class. Empty means unknown, 0 means free.

    A price belongs to a model or to a remote name, at one upstream or at all.
    Replaced prices stay as inactive rows, because log rows refer to the price that they were billed at. An inactive price without
    `valid_until` was withdrawn: it counts for no time at all.
    """

    class Source(models.TextChoices):
        """The origin of a price."""

        MANUAL = "manual", "Entered by hand"
        GENAI_PRICES = "genai-prices", "genai-prices"
        LITELLM = "litellm", "Price file"
        UPSTREAM = "upstream", "The upstream's model list"
        BUILT_IN = "built-in", "Built in"

    revision = "prices"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    model = models.ForeignKey(Model, models.CASCADE, null=True, blank=True, related_name="prices")
    name = models.CharField(
        max_length=500,
        blank=True,
        help_text="The remote name of the model, used if no model is chosen. * means all models of the upstream.",
    )
    upstream = models.ForeignKey(
        Upstream,
        models.CASCADE,
        null=True,
        blank=True,
        related_name="prices",
        help_text="Only for requests that this upstream answers. Empty: any upstream.",
    )
    input = MoneyField(null=True, blank=True, help_text="USD per million input tokens that are neither read from nor written to a cache.")
    output = MoneyField(null=True, blank=True, help_text="USD per million output tokens, including reasoning.")
    cache_read = MoneyField(null=True, blank=True, help_text="USD per million tokens read from a cache. Empty: the input price.")
    cache_write_5m = MoneyField(
        null=True, blank=True, help_text="USD per million tokens written to a cache for 5 minutes. Empty: the input price."
    )
    cache_write_1h = MoneyField(
        null=True, blank=True, help_text="USD per million tokens written to a cache for 1 hour. Empty: the price for 5 minutes."
    )
    input_audio = MoneyField(
        "audio input", null=True, blank=True, help_text="USD per million audio input tokens. Empty: unknown, not the input price."
    )
    output_audio = MoneyField(
        "audio output", null=True, blank=True, help_text="USD per million audio output tokens. Empty: unknown, not the output price."
    )
    input_image = MoneyField("image input", null=True, blank=True, help_text="USD per million image input tokens. Empty: the input price.")
    output_image = MoneyField(
        "image output", null=True, blank=True, help_text="USD per million image output tokens. Empty: the output price."
    )
    web_search = MoneyField(
        "web searches", null=True, blank=True, help_text="USD per thousand web searches of the provider. Empty: unknown."
    )
    tiers = models.JSONField(
        default=dict,
        blank=True,
        validators=[price_tiers],
        help_text=(
            '{"prompt": [{"above": 200000, "input": "6"}], "service": {"flex": {"input": "1"}}, "geo": {"us": "1.1"}}; '
            "rates that a tier does not list stay the same."
        ),
    )
    source = models.CharField(max_length=16, choices=Source.choices, default=Source.MANUAL, editable=False)
    version = models.CharField(max_length=64, blank=True, editable=False, help_text="The version of the source.")
    is_active = models.BooleanField("active", default=True)
    valid_from = models.DateTimeField(
        default=timezone.now, blank=True, help_text="Requests that begin earlier do not have this price. Empty: now."
    )
    valid_until = models.DateTimeField(null=True, blank=True, help_text="The first moment that has another price. Empty: none.")

    class Meta:
        ordering = ("name", "-created_at", "-id")
        constraints = (
            models.CheckConstraint(
                condition=models.Q(model__isnull=False) | ~models.Q(name=""),
                name="price_of_something",
                violation_error_message="Choose a model or enter a name.",
            ),
        )

    def clean(self) -> None:
        """Raise ValidationError for a price without rates: it would win over others all the same."""
        self.valid_from = self.valid_from or timezone.now()
        if self.valid_until is not None and self.valid_until <= self.valid_from:
            raise ValidationError({"valid_until": "Must be later than the beginning."})
        if not self.tiers and all(getattr(self, name) is None for name in CLASSES):
            raise ValidationError("Enter at least one price. 0 means free.")

    def __str__(self) -> str:
        owner = str(self.model) if self.model_id else self.name
        return f"{owner} at {self.upstream}" if self.upstream_id else owner


class RequestLogQuerySet(models.QuerySet["RequestLog", "RequestLog"]):
    """Queries of the request log."""

    def newest_first(self) -> Self:
        """In the order of lists: by time, requests of the same time by id."""
        return self.order_by("-timestamp", "-id")

    def since(self, moment: datetime) -> Self:
        """Requests that began after a point in time."""
        return self.filter(timestamp__gt=moment)


if TYPE_CHECKING:

    class _Columns(models.Model):
        """What the type checker knows of the columns: attributes that no class declares are `Any`.

        It cannot read a struct as a model, and names with types here would repeat `log_columns`. Names in queries are checked all the
        same, because the checker's Django plugin loads the models.
        """

        class Meta:
            abstract = True

        def __getattr__(self, name: str) -> Any: ...

    class LogModel(_Columns):
        class Meta:
            abstract = True

    class AttemptModel(_Columns):
        class Meta:
            abstract = True

else:
    LogModel = abstract_model("LogModel", LogColumns, module=__name__)
    AttemptModel = abstract_model("AttemptModel", AttemptColumns, module=__name__)


class RequestLog(LogModel):
    """One request of a client, however it ended. Rows are inserted by `billing.request_log.writer`; only `rerate` changes them.

    Its columns are the fields of `LogColumns`, where they are described, and `created_at`, when the row was written.
    """

    created_at = models.DateTimeField(default=timezone.now)

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
            models.Index(fields=("-timestamp",), condition=models.Q(over_budget=True), name="log_over_budget"),
            models.Index(Lower("request_id"), name="log_by_any_case_id"),
            models.Index(Lower("response_id"), name="log_by_response_id", condition=~models.Q(response_id="")),
            models.Index(fields=("session_id", "-timestamp"), name="log_by_session"),
            models.Index(fields=("trace_id", "-timestamp"), name="log_by_trace"),
        )

    def __str__(self) -> str:
        return f"{self.timestamp:%Y-%m-%d %H:%M:%S} {self.model} {self.outcome}"

    @property
    def usage_source(self) -> str | None:
        """`reported` by the upstream or `estimated` by pxbin; `None` if no upstream was called."""
        return None if not self.attempts else "estimated" if self.usage_estimated else "reported"

    @property
    def cache_creation_tokens(self) -> int:
        """Tokens written to a cache, for 5 minutes or 1 hour."""
        return int(self.cache_write_5m_tokens + self.cache_write_1h_tokens)


class RequestAttempt(AttemptModel):
    """One call of an upstream for a request, in the order of `number` (from 1).

    Its further columns are the fields of `AttemptColumns`, where they are described.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    log = models.ForeignKey(RequestLog, models.DO_NOTHING, db_constraint=False, related_name="tries")
    number = models.IntegerField()

    class Meta:
        ordering = ("log", "number")
        indexes = (models.Index(fields=("timestamp",), name="attempt_by_time"),)

    def __str__(self) -> str:
        return f"{self.number}. {self.upstream_name} {self.outcome}"


class RequestPayload(models.Model):
    """The bodies of a request, redacted and cut. Stored only for keys and models that capture them, with a retention time of their own.

    `client_body`: what the client sent; `sent_body`: what the upstream that was called last got; `upstream_answer`: its answer;
    `delivered_answer`: what the client got. Of streams, the beginning of their text.
    """

    log = models.OneToOneField(RequestLog, models.DO_NOTHING, primary_key=True, db_constraint=False, related_name="payload")
    timestamp = models.DateTimeField()
    client_body = models.TextField(blank=True)
    sent_body = models.TextField(blank=True)
    upstream_answer = models.TextField(blank=True)
    delivered_answer = models.TextField(blank=True)
    truncated = models.BooleanField(default=False, help_text="A body was longer than the limit and was cut.")

    class Meta:
        verbose_name, verbose_name_plural = "stored payload", "stored payloads"
        indexes = (models.Index(fields=("timestamp",), name="payload_by_time"),)

    def __str__(self) -> str:
        return f"Payload of {self.log_id}"


class RedactionRule(Revised):
    """A regular expression whose matches are replaced in captured bodies before they are stored."""

    revision = "redaction"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=200, help_text="What the expression finds, for example: e-mail addresses.")
    pattern = models.CharField(max_length=1000, validators=[quick_pattern], help_text="A regular expression of Python.")
    replacement = models.CharField(max_length=200, blank=True, default="***", help_text="The text that is stored instead.")
    is_active = models.BooleanField("active", default=True)

    class Meta:
        ordering = ("name", "id")

    def __str__(self) -> str:
        return self.name


class CommittedSegment(models.Model):
    """The id of a journal segment whose rows are in the database. Inserted in their transaction, so that no segment is written twice."""

    id = models.UUIDField(primary_key=True)
    rows = models.IntegerField()
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes = (models.Index(fields=("created_at",), name="segment_by_time"),)

    def __str__(self) -> str:
        return f"{self.id} ({self.rows})"


class RemoteObject(models.Model):
    """Where an object is that an upstream keeps under an id: a response, conversation, thread, container or file.

    Written with the log row of the request that made it. `remote_id`: the upstream's own id, if the client got another one.
    `unbilled_model`: the model of a background response whose usage no row has counted yet.
    """

    object_id = models.CharField(max_length=200)
    api_key_id = models.UUIDField(help_text="Only this key may name the object.")
    upstream_id = models.UUIDField()
    credential_id = models.UUIDField(null=True)
    remote_id = models.CharField(max_length=200, blank=True)
    unbilled_model = models.CharField(max_length=200, blank=True)
    is_nested = models.BooleanField(default=False, help_text="Whether requests name it inside of their content or tools.")
    expires_at = models.DateTimeField()

    class Meta:
        constraints = (models.UniqueConstraint(fields=("object_id", "api_key_id"), name="one_object_by_key"),)
        indexes = (
            models.Index(fields=("expires_at",), name="object_by_end"),
            models.Index(fields=("is_nested",), condition=models.Q(is_nested=True), name="nested_objects"),
        )

    def __str__(self) -> str:
        return self.object_id


class SavedView(models.Model):
    """A search of the request log that a user named: its query string, with filters and columns. Shared ones are shown to everybody."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    name = models.CharField(max_length=80)
    query = models.CharField(max_length=2000, blank=True)
    is_shared = models.BooleanField(default=False)

    class Meta:
        ordering = ("name", "id")
        constraints = (models.UniqueConstraint(fields=("owner", "name"), name="one_view_by_name"),)

    def __str__(self) -> str:
        return self.name


class StoredResponse(models.Model):
    """One turn of a conversation of the Responses API, to which clients refer by `previous_response_id` instead of sending it again.

    `input`: the items that this turn added, as a JSON list. `response`: the whole response as the client got it, as a JSON object.
    """

    id = models.CharField(max_length=200, primary_key=True)
    api_key_id = models.UUIDField(help_text="Only this key may read the turn or refer to it.")
    previous_id = models.CharField(max_length=200, blank=True, help_text="The turn before this one.")
    model = models.CharField(max_length=200)
    input = models.TextField()
    response = models.TextField()
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()

    class Meta:
        indexes = (models.Index(fields=("expires_at",), name="response_by_end"),)

    def __str__(self) -> str:
        return self.id
