"""Where requests go: upstreams with their credentials, the models that clients name, and the routes between them."""

from __future__ import annotations

import re
import uuid
from typing import Any
from urllib.parse import urlsplit

import msgspec
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from simple_history.models import HistoricalRecords

from accounts.common.model_fields import ListField, NameField, ObjectField, json_object, strings
from accounts.models import Revised
from proxy.translation.dialects.lookup import PATH_ROOTS, TITLES, dialect_named
from proxy.translation.dialects.registry import DEFAULT
from proxy.translation.policies import model_policies
from proxy.translation.quirks import merged

SCHEMES = ("http", "https", "echo")
"""``echo`` is the built-in upstream that needs no network."""
OWN_PATHS = frozenset(
    {root.strip("/") for root in PATH_ROOTS}
    | {"api", "admin", "models", "health", "healthz", "status", "ready", "metrics", "static", "media", "ws", "docs"}
    | {"accounts", "login", "logout", "favicon.ico"}
)
"""First segments of pxbin's own paths: no prefix may begin with one."""
PREFIX_PATTERN = re.compile(r"(/[A-Za-z0-9._~-]+)+")
ONE_LINE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")
HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
SHORTEST_LIMIT, LONGEST_SECONDS = 0.001, 31_536_000
CAPABILITIES = frozenset({"images", "tools", "audio"})


class Strategy(models.TextChoices):
    """How the routes of a model are ordered."""

    PRIORITY = "priority", "Priority, then weight"
    WEIGHTED = "weighted", "Random by weight"
    LATENCY = "latency", "Fastest first token"
    COST = "cost", "Cheapest"
    ROUND_ROBIN = "round_robin", "Round robin"


def base_url(value: str) -> None:
    """Refuse a URL that no path can be joined to."""
    try:
        parts = urlsplit(value)
        usable = value.isprintable() and parts.scheme in SCHEMES and bool(parts.hostname) and parts.port != 0
    except ValueError:  # urlsplit's word for a broken port or IPv6 address
        usable = False
    if not usable:
        raise ValidationError("Give an address that begins with http:// or https://, for example https://api.openai.com/v1.")
    if parts.query or parts.fragment or "@" in parts.netloc:
        raise ValidationError("The address must not hold credentials, a query or a fragment.")
    gap = re.search(r"\{(\w+)\}", value)
    if gap:
        raise ValidationError(f"Give {value}, with your {gap[1]}'s name.")


def dialect(value: str) -> None:
    """Refuse a dialect that the gateway does not speak. The database has no choices: a new dialect needs no migration."""
    if value not in TITLES:
        raise ValidationError(f"Value {value!r} is not a valid choice.", code="invalid_choice")


def path_prefix(value: str) -> None:
    """Refuse a prefix that is malformed or hides one of pxbin's own paths."""
    if not PREFIX_PATTERN.fullmatch(value):
        raise ValidationError("A path prefix begins with / and does not end with one, for example /team-a.")
    if any(segment in (".", "..") for segment in value.split("/")):
        raise ValidationError("A path prefix has no . and .. in it: clients leave such parts out before they ask.")
    if value.split("/")[1].lower() in OWN_PATHS:
        raise ValidationError(f"{value} is one of pxbin's own paths; choose another prefix.")


def quirks(value: object) -> None:
    """Refuse quirks that do not exist or have a value of the wrong kind, naming the field."""
    json_object(value)
    try:
        merged(value)  # type: ignore[arg-type]
    except msgspec.ValidationError as error:
        raise ValidationError(f"Not a quirk: {error}.") from error


def header_fields(value: object) -> None:
    """Refuse anything but an object of header names and one-line values."""
    json_object(value)
    assert isinstance(value, dict)
    for name, text in value.items():
        if not HEADER_NAME.fullmatch(name) or not isinstance(text, str) or not ONE_LINE.fullmatch(text):
            raise ValidationError(f"{name!r} is not a header with a value of one line of text.")


def header_value(value: str) -> None:
    """Refuse what no header can carry."""
    if not ONE_LINE.fullmatch(value):
        raise ValidationError("This has to be one line of text.")


def header_name(value: str) -> None:
    """Refuse what cannot be the name of an HTTP header."""
    if not HEADER_NAME.fullmatch(value):
        raise ValidationError("Not the name of an HTTP header.")


def capabilities(value: object) -> None:
    """Refuse anything but an object of known capabilities and booleans."""
    json_object(value)
    assert isinstance(value, dict)
    if set(value) - CAPABILITIES or not all(isinstance(able, bool) for able in value.values()):
        raise ValidationError("Capabilities are images, tools and audio, each true or false.")


