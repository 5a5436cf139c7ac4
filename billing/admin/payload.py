"""Kept bodies in the admin."""

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
    """Bodies that were kept."""

    list_display = ("timestamp", "of_request", "truncated")
    ordering = ("-timestamp",)
    search_fields = ("log__request_id__exact",)
    search_help_text = "A whole request id"
    fields = ("timestamp", "of_request", "truncated", "asked", "answered")
    readonly_fields = ("of_request", "asked", "answered")
    empty_title = "No bodies are kept"
    empty_text = "Requests are logged without their texts. Bodies appear here only where somebody has asked for them to be kept."

    def get_queryset(self, request: HttpRequest) -> QuerySet[RequestPayload]:
        """Lists do not load the bodies."""
        rows: QuerySet[RequestPayload] = super().get_queryset(request)
        return rows if request.resolver_match and request.resolver_match.kwargs else rows.defer("request_body", "response_body")

    @admin.display(description="request")
    def of_request(self, row: RequestPayload) -> str:
        """The way to the row of the log."""
        return link(reverse("admin:billing_requestlog_change", args=(row.log_id,)), str(row.log_id))

    @admin.display(description="request body")
    def asked(self, row: RequestPayload) -> str:
        """What the client sent."""
        return _body(row.request_body)

    @admin.display(description="response body")
    def answered(self, row: RequestPayload) -> str:
        """What the client got."""
        return _body(row.response_body)


def _body(text: str) -> str:
    """JSON in lines, anything else (a stream, half a body) as it is."""
    with suppress(ValueError):
        text = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    return format_html('<pre class="pxbin-code">{}</pre>', text) if text else "empty"
