"""Form fields that several admin pages use, and the forms of keys."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, NamedTuple

from django import forms
from django.db import models
from django.utils import timezone
from unfold.widgets import UnfoldAdminRadioSelectWidget, UnfoldAdminTextareaWidget

from accounts.common.model_fields import ip_ranges
from accounts.models import ManagementKey, Permission


class NamesField(forms.CharField):
    """A list of names, one per line."""

    def __init__(self, **options: Any) -> None:
        options = {"required": False, "widget": UnfoldAdminTextareaWidget(attrs={"rows": 3}), **options}
        super().__init__(**options)

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        """The list of non-empty lines without duplicates."""
        lines = value if isinstance(value, list) else str(value or "").splitlines()
        return list(dict.fromkeys(line.strip() for line in lines if line.strip()))

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Whether the lists differ, not their white space."""
        return bool(self.to_python(initial) != self.to_python(data))


class ModelAccess(models.TextChoices):
    """Which models a client key may use. ``allowed_models`` is then ``None``, a list, or an empty list."""

    ALL = "all", "Every model"
    LISTED = "listed", "The models listed below"
    NONE = "none", "No model"


class Preset(NamedTuple):
    """Values of a new key for a usual purpose; they fill fields that the form leaves empty."""

    title: str
    limits: Mapping[str, int]
    days: int | None = None


PRESETS: Mapping[str, Preset] = {
    "": Preset("None: only what is entered below", {}),
    "agent": Preset("A coding agent of one person: 120 requests a minute, 8 at once", {"rate_limit": 120, "concurrency_limit": 8}),
    "service": Preset("A service: 600 requests a minute, 64 at once", {"rate_limit": 600, "concurrency_limit": 64}),
    "ci": Preset("A CI job: 60 requests a minute, 4 at once, for 90 days", {"rate_limit": 60, "concurrency_limit": 4}, days=90),
    "trial": Preset(
        "A trial: 10 requests and 20,000 tokens a minute, 2 at once, for 7 days",
        {"rate_limit": 10, "token_limit": 20_000, "concurrency_limit": 2},
        days=7,
    ),
}
PRESET_CHOICES = tuple((name, preset.title) for name, preset in PRESETS.items())


class ApiKeyForm(forms.ModelForm):  # type: ignore[type-arg]  # generic for the type checker only; the admin names model and fields
    """A client key. A choice tells apart all models and no models, which an empty list could both mean."""

    preset = forms.ChoiceField(
        required=False,
        choices=PRESET_CHOICES,
        initial="",
        widget=UnfoldAdminRadioSelectWidget(choices=PRESET_CHOICES),
        help_text="Fills the limits and the end that are left empty.",
    )
    model_access = forms.ChoiceField(
        label="Allowed models",
        choices=ModelAccess.choices,
        initial=ModelAccess.ALL,
        widget=UnfoldAdminRadioSelectWidget(choices=ModelAccess.choices),
    )
    allowed_models = NamesField(label="Models", help_text="One name per line. * stands for any text: claude-*.")

    allowed_ips = NamesField(
        label="Allowed addresses", help_text="IP addresses and ranges of clients, one per line: 10.0.0.0/8. Empty: every address."
    )

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        allowed = self.instance.allowed_models
        if "name" in self.fields:  # users who may only view a key get a form without fields
            self.fields["name"].widget.attrs.setdefault("placeholder", "For example: Anna's laptop")
        self.initial["model_access"] = ModelAccess.ALL if allowed is None else ModelAccess.LISTED if allowed else ModelAccess.NONE

    def clean_allowed_ips(self) -> list[str] | None:
        """No address means every address."""
        ranges: list[str] = self.cleaned_data["allowed_ips"]
        ip_ranges(ranges)
        return ranges or None

    def clean(self) -> dict[str, Any]:
        """Set ``allowed_models`` from the choice and the list."""
        cleaned = super().clean() or self.cleaned_data
        access, names = cleaned.get("model_access"), cleaned.get("allowed_models")
        if access == ModelAccess.LISTED and not names:
            self.add_error("allowed_models", "List at least one model, or select another option above.")
        preset = PRESETS[cleaned.get("preset") or ""]
        for name, limit in preset.limits.items():
            if name in cleaned and cleaned[name] is None:
                cleaned[name] = limit
        if preset.days is not None and cleaned.get("expires_at") is None and "expires_at" in cleaned:
            cleaned["expires_at"] = timezone.now() + timedelta(days=preset.days)
        cleaned["allowed_models"] = {ModelAccess.ALL.value: None, ModelAccess.NONE.value: []}.get(str(access), names)
        return cleaned


GRACE_PERIODS = (("0", "It ends at once"), ("3600", "1 hour"), ("86400", "1 day"), ("604800", "1 week"), ("2592000", "30 days"))
"""Seconds for which an old key may stay valid, with their names."""


class RotationForm(forms.Form):
    """How a key is rotated."""

    grace = forms.TypedChoiceField(
        choices=GRACE_PERIODS, coerce=int, initial="86400", widget=UnfoldAdminRadioSelectWidget(choices=GRACE_PERIODS)
    )


ACCESS_CHOICES = ((Permission.READ.value, "Read"), (Permission.WRITE.value, "Read and write"))


class ManagementKeyForm(forms.ModelForm):  # type: ignore[type-arg]  # generic for the type checker only; the admin names model and fields
    """A management key."""

    access = forms.ChoiceField(
        label="Permissions",
        choices=ACCESS_CHOICES,
        initial=Permission.READ.value,
        widget=UnfoldAdminRadioSelectWidget(choices=ACCESS_CHOICES),
    )

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.initial["access"] = (Permission.WRITE if Permission.WRITE in self.instance.permissions else Permission.READ).value

    def save(self, commit: bool = True) -> ManagementKey:
        """Save the key with the permissions of ``access``: writing includes reading."""
        can_write = self.cleaned_data["access"] == Permission.WRITE
        self.instance.permissions = ["read", "write"] if can_write else ["read"]
        row: ManagementKey = super().save(commit)
        return row
