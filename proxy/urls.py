"""Every public path of the proxy. ``FAST_PATHS`` and ``FAST_PATH_PATTERNS`` come from the dialects and go to the lean handler."""

from __future__ import annotations

import re

import msgspec
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe

from proxy import health, views
from proxy.exchange.passthrough import Endpoint
from proxy.translation.dialects.registry import REGISTRY

FAST_PATHS: dict[tuple[str, str], views.View] = {}
FAST_PATH_PATTERNS: list[tuple[str, re.Pattern[str], views.View]] = []

for dialect in REGISTRY.values():
    for endpoint in dialect.client.endpoints:
        view, pattern = views.VIEWS[endpoint.kind](dialect, endpoint), endpoint.pattern
        for method in endpoint.methods:
            if pattern is None:
                FAST_PATHS[method, endpoint.path] = view
            elif not any((method, pattern) == known[:2] for known in FAST_PATH_PATTERNS):
                FAST_PATH_PATTERNS.append((method, pattern, view))
    for untranslated in dialect.client.untranslated:
        FAST_PATHS["POST", untranslated.path] = views.relayed(Endpoint(**msgspec.structs.asdict(untranslated)))

HEALTH_PATHS = {
    "health": health.health,
    "healthz": health.health,
    "status": health.status,
    "ready": health.ready,
    "health/detailed": health.detailed,
}
# Balancers send whatever they like: neither a slash at the end nor a missing token of a form shall matter.
urlpatterns = [path(f"{name}{slash}", csrf_exempt(require_safe(view))) for name, view in HEALTH_PATHS.items() for slash in ("", "/")]
