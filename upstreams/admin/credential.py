"""Credentials in the admin. Secrets can be entered and are never shown."""

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
from accounts.common.admin import ActivatableAdmin, ExtraRowOnAddMixin
from upstreams.admin import status
from upstreams.admin.status import Label
from upstreams.forms import CredentialForm
from upstreams.models import UpstreamCredential
from upstreams.routing import credential_state, live_state

LABELS = {label.value: status.LEVELS[label] for label in (Label.READY, Label.COOLING, Label.OFF, Label.DISABLED, Label.MISSING)}


class CredentialInline(ExtraRowOnAddMixin, StackedInline):  # type: ignore[misc]  # unfold has no types
    """The credentials of an upstream, on the upstream's page."""

    model = UpstreamCredential
    form = CredentialForm
    fields = ("secret", "access_key_id", "session_token", "name", "priority", "is_active")
    verbose_name = "credential"
    verbose_name_plural = "Credentials of this upstream"
    show_change_link = False


@admin.register(UpstreamCredential)
class CredentialAdmin(ActivatableAdmin):
    """All credentials, with their status."""

    form = CredentialForm
    list_display = ("__str__", "upstream", "condition", "detail", "priority", "last_used_at")
    list_filter = ("is_active", ("upstream", RelatedFilter))
    list_select_related = ("upstream",)
    search_fields = ("name", "upstream__name")
    search_help_text = "The name of a credential or an upstream"
    autocomplete_fields = ("upstream",)
    empty_title = "No credentials yet"
    empty_text = "Credentials are usually entered on the page of their upstream. An upstream may have several, which are used in turn."
    readonly_fields = ("condition", "detail", "last_used_at", "created_at")
    fieldsets = (
        ("Basics", {"fields": ("upstream", "secret", "access_key_id", "session_token", "name", "priority", "is_active")}),
        ("State", {"fields": ("condition", "detail", "last_used_at", "created_at")}),
    )

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """A credential that is not stored yet has no status."""
        fieldsets = super().get_fieldsets(request, obj)
        return fieldsets if obj else fieldsets[:1]

    @admin.action(description="Switch on and enable", permissions=["change"])
    def activate(self, request: HttpRequest, rows: QuerySet[Any]) -> None:
        """Switch credentials on, enable those that are disabled, and end their cooldowns."""
        super().activate(request, rows)
        for credential_id, upstream_id in rows.values_list("pk", "upstream_id"):
            credential_state.enable(str(credential_id), str(upstream_id))

    @display(description="State", label=LABELS)
    def condition(self, row: UpstreamCredential) -> str:
        """The label of the status."""
        return status.credential_status(row, live_state.current()).label

    @display(description="Why", empty_value="")
    def detail(self, row: UpstreamCredential) -> str:
        """The explanation of the status, such as the provider's error message."""
        return status.credential_status(row, live_state.current()).detail
