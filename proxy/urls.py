"""All public paths of the proxy. ``FAST_PATHS`` and ``FAST_PATH_PATTERNS`` are collected from the dialects, for the ASGI handler."""

from __future__ import annotations

import re

from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe

from proxy import health, own_usage, views
from proxy.translation.dialects.registry import REGISTRY

FAST_PATHS: dict[tuple[str, str], views.View] = {}
FAST_PATH_PATTERNS: list[tuple[str, re.Pattern[str], views.View]] = []

for dialect in REGISTRY.values():
    for endpoint in dialect.client.endpoints:
        view, pattern = views.VIEWS[endpoint.kind](dialect, endpoint), endpoint.pattern
        for method in endpoint.methods:
            if pattern is None:
                FAST_PATHS[method, endpoint.path] = view
            elif not any((method, pattern) == entry[:2] for entry in FAST_PATH_PATTERNS):
                FAST_PATH_PATTERNS.append((method, pattern, view))
    for untranslated in dialect.client.untranslated:
        FAST_PATHS["POST", untranslated.path] = views.untranslated_view(dialect, untranslated)
FAST_PATHS["GET", own_usage.PATH] = own_usage.usage

# A pattern that ends in a placeholder also matches paths of the others: `/v1/models/{name}` those of `/v1/models/{model}:generateContent`.
FAST_PATH_PATTERNS.sort(key=lambda entry: entry[1].pattern.endswith(")"))

HEALTH_PATHS = {
    "health": health.health,
    "healthz": health.health,
    "status": health.status,
    "ready": health.ready,
    "health/detailed": health.detailed,
}
# Load balancers may add a trailing slash and never send a CSRF token.
urlpatterns = [path(f"{name}{slash}", csrf_exempt(require_safe(view))) for name, view in HEALTH_PATHS.items() for slash in ("", "/")]
