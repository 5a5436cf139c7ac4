"""Upstreams in the admin: how they are, their keys, and the way to their models."""

# mypy: disable-error-code="untyped-decorator"
# Unfold has no types, and its decorators are everywhere here.

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html
from unfold.decorators import action, display

from accounts.common.admin import COLLAPSED, Switchable, counted, link
from proxy.translation.dialects.lookup import TITLES
from upstreams.admin import importing, status
from upstreams.admin.credential import CredentialInline
from upstreams.forms import UpstreamForm
from upstreams.models import Upstream
from upstreams.monitoring import discovery, health_check
from upstreams.routing import credential_state, live_state

LABELS = {**status.LEVELS, **dict.fromkeys(("breaker open", "no usable key", "test failed"), "danger")}


class DialectFilter(admin.SimpleListFilter):
    """Upstreams by API format."""

    title = "API format"
    parameter_name = "dialect__exact"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ARG002  (Django passes both)
        return list(TITLES.items())

    def queryset(self, request: HttpRequest, queryset: QuerySet[Upstream]) -> QuerySet[Upstream]:  # noqa: ARG002  (as above)
        return queryset.filter(dialect=self.value()) if self.value() else queryset


@admin.register(Upstream)
class UpstreamAdmin(Switchable):
    """Providers' endpoints."""

    form = UpstreamForm
    list_display = ("name", "shown_dialect", "base_url", "condition", "detail", "priority", "keys", "models")
    list_filter = ("is_active", DialectFilter)
    search_fields = ("name", "base_url")
    search_help_text = "A name or an address"
    empty_title = "No upstreams yet"
    empty_text = (
        "An upstream is a provider's endpoint. Choose a well-known one or give an address, and add its key; then import its models."
    )
    inlines = (CredentialInline,)
    actions = ("activate", "deactivate", "check_health", "discover")
    actions_detail = ("import_models",)
    actions_row = ("import_models",)
    change_form_outer_before_template = "admin/upstreams/upstream/condition.html"
    readonly_fields = ("created_at", "updated_at")
    fieldsets = (
        ("Basics", {"fields": ("preset", "name", "dialect", "base_url", "region", "is_active", "priority")}),
        (
            "Limits: times and retries",
            {
                "classes": COLLAPSED,
                "fields": (
                    "connect_timeout_seconds", "first_byte_timeout_seconds", "idle_timeout_seconds",
                    "max_retries", "retry_base_delay_ms", "cooldown_seconds",
                ),
            },
        ),
        (
            "Abilities",
            {
                "classes": COLLAPSED,
                "fields": ("takes_images", "takes_tools", "takes_audio"),
                "description": "Requests that need what is switched off here go to other upstreams.",
            },
        ),
        (
            "Authentication",
            {
                "classes": COLLAPSED,
                "fields": ("auth_header", "auth_scheme", "extra_headers", "pass_client_credentials"),
                "description": "Leave this as it is for providers that follow their protocol. The keys themselves stand below.",
            },
        ),
        ("Advanced", {"classes": COLLAPSED, "fields": ("test_model", "quirks", "created_at", "updated_at")}),
    )  # fmt: skip

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Well-known endpoints are for new upstreams."""
        (title, basics), *others = super().get_fieldsets(request, obj)
        if obj is not None:
            basics = {**basics, "fields": [name for name in basics["fields"] if name != "preset"]}
        return [(title, basics), *others]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Upstream]:
        """Rows with what the list counts."""
        rows: QuerySet[Upstream] = super().get_queryset(request)
        return rows.annotate(model_count=Count("routes__model", distinct=True)).prefetch_related("credentials")

    @display(description="API format", ordering="dialect")
    def shown_dialect(self, row: Upstream) -> str:
        """The title of its dialect."""
        return TITLES.get(row.dialect, row.dialect)

    @display(description="State", label=LABELS)
    def condition(self, row: Upstream) -> str:
        """A word on its breaker and its keys, as this process sees them; with Redis, as all of them do."""
        return status.of_upstream(row, row.credentials.all(), live_state.current()).word

    @display(description="Why", empty_value="")
    def detail(self, row: Upstream) -> str:
        """The sentence to it."""
        return status.of_upstream(row, row.credentials.all(), live_state.current()).detail

    @display(description="Keys")
    def keys(self, row: Upstream) -> str:
        """How many keys there are."""
        return str(len(row.credentials.all()))

    @display(description="Models")
    def models(self, row: Any) -> str:
        """How many models lead here, and the way to them."""
        return link(_models_of(row), str(row.model_count))

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """The page of an upstream, with how it is above the form. Buttons there post here."""
        row = Upstream.objects.prefetch_related("credentials", "routes").filter(pk=object_id).first() if _is_id(object_id) else None
        if row is None:
            return super().change_view(request, object_id, form_url, extra_context)  # type: ignore[no-any-return]
        if request.method == "POST" and "_deed" in request.POST and self.has_change_permission(request, row):
            _do(request, row)
            return redirect("admin:upstreams_upstream_change", object_id)
        known = live_state.current()
        keys = [(key, status.of_key(key, known), f"back {key.pk}") for key in row.credentials.all()]
        seen = {
            "condition": status.of_upstream(row, row.credentials.all(), known),
            "keys": keys,
            "route_count": len(row.routes.all()),
            "vanished": sum(route.vanished_at is not None for route in row.routes.all()),
            "models_url": _models_of(row),
        }
        return super().change_view(request, object_id, form_url, {"seen": seen, **(extra_context or {})})  # type: ignore[no-any-return]

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        """On to its page, where its models are imported from."""
        answer: HttpResponse = super().response_add(request, obj, post_url_continue)
        if "_popup" in request.POST or "_addanother" in request.POST:
            return answer
        where = reverse("admin:upstreams_upstream_import_models", args=(obj.pk,))
        messages.info(request, format_html('Next: <a class="font-semibold underline" href="{}">import its models</a>.', where))
        return redirect("admin:upstreams_upstream_change", obj.pk)

    @admin.action(description="Test connection", permissions=["change"])
    def check_health(self, request: HttpRequest, rows: QuerySet[Upstream]) -> None:
        """Ask each one for its models and for one token."""
        for row in rows:
            tell_health(request, row)

    @admin.action(description="Take up new models", permissions=["change"])
    def discover(self, request: HttpRequest, rows: QuerySet[Upstream]) -> None:
        """New names become models; routes to names that are gone are marked."""
        for row in rows:
            tell_discovery(request, row)

    @action(description="Import models", icon="download", permissions=["change"], url_path="import-models")
    def import_models(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Choose among the models that the upstream lists."""
        row = Upstream.objects.filter(pk=object_id).first() if _is_id(object_id) else None
        if row is None:
            return redirect("admin:upstreams_upstream_changelist")
        if "_discover" in request.POST:
            tell_discovery(request, row)
            return redirect(_models_of(row))
        return importing.page(request, row, frame={**self.admin_site.each_context(request), "opts": self.opts}, models_url=_models_of(row))


