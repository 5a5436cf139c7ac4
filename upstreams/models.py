"""The tables of upstreams, their credentials, models, and the routes between models and upstreams."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from simple_history.models import HistoricalRecords

from accounts.common.model_fields import FactorField, ListField, NameField, ObjectField, json_object, strings
from accounts.models import Revised
from proxy.translation.dialects.lookup import dialect_named
from proxy.translation.dialects.registry import DEFAULT
from proxy.translation.policies import model_policies
from upstreams.base_urls import tidy
from upstreams.validators import (
    base_url,
    ca_file,
    capabilities,
    client_certificate_file,
    dialect,
    header_fields,
    header_name,
    header_value,
    path_prefix,
    positive_seconds,
    proxy,
    quirks,
    replacements,
    seconds,
)


class Strategy(models.TextChoices):
    """The order of a model's routes."""

    PRIORITY = "priority", "Priority, then weight"
    WEIGHTED = "weighted", "Random by weight"
    LATENCY = "latency", "Fastest first token"
    COST = "cost", "Cheapest"
    ROUND_ROBIN = "round_robin", "Round robin"


def cooldown_seconds() -> float:
    """The default cooldown of new upstreams: ``PXBIN_KEY_COOLDOWN_SECONDS``."""
    return float(settings.PXBIN.key_cooldown_seconds)


def max_retries() -> int:
    """The default retries of new upstreams: ``PXBIN_RETRY_MAX_ATTEMPTS``, which counts the first attempt, less one."""
    return int(settings.PXBIN.retry_max_attempts) - 1


def retry_base_delay_ms() -> int:
    """The default delay of new upstreams before the first retry: ``PXBIN_RETRY_BASE_DELAY_MS``."""
    return int(settings.PXBIN.retry_base_delay_ms)


class Upstream(Revised):
    """A configured address that answers requests, with one dialect and one kind of authentication."""

    revision = "catalogue"
    unrevised = frozenset({"resting_until", "answered_at", "tested_at", "test_error", "check_claimed_at", "discovery_claimed_at"})

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = NameField(max_length=200, unique=True, error_messages={"unique": "An upstream with this name exists already."})
    base_url = models.CharField(
        "base URL",
        max_length=500,
        blank=True,
        validators=[base_url],
        help_text="For example https://api.openai.com/v1. If it does not end with /v1 or another version, /v1 is added.",
    )
    dialect = models.CharField("API format", max_length=32, validators=[dialect], default=DEFAULT.name)
    preset = models.CharField(max_length=64, blank=True, help_text="What it was made from. It names the provider, for prices.")
    region = models.CharField(max_length=64, blank=True, help_text="AWS region (Bedrock only).")
    is_active = models.BooleanField("active", default=True)
    priority = models.IntegerField(default=0, help_text="A lower number is preferred.")
    auth_header = models.CharField(
        max_length=100, blank=True, validators=[header_name], help_text="Header for the credential. Empty: the one of the API format."
    )
    auth_scheme = models.CharField(
        max_length=50,
        blank=True,
        validators=[header_value],
        help_text="Word before the credential, such as Bearer. Empty: the one of the API format, or none if an auth header is given.",
    )
    extra_headers = ObjectField(validators=[header_fields], help_text="Sent with every request, as a JSON object. Not for secrets.")
    connect_timeout_seconds = models.FloatField(default=10.0, validators=[positive_seconds])
    first_byte_timeout_seconds = models.FloatField(
        default=300.0, validators=[positive_seconds], help_text="Until the response headers are complete."
    )
    idle_timeout_seconds = models.FloatField(
        default=120.0, validators=[positive_seconds], help_text="Between two reads of the response body."
    )
    max_retries = models.PositiveSmallIntegerField(default=max_retries, help_text="Retries after 429, 503 and failed connections.")
    retry_base_delay_ms = models.PositiveIntegerField("retry base delay (ms)", default=retry_base_delay_ms)
    cooldown_seconds = models.FloatField(
        default=cooldown_seconds, validators=[seconds], help_text="How long a failing credential is tried only after others. 0: never."
    )
    pass_client_credentials = models.BooleanField(
        "pass the client's key on", default=False, help_text="Send the client's own key instead of a stored one."
    )
    test_model = models.CharField(max_length=200, blank=True, help_text="The model that health checks call, by the upstream's name for it.")
    proxy = models.CharField(
        max_length=500,
        blank=True,
        validators=[proxy],
        help_text="HTTP proxy for calls, as http://proxy:3128. none: no proxy. Empty: the one of the settings or the environment.",
    )
    ca_file = models.CharField(
        "CA file",
        max_length=500,
        blank=True,
        validators=[ca_file],
        help_text="Path of a PEM file on this machine with certificate authorities to trust besides the usual ones.",
    )
    client_certificate_file = models.CharField(
        max_length=500,
        blank=True,
        validators=[client_certificate_file],
        help_text="Path of a PEM file on this machine with the certificate that the upstream requires, and its private key.",
    )
    http2 = models.BooleanField("HTTP/2 only", default=False, help_text="For upstreams that do not speak HTTP/1.1.")
    price_factor = FactorField(help_text="Multiplies the prices here: 1.1 is a mark-up, 0.8 a discount.")
    quirks = ObjectField(validators=[quirks], help_text="Deviations of this upstream from its API format, as JSON.")
    capabilities = ObjectField(
        validators=[capabilities],
        help_text='What it does not support: {"images": false, "tools": false, "audio": false}.',
    )
    resting_until = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="End of the open circuit breaker or of a cooldown of the whole upstream."
    )
    recovered_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="When a health check or an admin last ended a cooldown."
    )

    answered_at = models.DateTimeField(null=True, blank=True, editable=False, help_text="When it last completed a response.")
    tested_at = models.DateTimeField(null=True, blank=True, editable=False, help_text="Time of the last health check.")
    test_error = models.TextField(blank=True, editable=False, help_text="Error of the last health check; empty if it passed.")

    check_claimed_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="When a worker last started a scheduled health check."
    )
    discovery_claimed_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="When a worker last started a scheduled discovery."
    )

    history = HistoricalRecords(excluded_fields=["recovered_at", *unrevised])

    class Meta:
        ordering = ("priority", "name")

    def __str__(self) -> str:
        return str(self.name)

    def clean_fields(self, exclude: Collection[str] | None = None) -> None:
        """Take off the base URL what people paste with it; then validate each field."""
        self.base_url = tidy(self.base_url)
        super().clean_fields(exclude)

    def clean(self) -> None:
        """Require a base URL, or a region where the dialect has regional base URLs."""
        has_regions = bool(dialect_named(self.dialect).upstream.regional_base_url)
        if not self.base_url and not (has_regions and self.region):
            if has_regions:
                raise ValidationError({"region": "Enter a region, for example us-east-1."})
            raise ValidationError({"base_url": "An upstream needs a base URL."})


