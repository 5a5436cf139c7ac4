"""The request log in the admin."""

# mypy: disable-error-code="untyped-decorator"
# Unfold has no types, and its decorators are everywhere here.

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.http import urlencode
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import display

from accounts.common.admin import ReadOnlyMixin, link
from billing.admin import formatting, log_search, log_totals
from billing.admin import log_columns as columns
from billing.admin import saved_views as views
from billing.admin.filters import KeyFilter, ModelFilter, MomentFilter, PeriodFilter, SessionFilter, StatusFilter, UpstreamFilter
from billing.admin.paginator import UncountedPage
from billing.admin.payload import curl_command
from billing.admin.request_detail import build_request_detail
from billing.models import RequestLog


@admin.register(RequestLog)
class RequestLogAdmin(ReadOnlyMixin, UncountedPage):
    """Requests, newest first. Every query is answered from an index."""

    list_display = columns.DEFAULT
    list_fullwidth = True
    list_display_links = ("began",)
    list_filter = (
        PeriodFilter, ("timestamp", MomentFilter), ("outcome", ChoicesDropdownFilter), StatusFilter, ModelFilter, UpstreamFilter,
        KeyFilter, SessionFilter,
    )  # fmt: skip
    search_fields = ("request_id",)
    search_help_text = "An id (request, msg_…, chatcmpl-…, resp_…), session, key, model or error"
    ordering = ("-timestamp", "-id")
    change_form_template = "admin/billing/requestlog/change_form.html"
    list_before_template = "admin/billing/requestlog/stored_for.html"
    empty_title = "No requests yet"
    empty_text = "Every request appears here within a second. The start page has curl commands for a first request."

    own_parameters = (log_search.ALL_TIME, columns.PARAMETER)

    def get_search_results(self, request: HttpRequest, queryset: QuerySet[Any], search_term: str) -> tuple[QuerySet[Any], bool]:
        """See :func:`billing.admin.log_search.search`."""
        term = search_term.strip()
        return (log_search.search(request, queryset, term) if term else queryset), False

    def get_urls(self) -> list[Any]:
        """The pages of the table, and those of the list's parts."""
        pages = (("totals", self.totals), ("views", self.save_view))
        own = [path(f"{name}/", self.admin_site.admin_view(view), name=f"billing_requestlog_{name}") for name, view in pages]
        return [*own, *super().get_urls()]

    def get_list_display(self, request: HttpRequest) -> Sequence[str]:
        """The columns that the URL or this browser's last choice names."""
        return columns.chosen(request)

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """The list with saved views and a choice of columns."""
        shown = columns.chosen(request)
        context = {
            "views": views.visible_to(request.user),
            "columns": [(name, title, name in shown) for name, title in columns.TITLES.items()],
            "query": request.GET.urlencode(),
            "other_parameters": [(name, value) for name, value in request.GET.items() if name not in (columns.PARAMETER, "p", "before")],
            "stored_for": stored_for(),
            "is_recent_search": bool(request.GET.get("q")) and not log_search.is_bounded(request.GET),
        }
        return super().changelist_view(request, {**context, **(extra_context or {})})  # type: ignore[no-any-return]

    def totals(self, request: HttpRequest) -> HttpResponse:
        """The totals of the rows that the list with the same query would show."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        return log_totals.page(request, self.get_changelist_instance(request).get_queryset(request))

    def save_view(self, request: HttpRequest) -> HttpResponse:
        """Save or delete a view of the list; see :func:`billing.admin.saved_views.change`."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        return redirect(f"{reverse('admin:billing_requestlog_changelist')}?{views.change(request)}")

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

    @display(description="Session")
    def session(self, row: RequestLog) -> str:
        """The beginning of the session's id, as a link to its requests."""
        if not row.session_id:
            return formatting.NONE
        return link(f"?{urlencode({'session': row.session_id})}", f"{row.session_id[:8]}…")

    @display(description="Request id")
    def request(self, row: RequestLog) -> str:
        """The id of the request, which the client got."""
        return str(row.request_id)

    @display(description="Response id")
    def response(self, row: RequestLog) -> str:
        """The id of the response, which the client got."""
        return row.response_id or formatting.NONE

    @display(description="Client")
    def client(self, row: RequestLog) -> str:
        """The program that sent the request."""
        return row.user_agent[:40] or formatting.NONE

    @display(description="Owner")
    def owner_name(self, row: RequestLog) -> str:
        """The owner of the key."""
        return row.owner or formatting.NONE

    @display(description="Cache")
    def cache(self, row: RequestLog) -> str:
        """The share of the input that was read from a cache."""
        total = row.input_tokens + row.cache_read_tokens + row.cache_creation_tokens
        return f"{row.cache_read_tokens / total:.0%}" if total else formatting.NONE

    @display(description="Error")
    def error(self, row: RequestLog) -> str:
        """The beginning of the error message."""
        return row.error_message[:120] or formatting.NONE

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
