"""Writes what a script of model-proxy sends: one model or provider, a bundle, keys."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from accounts.common.api_envelope import ApiError
from pxbin_site.config_files import importing
from pxbin_site.config_files.applying import apply
from pxbin_site.config_files.configuration import Configuration, Options
from pxbin_site.config_files.documents import ConfigFileError, Document
from pxbin_site.config_files.exporting import references
from pxbin_site.config_files.formats import MODEL_PROXY
from pxbin_site.config_files.readers.common import take_over_key
from pxbin_site.config_files.readers.model_proxy import CLIENT_KEY, SETTINGS
from pxbin_site.config_files.report import Report
from pxbin_site.config_files.secret_references import ENV, FILE
from pxbin_site.model_proxy_api import shown
from upstreams.models import Model, Route, Upstream, UpstreamCredential
from upstreams.secrets import store

BODY = "body"
SECTIONS_OF = {"providers": ("upstreams", "credentials"), "models": ("models", "routes", "prices")}


def write_model(name: str, body: dict[str, Any], *, replaces: bool) -> None:
    """Create or change a model. ``replaces``: its routes are those of the body. Raises :class:`ApiError`."""
    names = references()
    routes = body.get("model_routings")
    used = [route.get("provider") for route in routes if isinstance(route, dict)] if isinstance(routes, list) else []
    upstreams = Upstream.objects.filter(name__in=[name for name in used if isinstance(name, str)]).prefetch_related("credentials")
    providers = {row.name: shown.provider(row, names) for row in upstreams}
    configuration = _read({"providers": providers, "models": {name: {**body, "logical_name": name}}}, SECTIONS_OF["models"])
    with transaction.atomic():
        _apply(configuration)
        if replaces:
            routes_of_body = {(row.values["upstream"], row.values["remote_name"]) for row in configuration.rows if row.section == "routes"}
            for route in Route.objects.filter(model__name=name, model__path_prefix="").select_related("upstream", "model"):
                if (route.upstream.name, route.remote_name or name) not in routes_of_body:
                    route.delete()


def write_provider(name: str, body: dict[str, Any]) -> None:
    """Create or change a provider; quirks of an upstream that exists stay. Raises :class:`ApiError`."""
    configuration = _read({"providers": {name: {**body, "name": name}}}, SECTIONS_OF["providers"])
    existing = Upstream.objects.filter(name=name).first()
    values = configuration.rows[0].values
    if existing is not None:
        path = (values.get("quirks") or {}).get("api_path")
        quirks = {quirk: value for quirk, value in existing.quirks.items() if quirk != "api_path"}
        values |= {"quirks": {**quirks, **({"api_path": path} if path else {})}, "preset": existing.preset}
    _apply(configuration)


def import_bundle(body: dict[str, Any], *, dry_run: bool) -> Report:
    """Import a bundle; nothing is deleted. Raises :class:`ApiError`."""
    bundle = body.get("bundle", body)
    if not isinstance(bundle, dict) or not isinstance(bundle.get("setup"), dict):
        raise ApiError("invalid_request", "setup is missing: the body is a bundle, or has one as bundle")
    return _apply(_document(bundle), dry_run=dry_run)


def set_variables(values: dict[str, Any]) -> tuple[list[str], dict[str, str]]:
    """Store keys under the names of their variables. Returns the names that were stored, and reasons for the others.

    References are left as they are. Raises :class:`ApiError` for a value that is no text.
    """
    stored, reasons = [], {}
    by_name: dict[str, list[Any]] = {}
    for pk, reference in references().items():
        by_name.setdefault(reference.removeprefix(ENV), []).append(pk)
    with transaction.atomic():
        for name, value in values.items():
            if not isinstance(value, str):
                raise ApiError("invalid_request", f"{name}: must be a text")
            if _is_reference(value) or not value.strip():
                continue
            if name == CLIENT_KEY:
                configuration = Configuration(format=MODEL_PROXY)
                take_over_key(configuration, name, value.strip(), MODEL_PROXY)
                _apply(configuration)
            elif name in by_name:
                for credential in UpstreamCredential.objects.filter(pk__in=by_name[name]):
                    store.set_secret(credential, value, reference=credential.secret_reference)
                    credential.save()
            else:
                reasons[name] = f"set PXBIN_{SETTINGS[name].upper()} and restart" if name in SETTINGS else "no credential has this name"
                continue
            stored.append(name)
    return stored, reasons


def find(kind: str, name: str) -> Any:
    """The row of a model or provider; ``None`` if there is none."""
    if kind == "models":
        return Model.objects.filter(path_prefix="", name=name).first()
    return Upstream.objects.filter(name=name).first()


def _is_reference(value: Any) -> bool:
    return isinstance(value, str) and value.startswith((ENV, FILE))


def _read(setup: dict[str, Any], sections: tuple[str, ...]) -> Configuration:
    """The rows of these sections in a setup."""
    configuration = _document({"setup": setup})
    configuration.rows[:] = [row for row in configuration.rows if row.section in sections]
    return configuration


def _document(bundle: dict[str, Any]) -> Configuration:
    try:
        return importing.read_document(Document(BODY, bundle), Options(), format_name=MODEL_PROXY)
    except ConfigFileError as error:
        raise ApiError("invalid_request", str(error)) from None


def _apply(configuration: Configuration, *, dry_run: bool = False) -> Report:
    try:
        return apply(configuration, dry_run=dry_run)
    except ConfigFileError as error:
        raise ApiError("invalid_request", str(error)) from None