def replacements(value: object) -> None:
    """Refuse anything but an object that maps old texts to new ones."""
    json_object(value)
    assert isinstance(value, dict)
    if not all(old and isinstance(new, str) for old, new in value.items()):
        raise ValidationError("Give a JSON object that maps each old text to its new text.")


def seconds(value: float) -> None:
    """Refuse what is no time, also what is no number at all, and what no clock can add."""
    if not 0 <= value <= LONGEST_SECONDS:
        raise ValidationError(f"Give seconds from 0 to {LONGEST_SECONDS} (a year).")


def some_seconds(value: float) -> None:
    """The same for time limits: with 0 nothing could ever be in time."""
    if not SHORTEST_LIMIT <= value <= LONGEST_SECONDS:
        raise ValidationError(f"Give seconds from {SHORTEST_LIMIT} to {LONGEST_SECONDS} (a year).")


def cooldown_seconds() -> float:
    """The cooldown of new upstreams, however they are made: ``PXBIN_KEY_COOLDOWN_SECONDS``."""
    return float(settings.PXBIN.key_cooldown_seconds)


def max_retries() -> int:
    """The same for repeats after the first attempt: ``PXBIN_RETRY_MAX_ATTEMPTS`` counts that one, too."""
    return int(settings.PXBIN.retry_max_attempts) - 1


def retry_base_delay_ms() -> int:
    """The same for the pause before the first repeat: ``PXBIN_RETRY_BASE_DELAY_MS``."""
    return int(settings.PXBIN.retry_base_delay_ms)


class Upstream(Revised):
    """A provider's endpoint: one address, one protocol, one kind of authentication."""

    revision = "catalogue"
    unrevised = frozenset({"resting_until", "answered_at", "tested_at", "test_error", "check_claimed_at", "discovery_claimed_at"})

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = NameField(max_length=200, unique=True, error_messages={"unique": "An upstream of this name exists already."})
    base_url = models.CharField(
        "base URL",
        max_length=500,
        blank=True,
        validators=[base_url],
        help_text="For example https://api.openai.com/v1. Where it does not end in /v1 (or another version), /v1 is added.",
    )
    dialect = models.CharField("API format", max_length=32, validators=[dialect], default=DEFAULT.name)
    region = models.CharField(max_length=64, blank=True, help_text="AWS region (Bedrock only).")
    is_active = models.BooleanField("active", default=True)
    priority = models.IntegerField(default=0, help_text="A lower number is preferred.")
    auth_header = models.CharField(
        max_length=100, blank=True, validators=[header_name], help_text="Header that carries the key. Empty: the protocol's own."
    )
    auth_scheme = models.CharField(
        max_length=50,
        blank=True,
        validators=[header_value],
        help_text="Word before the key, such as Bearer. Empty beside an auth header: none.",
    )
    extra_headers = ObjectField(validators=[header_fields], help_text="Sent with every request, as a JSON object. Not for secrets.")
    connect_timeout_seconds = models.FloatField(default=10.0, validators=[some_seconds])
    first_byte_timeout_seconds = models.FloatField(default=300.0, validators=[some_seconds], help_text="Until the answer begins.")
    idle_timeout_seconds = models.FloatField(default=120.0, validators=[some_seconds], help_text="Between two pieces of an answer.")
    max_retries = models.PositiveSmallIntegerField(default=max_retries, help_text="Repeats after 429, 503 and failed connections.")
    retry_base_delay_ms = models.PositiveIntegerField("retry base delay (ms)", default=retry_base_delay_ms)
    cooldown_seconds = models.FloatField(
        default=cooldown_seconds, validators=[seconds], help_text="How long a failing key rests. 0: not at all."
    )
    pass_client_credentials = models.BooleanField(
        "pass the client's key on", default=False, help_text="Forward the client's own key instead of ours."
    )
    test_model = models.CharField(max_length=200, blank=True, help_text="The model that health checks call, under the upstream's name.")
    quirks = ObjectField(validators=[quirks], help_text="What this endpoint does differently, as JSON.")
    capabilities = ObjectField(
        validators=[capabilities],
        help_text='What it cannot do: {"images": false, "tools": false, "audio": false}.',
    )
    resting_until = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="How long its circuit breaker, or a cooldown of the whole upstream, keeps it back."
    )
    recovered_at = models.DateTimeField(null=True, blank=True, editable=False, help_text="When a check last ended such a rest.")

    answered_at = models.DateTimeField(null=True, blank=True, editable=False, help_text="When it last answered a request.")
    tested_at = models.DateTimeField(null=True, blank=True, editable=False, help_text="When a check last called it.")
    test_error = models.TextField(blank=True, editable=False, help_text="What was the matter then; empty: it was well.")

    check_claimed_at = models.DateTimeField(null=True, blank=True, editable=False, help_text="When beat last had it checked.")
    discovery_claimed_at = models.DateTimeField(null=True, blank=True, editable=False, help_text="When beat last asked for its models.")

    history = HistoricalRecords(excluded_fields=["recovered_at", *unrevised])

    class Meta:
        ordering = ("priority", "name")

    def __str__(self) -> str:
        return str(self.name)

    def clean(self) -> None:
        """Refuse an upstream that has no address."""
        has_regions = bool(dialect_named(self.dialect).upstream.regional_base_url)
        if not self.base_url and not (has_regions and self.region):
            if has_regions:
                raise ValidationError({"region": "Give a region, for example us-east-1."})
            raise ValidationError({"base_url": "An upstream needs a base URL."})


