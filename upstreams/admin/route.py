"""Routes in the admin, on their own pages and on the pages of their models."""

# mypy: disable-error-code="untyped-decorator"
# Unfold has no types, and its decorators are everywhere here.

from __future__ import annotations

import enum

from django.contrib import admin
from unfold.admin import TabularInline
from unfold.decorators import display

from accounts.admin.filters import RelatedFilter
from accounts.common.admin import COLLAPSED, ActivatableAdmin, ExtraRowOnAddMixin
from upstreams.forms import RouteForm, RouteRowForm
from upstreams.models import Route


class RouteState(enum.StrEnum):
    """Whether a route is used, and if not, why. The values are shown."""

    ACTIVE = "active"
    OFF = "off"
    UPSTREAM_OFF = "upstream off"
    VANISHED = "vanished"


LEVELS: dict[str, str] = {
    RouteState.ACTIVE: "success",
    RouteState.OFF: "",
    RouteState.UPSTREAM_OFF: "warning",
    RouteState.VANISHED: "danger",
}
"""The colours of the states, as Unfold names them."""


def route_state(row: Route) -> RouteState:
    """The state of a route, by its row and its upstream's."""
    if not row.is_active:
        return RouteState.OFF
    if row.vanished_at is not None:
        return RouteState.VANISHED
    return RouteState.ACTIVE if row.upstream.is_active else RouteState.UPSTREAM_OFF


class RouteInline(ExtraRowOnAddMixin, TabularInline):  # type: ignore[misc]  # unfold has no types
    """The routes of a model, on the model's page."""

    model = Route
    form = RouteRowForm
    fields = ("upstream", "remote_name", "priority", "weight", "is_active")
    verbose_name_plural = "Routes: the upstreams that serve this model, the lowest number of priority first"


@admin.register(Route)
class RouteAdmin(ActivatableAdmin):
    """All routes of all models."""

    form = RouteForm
    list_display = ("model", "upstream", "remote_name", "priority", "weight", "state")
    list_filter = ("is_active", ("upstream", RelatedFilter))
    list_select_related = ("model", "upstream")
    search_fields = ("model__name", "upstream__name", "remote_name")
    search_help_text = "The name of a model or an upstream"
    autocomplete_fields = ("model", "upstream")
    empty_title = "No routes yet"
    empty_text = "A route connects a model to an upstream. Importing the models of an upstream creates routes."
    readonly_fields = ("vanished_at", "created_at")
    fieldsets = (
        ("Basics", {"fields": ("model", "upstream", "remote_name", "priority", "weight", "is_active")}),
        (
            "Advanced",
            {"classes": COLLAPSED, "fields": ("context_window", "takes_images", "takes_tools", "takes_audio", "vanished_at", "created_at")},
        ),
    )

    @display(description="State", ordering="is_active", label=LEVELS)
    def state(self, row: Route) -> RouteState:
        """Whether the route is used, and if not, why."""
        return route_state(row)
