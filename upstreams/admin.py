"""Upstreams, models and routes in the admin."""

# mypy: disable-error-code="untyped-decorator"
# Unfold has no types, and its decorators are everywhere here.

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.html import format_html
from simple_history.admin import SimpleHistoryAdmin
from simple_history.utils import bulk_update_with_history
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import action, display

from proxy.policies import PROMPT_FIELDS
from upstreams import disabling, discovery, health, standing
from upstreams.forms import CredentialForm, ImportForm, ModelForm, UpstreamForm
from upstreams.models import Dialect, Model, Route, Upstream, UpstreamCredential

COLLAPSED = ("collapse",)
STATES = {"active": "success", "inactive": "danger", "disabled": "danger", "missing": "warning"}


class Switchable(SimpleHistoryAdmin, ModelAdmin):  # type: ignore[misc]  # neither has types
    """Rows that can be switched on and off together."""

    actions: tuple[str, ...] = ("activate", "deactivate")
    list_per_page = 50

    @admin.action(description="Activate", permissions=["change"])
    def activate(self, request: HttpRequest, rows: QuerySet[Any]) -> None:
        """Serve from them."""
        self._switch(request, rows, active=True)

    @admin.action(description="Deactivate", permissions=["change"])
    def deactivate(self, request: HttpRequest, rows: QuerySet[Any]) -> None:
        """Serve from them no more."""
        self._switch(request, rows, active=False)

    def _switch(self, request: HttpRequest, rows: QuerySet[Any], *, active: bool) -> None:
        changed = list(self.model.objects.filter(pk__in=rows.values("pk")).exclude(is_active=active))
        for row in changed:
            row.is_active = active
        bulk_update_with_history(changed, self.model, ["is_active"], batch_size=500)
        messages.success(request, f"{len(changed)} switched {'on' if active else 'off'}.")

    @display(description="State", ordering="is_active", label=STATES)
    def state(self, row: Any) -> str:
        """Whether it serves."""
        return "active" if row.is_active else "inactive"


def credential_state(row: UpstreamCredential) -> str:
    """One word on a credential."""
    if not row.secret_encrypted:
        return "missing"
    return "disabled" if row.disabled_reason else "active" if row.is_active else "inactive"