class UpstreamCredential(Revised):
    """One key of an upstream's account, encrypted by :mod:`upstreams.secrets.vault`."""

    revision = "catalogue"
    unrevised = frozenset({"cooling_until", "last_used_at"})

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    upstream = models.ForeignKey(Upstream, models.CASCADE, related_name="credentials")
    name = models.CharField(max_length=200, blank=True)
    secret_encrypted = models.TextField(blank=True, editable=False)
    access_key_id = models.CharField(
        "access key id", max_length=200, blank=True, validators=[header_value], help_text="AWS access key id (Bedrock only)."
    )
    priority = models.IntegerField(default=0, help_text="A lower number is preferred.")
    is_active = models.BooleanField("active", default=True)
    disabled_reason = models.TextField(blank=True, editable=False)
    cooling_until = models.DateTimeField(null=True, blank=True, editable=False)
    recovered_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="When an admin or a check last said that it works again."
    )
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)

    history = HistoricalRecords(excluded_fields=["secret_encrypted", "cooling_until", "recovered_at", "last_used_at"])

    class Meta:
        verbose_name = "upstream key"
        ordering = ("priority", "created_at", "id")

    def __str__(self) -> str:
        return self.name or f"key {str(self.pk)[:8]}"


class Model(Revised):
    """A name that clients may ask for, or a pattern of names, and how requests for it are treated."""

    revision = "catalogue"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = NameField(max_length=200, help_text="What clients ask for. * stands for anything: claude-*haiku*.")
    path_prefix = models.CharField(
        max_length=200, blank=True, validators=[path_prefix], help_text="Reached only below this path, such as /team-a. Empty: below /v1."
    )
    display_name = models.CharField(max_length=200, null=True, blank=True)
    provider = models.CharField(max_length=100, blank=True, help_text="Shown as the owner in lists of models.")
    aliases = ListField(validators=[strings], help_text="Other names for the same model; * allowed.")
    context_window = models.PositiveIntegerField(null=True, blank=True, help_text="Tokens.")
    max_output_tokens = models.PositiveIntegerField(null=True, blank=True, help_text="Tokens.")
    is_active = models.BooleanField("active", default=True)

    strategy = models.CharField(max_length=16, choices=Strategy.choices, default=Strategy.PRIORITY)
    fallbacks = ListField(validators=[strings], help_text="Names of models that answer when no route of this one can.")
    timeout_seconds = models.FloatField(
        null=True, blank=True, validators=[some_seconds], help_text="Total time of a request. Empty: no limit."
    )
    cooldown_seconds = models.FloatField(null=True, blank=True, validators=[seconds], help_text="Instead of the upstream's.")
    hedge_after_ms = models.PositiveIntegerField(
        "hedge after (ms)", null=True, blank=True, help_text="Start a second route if the first is silent for so long. Empty: never."
    )
    allow_anonymous = models.BooleanField(default=False, help_text="Needs no pxbin key (the client brings the upstream's own).")

    max_tokens_default = models.PositiveIntegerField(null=True, blank=True, validators=[MinValueValidator(1)])
    max_tokens_cap = models.PositiveIntegerField(null=True, blank=True, validators=[MinValueValidator(1)])
    temperature = models.FloatField(
        null=True, blank=True, validators=[MinValueValidator(0.0), MaxValueValidator(2.0)], help_text="Overrides the client's."
    )
    system_replacements = ObjectField(validators=[replacements], help_text="Texts replaced in the system prompt: {old: new}.")
    system_append = models.TextField(blank=True, help_text="Added after the system prompt.")
    inject_progress = models.BooleanField(default=False, help_text="Add a short summary of the session to the last user turn.")
    body_defaults = ObjectField(validators=[json_object], help_text="Fields set where the client left them out.")
    body_extensions = ObjectField(validators=[json_object], help_text="Fields merged into every request.")
    tool_enforcement = ObjectField(validators=[json_object], help_text="Insist on tool calls; see the manual.")
    repair_tool_history = models.BooleanField(default=True, help_text="Mend tool calls without results in the conversation.")
    buffer_tool_calls = models.BooleanField(default=False, help_text="Send each tool call when it is complete.")
    smooth_streaming = models.BooleanField(default=False, help_text="Send long pieces of a stream in small ones.")
    quirks = ObjectField(validators=[quirks], help_text="Overrides the upstream's quirks, as JSON.")

    history = HistoricalRecords()

    class Meta:
        ordering = ("path_prefix", "name")
        constraints = (
            models.UniqueConstraint(
                fields=("path_prefix", "name"),
                name="unique_model_name",
                violation_error_code="unique",
                violation_error_message="A model of this name exists already.",
            ),
        )

    def __str__(self) -> str:
        return f"{self.path_prefix}/{self.name}" if self.path_prefix else self.name

    @property
    def policy_fields(self) -> dict[str, Any]:
        """The fields that :mod:`proxy.translation.policies.model_policies` reads."""
        return {name: getattr(self, name) for name in model_policies.FIELDS}

    def clean(self) -> None:
        """Refuse policies that make no sense, and names that already mean another model under the same prefix."""
        problems = model_policies.problems(self.policy_fields)
        if problems:
            raise ValidationError(problems)
        taken: dict[str, str] = {}
        for name, aliases in Model.objects.filter(path_prefix=self.path_prefix).exclude(pk=self.pk).values_list("name", "aliases"):
            taken.update(dict.fromkeys((name, *aliases), name))
        if self.name in taken and taken[self.name] != self.name:  # an equal name is the constraint's business
            raise ValidationError({"name": _taken(f"{self.name} is already an alias of {taken[self.name]}.")})
        aliases = self.aliases if isinstance(self.aliases, list) else []
        for alias in aliases:
            if alias == self.name or aliases.count(alias) > 1:
                raise ValidationError({"aliases": f"{alias} is given twice."})
            if alias in taken:
                raise ValidationError({"aliases": _taken(f"{alias} already means the model {taken[alias]}.")})


