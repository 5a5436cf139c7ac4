"""Prices in the admin."""

# mypy: disable-error-code="untyped-decorator"
# Unfold has no types, and its decorators are everywhere here.

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from unfold.decorators import display
from unfold.widgets import UnfoldAdminDecimalFieldWidget

from accounts.admin.filters import RelatedFilter
from accounts.common.admin import COLLAPSED, TableAdmin
from billing.admin.formatting import dollars
from billing.fields import MoneyField
from billing.models import Price
from billing.pricing import price_book
from billing.rates import CLASSES

STATES = {"in force": "success", "overruled": "warning", "replaced": ""}


@admin.register(Price)
class PriceAdmin(TableAdmin):
    """Prices, active ones first. A price that is entered here wins over prices from price data."""

    formfield_overrides = {**TableAdmin.formfield_overrides, MoneyField: {"widget": UnfoldAdminDecimalFieldWidget({"step": "any"})}}
    list_display = ("__str__", "input_price", "output_price", "cache_read_price", "cache_write_price", "source", "state")
    list_filter = ("is_active", "source", ("upstream", RelatedFilter))
    list_select_related = ("model", "upstream")
    search_fields = ("name", "model__name", "upstream__name")
    search_help_text = "The name of a model or an upstream"
    autocomplete_fields = ("model", "upstream")
    ordering = ("-is_active", "model__name", "name", "-created_at")
    readonly_fields = ("source", "version", "created_at")
    empty_title = "No prices yet"
    empty_text = "Known models take their prices from bundled data. A price that you enter here wins over them."
    fieldsets = (
        (
            "Basics",
            {"fields": ("model", "name", "upstream", "is_active"), "description": "Choose a model or enter its remote name."},
        ),
        (
            "USD per million tokens",
            {
                "fields": (
                    "input", "output", "cache_read", "cache_write_5m", "cache_write_1h",
                    "input_audio", "output_audio", "input_image", "output_image", "web_search",
                ),
                "description": "Empty means unknown: requests then have no cost. 0 means free.",
            },
        ),
        ("Advanced", {"classes": COLLAPSED, "fields": ("tiers", "valid_from", "valid_until", "source", "version", "created_at")}),
    )  # fmt: skip

    @admin.display(description="input", ordering="input")
    def input_price(self, row: Price) -> str:
        """USD per million tokens, as in the other columns."""
        return dollars(row.input)

    @admin.display(description="output", ordering="output")
    def output_price(self, row: Price) -> str:
        """USD per million tokens, including reasoning."""
        return dollars(row.output)

    @admin.display(description="cache read", ordering="cache_read")
    def cache_read_price(self, row: Price) -> str:
        """An unknown rate is billed like input."""
        return "as input" if row.cache_read is None else dollars(row.cache_read)

    @admin.display(description="cache write", ordering="cache_write_5m")
    def cache_write_price(self, row: Price) -> str:
        """The rate for 5 minutes; an unknown one is billed like input."""
        return "as input" if row.cache_write_5m is None else dollars(row.cache_write_5m)

    @display(description="State", ordering="is_active", label=STATES)
    def state(self, row: Price) -> str:
        """Whether requests are billed at this price or at another one for the same model."""
        if not row.is_active:
            return "replaced"
        return "overruled" if price_book.current().is_overruled(row) else "in force"

    def save_model(self, request: HttpRequest, obj: Price, form: Any, change: bool) -> None:
        """Save; a price from price data whose rates were changed becomes a manual one."""
        before = Price.objects.filter(pk=obj.pk).first()
        if before is not None and any(getattr(before, name) != getattr(obj, name) for name in (*CLASSES, "tiers")):
            obj.source, obj.version = Price.Source.MANUAL, ""
        super().save_model(request, obj, form, change)
