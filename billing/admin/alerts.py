"""Channels of alerts and what was sent, in the admin."""

# mypy: disable-error-code="untyped-decorator"
# Unfold has no types, and its decorators are everywhere here.

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.decorators import display
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldAdminPasswordWidget

from accounts.common.admin import ReadOnlyMixin, TableAdmin
from billing.alert_models import KINDS, AlertChannel, AlertDelivery, AlertKind
from billing.alerts import delivery

KIND_CHOICES = tuple((kind.value, kind.label) for kind in AlertKind if kind.value in KINDS)
STATES = {"Sent": "success", "Failed": "danger", "Waiting": "warning"}


class ChannelForm(forms.ModelForm):  # type: ignore[type-arg]  # generic for the type checker only; the admin names model and fields
    """A channel. Its address can be set and replaced, and is never shown."""

    url = forms.CharField(
        label="Address",
        required=False,
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}, render_value=False),
        help_text="For webhooks and Slack. Stored encrypted and never shown again.",
    )
    kinds = forms.MultipleChoiceField(choices=KIND_CHOICES, initial=list(KINDS), widget=UnfoldAdminCheckboxSelectMultipleWidget)

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if self.instance.url_encrypted and "url" in self.fields:
            self.fields["url"].widget.attrs["placeholder"] = "An address is stored; leave empty to keep it"

    def clean_url(self) -> str:
        """Encrypt the address, before the row is checked."""
        url: str = self.cleaned_data["url"]
        if url:
            try:
                delivery.set_url(self.instance, url)
            except ValueError as error:
                raise ValidationError(str(error)) from None
        return url


@admin.register(AlertChannel)
class AlertChannelAdmin(TableAdmin):
    """Where alerts are sent."""

    form = ChannelForm
    list_display = ("name", "transport", "about", "is_active")
    actions = ("send_test",)
    fieldsets = (
        ("Basics", {"fields": ("name", "transport", "recipients", "url", "is_active")}),
        ("Alerts", {"fields": ("kinds", "budget_thresholds", "error_percent", "days_before_expiry")}),
    )
    empty_title = "No channels"
    empty_text = "A channel sends alerts by e-mail or to a webhook: budgets, failing requests and upstreams, missing prices, expiring keys."

    @display(description="About")
    def about(self, row: AlertChannel) -> str:
        """The kinds of alerts."""
        return "everything" if set(row.kinds) == set(KINDS) else ", ".join(kind.replace("_", " ") for kind in row.kinds) or "nothing"

    @admin.action(description="Send a test", permissions=["change"])
    def send_test(self, request: HttpRequest, rows: QuerySet[AlertChannel]) -> None:
        """Send a test to each channel and show what came back."""
        for row in rows:
            result = delivery.send_test(row)
            show = messages.success if result.state == AlertDelivery.State.SENT else messages.error
            show(request, f"{row.name}: {result.response}")


@admin.register(AlertDelivery)
class AlertDeliveryAdmin(ReadOnlyMixin, TableAdmin):
    """What was sent, the newest first."""

    list_display = ("created_at", "title", "channel", "shown_state", "tries", "response")
    list_select_related = ("channel",)
    list_filter = ("state", "kind")
    fields = ("created_at", "channel", "kind", "subject", "period", "title", "text", "state", "tries", "next_try_at", "sent_at", "response")
    empty_title = "No alerts"
    empty_text = "Alerts appear here with what the receiver answered."

    @display(description="State", ordering="state", label=STATES)
    def shown_state(self, row: AlertDelivery) -> str:
        """How far it is."""
        return row.get_state_display()
