"""Tables of alerts: where they are sent, and what was sent with what came back."""

from __future__ import annotations

import uuid

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, validate_email
from django.db import models
from django.utils import timezone


class AlertKind(models.TextChoices):
    """What an alert is about."""

    BUDGET = "budget", "A budget reaches a threshold"
    ERROR_RATE = "error_rate", "Many requests fail"
    UPSTREAM_DOWN = "upstream_down", "An upstream fails its health check"
    UNPRICED_MODEL = "unpriced_model", "A model without a price is in use"
    JOURNAL_BACKLOG = "journal_backlog", "Requests wait to be written into the log"
    KEY_EXPIRING = "key_expiring", "A key is about to expire"
    TEST = "test", "A test"


KINDS: tuple[str, ...] = tuple(kind for kind in AlertKind.values if kind != AlertKind.TEST)
"""What a channel can be for."""


def every_kind() -> list[str]:
    """Default of `AlertChannel.kinds`. Migrations refer to it by name."""
    return list(KINDS)


def usual_thresholds() -> list[int]:
    """Default of `AlertChannel.budget_thresholds`. Migrations refer to it by name."""
    return [50, 80, 100]


def known_kinds(value: object) -> None:
    """Validator: the value is a list of kinds of alerts. Migrations refer to it by name."""
    if not isinstance(value, list) or not all(item in KINDS for item in value):
        raise ValidationError(f"Give a list of {', '.join(KINDS)}.")


def percentages(value: object) -> None:
    """Validator: the value is a list of whole percentages. Migrations refer to it by name."""
    if not isinstance(value, list) or not all(isinstance(item, int) and not isinstance(item, bool) and 1 <= item <= 1000 for item in value):
        raise ValidationError("Give a list of percentages from 1 to 1000, for example [50, 80, 100].")


class AlertChannel(models.Model):
    """An address to which alerts are sent."""

    class Transport(models.TextChoices):
        """How a channel is reached."""

        EMAIL = "email", "E-mail"
        WEBHOOK = "webhook", "Webhook"
        SLACK = "slack", "Slack, Mattermost and others that take Slack's form"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=200)
    transport = models.CharField(max_length=16, choices=Transport.choices)
    recipients = models.CharField(max_length=1000, blank=True, help_text="For e-mail: addresses, separated by commas.")
    url_encrypted = models.TextField(blank=True, editable=False)
    kinds = models.JSONField(default=every_kind, validators=[known_kinds], help_text="What it is for.")
    budget_thresholds = models.JSONField(
        default=usual_thresholds, validators=[percentages], help_text="Percentages of a budget, each told once in a period."
    )
    error_percent = models.PositiveIntegerField(
        default=20,
        validators=[MinValueValidator(1), MaxValueValidator(100)],
        help_text="Share of failed requests in 5 minutes, of 20 or more.",
    )
    days_before_expiry = models.PositiveIntegerField(
        default=7, validators=[MinValueValidator(1), MaxValueValidator(365)], help_text="Days before the end of a key."
    )
    is_active = models.BooleanField("active", default=True)
    created_at = models.DateTimeField(auto_now_add=True, editable=False)
    updated_at = models.DateTimeField(auto_now=True, editable=False)

    class Meta:
        verbose_name = "alert channel"
        ordering = ("name", "id")

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Raise ValidationError for a channel without an address."""
        if self.transport == self.Transport.EMAIL:
            addresses = self.addresses()
            if not addresses:
                raise ValidationError({"recipients": "Enter at least one e-mail address."})
            for address in addresses:
                try:
                    validate_email(address)
                except ValidationError:
                    raise ValidationError({"recipients": f"{address!r} is not an e-mail address."}) from None
        elif not self.url_encrypted:
            raise ValidationError("url: enter the address to which alerts are posted.")

    def addresses(self) -> list[str]:
        """The e-mail addresses."""
        return [address.strip() for address in self.recipients.split(",") if address.strip()]


class AlertDelivery(models.Model):
    """One alert to one channel: sent once for its subject and period, tried again while it fails."""

    class State(models.TextChoices):
        """How far it is."""

        PENDING = "pending", "Waiting"
        SENT = "sent", "Sent"
        FAILED = "failed", "Failed"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    channel = models.ForeignKey(AlertChannel, models.CASCADE, related_name="deliveries")
    kind = models.CharField(max_length=32, choices=AlertKind.choices)
    subject = models.CharField(max_length=300, help_text="What it is about: a budget, an upstream, a model, a key.")
    period = models.CharField(max_length=64, help_text="An alert of the same kind and subject is sent once in it.")
    title = models.CharField(max_length=300)
    text = models.TextField()
    state = models.CharField(max_length=16, choices=State.choices, default=State.PENDING)
    tries = models.PositiveIntegerField(default=0)
    next_try_at = models.DateTimeField(default=timezone.now)
    response = models.CharField(max_length=500, blank=True, help_text="What the last try brought.")
    created_at = models.DateTimeField(default=timezone.now)
    sent_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name, verbose_name_plural = "alert", "alerts sent"
        ordering = ("-created_at", "-id")
        constraints = (models.UniqueConstraint(fields=("channel", "kind", "subject", "period"), name="one_alert_by_period"),)
        indexes = (
            models.Index(fields=("state", "next_try_at"), name="alert_due"),
            models.Index(fields=("-created_at",), name="alert_newest"),
        )

    def __str__(self) -> str:
        return self.title
