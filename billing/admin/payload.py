"""Stored payloads in the admin."""

from __future__ import annotations

import json
from contextlib import suppress

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from accounts.common.admin import ReadOnlyMixin, link
from billing.admin.paginator import UncountedPage
from billing.models import RequestPayload


@admin.register(RequestPayload)
class RequestPayloadAdmin(ReadOnlyMixin, UncountedPage):
    """Stored payloads, newest first."""

    list_display = ("timestamp", "request_link", "truncated")
    ordering = ("-timestamp",)
    search_fields = ("log__request_id__exact",)
    search_help_text = "A complete request id"
    fields = ("timestamp", "request_link", "truncated", "request_text", "response_text")
    readonly_fields = ("request_link", "request_text", "response_text")
    empty_title = "No payloads are stored"
    empty_text = "Requests are logged without their bodies. Payloads appear here only if storing them is switched on."

    def get_queryset(self, request: HttpRequest) -> QuerySet[RequestPayload]:
        """The list does not load the bodies."""
        rows: QuerySet[RequestPayload] = super().get_queryset(request)
        return rows if request.resolver_match and request.resolver_match.kwargs else rows.defer("request_body", "response_body")

    @admin.display(description="request")
    def request_link(self, row: RequestPayload) -> str:
        """A link to the log row."""
        return link(reverse("admin:billing_requestlog_change", args=(row.log_id,)), str(row.log_id))

    @admin.display(description="request body")
    def request_text(self, row: RequestPayload) -> str:
        """The body of the request."""
        return _format_body(row.request_body)

    @admin.display(description="response body")
    def response_text(self, row: RequestPayload) -> str:
        """The body of the response."""
        return _format_body(row.response_body)


def _format_body(text: str) -> str:
    """A body as HTML: JSON is indented, anything else (a stream, a cut body) is shown as it is."""
    with suppress(ValueError):
        text = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    return format_html('<pre class="pxbin-code">{}</pre>', text) if text else "empty"
