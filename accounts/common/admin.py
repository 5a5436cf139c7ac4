"""What pages of the admin have in common, in every app."""

# mypy: disable-error-code="untyped-decorator"
# Unfold has no types, and its decorators are everywhere here.

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db import models
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from simple_history.admin import SimpleHistoryAdmin
from simple_history.utils import bulk_update_with_history
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.widgets import UnfoldAdminTextareaWidget

COLLAPSED = ("collapse",)
STATES = {"active": "success", "off": "danger"}


class JsonWidget(UnfoldAdminTextareaWidget):  # type: ignore[misc]  # unfold has no types
    """A box for JSON: three lines until it is pulled larger, and no spelling corrected."""

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        super().__init__({"rows": 3, "spellcheck": "false", "class": "font-mono", **(attrs or {})})


def counted(number: int, noun: str) -> str:
    """``1 model``, ``2 models``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


class Page(ModelAdmin):  # type: ignore[misc]  # unfold has no types
    """A table in the admin. An empty list says what to do next: ``empty_title``, ``empty_text``."""

    list_per_page = 50
    list_filter_submit = True
    formfield_overrides: dict[type[models.Field[Any, Any]], dict[str, Any]] = {models.JSONField: {"widget": JsonWidget}}
    empty_title = "Nothing here yet"
    empty_text = ""


class Switchable(SimpleHistoryAdmin, Page):  # type: ignore[misc]  # neither has types
    """Rows that can be switched on and off together."""

    object_history_list_template = "admin/object_history_list.html"

    actions: tuple[str, ...] = ("activate", "deactivate")

    @admin.action(description="Switch on", permissions=["change"])
    def activate(self, request: HttpRequest, rows: QuerySet[Any]) -> None:
        """Serve from them."""
        self.switch(request, rows, active=True, done="switched on")

    @admin.action(description="Switch off", permissions=["change"])
    def deactivate(self, request: HttpRequest, rows: QuerySet[Any]) -> None:
        """Serve from them no more."""
        self.switch(request, rows, active=False, done="switched off")

    def switch(self, request: HttpRequest, rows: QuerySet[Any], *, active: bool, done: str) -> None:
        """Switch those that are not so already, and say how many were."""
        changed = list(self.model.objects.filter(pk__in=rows.values("pk")).exclude(is_active=active))
        for row in changed:
            row.is_active = active
        bulk_update_with_history(changed, self.model, ["is_active"], batch_size=500)
        messages.success(request, f"{counted(len(changed), str(self.opts.verbose_name))} {done}.")

    @display(description="State", ordering="is_active", label=STATES)
    def state(self, row: Any) -> str:
        """Whether it serves."""
        return "active" if row.is_active else "off"


class OneOnNewPages:
    """For inlines: a row to fill in where what they belong to is new, and only what is there otherwise."""

    def get_extra(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> int:  # noqa: ARG002  (Django's signature)
        """How many empty rows there are."""
        return 0 if obj else 1


class Unwritable:
    """For tables that only the gateway writes."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        """Nobody adds rows by hand."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        """Nobody changes rows by hand."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        """Rows go when their time is over."""
        return False


def link(url: str, text: str) -> str:
    """An anchor that looks like one."""
    return format_html('<a class="pxbin-link" href="{}">{}</a>', url, text)
