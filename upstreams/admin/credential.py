"""Upstreams' keys in the admin. Secrets go in and never come out."""

# mypy: disable-error-code="untyped-decorator"
# Unfold has no types, and its decorators are everywhere here.

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.admin import StackedInline
from unfold.decorators import display

from accounts.admin.filters import RelatedFilter
from accounts.common.admin import OneOnNewPages, Switchable
from upstreams.admin import status
from upstreams.forms import CredentialForm
from upstreams.models import UpstreamCredential
from upstreams.routing import credential_state, live_state

LABELS = {"ready": "success", "cooling": "warning", "off": "", "disabled": "danger", "missing": "danger"}


class CredentialInline(OneOnNewPages, StackedInline):  # type: ignore[misc]  # unfold has no types
    """The keys of an upstream's account, on the upstream's own page."""

    model = UpstreamCredential
    form = CredentialForm
    fields = ("secret", "access_key_id", "name", "priority", "is_active")
    verbose_name = "key"
    verbose_name_plural = "Keys of this upstream"
    show_change_link = False


@admin.register(UpstreamCredential)
class CredentialAdmin(Switchable):
    """All credentials, with what has happened to them."""

    form = CredentialForm
    list_display = ("__str__", "upstream", "condition", "detail", "priority", "last_used_at")
    list_filter = ("is_active", ("upstream", RelatedFilter))
    list_select_related = ("upstream",)
    search_fields = ("name", "upstream__name")
    search_help_text = "The name of a key or of an upstream"
    autocomplete_fields = ("upstream",)
    empty_title = "No upstream keys yet"
    empty_text = "Keys are usually given on the page of their upstream; an upstream may have several, and they take turns."
    readonly_fields = ("condition", "detail", "last_used_at", "created_at")
    fieldsets = (
        ("Basics", {"fields": ("upstream", "secret", "access_key_id", "name", "priority", "is_active")}),
        ("State", {"fields": ("condition", "detail", "last_used_at", "created_at")}),
    )

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """A key that is not stored yet has no state."""
        fieldsets = super().get_fieldsets(request, obj)
        return fieldsets if obj else fieldsets[:1]

    @admin.action(description="Switch on, and bring back", permissions=["change"])
    def activate(self, request: HttpRequest, rows: QuerySet[Any]) -> None:
        """Use them, also those that their provider refused or that are cooling."""
        super().activate(request, rows)
        for key, upstream in rows.values_list("pk", "upstream_id"):
            credential_state.enable(str(key), str(upstream))

    @display(description="State", label=LABELS)
    def condition(self, row: UpstreamCredential) -> str:
        """One word; no part of the secret."""
        return status.of_key(row, live_state.current()).word

    @display(description="Why", empty_value="")
    def detail(self, row: UpstreamCredential) -> str:
        """The sentence to it, such as the provider's reason for refusing the key."""
        return status.of_key(row, live_state.current()).detail
