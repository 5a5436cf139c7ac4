"""Keys in the admin: made here, shown once, revoked in one click."""

# mypy: disable-error-code="untyped-decorator"
# Unfold has no types, and its decorators are everywhere here.

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from unfold.decorators import display

from accounts import keys
from accounts.admin.filters import KeyStateFilter
from accounts.common.admin import COLLAPSED, Switchable
from accounts.forms import ApiKeyForm, ManagementKeyForm
from accounts.keys import KeyKind
from accounts.models import ApiKey, IssuedKey, ManagementKey

STATES = {"active": "success", "revoked": "danger", "expired": "warning"}
ONLY_OF_STORED_KEYS = frozenset({"shown_prefix", "last_used_at", "created_at"})


class IssuedKeyAdmin(Switchable):
    """What the pages of both kinds of keys have in common."""

    kind: KeyKind
    search_fields = ("name", "key_prefix")
    search_help_text = "A name, or the beginning of a key"
    list_filter = (KeyStateFilter,)
    actions = ("revoke", "reactivate")
    readonly_fields = ("shown_prefix", "last_used_at", "created_at")

    @display(description="Key", ordering="key_prefix")
    def shown_prefix(self, row: IssuedKey) -> str:
        """The first characters; the rest is not known to anyone but the owner."""
        return f"{row.key_prefix}…"

    @display(description="State", ordering="is_active", label=STATES)
    def state(self, row: IssuedKey) -> str:
        """Whether it works."""
        if not row.is_active:
            return "revoked"
        return "expired" if row.expires_at and row.expires_at <= timezone.now() else "active"

    @display(description="Name", ordering="name")
    def shown_name(self, row: IssuedKey) -> str:
        """Something to click on."""
        return row.name or "(no name)"

    @display(description="Last used", ordering="last_used_at", empty_value="never")
    def last_used(self, row: IssuedKey) -> Any:
        """Written down every half minute."""
        return row.last_used_at

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """A key that is not made yet has no past."""
        fieldsets = super().get_fieldsets(request, obj)
        if obj is not None:
            return fieldsets
        return [
            (title, {**given, "fields": [name for name in given["fields"] if name not in ONLY_OF_STORED_KEYS]})
            for title, given in fieldsets
        ]

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """One button: what follows is the key."""
        buttons = {"show_save_and_add_another": False, "show_save_and_continue": False}
        answer: HttpResponse = super().add_view(request, form_url, {**buttons, **(extra_context or {})})
        return answer

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """A new key gets its plain text here, which the answer to this request shows and nothing stores."""
        if not change:
            obj.plaintext = keys.new_plaintext(self.kind)
            keys.seal(obj, obj.plaintext)
        super().save_model(request, obj, form, change)

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: Any = None) -> HttpResponse:  # noqa: ARG002
        """The key itself, with what to do with it, instead of a redirect: on its way to another page it would have to be stored."""
        page = {
            **self.admin_site.each_context(request),
            "title": f"{self.opts.verbose_name} “{obj.name or obj.key_prefix}”",
            "opts": self.opts,
            "kind": self.kind,
            "row": obj,
            "plaintext": obj.plaintext,
        }
        answer = TemplateResponse(request, "admin/accounts/issued_key.html", page)
        answer["Cache-Control"] = "no-store"
        return answer

    @admin.action(description="Revoke", permissions=["change"])
    def revoke(self, request: HttpRequest, rows: QuerySet[Any]) -> None:
        """Switch keys off."""
        self.switch(request, rows, active=False, done="revoked")

    @admin.action(description="Let work again", permissions=["change"])
    def reactivate(self, request: HttpRequest, rows: QuerySet[Any]) -> None:
        """Switch keys on."""
        self.switch(request, rows, active=True, done="let in again")


@admin.register(ApiKey)
class ApiKeyAdmin(IssuedKeyAdmin):
    """Clients' keys."""

    kind = KeyKind.LLM
    form = ApiKeyForm
    doubts: ClassVar[Callable[[str, list[str] | None], list[str]]] = staticmethod(lambda name, allowed: [])  # noqa: ARG005
    """Sentences on models that a key's list names in vain; handed in by who knows the models."""
    conditional_fields = {"allowed_models": "model_access == 'listed'"}
    list_display = ("shown_name", "shown_prefix", "state", "models", "limits", "last_used", "created_at")
    empty_title = "No API keys yet"
    empty_text = "A client needs one: make a key, and copy it together with ready-made lines for Claude Code, Codex and curl."
    fieldsets = (
        ("Basics", {"fields": ("name", "shown_prefix", "is_active", "expires_at")}),
        ("Models", {"fields": ("model_access", "allowed_models")}),
        ("Limits", {"fields": ("rate_limit", "token_limit", "concurrency_limit"), "description": "Empty means no limit."}),
        ("Advanced", {"classes": COLLAPSED, "fields": ("may_choose_upstream", "metadata", "last_used_at", "created_at")}),
    )

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Save, then warn of what is probably not meant."""
        super().save_model(request, obj, form, change)
        for doubt in type(self).doubts(obj.name, obj.allowed_models):
            messages.warning(request, doubt)

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
        return ", ".join(f"{limit:,} {word}" for limit, word in words if limit is not None) or "none"


@admin.register(ManagementKey)
class ManagementKeyAdmin(IssuedKeyAdmin):
    """Keys for scripts that manage the gateway."""

    kind = KeyKind.MANAGEMENT
    form = ManagementKeyForm
    list_display = ("shown_name", "shown_prefix", "state", "may", "last_used", "created_at")
    empty_title = "No management keys yet"
    empty_text = "Scripts need one to work with /api/v1: to make keys, upstreams and models, and to read the log."
    fieldsets = (
        ("Basics", {"fields": ("name", "shown_prefix", "access", "is_active", "expires_at")}),
        ("Advanced", {"classes": COLLAPSED, "fields": ("metadata", "last_used_at", "created_at")}),
    )

    @display(description="May")
    def may(self, row: ManagementKey) -> str:
        """What it permits."""
        return " and ".join(row.permissions) or "nothing"
