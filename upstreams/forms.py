"""The forms of upstreams, credentials, models and routes in the admin."""

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

from accounts.common.struct_help import with_fields
from accounts.forms import NamesField
from proxy.translation import quirks
from proxy.translation.dialects.lookup import TITLES, dialect_named
from proxy.translation.policies import tool_call_rules
from upstreams.models import Route, UpstreamCredential
from upstreams.presets import PRESETS, merge_preset
from upstreams.secrets import store
from upstreams.validators import CAPABILITIES, header_fields, header_value

EXAMPLES = {
    "quirks": '{"max_tokens_field": "max_tokens"}',
    "system_replacements": '{"old text": "new text"}',
    "body_defaults": '{"top_p": 0.9}',
    "body_extensions": '{"provider": {"sort": "throughput"}}',
    "tool_enforcement": '{"enabled": true, "max_retries": 3}',
}
"""The placeholders of empty JSON fields."""


class HeadersField(forms.CharField):
    """An object of header names and values, entered as lines ``Name: value``."""

    def __init__(self, **options: Any) -> None:
        widget = UnfoldAdminTextareaWidget(attrs={"rows": 3, "placeholder": "X-Team: research", "spellcheck": "false"})
        super().__init__(**{"required": False, "widget": widget, **options})

    def prepare_value(self, value: Any) -> Any:
        """The lines to show for an object."""
        return "\n".join(f"{name}: {text}" for name, text in value.items()) if isinstance(value, dict) else value

    def to_python(self, value: Any) -> Any:
        """The object of the lines. Raises ``ValidationError`` with the invalid line."""
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
        """Whether the headers differ, regardless of white space."""
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
    """An upstream. A preset fills in empty fields, and sets the API format."""

    preset = forms.ChoiceField(
        label="Preset",
        required=False,
        choices=[("", "None"), *((preset.name, preset.title) for preset in PRESETS.values())],
        widget=UnfoldAdminSelectWidget,
        help_text=" ".join(
            (
                "Sets the API format, and fills in the base URL and the quirks if you leave them empty.",
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
            self.fields["quirks"].help_text = with_fields("Deviations of this upstream from its API format, as JSON.", quirks.Quirks)

    def clean(self) -> dict[str, Any]:
        """The values with those of the preset."""
        super().clean()
        preset = PRESETS.get(self.cleaned_data.pop("preset", ""))
        if preset is not None:
            self.instance.preset = preset.name
            entered = {name: value for name, value in self.cleaned_data.items() if name != "dialect"}
            self.cleaned_data |= merge_preset(preset, entered)
            if not dialect_named(preset.dialect).upstream.regional_base_url:  # a region is enough for the others
                self.cleaned_data["base_url"] = self.cleaned_data.get("base_url") or preset.base_url
        stored = {name: flag for name, flag in self.instance.capabilities.items() if name not in CAPABILITIES or flag}
        missing = {name: False for name in sorted(CAPABILITIES) if not self.cleaned_data.get(f"takes_{name}")}
        self.instance.capabilities = {name: flag for name, flag in stored.items() if name not in missing} | missing
        return self.cleaned_data


class CredentialForm(forms.ModelForm):  # type: ignore[type-arg]  # generic for the type checker only; the admin names model and fields
    """A credential. Its secret can be set and replaced, and is never shown."""

    secret = forms.CharField(
        label="API key",
        required=False,
        strip=True,
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}, render_value=False),
        help_text="Stored encrypted and never shown again.",
    )

    session_token = forms.CharField(
        required=False,
        strip=True,
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}, render_value=False),
        help_text="Of temporary AWS credentials; entered together with the key.",
    )

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.initial.setdefault("name", "default")
        if self.instance.secret_encrypted:
            self.fields["secret"].widget.attrs["placeholder"] = "A key is stored; leave empty to keep it"

    def clean_secret(self) -> str:
        """Require a secret for a new credential."""
        secret: str = self.cleaned_data["secret"]
        if not secret and not self.instance.secret_encrypted:
            raise ValidationError("Enter the key.")
        header_value(secret)
        return secret

    def clean_session_token(self) -> str:
        """Require the secret that the token belongs to."""
        token: str = self.cleaned_data["session_token"]
        if token and not self.cleaned_data.get("secret"):
            raise ValidationError("Enter the key, too: it belongs to the token.")
        header_value(token)
        return token

    def save(self, commit: bool = True) -> UpstreamCredential:
        """Save the row with the encrypted secret."""
        if self.cleaned_data["secret"]:
            store.set_secret(self.instance, self.cleaned_data["secret"], session_token=self.cleaned_data["session_token"])
        row: UpstreamCredential = super().save(commit)
        return row


