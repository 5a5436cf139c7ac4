"""The paths of model-proxy's management API."""

from __future__ import annotations

from typing import Any

from django.urls import path

from pxbin_site.model_proxy_api import views
from pxbin_site.model_proxy_api.views import endpoint

_environment = endpoint(GET=views.get_environment, PUT=views.put_environment)

urlpatterns: list[Any] = [
    path("config/env", _environment),
    path("env", _environment),
    path("config/export", endpoint(GET=views.export_bundle)),
    path("config/import", endpoint(POST=views.import_bundle)),
    path("logs", endpoint(GET=views.logs)),
    path("events/<str:request_id>", endpoint(GET=views.events)),
]
for kind in ("models", "providers"):
    entries = endpoint(GET=views.list_entries, POST=views.create_entry)
    entry = endpoint(GET=views.get_entry, PUT=views.replace_entry, PATCH=views.merge_entry, DELETE=views.delete_entry)
    urlpatterns += [path(f"config/{kind}", entries, {"kind": kind}), path(f"config/{kind}/<path:name>", entry, {"kind": kind})]
