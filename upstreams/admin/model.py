"""Models in the admin: names, routes and policies."""

# mypy: disable-error-code="untyped-decorator"
# Unfold has no types, and its decorators are everywhere here.

from __future__ import annotations

import enum
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.decorators import display

from accounts.admin.filters import RelatedFilter, ValueFilter
from accounts.common.admin import COLLAPSED, ActivatableAdmin, RequestsMixin
from proxy.translation.dialects.registry import REGISTRY
from proxy.translation.policies.model_policies import PROMPT_FIELDS
from upstreams.admin.route import RouteInline, RouteState, route_state
from upstreams.catalog import config_warnings
from upstreams.forms import ModelForm
from upstreams.models import Model


class ModelState(enum.StrEnum):
    """Whether a model is served, and if not, why. The values are shown."""

    ACTIVE = "active"
    OFF = "off"
    NO_ROUTE = "no route"


LEVELS: dict[str, str] = {ModelState.ACTIVE: "success", ModelState.OFF: "", ModelState.NO_ROUTE: "danger"}
"""The colours of the states, as Unfold names them."""


class ProviderFilter(ValueFilter):
    """By the provider that model lists show as the owner."""

    title = parameter_name = "provider"


class PrefixFilter(ValueFilter):
    """By the path below which models are served."""

    title = "path prefix"
    parameter_name = "path_prefix"


BINDS_THINKING = [dialect.name for dialect in REGISTRY.values() if dialect.upstream.binds_thinking]


@admin.register(Model)
class ModelPage(RequestsMixin, ActivatableAdmin):
    """The models that clients can request."""

    form = ModelForm
    log_filter = "asked"
    actions_row = actions_detail = ("show_requests",)
    inlines = (RouteInline,)
    list_display = ("name", "shown_aliases", "leads_to", "window", "provider", "state")
    list_filter = ("is_active", ("routes__upstream", RelatedFilter), ProviderFilter, PrefixFilter)
    search_fields = ("name", "display_name", "aliases")
    search_help_text = "A name or an alias"
    empty_title = "No models yet"
    empty_text = "Open an upstream and import its models, or add a model with a route to an upstream."
    readonly_fields = ("created_at", "updated_at")
    fieldsets = (
        ("Basics", {"fields": ("name", "display_name", "aliases", "is_active")}),
        (
            "Limits",
            {
                "classes": COLLAPSED,
                "fields": ("context_window", "max_output_tokens", "max_tokens_default", "max_tokens_cap", "timeout_seconds"),
                "description": "In tokens and seconds. Empty: unknown, or no limit.",
            },
        ),
        (
            "Routing",
            {"classes": COLLAPSED, "fields": ("strategy", "fallbacks", "cooldown_seconds", "hedge_after_ms")},
        ),
        (
            "Policies: changes to prompts",
            {
                "classes": COLLAPSED,
                "fields": ("system_append", "system_replacements", "inject_progress"),
                "description": "At Anthropic a changed prompt invalidates the prompt cache and the thinking blocks of all earlier turns: "
                "change these settings between sessions.",
            },
        ),
        (
            "Policies: requests and streams",
            {
                "classes": COLLAPSED,
                "fields": (
                    "temperature", "body_defaults", "body_extensions", "tool_enforcement",
                    "repair_tool_history", "buffer_tool_calls", "smooth_streaming",
                ),
            },
        ),
        (
            "Advanced",
            {
                "classes": COLLAPSED,
                "fields": ("provider", "path_prefix", "allow_anonymous", "capture_payloads", "quirks", "created_at", "updated_at"),
            },
        ),
    )  # fmt: skip

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Save the routes, then show warnings."""
        super().save_related(request, form, formsets, change)
        warning = prompt_warning(form.instance)
        if warning:
            messages.warning(request, warning)
        for text in config_warnings.model_warnings(form.instance):
            messages.warning(request, text)
        if not form.instance.routes.exists() and not form.instance.fallbacks:
            messages.warning(request, f"{form.instance.name} has no route yet: until you add one, requests for it are refused.")

    def log_value(self, row: Model) -> str:
        """Requests have the name that the client sent."""
        return str(row.name)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Model]:
        """Rows with their routes and upstreams, in a fixed number of queries."""
        rows: QuerySet[Model] = super().get_queryset(request)
        return rows.prefetch_related("routes__upstream")

    @display(description="Routes to")
    def leads_to(self, row: Model) -> str:
        """The upstreams in the order of the routes, with the names there."""
        targets = []
        for route in row.routes.all():
            name = f"{route.upstream.name} as {route.remote_name}" if route.remote_name not in ("", row.name) else route.upstream.name
            state = route_state(route)
            targets.append(name if state is RouteState.ACTIVE else f"{name} ({state})")
        return ", ".join(targets) or "nothing"

    @display(description="Context window", ordering="context_window", empty_value="unknown")
    def window(self, row: Model) -> str | None:
        """Tokens."""
        return f"{row.context_window:,}" if row.context_window else None

    @display(description="Aliases", empty_value="")
    def shown_aliases(self, row: Model) -> str:
        """The first two aliases, and how many more there are."""
        return ", ".join(row.aliases[:2]) + (f" and {len(row.aliases) - 2} more" if len(row.aliases) > 2 else "")

    @display(description="State", ordering="is_active", label=LEVELS)
    def state(self, row: Model) -> ModelState:
        """Whether the model is served: it is active and has an active route or a fallback."""
        if not row.is_active:
            return ModelState.OFF
        is_served = bool(row.fallbacks) or any(route.is_active and route.upstream.is_active for route in row.routes.all())
        return ModelState.ACTIVE if is_served else ModelState.NO_ROUTE


def prompt_warning(row: Model) -> str:
    """A warning about prompt edits for routes to Anthropic or Bedrock, where they invalidate caches; empty if there are none."""
    edits = [name for name in PROMPT_FIELDS if getattr(row, name)]
    if (row.tool_enforcement or {}).get("enabled"):
        edits.append("tool_enforcement")
    native = row.routes.filter(is_active=True, upstream__dialect__in=BINDS_THINKING)
    names = list(native.order_by("upstream__name").values_list("upstream__name", flat=True).distinct())
    if not edits or not names:
        return ""
    warning = (
        f"{row.name} has a route to {', '.join(names)}, where prompts are cached and thinking blocks are bound to the conversation: "
        f"a change of {', '.join(edits)} during a session invalidates both for all earlier turns."
    )
    if row.inject_progress:
        warning += " inject_progress changes the last user turn of every request, so later thinking blocks may be refused."
    return warning