class ModelForm(forms.ModelForm):  # type: ignore[type-arg]  # generic for the type checker only; the admin names model and fields
    """A model; lists of names are entered one name per line."""

    aliases = NamesField(help_text="Other names of the model, one per line; * stands for any text.")
    fallbacks = NamesField(help_text="Names of models that are tried in this order when all routes of this one have failed, one per line.")

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        _show_examples(self)
        structs: dict[str, type[msgspec.Struct]] = {"quirks": quirks.Quirks, "tool_enforcement": tool_call_rules.Rules}
        for name, struct in structs.items():
            if name in self.fields:
                self.fields[name].help_text = with_fields(str(self.fields[name].help_text), struct)


OVERRIDES = (("", "As the upstream"), ("yes", "Yes"), ("no", "No"))


def _override(label: str) -> forms.ChoiceField:
    return forms.ChoiceField(label=label, required=False, choices=OVERRIDES, widget=UnfoldAdminSelectWidget)


class RouteForm(forms.ModelForm):  # type: ignore[type-arg]  # generic for the type checker only; the admin names model and fields
    """A route; each capability is the upstream's, or overrides it."""

    takes_images = _override("Takes images")
    takes_tools = _override("Takes tools")
    takes_audio = _override("Takes audio")

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        choices = {None: "", True: "yes", False: "no"}
        for name in CAPABILITIES:
            self.initial[f"takes_{name}"] = choices[self.instance.capabilities.get(name)]

    def clean(self) -> dict[str, Any]:
        """Store the capabilities that override the upstream's."""
        cleaned = super().clean() or self.cleaned_data
        choices = {name: cleaned.get(f"takes_{name}") for name in sorted(CAPABILITIES)}
        route: Route = self.instance
        route.capabilities = {name: choice == "yes" for name, choice in choices.items() if choice}
        return cleaned


class RouteRowForm(forms.ModelForm):  # type: ignore[type-arg]  # generic for the type checker only; the admin names model and fields
    """A route as a table row; screen readers get the labels that others see as column headings."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        for field in self.fields.values():
            widget: Any = getattr(field.widget, "widget", field.widget)  # the select inside of Django's wrapper with links
            widget.attrs["aria-label"] = field.label


PLACES = (
    ("behind", "As a fallback: after the existing routes of a model"),
    ("beside", "In parallel: requests are shared with its first route"),
)


class ImportForm(forms.Form):
    """The listed models to import (``names``), and the existing models that get another route (``routes``)."""

    names = forms.MultipleChoiceField(label="New models", widget=UnfoldAdminCheckboxSelectMultipleWidget, required=False)
    routes = forms.MultipleChoiceField(label="Existing models", widget=UnfoldAdminCheckboxSelectMultipleWidget, required=False)
    place = forms.ChoiceField(
        label="Add these routes", choices=PLACES, initial="behind", required=False, widget=UnfoldAdminRadioSelectWidget(choices=PLACES)
    )

    def __init__(self, *args: Any, names: list[tuple[str, str]], routes: list[tuple[str, str]], **options: Any) -> None:
        super().__init__(*args, **options)
        for name, choices in (("names", names), ("routes", routes)):
            field = self.fields[name]
            assert isinstance(field, forms.MultipleChoiceField)
            field.choices = choices

    def clean(self) -> dict[str, Any]:
        """Require a selection."""
        cleaned = super().clean() or self.cleaned_data
        if not self.errors and not cleaned["names"] and not cleaned["routes"]:
            raise ValidationError("Select at least one model.")
        return {**cleaned, "place": cleaned.get("place") or "behind"}
