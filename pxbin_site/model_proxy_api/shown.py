"""Upstreams and models in the form of model-proxy's files. Secrets are references (`env:NAME`)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.conf import settings

from accounts.common.api_envelope import timestamp
from proxy.translation.dialects.lookup import dialect_named
from pxbin_site.config_files.exporting import references
from pxbin_site.config_files.formats import PXBIN
from pxbin_site.config_files.readers.model_proxy import CLIENT_KEY, SETTINGS
from pxbin_site.config_files.readers.wire_names import MODEL_PROXY_PROTOCOLS
from pxbin_site.config_files.secret_references import ENV
from pxbin_site.config_files.sections import FORMAT_BY_DIALECT
from upstreams.http.urls import base_of, url_for
from upstreams.models import Model, Route, Upstream

BUNDLE_VERSION = "1.0.0"
PROTOCOLS = {format_name: protocol for protocol, format_name in MODEL_PROXY_PROTOCOLS.items()}


def provider(row: Upstream, names: dict[Any, str]) -> dict[str, Any]:
    """An upstream. ``names``: the references of all credentials' secrets."""
    api = dialect_named(row.dialect).upstream
    base_url = base_of(row)
    format_name = FORMAT_BY_DIALECT.get(row.dialect, row.dialect)
    path = str((row.quirks or {}).get("api_path") or "") or url_for(row, api.main_path).removeprefix(base_url)
    scheme = row.auth_scheme or ("" if row.auth_header else api.auth.scheme)
    return {
        "name": row.name,
        "enabled": row.is_active,
        "api_keys": {"env_var_patterns": [names[credential.pk].removeprefix(ENV) for credential in row.credentials.all()]},
        "endpoints": {
            "base_url": base_url,
            "completions": path,
            "compatible_format": PROTOCOLS.get(format_name, format_name),
        },
        "authentication": {
            "header_name": row.auth_header or api.auth.name,
            "header_format": f"{scheme} {{api_key}}".strip(),
        },
    }


def model(row: Model) -> dict[str, Any]:
    """A model with its routes; what it does not set is left out."""
    optional = {
        "display_name": row.display_name,
        "timeout_seconds": row.timeout_seconds and row.timeout_seconds / max(row.routes.count(), 1),
        "default_cooldown_seconds": row.cooldown_seconds,
        "context_window": row.context_window,
        "enforce_tool_call": row.tool_enforcement or None,
        "buffer_partial_tool_calls": row.buffer_tool_calls or None,
        "smooth_streaming": row.smooth_streaming or None,
        "openai_body_defaults": row.body_defaults or None,
        "openai_body_extensions": row.body_extensions or None,
    }
    return {
        "logical_name": row.name,
        **{name: value for name, value in optional.items() if value is not None},
        "model_routings": [_route(route) for route in row.routes.select_related("upstream").order_by("priority", "-weight", "created_at")],
        "fallback_model_routings": list(row.fallbacks),
    }


def _route(route: Route) -> dict[str, Any]:
    shown: dict[str, Any] = {"provider": route.upstream.name, "model": route.remote_name or route.model.name}
    if not route.is_active:
        shown["enabled"] = False
    if route.context_window:
        shown["context_window"] = route.context_window
    if "images" in route.capabilities:
        shown["capabilities"] = {"multimodal": route.capabilities["images"]}
    return shown


def environment() -> dict[str, str]:
    """The variables that stand for this gateway's secrets, as references, and for its settings."""
    secrets = {name.removeprefix(ENV): name for name in sorted(references().values()) if name.startswith(ENV)}
    config = settings.PXBIN
    values = {variable: getattr(config, field) for variable, field in SETTINGS.items()}
    texts = {name: ",".join(value) if isinstance(value, tuple) else str(value).removesuffix(".0") for name, value in values.items()}
    return {CLIENT_KEY: f"{ENV}{CLIENT_KEY}", **secrets, **{name: text for name, text in texts.items() if text}}


def bundle() -> dict[str, Any]:
    """Everything that model-proxy's bundles have, without a secret."""
    names = references()
    providers = {row.name: provider(row, names) for row in Upstream.objects.prefetch_related("credentials").order_by("name")}
    models = {row.name: model(row) for row in Model.objects.filter(path_prefix="").order_by("name")}
    variables = environment()
    return {
        "version": BUNDLE_VERSION,
        "exported_at": timestamp(datetime.now(UTC)),
        "exported_by": PXBIN,
        "metadata": {"providers": len(providers), "models": len(models), "environment": len(variables)},
        "setup": {"providers": providers, "models": models, "environment": variables, "api_keys": {}},
    }