class UpstreamCredential(Revised):
    """A credential of an upstream: a secret, encrypted by :mod:`upstreams.secrets.vault`, and for AWS its access key id."""

    revision = "catalogue"
    unrevised = frozenset({"cooling_until", "last_used_at"})

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    upstream = models.ForeignKey(Upstream, models.CASCADE, related_name="credentials")
    name = models.CharField(max_length=200, blank=True)
    secret_encrypted = models.TextField(blank=True, editable=False)
    secret_reference = models.CharField(
        max_length=500, blank=True, editable=False, help_text="Where a configuration file says that the secret is, such as env:NAME."
    )
    access_key_id = models.CharField(
        "access key id", max_length=200, blank=True, validators=[header_value], help_text="AWS access key id (Bedrock only)."
    )
    priority = models.IntegerField(default=0, help_text="A lower number is preferred.")
    is_active = models.BooleanField("active", default=True)
    disabled_reason = models.TextField(blank=True, editable=False)
    cooling_until = models.DateTimeField(null=True, blank=True, editable=False)
    recovered_at = models.DateTimeField(null=True, blank=True, editable=False, help_text="When an admin or a health check last enabled it.")
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)

    history = HistoricalRecords(excluded_fields=["secret_encrypted", "cooling_until", "recovered_at", "last_used_at"])

    class Meta:
        verbose_name = "credential"
        ordering = ("priority", "created_at", "id")

    def __str__(self) -> str:
        return self.name or f"credential {str(self.pk)[:8]}"


