"""The request log in the admin."""

# mypy: disable-error-code="untyped-decorator"
# Unfold has no types, and its decorators are everywhere here.

from __future__ import annotations

import uuid
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import display

from accounts.common.admin import ReadOnlyMixin
from billing.admin import formatting
from billing.admin.filters import KeyFilter, ModelFilter, MomentFilter, PeriodFilter, StatusFilter, UpstreamFilter
from billing.admin.paginator import UncountedPage
from billing.admin.payload import curl_command
from billing.admin.request_detail import build_request_detail
from billing.models import RequestLog
from upstreams.models import Model

MAX_MODELS = 50


@admin.register(RequestLog)
class RequestLogAdmin(ReadOnlyMixin, UncountedPage):
    """Requests, newest first. Every query is answered from an index."""

    list_display = ("began", "result", "model_name", "upstream", "key", "tokens", "price", "time")
    list_display_links = ("began",)
    list_filter = (
        PeriodFilter, ("timestamp", MomentFilter), ("outcome", ChoicesDropdownFilter), StatusFilter, ModelFilter, UpstreamFilter,
        KeyFilter,
    )  # fmt: skip
    search_fields = ("request_id",)
    search_help_text = "A complete request id, or part of a model name"
    ordering = ("-timestamp", "-id")
    change_form_template = "admin/billing/requestlog/change_form.html"
    list_before_template = "admin/billing/requestlog/stored_for.html"
    empty_title = "No requests yet"
    empty_text = "Every request appears here within a second. The start page has curl commands for a first request."

    def get_search_results(self, request: HttpRequest, queryset: QuerySet[Any], search_term: str) -> tuple[QuerySet[Any], bool]:  # noqa: ARG002
        """Search request ids and row ids; if there is none, the rows of models whose names or aliases contain the term.

        All of these have an index; a search for part of a text in the log itself would read the whole table.
        """
        term = search_term.strip()
        if not term:
            return queryset, False
        by_id = Q(request_id=term)
        if _is_uuid(term):
            by_id |= Q(pk=term)
        if RequestLog.objects.filter(by_id).exists():
            return queryset.filter(by_id), False
        names = Model.objects.filter(Q(name__icontains=term) | Q(aliases__icontains=term)).values_list("name", "aliases")[:MAX_MODELS]
        model_names = {term} | {name for row in names for name in (row[0], *row[1]) if term.lower() in name.lower()}
        return queryset.filter(model__in=sorted(model_names)), False

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """The list, with the times for which its rows are stored."""
        return super().changelist_view(request, {"stored_for": stored_for(), **(extra_context or {})})  # type: ignore[no-any-return]

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """The page of one request."""
        row = RequestLog.objects.filter(pk=object_id).first() if _is_uuid(object_id) else None
        detail: dict[str, Any] = {} if row is None else {"detail": build_request_detail(row), "subtitle": None}
        if row is not None and not request.user.has_perm("billing.view_requestpayload"):
            detail["detail"] |= {"payload": None, "panes": []}
        if row is not None and (payload := detail["detail"]["payload"]):
            detail["curl"] = curl_command(row, payload.client_body, base_url=request.build_absolute_uri("/"))
        return super().change_view(request, object_id, form_url, {**detail, **(extra_context or {})})  # type: ignore[no-any-return]

    @display(description="Began")
    def began(self, row: RequestLog) -> Any:
        """When the request began, to the second; its page shows milliseconds."""
        return row.timestamp

    @display(description="Outcome")
    def result(self, row: RequestLog) -> str:
        """Outcome and status; below them the kind of failure."""
        label = formatting.outcome_label(row.outcome, row.status_code)
        return (
            format_html('{}<p class="text-base-500 text-xs">{}</p>', label, row.error_type.replace("_", " ")) if row.error_type else label
        )

    @display(description="Model", header=True)
    def model_name(self, row: RequestLog) -> list[str]:
        """The model name that the client sent, and the API formats."""
        return [
            row.model or formatting.NONE,
            formatting.translation_title(row.dialect, row.upstream_dialect) + (", stream" if row.stream else ""),
        ]

    @display(description="Upstream", header=True)
    def upstream(self, row: RequestLog) -> list[str]:
        """The upstream that was called last, and the number of attempts."""
        return [row.upstream_name or formatting.NONE, f"{row.attempts} attempts" if row.attempts > 1 else ""]

    @display(description="API key")
    def key(self, row: RequestLog) -> str:
        """The client key."""
        return row.key_name or (f"{row.key_prefix}…" if row.key_prefix else formatting.NONE)

    @display(description="Tokens", header=True)
    def tokens(self, row: RequestLog) -> list[str]:
        """All input tokens, including cached ones, and output tokens."""
        total = row.input_tokens + row.cache_read_tokens + row.cache_creation_tokens
        return [f"{total:,} → {row.output_tokens:,}", "estimated" if row.usage_estimated else ""]

    @display(description="Cost")
    def price(self, row: RequestLog) -> str:
        """USD; a dash if no upstream was called."""
        return formatting.NONE if row.cost is None and not row.attempts else formatting.dollars(row.cost)

    @display(description="Duration", header=True)
    def time(self, row: RequestLog) -> list[str]:
        """Total duration; below it the time to the first token and pxbin's own overhead."""
        parts = [f"first {formatting.milliseconds(row.ttft_ms)}"] if row.ttft_ms is not None else []
        if row.attempts:
            parts.append(f"overhead {formatting.milliseconds(row.overhead_us / 1000, places=1)}")
        return [formatting.milliseconds(row.latency_ms), ", ".join(parts)]


def stored_for() -> str:
    """How long rows and captured bodies are stored, as a sentence."""
    rows, bodies = (
        f"for {days} day{'' if days == 1 else 's'} ({name})" if days > 0 else f"for ever ({name})"
        for name, days in (
            ("PXBIN_LOG_RETENTION_DAYS", settings.PXBIN.log_retention_days),
            ("PXBIN_PAYLOAD_RETENTION_DAYS", settings.PXBIN.payload_retention_days),
        )
    )
    return f"Requests are stored {rows}, the bodies of keys and models that capture them {bodies}."


def _is_uuid(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True
