"""The forms of upstreams, credentials and models."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldAdminPasswordWidget, UnfoldAdminSelectWidget

from accounts.forms import NamesField
from proxy.presets import PRESETS, filled
from upstreams import credentials
from upstreams.models import UpstreamCredential


class UpstreamForm(forms.ModelForm):  # type: ignore[type-arg]  # generic for the type checker only; the admin names model and fields
    """An upstream; a preset fills in what is left empty."""

    preset = forms.ChoiceField(
        required=False,
        choices=[("", "none"), *((preset.name, preset.title) for preset in PRESETS.values())],
        widget=UnfoldAdminSelectWidget,
        help_text="A well-known endpoint: sets the dialect, and fills in the address and the peculiarities that you leave empty.",
    )

    def clean(self) -> dict[str, Any]:
        """The fields, with those of the preset."""
        super().clean()
        preset = PRESETS.get(self.cleaned_data.pop("preset", ""))
        if preset is not None:
            given = {name: value for name, value in self.cleaned_data.items() if name != "dialect"}
            self.cleaned_data |= filled(preset, given)
        return self.cleaned_data


class CredentialForm(forms.ModelForm):  # type: ignore[type-arg]  # generic for the type checker only; the admin names model and fields
    """A credential whose secret can be set and replaced, and never read."""

    secret = forms.CharField(
        label="API key",
        required=False,
        strip=True,
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}, render_value=False),
        help_text="Stored encrypted. Leave empty to keep the one that is set.",
    )

    def clean_secret(self) -> str:
        """A new credential needs one."""
        secret: str = self.cleaned_data["secret"]
        if not secret and not self.instance.secret_encrypted:
            raise ValidationError("Give the key.")
        return secret

    def save(self, commit: bool = True) -> UpstreamCredential:
        """The row with the secret encrypted."""
        if self.cleaned_data["secret"]:
            credentials.set_secret(self.instance, self.cleaned_data["secret"])
        row: UpstreamCredential = super().save(commit)
        return row


class ModelForm(forms.ModelForm):  # type: ignore[type-arg]  # generic for the type checker only; the admin names model and fields
    """A model, its lists written one name on each line."""

    aliases = NamesField(help_text="Other names for the same model, one on each line; * stands for anything.")
    fallbacks = NamesField(help_text="Names of models that answer when no route of this one can, one on each line, the first one first.")


class ImportForm(forms.Form):
    """Which of the models that an upstream lists become models here."""

    names = forms.MultipleChoiceField(label="Models", widget=UnfoldAdminCheckboxSelectMultipleWidget, required=True)

    def __init__(self, *args: Any, choices: list[tuple[str, str]], **options: Any) -> None:
        super().__init__(*args, **options)
        field = self.fields["names"]
        assert isinstance(field, forms.MultipleChoiceField)
        field.choices = choices