def _taken(message: str) -> ValidationError:
    return ValidationError(message, code="unique")


class Route(Revised):
    """One way to serve a model: an upstream and the model's name there."""

    revision = "catalogue"
    unrevised = frozenset({"vanished_at"})

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    model = models.ForeignKey(Model, models.CASCADE, related_name="routes")
    upstream = models.ForeignKey(Upstream, models.CASCADE, related_name="routes")
    remote_name = models.CharField(
        max_length=500,
        blank=True,
        help_text="The upstream's name. Empty: the client's. The n-th * takes what the n-th * of the name matched.",
    )
    priority = models.IntegerField(default=0, help_text="A lower number is preferred.")
    weight = models.PositiveIntegerField(default=1, help_text="Share among routes of equal priority.")
    is_active = models.BooleanField("active", default=True)
    context_window = models.PositiveIntegerField(null=True, blank=True, help_text="Tokens, where this upstream offers another window.")
    capabilities = ObjectField(validators=[capabilities], help_text="Overrides the upstream's.")
    listed_context_window = models.PositiveIntegerField(null=True, blank=True, editable=False, help_text="What the upstream itself says.")
    vanished_at = models.DateTimeField(null=True, blank=True, editable=False, help_text="When the upstream stopped listing the model.")

    history = HistoricalRecords(excluded_fields=["listed_context_window", "vanished_at"])

    class Meta:
        ordering = ("priority", "-weight", "created_at", "id")

    def __str__(self) -> str:
        return f"{self.model} → {self.upstream}"

    def clean(self) -> None:
        """Refuse a route that leads the same way as another one: requests would go there twice."""
        same = Route.objects.filter(model_id=self.model_id, upstream_id=self.upstream_id, remote_name=self.remote_name)
        if same.exclude(pk=self.pk).exists():
            raise _taken("The model has a route to this upstream already, under the same name there.")
