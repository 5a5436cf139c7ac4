"""The forms of upstreams, credentials, models and routes: what a person is asked, and in which words."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from django import forms
from django.core.exceptions import ValidationError
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminPasswordWidget,
    UnfoldAdminRadioSelectWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldBooleanSwitchWidget,
)

from accounts.forms import NamesField
from proxy.translation import quirks
from proxy.translation.dialects.lookup import TITLES, dialect_named
from proxy.translation.policies import tool_call_rules
from upstreams.api.explained import explained
from upstreams.http import auth_headers
from upstreams.models import CAPABILITIES, Route, UpstreamCredential, header_fields, header_value
from upstreams.presets import PRESETS, filled

EXAMPLES = {
    "quirks": '{"max_tokens_field": "max_tokens"}',
    "system_replacements": '{"old text": "new text"}',
    "body_defaults": '{"top_p": 0.9}',
    "body_extensions": '{"provider": {"sort": "throughput"}}',
    "tool_enforcement": '{"enabled": true, "max_retries": 3}',
}
"""What boxes for JSON show while they are empty."""


class HeadersField(forms.CharField):
    """Header fields, one on each line: ``Name: value``."""

    def __init__(self, **options: Any) -> None:
        widget = UnfoldAdminTextareaWidget(attrs={"rows": 3, "placeholder": "X-Team: research", "spellcheck": "false"})
        super().__init__(**{"required": False, "widget": widget, **options})

    def prepare_value(self, value: Any) -> Any:
        """The lines of an object."""
        return "\n".join(f"{name}: {text}" for name, text in value.items()) if isinstance(value, dict) else value

    def to_python(self, value: Any) -> Any:
        """The object of the lines; raises ``ValidationError`` naming the line."""
        fields = {}
        for line in str(value or "").splitlines():
            name, colon, text = line.partition(":")
            if not line.strip():
                continue
            if not colon:
                raise ValidationError(f"“{line.strip()}” is not a header: write Name: value.")
            fields[name.strip()] = text.strip()
        header_fields(fields)
        return fields

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Whether the fields differ, however they are written."""
        try:
            return bool(self.to_python(data) != (initial or {}))
        except ValidationError:
            return True


def _show_examples(form: forms.ModelForm[Any]) -> None:
    for name, example in EXAMPLES.items():
        if name in form.fields:
            form.fields[name].widget.attrs.setdefault("placeholder", example)
    if "system_append" in form.fields:
        form.fields["system_append"].widget.attrs["rows"] = 3


class UpstreamForm(forms.ModelForm):  # type: ignore[type-arg]  # generic for the type checker only; the admin names model and fields
    """An upstream; a preset fills in what is left empty."""

    preset = forms.ChoiceField(
        label="Well-known endpoint",
        required=False,
        choices=[("", "Another one"), *((preset.name, preset.title) for preset in PRESETS.values())],
        widget=UnfoldAdminSelectWidget,
        help_text=" ".join(
            (
                "Sets the protocol, and fills in the address and the peculiarities that you leave empty.",
                *(f"{preset.title}: {preset.note}" for preset in PRESETS.values() if preset.note),
            )
        ),
    )
    dialect = forms.ChoiceField(label="API format", choices=list(TITLES.items()), widget=UnfoldAdminSelectWidget)
    extra_headers = HeadersField(help_text="Sent with every request, one on each line. Not for secrets.")
    takes_images = forms.BooleanField(label="Takes images", required=False, initial=True, widget=UnfoldBooleanSwitchWidget)
    takes_tools = forms.BooleanField(label="Takes tools", required=False, initial=True, widget=UnfoldBooleanSwitchWidget)
    takes_audio = forms.BooleanField(label="Takes audio", required=False, initial=True, widget=UnfoldBooleanSwitchWidget)

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        _show_examples(self)
        for name in CAPABILITIES:
            self.initial[f"takes_{name}"] = self.instance.capabilities.get(name) is not False
        addresses = json.dumps({preset.name: preset.base_url for preset in PRESETS.values()})
        self.fields["preset"].widget.attrs["data-addresses"] = addresses
        if "quirks" in self.fields:
            self.fields["quirks"].help_text = explained("What this endpoint does differently, as JSON.", quirks.Quirks)

    def clean(self) -> dict[str, Any]:
        """The fields, with those of the preset."""
        super().clean()
        preset = PRESETS.get(self.cleaned_data.pop("preset", ""))
        if preset is not None:
            given = {name: value for name, value in self.cleaned_data.items() if name != "dialect"}
            self.cleaned_data |= filled(preset, given)
            if not dialect_named(preset.dialect).upstream.regional_base_url:  # a region is enough for those
                self.cleaned_data["base_url"] = self.cleaned_data.get("base_url") or preset.base_url
        known = {name: able for name, able in self.instance.capabilities.items() if name not in CAPABILITIES or able}
        refused = {name: False for name in sorted(CAPABILITIES) if not self.cleaned_data.get(f"takes_{name}")}
        self.instance.capabilities = {name: able for name, able in known.items() if name not in refused} | refused
        return self.cleaned_data