class CredentialInline(TabularInline):  # type: ignore[misc]  # unfold has no types
    """The keys of an upstream's account, on the upstream's own page."""

    model = UpstreamCredential
    form = CredentialForm
    fields = ("name", "secret", "shown_secret", "access_key_id", "priority", "is_active")
    readonly_fields = ("shown_secret",)
    verbose_name_plural = "Credentials"

    def get_extra(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> int:  # noqa: ARG002  (Django's signature)
        """One row to fill in on a new page."""
        return 0 if obj else 1

    @display(description="State")
    def shown_secret(self, row: UpstreamCredential) -> str:
        """Whether there is one; no part of it is shown."""
        return f"set, {credential_state(row)}" if row.secret_encrypted else "not set"


@admin.register(Upstream)
class UpstreamAdmin(Switchable):
    """Providers' endpoints."""

    form = UpstreamForm
    list_display = ("name", "dialect", "base_url", "state", "breaker", "priority", "keys", "models")
    list_filter = ("is_active", "dialect")
    search_fields = ("name", "base_url")
    inlines = (CredentialInline,)
    actions = ("activate", "deactivate", "check_health")
    actions_detail = ("import_models", "test_connection")
    readonly_fields = ("created_at", "updated_at")
    fieldsets = (
        (None, {"fields": ("name", "preset", "dialect", "base_url", "is_active", "priority")}),
        (
            "Authentication",
            {
                "classes": COLLAPSED,
                "fields": ("auth_header", "auth_scheme", "extra_headers", "pass_client_credentials", "region"),
                "description": "Leave this as it is for providers that follow their protocol. The keys themselves stand below.",
            },
        ),
        (
            "Time limits and retries",
            {
                "classes": COLLAPSED,
                "fields": (
                    ("connect_timeout_seconds", "first_byte_timeout_seconds", "idle_timeout_seconds"),
                    ("max_retries", "retry_base_delay_ms", "cooldown_seconds"),
                ),
            },
        ),
        ("Peculiarities", {"classes": COLLAPSED, "fields": ("test_model", "quirks", "capabilities", "created_at", "updated_at")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Upstream]:
        """Rows with what the list counts."""
        rows: QuerySet[Upstream] = super().get_queryset(request)
        return rows.annotate(
            key_count=Count("credentials", filter=Q(credentials__is_active=True, credentials__disabled_reason=""), distinct=True),
            model_count=Count("routes__model", distinct=True),
        )

    @display(description="Circuit breaker")
    def breaker(self, row: Upstream) -> str:
        """How it stands in this process; with Redis, in all of them."""
        return standing.current().breakers.state(str(row.pk)).replace("_", " ")

    @display(description="Keys")
    def keys(self, row: Any) -> int:
        """How many keys are in use."""
        return int(row.key_count)

    @display(description="Models")
    def models(self, row: Any) -> str:
        """How many models lead here, and the way to them."""
        where = reverse("admin:upstreams_model_changelist")
        return format_html('<a href="{}?routes__upstream__id__exact={}">{}</a>', where, row.pk, row.model_count)

    @admin.action(description="Check health", permissions=["change"])
    def check_health(self, request: HttpRequest, rows: QuerySet[Upstream]) -> None:
        """Ask each one for its models and for one token."""
        for row in rows:
            _tell_health(request, row)

    @action(description="Test connection", icon="network_check", permissions=["change"], url_path="test-connection")
    def test_connection(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The same for one upstream, from its page."""
        row = Upstream.objects.filter(pk=object_id).first()
        if row is None:
            return redirect("admin:upstreams_upstream_changelist")
        _tell_health(request, row)
        return redirect("admin:upstreams_upstream_change", object_id)

    @action(description="Import models", icon="download", permissions=["change"], url_path="import-models")
    def import_models(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Choose among the models that the upstream lists."""
        row = Upstream.objects.filter(pk=object_id).first()
        if row is None:
            return redirect("admin:upstreams_upstream_changelist")
        try:
            listed = discovery.list_models(row)
        except discovery.DiscoveryFailed as problem:
            messages.error(request, str(problem))
            return redirect("admin:upstreams_upstream_change", object_id)
        known = discovery.taken_names()
        fresh = {model.name: model for model in listed if model.name not in known}
        choices = [(model.name, _described(model)) for model in sorted(fresh.values(), key=lambda model: model.name)]
        form = ImportForm(request.POST or None, choices=choices)
        if request.method == "POST" and form.is_valid():
            done = discovery.import_models(row, [fresh[name] for name in form.cleaned_data["names"]])
            messages.success(request, f"{len(done.created)} models imported.")
            return redirect(reverse("admin:upstreams_model_changelist") + f"?routes__upstream__id__exact={row.pk}")
        page = {
            **self.admin_site.each_context(request),
            "title": f"Import models of {row.name}",
            "opts": self.opts,
            "original": row,
            "form": form,
            "listed": len(listed),
            "known": len(listed) - len(fresh),
        }
        return render(request, "admin/upstreams/upstream/import_models.html", page)


def _described(model: discovery.Listed) -> str:
    return f"{model.name}  ({model.context_window:,} tokens)" if model.context_window else model.name


def _tell_health(request: HttpRequest, row: Upstream) -> None:
    report = health.check(row)
    tested = f"{report['tested_model']} answered in {report['latency_ms']} ms" if report["tested_model"] else "no model was tested"
    if report["healthy"]:
        messages.success(request, f"{row.name} is well: {report['models_found']} models listed, {tested}.")
    else:
        messages.error(request, f"{row.name}: {report['error']}")


class RouteInline(TabularInline):  # type: ignore[misc]  # unfold has no types
    """The ways to a model, on the model's own page."""

    model = Route
    fields = ("upstream", "remote_name", "priority", "weight", "is_active")
    verbose_name_plural = "Routes: where requests for this model go"

    def get_extra(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> int:  # noqa: ARG002  (Django's signature)
        """One row to fill in on a new page."""
        return 0 if obj else 1


def _prompt_warning(row: Model) -> str:
    """A sentence on prompt edits that a native Anthropic upstream would feel; empty where there are none."""
    edits = [name for name in PROMPT_FIELDS if getattr(row, name)]
    if (row.tool_enforcement or {}).get("enabled"):
        edits.append("tool_enforcement")
    native = row.routes.filter(is_active=True, upstream__dialect__in=(Dialect.ANTHROPIC, Dialect.BEDROCK))
    names = list(native.order_by("upstream__name").values_list("upstream__name", flat=True).distinct())
    if not edits or not names:
        return ""
    warning = (
        f"{row.name} leads to {', '.join(names)}, where thinking blocks are bound to the conversation and prompts are cached: "
        f"changing {', '.join(edits)} in the middle of a session voids both for the turns so far."
    )
    if row.inject_progress:
        warning += " The note of inject_progress moves on with every turn, so thinking blocks that were written behind it may be refused."
    return warning


@admin.register(Model)
class ModelAdminPage(Switchable):
    """Models that clients ask for."""

    form = ModelForm
    inlines = (RouteInline,)
    list_display = ("name", "path_prefix", "display_name", "provider", "leads_to", "context_window", "state")
    list_filter = ("is_active", "routes__upstream", "provider", "path_prefix")
    search_fields = ("name", "display_name", "aliases")
    readonly_fields = ("created_at", "updated_at")
    fieldsets = (
        (None, {"fields": ("name", "display_name", "is_active", "aliases", "provider")}),
        ("Sizes", {"classes": COLLAPSED, "fields": (("context_window", "max_output_tokens"), ("max_tokens_default", "max_tokens_cap"))}),
        (
            "Routing",
            {
                "classes": COLLAPSED,
                "fields": (
                    "path_prefix",
                    "strategy",
                    "fallbacks",
                    ("timeout_seconds", "cooldown_seconds", "hedge_after_ms"),
                    "allow_anonymous",
                ),
            },
        ),
        (
            "Changes to requests",
            {
                "classes": COLLAPSED,
                "fields": (
                    "temperature",
                    "system_append",
                    "system_replacements",
                    "inject_progress",
                    "body_defaults",
                    "body_extensions",
                    "tool_enforcement",
                    ("repair_tool_history", "buffer_tool_calls", "smooth_streaming"),
                ),
            },
        ),
        ("Peculiarities", {"classes": COLLAPSED, "fields": ("quirks", "created_at", "updated_at")}),
    )

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Save the routes too, then warn of prompts that change before an upstream that remembers them."""
        super().save_related(request, form, formsets, change)
        warning = _prompt_warning(form.instance)
        if warning:
            messages.warning(request, warning)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Model]:
        """Rows with their routes."""
        rows: QuerySet[Model] = super().get_queryset(request)
        return rows.prefetch_related("routes__upstream")

    @display(description="Leads to")
    def leads_to(self, row: Model) -> str:
        """The upstreams in the order of the routes, with the names there."""
        ways = []
        for route in row.routes.all():
            name = f"{route.upstream.name} as {route.remote_name}" if route.remote_name else route.upstream.name
            ways.append(name if route.is_active and route.upstream.is_active else f"{name} (off)")
        return ", ".join(ways) or "nowhere"


@admin.register(Route)
class RouteAdmin(Switchable):
    """All routes, for work across models."""

    list_display = ("model", "upstream", "remote_name", "priority", "weight", "state")
    list_filter = ("is_active", "upstream")
    list_select_related = ("model", "upstream")
    search_fields = ("model__name", "upstream__name", "remote_name")
    autocomplete_fields = ("model", "upstream")
    readonly_fields = ("vanished_at", "created_at")
    fieldsets = (
        (None, {"fields": ("model", "upstream", "remote_name", ("priority", "weight", "is_active"))}),
        ("More", {"classes": COLLAPSED, "fields": ("context_window", "capabilities", "vanished_at", "created_at")}),
    )


@admin.register(UpstreamCredential)
class CredentialAdmin(Switchable):
    """All credentials, with what has happened to them."""

    form = CredentialForm
    list_display = ("__str__", "upstream", "condition", "priority", "cooling_until", "last_used_at")
    list_filter = ("is_active", "upstream")
    list_select_related = ("upstream",)
    search_fields = ("name", "upstream__name")
    autocomplete_fields = ("upstream",)
    readonly_fields = ("condition", "disabled_reason", "cooling_until", "last_used_at", "created_at")
    fieldsets = (
        (None, {"fields": ("upstream", "name", "secret", "access_key_id", ("priority", "is_active"))}),
        ("State", {"fields": ("condition", "disabled_reason", "cooling_until", "last_used_at", "created_at")}),
    )

    @admin.action(description="Activate", permissions=["change"])
    def activate(self, request: HttpRequest, rows: QuerySet[Any]) -> None:
        """Use them, also those that their provider refused or that are cooling."""
        super().activate(request, rows)
        for key, upstream in rows.values_list("pk", "upstream_id"):
            disabling.bring_back(str(key), str(upstream))

    @display(description="State", label=STATES)
    def condition(self, row: UpstreamCredential) -> str:
        """One word; no part of the secret."""
        return credential_state(row)
