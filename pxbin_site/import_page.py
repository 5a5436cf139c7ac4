"""The admin's page for configuration files: the differences of a file, its import, and the export of this gateway."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from unfold.widgets import (
    UnfoldAdminFileFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldBooleanSwitchWidget,
)

from pxbin_site.config_files import documents, exporting, formats, importing
from pxbin_site.config_files.applying import apply
from pxbin_site.config_files.configuration import Options
from pxbin_site.config_files.documents import ConfigFileError
from pxbin_site.config_files.report import Report

TEXT_NAME = "text"
FORMAT_CHOICES = [(formats.AUTO, "By its content"), *((name, name) for name in formats.FORMATS)]
IMPORT = "_import"


def _switch(label: str, help_text: str = "") -> forms.BooleanField:
    return forms.BooleanField(label=label, required=False, help_text=help_text, widget=UnfoldBooleanSwitchWidget)


class ConfigFileForm(forms.Form):
    """A file, uploaded or as text, and the choices of `import_config`."""

    file = forms.FileField(label="File", required=False, widget=UnfoldAdminFileFieldWidget)
    text = forms.CharField(
        label="Or its text",
        required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 14, "spellcheck": "false", "class": "font-mono"}),
        help_text="YAML or JSON. References such as env:NAME are not read here: manage.py import_config reads them.",
    )
    format = forms.ChoiceField(label="Format", choices=FORMAT_CHOICES, widget=UnfoldAdminSelectWidget)
    prune = _switch("Delete what the file does not list", "Upstreams, models, routes and credentials are deleted, keys are revoked.")
    no_catch_all = _switch("No model * for all other names", "For files of proxx and claude-code-router.")
    require_keys = _switch("Every model needs a key", "Also where the other gateway was open.")
    client_identity = _switch("Send the headers of Claude Code", "For files of proxx. It may violate the provider's terms.")

    def clean(self) -> dict[str, Any]:
        """Require a file or a text, and take the file's text."""
        cleaned = super().clean() or self.cleaned_data
        file = cleaned.get("file")
        if file is not None:
            if file.size > documents.LARGEST_FILE:
                raise forms.ValidationError("The file is too large.")
            try:
                cleaned["text"] = file.read().decode("utf-8-sig")
            except UnicodeDecodeError:
                raise forms.ValidationError("The file is not UTF-8 text.") from None
        if not self.errors and not cleaned.get("text", "").strip():
            raise forms.ValidationError("Choose a file or paste its text.")
        return cleaned


def page(request: HttpRequest) -> HttpResponse:
    """Show the form, the differences, or the result of an import. For superusers: a file may change everything."""
    _require_superuser(request)
    form = ConfigFileForm(request.POST or None, request.FILES or None, initial={"format": formats.AUTO})
    report, problems = None, []
    if request.method == "POST" and form.is_valid():
        is_import = IMPORT in request.POST
        try:
            report = _report(form.cleaned_data, dry_run=not is_import)
        except ConfigFileError as error:
            problems = error.problems
        if report is not None and is_import:
            counts = report.counts()
            done = f"{counts['create']} rows created, {counts['update']} changed, {counts['delete']} deleted."
            messages.success(request, f"Imported: {done}")
            return redirect("config-file")
        form = _with_text(form)
    context = {
        **admin.site.each_context(request),
        "title": "Import and export",
        "form": form,
        "report": report,
        "lines": report.lines() if report is not None else [],
        "problems": problems,
        "import_name": IMPORT,
    }
    return render(request, "pxbin/config_file.html", context)


def export(request: HttpRequest) -> HttpResponse:
    """The configuration as a YAML file, without secrets."""
    _require_superuser(request)
    text = exporting.as_yaml(exporting.configuration())
    return HttpResponse(text, content_type="application/yaml", headers={"Content-Disposition": 'attachment; filename="pxbin.yaml"'})


def _require_superuser(request: HttpRequest) -> None:
    if not request.user.is_superuser:
        raise PermissionDenied


def _report(cleaned: dict[str, Any], *, dry_run: bool) -> Report:
    """Compare or import. References to the environment and to files of the gateway's machine lead nowhere: an admin is not its operator."""
    document = documents.parse(cleaned["text"], cleaned["file"].name if cleaned.get("file") else TEXT_NAME)
    options = Options(
        client_identity=cleaned["client_identity"],
        catch_all=not cleaned["no_catch_all"],
        require_keys=cleaned["require_keys"],
        reads_files=False,
    )
    configuration = importing.read_document(document, options, format_name=cleaned["format"])
    return apply(configuration, prune=cleaned["prune"], dry_run=dry_run)


def _with_text(form: ConfigFileForm) -> ConfigFileForm:
    """The form with the text of the uploaded file, which a browser does not send twice."""
    return ConfigFileForm({**form.cleaned_data, "file": None})
