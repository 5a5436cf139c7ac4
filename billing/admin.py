"""Prices and the log in the admin."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin, TabularInline

from billing.models import Price, RequestAttempt, RequestLog, RequestPayload
from billing.tariff import CLASSES

TOKENS = ("input_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens", "output_tokens", "reasoning_tokens")


def dollars(amount: Decimal | None) -> str:
    """An amount as people read it: two decimal places, or as many more as say something."""
    if amount is None:
        return "unknown"
    text = f"{amount.normalize():,f}"
    whole, _, places = text.partition(".")
    return f"${whole}.{places:0<2}"


class Unwritable:
    """For tables that only the gateway writes."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        """Nobody adds rows by hand."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        """Nobody changes rows by hand."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        """Rows go when their time is over."""
        return False


@admin.register(Price)
class PriceAdmin(ModelAdmin):  # type: ignore[misc]  # unfold has no types
    """Prices, those in force first; a price entered here wins over those from price data."""

    list_display = ("__str__", "input_price", "output_price", "cache_read_price", "cache_write_price", "source", "version", "is_active")
    list_filter = ("is_active", "source", "upstream")
    list_select_related = ("model", "upstream")
    search_fields = ("name", "model__name", "upstream__name")
    autocomplete_fields = ("model", "upstream")
    ordering = ("-is_active", "model__name", "name", "-created_at")
    readonly_fields = ("source", "version", "created_at")

    @admin.display(description="input", ordering="input")
    def input_price(self, row: Price) -> str:
        """USD per million tokens; likewise below."""
        return dollars(row.input)

    @admin.display(description="output", ordering="output")
    def output_price(self, row: Price) -> str:
        """Reasoning included."""
        return dollars(row.output)

    @admin.display(description="cache read", ordering="cache_read")
    def cache_read_price(self, row: Price) -> str:
        """Unknown is billed as input."""
        return dollars(row.cache_read)

    @admin.display(description="cache write", ordering="cache_write_5m")
    def cache_write_price(self, row: Price) -> str:
        """For 5 minutes."""
        return dollars(row.cache_write_5m)

    def save_model(self, request: HttpRequest, obj: Price, form: Any, change: bool) -> None:
        """What a person has changed counts as entered by hand from then on."""
        stored = Price.objects.filter(pk=obj.pk).first()
        if stored is not None and any(getattr(stored, name) != getattr(obj, name) for name in (*CLASSES, "tiers")):
            obj.source, obj.version = Price.Source.MANUAL, ""
        super().save_model(request, obj, form, change)


class AttemptInline(Unwritable, TabularInline):  # type: ignore[misc]  # unfold has no types
    """The calls of upstreams that a request took."""

    model = RequestAttempt
    fields = (
        "number",
        "upstream_name",
        "credential_name",
        "remote_model",
        "status_code",
        "outcome",
        "error_type",
        "latency_ms",
        "ttft_ms",
        "cost",
    )
    ordering = ("number",)
    extra = 0


@admin.register(RequestLog)
class RequestLogAdmin(Unwritable, ModelAdmin):  # type: ignore[misc]  # unfold has no types
    """What became of each request."""

    list_display = (
        "timestamp", "model", "dialect", "status_code", "outcome", "latency_ms", "ttft_ms", "tokens_in", "output_tokens", "overhead",
        "price", "key_name", "upstream_name",
    )  # fmt: skip
    list_filter = ("outcome", "input_format", ("status_code", admin.AllValuesFieldListFilter), "stream", "usage_estimated")
    search_fields = ("request_id__exact", "model__startswith")
    search_help_text = "A whole request id, or the beginning of a model's name"
    date_hierarchy = None
    list_per_page = 50
    show_full_result_count = False
    inlines = (AttemptInline,)
    fieldsets = (
        ("Request", {"fields": ("timestamp", "request_id", "method", "path", "dialect", "stream", "model", "request_metadata")}),
        ("Who", {"fields": ("key_name", "key_prefix", "api_key_id", "session_id", "client_ip", "user_agent")}),
        ("Where", {"fields": ("upstream_name", "upstream_id", "upstream_dialect", "remote_model", "attempts", "routing")}),
        ("Outcome", {"fields": ("outcome", "status_code", "upstream_status", "error_type", "error_message")}),
        ("Time", {"fields": ("latency_ms", "ttft_ms", "overhead")}),
        ("Tokens", {"fields": (*TOKENS, "usage_estimated", "service_tier")}),
        ("Cost", {"fields": ("price", "price_version", "price_id")}),
    )

    @admin.display(description="tokens in", ordering="input_tokens")
    def tokens_in(self, row: RequestLog) -> int:
        """Everything that went in, caches included."""
        return row.input_tokens + row.cache_read_tokens + row.cache_creation_tokens

    @admin.display(description="overhead", ordering="overhead_us")
    def overhead(self, row: RequestLog) -> str:
        """The gateway's own share before the upstream was called."""
        return f"{row.overhead_us / 1000:.1f} ms"

    @admin.display(description="cost", ordering="cost")
    def price(self, row: RequestLog) -> str:
        """USD."""
        return dollars(row.cost)


@admin.register(RequestPayload)
class RequestPayloadAdmin(Unwritable, ModelAdmin):  # type: ignore[misc]  # unfold has no types
    """Bodies that were kept."""

    list_display = ("timestamp", "log_id", "truncated")
    search_fields = ("log__request_id__exact",)
    show_full_result_count = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[RequestPayload]:
        """Lists do not load the bodies."""
        rows: QuerySet[RequestPayload] = super().get_queryset(request)
        return rows if request.resolver_match and request.resolver_match.kwargs else rows.defer("request_body", "response_body")
