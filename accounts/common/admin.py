"""Base classes of admin pages, for every app."""

# mypy: disable-error-code="untyped-decorator"
# Unfold has no types, and its decorators are everywhere here.

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.options import IncorrectLookupParameters
from django.db import DataError, models
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.http import urlencode
from simple_history.admin import SimpleHistoryAdmin
from simple_history.utils import bulk_update_with_history
from unfold.admin import ModelAdmin
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminTextareaWidget

COLLAPSED = ("collapse",)
STATES = {"active": "success", "off": "danger"}


class JsonWidget(UnfoldAdminTextareaWidget):  # type: ignore[misc]  # unfold has no types
    """A text area for JSON: monospaced, three rows, without spell checking."""

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        super().__init__({"rows": 3, "spellcheck": "false", "class": "font-mono", **(attrs or {})})


def format_count(number: int, noun: str) -> str:
    """``1 model``, ``2 models``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


class TableAdmin(ModelAdmin):  # type: ignore[misc]  # unfold has no types
    """Admin pages of a table. ``empty_title`` and ``empty_text`` replace an empty list."""

    list_per_page = 50
    list_filter_submit = True
    formfield_overrides: dict[type[models.Field[Any, Any]], dict[str, Any]] = {models.JSONField: {"widget": JsonWidget}}
    empty_title = "Nothing here yet"
    empty_text = ""

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """Treat a filter value that the database or the calendar cannot represent as every other invalid filter: it is removed."""
        try:
            return super().get_changelist_instance(request)
        except (OverflowError, ValueError, DataError) as error:
            raise IncorrectLookupParameters from error


class ActivatableAdmin(SimpleHistoryAdmin, TableAdmin):  # type: ignore[misc]  # neither has types
    """Admin pages of a table with ``is_active``, with a history and with actions that set it for selected rows."""

    object_history_list_template = "admin/object_history_list.html"

    actions: tuple[str, ...] = ("activate", "deactivate")

    @admin.action(description="Switch on", permissions=["change"])
    def activate(self, request: HttpRequest, rows: QuerySet[Any]) -> None:
        self.set_active(request, rows, active=True, done="switched on")

    @admin.action(description="Switch off", permissions=["change"])
    def deactivate(self, request: HttpRequest, rows: QuerySet[Any]) -> None:
        self.set_active(request, rows, active=False, done="switched off")

    def set_active(self, request: HttpRequest, rows: QuerySet[Any], *, active: bool, done: str) -> None:
        """Set ``is_active`` of the rows that differ, write their history, and show how many they were; ``done`` is the verb."""
        changed = list(self.model.objects.filter(pk__in=rows.values("pk")).exclude(is_active=active))
        for row in changed:
            row.is_active = active
        bulk_update_with_history(changed, self.model, ["is_active"], batch_size=500)
        messages.success(request, f"{format_count(len(changed), str(self.opts.verbose_name))} {done}.")

    @display(description="State", ordering="is_active", label=STATES)
    def state(self, row: Any) -> str:
        return "active" if row.is_active else "off"


class RequestsMixin:
    """For objects that requests name: an action that shows their requests. ``log_filter``: the parameter of the log's filter."""

    log_filter = ""

    def log_value(self, row: Any) -> str:
        """The value of the filter for an object."""
        return str(row.pk)

    @action(description="Requests", icon="receipt_long", url_path="requests", permissions=["view"])
    def show_requests(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The log, filtered by the object."""
        row = self.get_object(request, object_id)  # type: ignore[attr-defined]  # of Django's ModelAdmin
        query = "" if row is None else urlencode({self.log_filter: self.log_value(row)})
        return redirect(f"{reverse('admin:billing_requestlog_changelist')}?{query}")


class ExtraRowOnAddMixin:
    """For inlines: one empty row on the page that adds the parent, none on the page that changes it."""

    def get_extra(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> int:  # noqa: ARG002  (Django's signature)
        return 0 if obj else 1


class ReadOnlyMixin:
    """For tables that only the gateway writes."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        """The retention task deletes rows."""
        return False


def link(url: str, text: str) -> str:
    """An ``<a>`` element styled as a link."""
    return format_html('<a class="pxbin-link" href="{}">{}</a>', url, text)
