"""Stored payloads in the admin."""

from __future__ import annotations

import json
import shlex
from contextlib import suppress
from typing import Any, NamedTuple
from uuid import UUID

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import path, reverse

from accounts.common.admin import ReadOnlyMixin, TableAdmin, link
from billing.admin.paginator import UncountedPage
from billing.models import RedactionRule, RequestLog, RequestPayload

BODIES = {
    "client_body": "What the client sent",
    "sent_body": "What the upstream got",
    "upstream_answer": "What the upstream answered",
    "delivered_answer": "What the client got",
}
"""The bodies of a request with their titles."""


class Pane(NamedTuple):
    """One body on the page of a request."""

    name: str
    title: str
    text: str
    url: str


def panes(payload: RequestPayload) -> list[Pane]:
    """The bodies of a request in the order in which they arise; JSON is indented."""
    return [
        Pane(name, title, indented(getattr(payload, name)), reverse("admin:billing_requestpayload_download", args=(payload.pk, name)))
        for name, title in BODIES.items()
    ]


def curl_command(row: RequestLog, body: str, *, base_url: str) -> str:
    """A command that sends a request again, with the client key from the variable ``KEY``."""
    headers = "-H \"authorization: Bearer $KEY\" -H 'content-type: application/json'"
    data = f" -d {shlex.quote(body)}" if body else ""
    return f"curl -X {row.method} {shlex.quote(base_url.rstrip('/') + row.path)} {headers}{data}"


def indented(text: str) -> str:
    """JSON with line breaks; anything else (a stream, a cut body) as it is."""
    with suppress(ValueError):
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    return text


@admin.register(RedactionRule)
class RedactionRuleAdmin(TableAdmin):
    """What is replaced in captured bodies, besides credentials."""

    list_display = ("name", "pattern", "replacement", "is_active")
    fields = ("name", "pattern", "replacement", "is_active")
    empty_title = "No rules"
    empty_text = (
        "Credentials are always removed from captured bodies. A rule removes what else must not be stored, such as e-mail addresses."
    )


@admin.register(RequestPayload)
class RequestPayloadAdmin(ReadOnlyMixin, UncountedPage):
    """Stored payloads, newest first."""

    list_display = ("timestamp", "request_link", "truncated")
    ordering = ("-timestamp",)
    search_fields = ("log__request_id__exact",)
    search_help_text = "A complete request id"
    fields = ("timestamp", "request_link", "truncated")
    readonly_fields = ("request_link",)
    empty_title = "No payloads are stored"
    empty_text = "Requests are logged without their bodies. Keys and models have a switch that stores them."

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """The page of the request, which shows its bodies."""
        row = self.get_object(request, object_id)
        if row is None or not self.has_view_permission(request, row):
            response: HttpResponse = super().change_view(request, object_id, form_url, extra_context)
            return response
        return redirect("admin:billing_requestlog_change", row.pk)

    def get_urls(self) -> list[Any]:
        """Also the addresses of the bodies as files."""
        view = self.admin_site.admin_view(self.download)
        return [path("<uuid:payload_id>/<slug:name>.txt", view, name="billing_requestpayload_download"), *super().get_urls()]

    def download(self, request: HttpRequest, payload_id: UUID, name: str) -> HttpResponse:
        """One body as a file, redacted as it is stored."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        payload = RequestPayload.objects.filter(pk=payload_id).first()
        if payload is None or name not in BODIES:
            raise Http404
        response = HttpResponse(getattr(payload, name), content_type="text/plain; charset=utf-8")
        response["Content-Disposition"] = f'attachment; filename="{payload_id}-{name}.txt"'
        return response

    def get_queryset(self, request: HttpRequest) -> QuerySet[RequestPayload]:
        """The list does not load the bodies."""
        rows: QuerySet[RequestPayload] = super().get_queryset(request)
        return rows if request.resolver_match and request.resolver_match.kwargs else rows.defer(*BODIES)

    @admin.display(description="request")
    def request_link(self, row: RequestPayload) -> str:
        """A link to the log row."""
        return link(reverse("admin:billing_requestlog_change", args=(row.log_id,)), str(row.log_id))
