"""Keys in the admin: made here, shown once, revoked in one click."""

# mypy: disable-error-code="untyped-decorator"
# Unfold has no types, and its decorators are everywhere here.

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from simple_history.admin import SimpleHistoryAdmin
from simple_history.utils import bulk_update_with_history
from unfold.admin import ModelAdmin
from unfold.decorators import display

from accounts import keys
from accounts.forms import ApiKeyForm, ManagementKeyForm
from accounts.models import ApiKey, IssuedKey, ManagementKey

COLLAPSED = ("collapse",)
STATES = {"active": "success", "revoked": "danger", "expired": "warning"}


class IssuedKeyAdmin(SimpleHistoryAdmin, ModelAdmin):  # type: ignore[misc]  # neither has types
    """What both kinds of keys share. ``kind`` is the word of :func:`accounts.keys.new_plaintext`."""

    kind = ""
    search_fields = ("name", "key_prefix")
    list_filter = ("is_active",)
    date_hierarchy = None
    actions = ("revoke", "reactivate")
    readonly_fields = ("shown_prefix", "last_used_at", "created_at")
    list_per_page = 50

    @display(description="Key", ordering="key_prefix")
    def shown_prefix(self, row: IssuedKey) -> str:
        """The first characters; the rest is not known to anyone but the owner."""
        return f"{row.key_prefix}…" if row.key_prefix else "It is shown once, after saving."

    @display(description="State", ordering="is_active", label=STATES)
    def state(self, row: IssuedKey) -> str:
        """Whether it works."""
        if not row.is_active:
            return "revoked"
        return "expired" if row.expires_at and row.expires_at <= timezone.now() else "active"

    def save_model(self, request: HttpRequest, obj: IssuedKey, form: Any, change: bool) -> None:
        """A new key gets its plain text here, which the next page shows and nothing stores."""
        plaintext = ""
        if not change:
            plaintext = keys.new_plaintext(self.kind)
            keys.seal(obj, plaintext)
        super().save_model(request, obj, form, change)
        if plaintext:
            shown = "The key is {}. Copy it now: it is not stored and cannot be shown again."
            messages.warning(request, format_html(shown, format_html("<code>{}</code>", plaintext)))

    @admin.action(description="Revoke", permissions=["change"])
    def revoke(self, request: HttpRequest, rows: QuerySet[Any]) -> None:
        """Switch keys off."""
        self._switch(request, rows, active=False, done="revoked")

    @admin.action(description="Let them work again", permissions=["change"])
    def reactivate(self, request: HttpRequest, rows: QuerySet[Any]) -> None:
        """Switch keys on."""
        self._switch(request, rows, active=True, done="active again")

    def _switch(self, request: HttpRequest, rows: QuerySet[Any], *, active: bool, done: str) -> None:
        changed = list(rows.exclude(is_active=active))
        for row in changed:
            row.is_active = active
        bulk_update_with_history(changed, self.model, ["is_active"], batch_size=500)
        messages.success(request, f"{len(changed)} keys are {done}.")


@admin.register(ApiKey)
class ApiKeyAdmin(IssuedKeyAdmin):
    """Clients' keys."""

    kind = "llm"
    form = ApiKeyForm
    list_display = ("shown_name", "shown_prefix", "state", "models", "limits", "last_used_at", "created_at")
    fieldsets = (
        (None, {"fields": ("name", "shown_prefix", "is_active", "expires_at")}),
        ("Models", {"fields": ("model_access", "allowed_models")}),
        ("Limits", {"fields": ("rate_limit", "token_limit", "concurrency_limit"), "description": "Empty means no limit."}),
        ("More", {"classes": COLLAPSED, "fields": ("may_choose_upstream", "metadata", "last_used_at", "created_at")}),
    )

    @display(description="Name", ordering="name")
    def shown_name(self, row: ApiKey) -> str:
        """Something to click on."""
        return row.name or "(no name)"

    @display(description="Models")
    def models(self, row: ApiKey) -> str:
        """Which models it may use, in short."""
        allowed = row.allowed_models
        if allowed is None:
            return "all"
        return ", ".join(allowed[:3]) + (f" and {len(allowed) - 3} more" if len(allowed) > 3 else "") if allowed else "none"

    @display(description="Limits")
    def limits(self, row: ApiKey) -> str:
        """What it may ask for, in short."""
        words = (
            (row.rate_limit, "requests/min"),
            (row.token_limit, "tokens/min"),
            (row.concurrency_limit, "at once"),
        )
        return ", ".join(f"{limit} {word}" for limit, word in words if limit is not None) or "none"


@admin.register(ManagementKey)
class ManagementKeyAdmin(IssuedKeyAdmin):
    """Keys for scripts that manage the gateway."""

    kind = "management"
    form = ManagementKeyForm
    list_display = ("shown_name", "shown_prefix", "state", "may", "last_used_at", "created_at")
    fieldsets = (
        (None, {"fields": ("name", "shown_prefix", "access", "is_active", "expires_at")}),
        ("More", {"classes": COLLAPSED, "fields": ("metadata", "last_used_at", "created_at")}),
    )

    @display(description="Name", ordering="name")
    def shown_name(self, row: ManagementKey) -> str:
        """Something to click on."""
        return row.name or "(no name)"

    @display(description="May")
    def may(self, row: ManagementKey) -> str:
        """What it permits."""
        return " and ".join(row.permissions) or "nothing"
