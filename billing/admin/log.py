"""The log in the admin: what became of each request."""

# mypy: disable-error-code="untyped-decorator"
# Unfold has no types, and its decorators are everywhere here.

from __future__ import annotations

import uuid
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import display

from accounts.common.admin import ReadOnlyMixin
from billing.admin import formatting, request_detail
from billing.admin.filters import KeyFilter, ModelFilter, MomentFilter, PeriodFilter, StatusFilter, UpstreamFilter
from billing.admin.paginator import UncountedPage
from billing.models import RequestLog
from upstreams.models import Model

MOST_NAMES = 50


@admin.register(RequestLog)
class RequestLogAdmin(ReadOnlyMixin, UncountedPage):
    """Requests, the newest first. Nothing here reads more of the table than an index gives."""

    list_display = ("began", "result", "asked", "answered_by", "key", "tokens", "price", "time")
    list_display_links = ("began",)
    list_filter = (
        PeriodFilter, ("timestamp", MomentFilter), ("outcome", ChoicesDropdownFilter), StatusFilter, ModelFilter, UpstreamFilter,
        KeyFilter,
    )  # fmt: skip
    search_fields = ("request_id",)
    search_help_text = "A whole request id, or a part of a model's name"
    ordering = ("-timestamp", "-id")
    change_form_template = "admin/billing/requestlog/change_form.html"
    empty_title = "No requests yet"
    empty_text = "Every request of a client appears here within a second. The start page has lines for curl to send the first one."

    def get_search_results(self, request: HttpRequest, queryset: QuerySet[Any], search_term: str) -> tuple[QuerySet[Any], bool]:  # noqa: ARG002
        """By request id, else by the names of models: both have an index, a part of a text in the log has none."""
        term = search_term.strip()
        if not term:
            return queryset, False
        found = Q(request_id=term)
        if _is_uuid(term):
            found |= Q(pk=term)
        if RequestLog.objects.filter(found).exists():
            return queryset.filter(found), False
        names = Model.objects.filter(Q(name__icontains=term) | Q(aliases__icontains=term)).values_list("name", "aliases")[:MOST_NAMES]
        wanted = {term} | {name for row in names for name in (row[0], *row[1]) if term.lower() in name.lower()}
        return queryset.filter(model__in=sorted(wanted)), False

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """One request, told from its arrival to its cost."""
        row = RequestLog.objects.filter(pk=object_id).first() if _is_uuid(object_id) else None
        told = {} if row is None else {"story": request_detail.of(row), "subtitle": None}
        return super().change_view(request, object_id, form_url, {**told, **(extra_context or {})})  # type: ignore[no-any-return]

    @display(description="Began (UTC)")
    def began(self, row: RequestLog) -> Any:
        """To the second; the page of a request knows the milliseconds."""
        return row.timestamp

    @display(description="Outcome")
    def result(self, row: RequestLog) -> str:
        """How it ended and what the client got; what the matter was."""
        label = formatting.outcome(row.outcome, row.status_code)
        return (
            format_html('{}<p class="text-base-500 text-xs">{}</p>', label, row.error_type.replace("_", " ")) if row.error_type else label
        )

    @display(description="Model", header=True)
    def asked(self, row: RequestLog) -> list[str]:
        """What the client asked for, and in which protocol."""
        return [row.model or formatting.NONE, formatting.between(row.dialect, row.upstream_dialect) + (", stream" if row.stream else "")]

    @display(description="Upstream", header=True)
    def answered_by(self, row: RequestLog) -> list[str]:
        """Who was called last, and how many were."""
        return [row.upstream_name or formatting.NONE, f"{row.attempts} attempts" if row.attempts > 1 else ""]

    @display(description="API key")
    def key(self, row: RequestLog) -> str:
        """Whose key it was."""
        return row.key_name or (f"{row.key_prefix}…" if row.key_prefix else formatting.NONE)

    @display(description="Tokens", header=True)
    def tokens(self, row: RequestLog) -> list[str]:
        """Everything that went in, caches included, and what came out."""
        total = row.input_tokens + row.cache_read_tokens + row.cache_creation_tokens
        return [f"{total:,} → {row.output_tokens:,}", "estimated" if row.usage_estimated else ""]

    @display(description="Cost")
    def price(self, row: RequestLog) -> str:
        """USD; what called no upstream cost nothing."""
        return formatting.NONE if row.cost is None and not row.attempts else formatting.dollars(row.cost)

    @display(description="Duration", header=True)
    def time(self, row: RequestLog) -> list[str]:
        """The whole time; below it the time to the first token and the gateway's own share."""
        parts = [f"first {formatting.milliseconds(row.ttft_ms)}"] if row.ttft_ms is not None else []
        if row.attempts:
            parts.append(f"own {formatting.milliseconds(row.overhead_us / 1000, places=1)}")
        return [formatting.milliseconds(row.latency_ms), ", ".join(parts)]


def _is_uuid(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True