class Model(Revised):
    """A name or a pattern of names that clients may request, with its routes, policies and prices."""

    revision = "catalogue"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = NameField(max_length=200, help_text="The name that clients request. * stands for any text: claude-*haiku*.")
    path_prefix = models.CharField(
        max_length=200, blank=True, validators=[path_prefix], help_text="Served only below this path, such as /team-a. Empty: below /v1."
    )
    display_name = models.CharField(max_length=200, null=True, blank=True)
    provider = models.CharField(max_length=100, blank=True, help_text="Shown as the owner in model lists.")
    aliases = ListField(validators=[strings], help_text="Other names of the model; * stands for any text.")
    context_window = models.PositiveIntegerField(null=True, blank=True, help_text="Tokens.")
    max_output_tokens = models.PositiveIntegerField(null=True, blank=True, help_text="Tokens.")
    is_active = models.BooleanField("active", default=True)

    strategy = models.CharField(max_length=16, choices=Strategy.choices, default=Strategy.PRIORITY)
    fallbacks = ListField(validators=[strings], help_text="Names of models that are tried when all routes of this one have failed.")
    timeout_seconds = models.FloatField(
        null=True, blank=True, validators=[positive_seconds], help_text="Total time of a request. Empty: no limit."
    )
    cooldown_seconds = models.FloatField(null=True, blank=True, validators=[seconds], help_text="Overrides the upstream's.")
    hedge_after_ms = models.PositiveIntegerField(
        "hedge after (ms)", null=True, blank=True, help_text="Start a second attempt if the first has not answered by then. Empty: never."
    )
    capture_payloads = models.BooleanField(
        default=False, help_text="Store the bodies of its requests and responses for PXBIN_PAYLOAD_RETENTION_DAYS, redacted."
    )
    allow_anonymous = models.BooleanField(default=False, help_text="Clients need no pxbin key (they send the upstream's own).")

    max_tokens_default = models.PositiveIntegerField(null=True, blank=True, validators=[MinValueValidator(1)])
    max_tokens_cap = models.PositiveIntegerField(null=True, blank=True, validators=[MinValueValidator(1)])
    temperature = models.FloatField(
        null=True, blank=True, validators=[MinValueValidator(0.0), MaxValueValidator(2.0)], help_text="Overrides the client's."
    )
    system_replacements = ObjectField(validators=[replacements], help_text="Texts to replace in the system prompt: {old: new}.")
    system_append = models.TextField(blank=True, help_text="Text to add after the system prompt.")
    inject_progress = models.BooleanField(default=False, help_text="Add a short summary of the session to the last user turn.")
    body_defaults = ObjectField(validators=[json_object], help_text="Fields that are set if the client does not send them.")
    body_extensions = ObjectField(validators=[json_object], help_text="Fields that are merged into every request.")
    tool_enforcement = ObjectField(validators=[json_object], help_text="Retry responses without a tool call.")
    repair_tool_history = models.BooleanField(default=True, help_text="Insert a result for tool calls of the conversation that have none.")
    buffer_tool_calls = models.BooleanField(default=False, help_text="Send a tool call of a stream only when it is complete.")
    smooth_streaming = models.BooleanField(default=False, help_text="Split long pieces of a stream into short ones.")
    quirks = ObjectField(validators=[quirks], help_text="Overrides the upstream's quirks, as JSON.")

    history = HistoricalRecords()

    class Meta:
        ordering = ("path_prefix", "name")
        constraints = (
            models.UniqueConstraint(
                fields=("path_prefix", "name"),
                name="unique_model_name",
                violation_error_code="unique",
                violation_error_message="A model with this name exists already.",
            ),
        )

    def __str__(self) -> str:
        return f"{self.path_prefix}/{self.name}" if self.path_prefix else self.name

    @property
    def policy_fields(self) -> dict[str, Any]:
        """The fields that :mod:`proxy.translation.policies.model_policies` reads."""
        return {name: getattr(self, name) for name in model_policies.FIELDS}

    def clean(self) -> None:
        """Validate the policies, and that no other model below the same prefix has one of the names."""
        problems = model_policies.find_problems(self.policy_fields)
        if problems:
            raise ValidationError(problems)
        taken: dict[str, str] = {}
        for name, aliases in Model.objects.filter(path_prefix=self.path_prefix).exclude(pk=self.pk).values_list("name", "aliases"):
            taken.update(dict.fromkeys((name, *aliases), name))
        if self.name in taken and taken[self.name] != self.name:  # equal names are checked by the constraint
            raise ValidationError({"name": _taken(f"{self.name} is already an alias of {taken[self.name]}.")})
        aliases = self.aliases if isinstance(self.aliases, list) else []
        for alias in aliases:
            if alias == self.name or aliases.count(alias) > 1:
                raise ValidationError({"aliases": f"{alias} is given twice."})
            if alias in taken:
                raise ValidationError({"aliases": _taken(f"{alias} is already a name of the model {taken[alias]}.")})


def _taken(message: str) -> ValidationError:
    return ValidationError(message, code="unique")


class Route(Revised):
    """The connection of a model to an upstream, with the model's name there."""

    revision = "catalogue"
    unrevised = frozenset({"vanished_at", "listed_pricing"})

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    model = models.ForeignKey(Model, models.CASCADE, related_name="routes")
    upstream = models.ForeignKey(Upstream, models.CASCADE, related_name="routes")
    remote_name = models.CharField(
        max_length=500,
        blank=True,
        help_text="The upstream's name of the model. Empty: the requested name. The n-th * takes what the n-th * of the model matched.",
    )
    priority = models.IntegerField(default=0, help_text="A lower number is preferred.")
    weight = models.PositiveIntegerField(default=1, help_text="Share of the requests among routes of equal priority.")
    is_active = models.BooleanField("active", default=True)
    context_window = models.PositiveIntegerField(null=True, blank=True, help_text="Tokens, if it differs at this upstream.")
    capabilities = ObjectField(validators=[capabilities], help_text="Overrides the upstream's.")
    listed_context_window = models.PositiveIntegerField(null=True, blank=True, editable=False, help_text="Tokens, as listed there.")
    listed_pricing = models.JSONField(null=True, blank=True, editable=False)  # {"name": of whom, "pricing": as listed}
    vanished_at = models.DateTimeField(null=True, blank=True, editable=False, help_text="When the upstream stopped listing the model.")

    history = HistoricalRecords(excluded_fields=["listed_context_window", "listed_pricing", "vanished_at"])

    class Meta:
        ordering = ("priority", "-weight", "created_at", "id")

    def __str__(self) -> str:
        return f"{self.model} → {self.upstream}"

    def clean(self) -> None:
        """Refuse a second route of a model to the same upstream and remote name."""
        same = Route.objects.filter(model_id=self.model_id, upstream_id=self.upstream_id, remote_name=self.remote_name)
        if same.exclude(pk=self.pk).exists():
            raise _taken("The model already has a route to this upstream with the same remote name.")