def _models_of(row: Upstream) -> str:
    return f"{reverse('admin:upstreams_model_changelist')}?routes__upstream__id__exact={row.pk}"


def _is_id(text: str) -> bool:
    try:
        Upstream._meta.pk.to_python(text)  # noqa: SLF001  (Django's documented way to a field)
    except ValidationError:
        return False
    return True


def _do(request: HttpRequest, row: Upstream) -> None:
    """A button above the form: test the upstream, or bring a key back."""
    deed, _, key = request.POST["_deed"].partition(" ")
    if deed == "test":
        tell_health(request, row)
    elif deed == "back" and row.credentials.filter(pk=key).exists():
        credential_state.bring_back(key, str(row.pk))
        messages.success(request, "The key is used again.")


def tell_health(request: HttpRequest, row: Upstream) -> None:
    """Check an upstream, and say how it is."""
    report = health_check.check(row)
    keys = report["keys"]
    if len(keys) > 1 and not all(key["healthy"] for key in keys):
        say = messages.warning if report["healthy"] else messages.error
        say(request, f"{row.name}: {'; '.join(map(_of_key, keys))}.")
    elif report["healthy"]:
        tested = f"{report['tested_model']} answered in {report['latency_ms']:,} ms" if report["tested_model"] else "no model was tested"
        all_of_them = f" All {len(keys)} keys work." if len(keys) > 1 else ""
        messages.success(request, f"{row.name} is well: {counted(report['models_found'], 'model')} listed, {tested}.{all_of_them}")
    else:
        messages.error(request, f"{row.name}: {report['error']}")


def _of_key(key: dict[str, Any]) -> str:
    """What a check found of one of several keys."""
    name = key["name"] or key["id"][:8]
    if key["healthy"]:
        return f"{name} is well"
    return f"{name} was refused ({key['status']})" if key["status"] in (401, 403) else f"{name}: {key['error']}"


def tell_discovery(request: HttpRequest, row: Upstream) -> None:
    """Take up what an upstream lists now, and say what that was."""
    try:
        done = discovery.discover(row)
    except discovery.DiscoveryFailed as problem:
        messages.error(request, importing.failed(row, problem))
        return
    deeds = (("created", "new model", ""), ("vanished", "route", " marked as vanished"), ("returned", "route", " back"))
    words = ", ".join(counted(done[name], noun) + deed for name, noun, deed in deeds if done[name])
    messages.success(request, f"{row.name}: {words or 'nothing new'}.")
