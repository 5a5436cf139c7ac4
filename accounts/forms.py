"""Form fields that more than one admin page needs, and the forms of the keys."""

from __future__ import annotations

from typing import Any

from django import forms
from unfold.widgets import UnfoldAdminRadioSelectWidget, UnfoldAdminTextareaWidget

from accounts.models import ManagementKey


class NamesField(forms.CharField):
    """A list of names, one on each line."""

    def __init__(self, **options: Any) -> None:
        options = {"required": False, "widget": UnfoldAdminTextareaWidget(attrs={"rows": 3}), **options}
        super().__init__(**options)

    def prepare_value(self, value: Any) -> Any:
        """The lines of a list."""
        return "\n".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        """The list of lines, each name once."""
        lines = value if isinstance(value, list) else str(value or "").splitlines()
        return list(dict.fromkeys(line.strip() for line in lines if line.strip()))

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Whether the lists differ, however they are written."""
        return bool(self.to_python(initial) != self.to_python(data))


ALL, NONE, LISTED = "all", "none", "listed"
MODEL_ACCESS = ((ALL, "Every model"), (LISTED, "The models listed below"), (NONE, "No model"))


class ApiKeyForm(forms.ModelForm):  # type: ignore[type-arg]  # generic for the type checker only; the admin names model and fields
    """A client's key. Which models it may use is asked in words: an empty list would not say whether it means all or none."""

    model_access = forms.ChoiceField(
        label="May use", choices=MODEL_ACCESS, initial=ALL, widget=UnfoldAdminRadioSelectWidget(choices=MODEL_ACCESS)
    )
    allowed_models = NamesField(label="Models", help_text="One name on each line; * stands for anything: claude-*.")

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        allowed = self.instance.allowed_models
        self.fields["name"].widget.attrs.setdefault("placeholder", "For example: Anna's laptop")
        self.initial["model_access"] = ALL if allowed is None else LISTED if allowed else NONE

    def clean(self) -> dict[str, Any]:
        """Put the answer and the list together."""
        cleaned = super().clean() or self.cleaned_data
        access, names = cleaned.get("model_access"), cleaned.get("allowed_models")
        if access == LISTED and not names:
            self.add_error("allowed_models", "List at least one model, or choose another answer above.")
        cleaned["allowed_models"] = {ALL: None, NONE: []}.get(str(access), names)
        return cleaned


PERMISSIONS = (("read", "Read"), ("write", "Read and write"))


class ManagementKeyForm(forms.ModelForm):  # type: ignore[type-arg]  # generic for the type checker only; the admin names model and fields
    """A key for scripts."""

    access = forms.ChoiceField(label="May", choices=PERMISSIONS, initial="read", widget=UnfoldAdminRadioSelectWidget(choices=PERMISSIONS))

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.initial["access"] = "write" if "write" in self.instance.permissions else "read"

    def save(self, commit: bool = True) -> ManagementKey:
        """The key with its permissions."""
        self.instance.permissions = ["read", "write"] if self.cleaned_data["access"] == "write" else ["read"]
        row: ManagementKey = super().save(commit)
        return row
