"""Keys in the admin: created, shown once, revoked."""

# mypy: disable-error-code="untyped-decorator"
# Unfold has no types, and its decorators are everywhere here.

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from unfold.decorators import action, display

from accounts import key_rotation, keys
from accounts.admin.budgets import BudgetInline
from accounts.admin.filters import KeyStateFilter
from accounts.common.admin import COLLAPSED, ActivatableAdmin, RequestsMixin
from accounts.common.key_kinds import KeyKind
from accounts.forms import ApiKeyForm, ManagementKeyForm, RotationForm
from accounts.models import LIMITS, ApiKey, IssuedKey, KeyDefaults, ManagementKey

STATES = {"active": "success", "revoked": "danger", "expired": "warning"}
STORED_KEY_FIELDS = frozenset({"shown_prefix", "old_key", "last_used_at", "created_at"})


class IssuedKeyAdmin(ActivatableAdmin):
    """What the pages of both kinds of keys have in common."""

    kind: KeyKind
    search_fields = ("name", "key_prefix")
    search_help_text = "Name, or the first characters of a key"
    list_filter = (KeyStateFilter,)
    actions = ("revoke", "reactivate")
    actions_detail: tuple[str, ...] = ("rotate",)
    readonly_fields = ("shown_prefix", "old_key", "last_used_at", "created_at")

    @display(description="Key", ordering="key_prefix")
    def shown_prefix(self, row: IssuedKey) -> str:
        """The first characters; the gateway does not store the rest."""
        return f"{row.key_prefix}…"

    @display(description="State", ordering="is_active", label=STATES)
    def state(self, row: IssuedKey) -> str:
        if not row.is_active:
            return "revoked"
        return "expired" if row.expires_at and row.expires_at <= timezone.now() else "active"

    @display(description="Name", ordering="name")
    def shown_name(self, row: IssuedKey) -> str:
        """The link to the key's page needs a text."""
        return row.name or "(no name)"

    @display(description="Last used", ordering="last_used_at", empty_value="never")
    def last_used(self, row: IssuedKey) -> Any:
        """Up to half a minute old."""
        return row.last_used_at

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """The page that adds a key leaves out what only a stored key has."""
        fieldsets = super().get_fieldsets(request, obj)
        if obj is not None:
            return [(title, options) for title, options in fieldsets if title != "Preset"]
        return [
            (title, {**options, "fields": [name for name in options["fields"] if name not in STORED_KEY_FIELDS]})
            for title, options in fieldsets
        ]

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Only one button, because the response shows the key."""
        buttons = {"show_save_and_add_another": False, "show_save_and_continue": False}
        response: HttpResponse = super().add_view(request, form_url, {**buttons, **(extra_context or {})})
        return response

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Generate a new key. Its plain text is on ``obj`` only until the response shows it."""
        if not change:
            obj.plaintext = keys.new_plaintext(self.kind)
            keys.set_hash(obj, obj.plaintext)
        super().save_model(request, obj, form, change)

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: Any = None) -> HttpResponse:  # noqa: ARG002
        """Show the key in this response."""
        return self._show_once(request, obj, obj.plaintext)

    def _show_once(self, request: HttpRequest, row: IssuedKey, plaintext: str) -> HttpResponse:
        """The page with a new key; a redirect would need the plain text to be stored."""
        context = {
            **self.admin_site.each_context(request),
            "title": f"{self.opts.verbose_name} “{row.name or row.key_prefix}”",
            "opts": self.opts,
            "kind": self.kind,
            "row": row,
            "plaintext": plaintext,
        }
        response = TemplateResponse(request, "admin/accounts/issued_key.html", context)
        response["Cache-Control"] = "no-store"
        return response

    @action(description="Rotate", icon="autorenew", permissions=["change"], url_path="rotate")
    def rotate(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask how long the current key stays valid, then show the new one."""
        row = self.get_object(request, object_id)
        if row is None:
            return redirect(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist")
        form = RotationForm(request.POST if request.method == "POST" else None)
        if request.method == "POST" and form.is_valid():
            try:
                plaintext = key_rotation.rotate(row, grace_seconds=form.cleaned_data["grace"])
            except key_rotation.NotRotatable as refusal:
                messages.error(request, str(refusal))
                return redirect(f"admin:{self.opts.app_label}_{self.opts.model_name}_change", row.pk)
            return self._show_once(request, row, plaintext)
        context = {
            **self.admin_site.each_context(request),
            "title": f"Rotate “{row.name or row.key_prefix}”",
            "opts": self.opts,
            "original": row,
            "form": form,
        }
        return TemplateResponse(request, "admin/accounts/rotate_key.html", context)

    @display(description="Key before the rotation")
    def old_key(self, row: IssuedKey) -> str:
        """The first characters of the old key and its end."""
        if row.old_key_valid_until is None:
            return "none: the key was never rotated"
        verb = "valid until" if row.old_key_is_valid else "ended"
        return f"{row.old_key_prefix}…, {verb} {row.old_key_valid_until:%Y-%m-%d %H:%M:%S} UTC"

    @admin.action(description="Revoke", permissions=["change"])
    def revoke(self, request: HttpRequest, rows: QuerySet[Any]) -> None:
        self.set_active(request, rows, active=False, done="revoked")

    @admin.action(description="Reactivate", permissions=["change"])
    def reactivate(self, request: HttpRequest, rows: QuerySet[Any]) -> None:
        self.set_active(request, rows, active=True, done="reactivated")


@admin.register(ApiKey)
class ApiKeyAdmin(RequestsMixin, IssuedKeyAdmin):
    """Client keys."""

    kind = KeyKind.LLM
    form = ApiKeyForm
    log_filter = "key"
    actions_row = ("show_requests",)
    actions_detail = ("show_requests", "rotate")
    config_warnings: ClassVar[Callable[[str, list[str] | None], list[str]]] = staticmethod(lambda name, allowed: [])  # noqa: ARG005
    """Warnings about a key's name and allowed models. Set by the site, because accounts does not import the models' app."""
    conditional_fields = {"allowed_models": "model_access == 'listed'"}
    autocomplete_fields = ("owner", "pools")
    inlines = (BudgetInline,)
    list_select_related = ("owner",)
    list_display = ("shown_name", "owner", "shown_prefix", "state", "models", "limits", "last_used", "created_at")
    empty_title = "No API keys yet"
    empty_text = "A client needs an API key. The page that shows a new key also has commands for Claude Code, Codex and curl."
    fieldsets = (
        ("Basics", {"fields": ("name", "owner", "pools", "shown_prefix", "is_active", "expires_at")}),
        ("Preset", {"fields": ("preset",)}),
        ("Models", {"fields": ("model_access", "allowed_models")}),
        ("Limits", {"fields": ("rate_limit", "token_limit", "concurrency_limit"), "description": "Empty means no limit."}),
        (
            "Advanced",
            {
                "classes": COLLAPSED,
                "fields": (
                    "allowed_ips", "capture_payloads", "may_choose_upstream", "metadata", "old_key", "last_used_at", "created_at",
                ),
            },
        ),
    )  # fmt: skip

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """The defaults for new keys."""
        defaults = KeyDefaults.current()
        return {name: getattr(defaults, name) for name in LIMITS} | dict(super().get_changeform_initial_data(request))

    def get_formset_kwargs(self, request: HttpRequest, obj: Any, inline: Any, prefix: str) -> dict[str, Any]:
        """A new key has the default budget, which can be removed from the form."""
        options: dict[str, Any] = super().get_formset_kwargs(request, obj, inline, prefix)
        defaults = KeyDefaults.current()
        if obj._state.adding and request.method == "GET" and defaults.budget_usd is not None:  # noqa: SLF001  (Django's documented API)
            options["initial"] = [{"amount_usd": defaults.budget_usd, "period": defaults.budget_period, "mode": defaults.budget_mode}]
        return options

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Save, then warn about allowed models that do not exist."""
        super().save_model(request, obj, form, change)
        for warning in type(self).config_warnings(obj.name, obj.allowed_models):
            messages.warning(request, warning)

    @display(description="Models")
    def models(self, row: ApiKey) -> str:
        """The first three allowed models, and the number of the others."""
        allowed = row.allowed_models
        if allowed is None:
            return "all"
        return ", ".join(allowed[:3]) + (f" and {len(allowed) - 3} more" if len(allowed) > 3 else "") if allowed else "none"

    @display(description="Limits")
    def limits(self, row: ApiKey) -> str:
        limits = (
            (row.rate_limit, "requests/min"),
            (row.token_limit, "tokens/min"),
            (row.concurrency_limit, "concurrent"),
        )
        return ", ".join(f"{limit:,} {unit}" for limit, unit in limits if limit is not None) or "none"


@admin.register(ManagementKey)
class ManagementKeyAdmin(IssuedKeyAdmin):
    """Management keys."""

    kind = KeyKind.MANAGEMENT
    form = ManagementKeyForm
    list_display = ("shown_name", "shown_prefix", "state", "shown_permissions", "last_used", "created_at")
    empty_title = "No management keys yet"
    empty_text = "Scripts need a management key for /api/v1, which manages keys, upstreams and models and reads the log."
    fieldsets = (
        ("Basics", {"fields": ("name", "shown_prefix", "access", "is_active", "expires_at")}),
        ("Advanced", {"classes": COLLAPSED, "fields": ("metadata", "old_key", "last_used_at", "created_at")}),
    )

    @display(description="Permissions")
    def shown_permissions(self, row: ManagementKey) -> str:
        return " and ".join(row.permissions) or "none"
