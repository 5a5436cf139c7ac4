"""Upstreams in the admin: settings, status, credentials, health checks and discovery."""

# mypy: disable-error-code="untyped-decorator"
# Unfold has no types, and its decorators are everywhere here.

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.html import format_html
from unfold.decorators import action, display

from accounts.common.admin import COLLAPSED, ActivatableAdmin, RequestsMixin, format_count, link
from proxy.translation.dialects.lookup import TITLES
from upstreams.admin import importing, status
from upstreams.admin.credential import CredentialInline
from upstreams.forms import UpstreamForm
from upstreams.models import Upstream
from upstreams.monitoring import discovery, health_check
from upstreams.routing import credential_state, live_state


class DialectFilter(admin.SimpleListFilter):
    """Upstreams by API format."""

    title = "API format"
    parameter_name = "dialect__exact"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ARG002  (Django passes both)
        return list(TITLES.items())

    def queryset(self, request: HttpRequest, queryset: QuerySet[Upstream]) -> QuerySet[Upstream]:  # noqa: ARG002  (as above)
        return queryset.filter(dialect=self.value()) if self.value() else queryset


@admin.register(Upstream)
class UpstreamAdmin(RequestsMixin, ActivatableAdmin):
    """Upstreams with their credentials."""

    form = UpstreamForm
    list_display = ("name", "api_format", "base_url", "condition", "detail", "priority", "credentials", "models")
    list_filter = ("is_active", DialectFilter)
    search_fields = ("name", "base_url")
    search_help_text = "A name or a base URL"
    empty_title = "No upstreams yet"
    empty_text = "An upstream is an address of a provider. Select a preset or enter a base URL, add a credential, then import its models."
    inlines = (CredentialInline,)
    actions = ("activate", "deactivate", "check_health", "discover")
    log_filter = "upstream"
    actions_detail = ("import_models", "show_requests")
    actions_row = ("import_models", "switch", "show_requests")
    change_form_outer_before_template = "admin/upstreams/upstream/status.html"
    readonly_fields = ("created_at", "updated_at")
    fieldsets = (
        ("Basics", {"fields": ("preset", "name", "dialect", "base_url", "region", "is_active", "priority")}),
        (
            "Limits: timeouts and retries",
            {
                "classes": COLLAPSED,
                "fields": (
                    "connect_timeout_seconds", "first_byte_timeout_seconds", "idle_timeout_seconds",
                    "max_retries", "retry_base_delay_ms", "cooldown_seconds",
                ),
            },
        ),
        (
            "Capabilities",
            {
                "classes": COLLAPSED,
                "fields": ("takes_images", "takes_tools", "takes_audio"),
                "description": "Requests that need a capability that is switched off here are sent to other upstreams.",
            },
        ),
        (
            "Authentication",
            {
                "classes": COLLAPSED,
                "fields": ("auth_header", "auth_scheme", "extra_headers", "pass_client_credentials"),
                "description": "Only for upstreams that deviate from their API format. Credentials are entered below.",
            },
        ),
        (
            "Network",
            {"classes": COLLAPSED, "fields": ("proxy", "ca_file", "client_certificate_file", "http2")},
        ),
        ("Advanced", {"classes": COLLAPSED, "fields": ("price_factor", "test_model", "quirks", "created_at", "updated_at")}),
    )  # fmt: skip

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Only new upstreams have the field for a preset."""
        (title, basics), *others = super().get_fieldsets(request, obj)
        if obj is not None:
            basics = {**basics, "fields": [name for name in basics["fields"] if name != "preset"]}
        return [(title, basics), *others]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Upstream]:
        """Rows with the number of their models and their credentials."""
        rows: QuerySet[Upstream] = super().get_queryset(request)
        return rows.annotate(model_count=Count("routes__model", distinct=True)).prefetch_related("credentials")

    @display(description="API format", ordering="dialect")
    def api_format(self, row: Upstream) -> str:
        """The title of the upstream's dialect."""
        return TITLES.get(row.dialect, row.dialect)

    @display(description="State", label=status.LEVELS)
    def condition(self, row: Upstream) -> str:
        """The label of the status, by the routing state of this process; with Redis, of all processes."""
        return status.upstream_status(row, row.credentials.all(), live_state.current()).label

    @display(description="Why", empty_value="")
    def detail(self, row: Upstream) -> str:
        """The explanation of the status."""
        return status.upstream_status(row, row.credentials.all(), live_state.current()).detail

    @display(description="Credentials")
    def credentials(self, row: Upstream) -> str:
        """The number of credentials."""
        return str(len(row.credentials.all()))

    @display(description="Models")
    def models(self, row: Any) -> str:
        """The number of models with a route to the upstream, as a link to them."""
        return link(_models_url(row), str(row.model_count))

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """The page of an upstream with its status above the form. The buttons of the status post here, with the field ``_command``."""
        row = Upstream.objects.prefetch_related("credentials", "routes").filter(pk=object_id).first() if _is_id(object_id) else None
        if row is None:
            return super().change_view(request, object_id, form_url, extra_context)  # type: ignore[no-any-return]
        if request.method == "POST" and "_command" in request.POST and self.has_change_permission(request, row):
            if request.POST["_command"] == "switch":
                rows = Upstream.objects.filter(pk=row.pk)
                self.set_active(request, rows, active=not row.is_active, done="switched off" if row.is_active else "switched on")
            else:
                _run_command(request, row)
            return redirect("admin:upstreams_upstream_change", object_id)
        state = live_state.current()
        overview = {
            "status": status.upstream_status(row, row.credentials.all(), state),
            "credentials": [
                (credential, status.credential_status(credential, state), f"enable {credential.pk}") for credential in row.credentials.all()
            ],
            "route_count": len(row.routes.all()),
            "vanished": sum(route.vanished_at is not None for route in row.routes.all()),
            "models_url": _models_url(row),
        }
        return super().change_view(request, object_id, form_url, {"overview": overview, **(extra_context or {})})  # type: ignore[no-any-return]

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        """After adding an upstream, show its page with a link to the import of its models."""
        response: HttpResponse = super().response_add(request, obj, post_url_continue)
        if "_popup" in request.POST or "_addanother" in request.POST:
            return response
        url = reverse("admin:upstreams_upstream_import_models", args=(obj.pk,))
        messages.info(request, format_html('Next: <a class="font-semibold underline" href="{}">import its models</a>.', url))
        return redirect("admin:upstreams_upstream_change", obj.pk)

    @admin.action(description="Test connection", permissions=["change"])
    def check_health(self, request: HttpRequest, rows: QuerySet[Upstream]) -> None:
        """Run a health check of each upstream."""
        for row in rows:
            run_health_check(request, row)

    @admin.action(description="Discover models", permissions=["change"])
    def discover(self, request: HttpRequest, rows: QuerySet[Upstream]) -> None:
        """Create models for new names and mark routes to names that are not listed any more."""
        for row in rows:
            run_discovery(request, row)

    @action(description="Switch on or off", icon="power_settings_new", permissions=["change"], url_path="switch")
    def switch(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask, then switch an upstream off or on."""
        row = self.get_object(request, object_id)
        if row is None:
            return redirect("admin:upstreams_upstream_changelist")
        if request.method == "POST":
            rows = Upstream.objects.filter(pk=row.pk)
            self.set_active(request, rows, active=not row.is_active, done="switched off" if row.is_active else "switched on")
            return redirect("admin:upstreams_upstream_changelist")
        context = {**self.admin_site.each_context(request), "opts": self.opts, "original": row, "title": f"Switch {row.name}"}
        return render(request, "admin/upstreams/upstream/switch.html", context)

    @action(description="Import models", icon="download", permissions=["change"], url_path="import-models")
    def import_models(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Select the models to import."""
        row = Upstream.objects.filter(pk=object_id).first() if _is_id(object_id) else None
        if row is None:
            return redirect("admin:upstreams_upstream_changelist")
        if "_discover" in request.POST:
            run_discovery(request, row)
            return redirect(_models_url(row))
        site_context = {**self.admin_site.each_context(request), "opts": self.opts}
        return importing.page(request, row, site_context=site_context, models_url=_models_url(row))


def _models_url(row: Upstream) -> str:
    return f"{reverse('admin:upstreams_model_changelist')}?routes__upstream__id__exact={row.pk}"


def _is_id(text: str) -> bool:
    try:
        Upstream._meta.pk.to_python(text)  # noqa: SLF001  (Django's documented way to a field)
    except ValidationError:
        return False
    return True


def _run_command(request: HttpRequest, row: Upstream) -> None:
    """A button of the status: ``check``, or ``enable <credential id>``."""
    command, _, credential_id = request.POST["_command"].partition(" ")
    if command == "check":
        run_health_check(request, row)
    elif command == "enable" and row.credentials.filter(pk=credential_id).exists():
        credential_state.enable(credential_id, str(row.pk))
        messages.success(request, "The credential is enabled.")


def run_health_check(request: HttpRequest, row: Upstream) -> None:
    """Check an upstream and show the result."""
    report = health_check.check(row)
    credentials = report["keys"]
    if len(credentials) > 1 and not all(credential["healthy"] for credential in credentials):
        show = messages.warning if report["healthy"] else messages.error
        show(request, f"{row.name}: {'; '.join(map(_credential_result, credentials))}.")
    elif report["healthy"]:
        listed = format_count(report["models_found"], "model")
        tested = f"{report['tested_model']} answered in {report['latency_ms']:,} ms" if report["tested_model"] else "no model was tested"
        all_work = f" All {len(credentials)} credentials work." if len(credentials) > 1 else ""
        messages.success(request, f"{row.name} is healthy: {listed} listed, {tested}.{all_work}")
    else:
        messages.error(request, f"{row.name}: {report['error']}")


def _credential_result(credential: dict[str, Any]) -> str:
    """The result of a check for one of several credentials."""
    name = credential["name"] or credential["id"][:8]
    if credential["healthy"]:
        return f"{name} is healthy"
    is_refused = credential["status"] in (401, 403)
    return f"{name} was refused ({credential['status']})" if is_refused else f"{name}: {credential['error']}"


def run_discovery(request: HttpRequest, row: Upstream) -> None:
    """Discover the models of an upstream and show what has changed."""
    try:
        counts = discovery.discover(row)
    except discovery.DiscoveryFailed as failure:
        messages.error(request, importing.error_message(row, failure))
        return
    texts = (("created", "new model", ""), ("vanished", "route", " marked as vanished"), ("returned", "route", " listed again"))
    summary = ", ".join(format_count(counts[name], noun) + suffix for name, noun, suffix in texts if counts[name])
    messages.success(request, f"{row.name}: {summary or 'nothing new'}.")