class CredentialForm(forms.ModelForm):  # type: ignore[type-arg]  # generic for the type checker only; the admin names model and fields
    """A credential whose secret can be set and replaced, and never read."""

    secret = forms.CharField(
        label="API key",
        required=False,
        strip=True,
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}, render_value=False),
        help_text="Stored encrypted, and shown to nobody again.",
    )

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.initial.setdefault("name", "default")
        if self.instance.secret_encrypted:
            self.fields["secret"].widget.attrs["placeholder"] = "A key is stored; leave this empty to keep it"

    def clean_secret(self) -> str:
        """A new credential needs one."""
        secret: str = self.cleaned_data["secret"]
        if not secret and not self.instance.secret_encrypted:
            raise ValidationError("Give the key.")
        header_value(secret)
        return secret

    def save(self, commit: bool = True) -> UpstreamCredential:
        """The row with the secret encrypted."""
        if self.cleaned_data["secret"]:
            auth_headers.set_secret(self.instance, self.cleaned_data["secret"])
        row: UpstreamCredential = super().save(commit)
        return row


class ModelForm(forms.ModelForm):  # type: ignore[type-arg]  # generic for the type checker only; the admin names model and fields
    """A model, its lists written one name on each line."""

    aliases = NamesField(help_text="Other names for the same model, one on each line; * stands for anything.")
    fallbacks = NamesField(help_text="Names of models that answer when no route of this one can, one on each line, the first one first.")

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        _show_examples(self)
        shapes: dict[str, type[msgspec.Struct]] = {"quirks": quirks.Quirks, "tool_enforcement": tool_call_rules.Rules}
        for name, shape in shapes.items():
            if name in self.fields:
                self.fields[name].help_text = explained(str(self.fields[name].help_text), shape)


ABLE = (("", "As the upstream"), ("yes", "Yes"), ("no", "No"))


def _able(label: str) -> forms.ChoiceField:
    return forms.ChoiceField(label=label, required=False, choices=ABLE, widget=UnfoldAdminSelectWidget)


class RouteForm(forms.ModelForm):  # type: ignore[type-arg]  # generic for the type checker only; the admin names model and fields
    """A route; what it can take is asked in words."""

    takes_images = _able("Takes images")
    takes_tools = _able("Takes tools")
    takes_audio = _able("Takes audio")

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        words = {None: "", True: "yes", False: "no"}
        for name in CAPABILITIES:
            self.initial[f"takes_{name}"] = words[self.instance.capabilities.get(name)]

    def clean(self) -> dict[str, Any]:
        """Put the answers together."""
        cleaned = super().clean() or self.cleaned_data
        answers = {name: cleaned.get(f"takes_{name}") for name in sorted(CAPABILITIES)}
        route: Route = self.instance
        route.capabilities = {name: answer == "yes" for name, answer in answers.items() if answer}
        return cleaned


class RouteRowForm(forms.ModelForm):  # type: ignore[type-arg]  # generic for the type checker only; the admin names model and fields
    """A route as a row of a table, whose fields are named for those who cannot see the heads of its columns."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        for field in self.fields.values():
            field.widget.attrs["aria-label"] = field.label


PLACES = (
    ("behind", "As a fallback: behind the routes that a model has already"),
    ("beside", "Side by side: requests are shared with its first route"),
)


class ImportForm(forms.Form):
    """Which of the models that an upstream lists become models here, and which existing ones get a second route."""

    names = forms.MultipleChoiceField(label="New models", widget=UnfoldAdminCheckboxSelectMultipleWidget, required=False)
    joins = forms.MultipleChoiceField(
        label="Models that exist here already", widget=UnfoldAdminCheckboxSelectMultipleWidget, required=False
    )
    place = forms.ChoiceField(
        label="Add these routes", choices=PLACES, initial="behind", required=False, widget=UnfoldAdminRadioSelectWidget(choices=PLACES)
    )

    def __init__(self, *args: Any, names: list[tuple[str, str]], joins: list[tuple[str, str]], **options: Any) -> None:
        super().__init__(*args, **options)
        for name, choices in (("names", names), ("joins", joins)):
            field = self.fields[name]
            assert isinstance(field, forms.MultipleChoiceField)
            field.choices = choices

    def clean(self) -> dict[str, Any]:
        """Something has to be chosen."""
        cleaned = super().clean() or self.cleaned_data
        if not self.errors and not cleaned["names"] and not cleaned["joins"]:
            raise ValidationError("Choose at least one model.")
        return {**cleaned, "place": cleaned.get("place") or "behind"}
