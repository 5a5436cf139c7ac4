"""Lists of tables with millions of rows: rows are not counted, and pages go on until there are no more rows.

The first pages have numbers. A database reads all rows before a numbered page, so later pages begin at a row instead: `before` in the
URL has its time and id, which an index finds at any depth.
"""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from django.contrib.admin import ShowFacets
from django.core import paginator
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.dateparse import parse_datetime
from unfold.views import ChangeList

from accounts.common.admin import TableAdmin

NUMBERED_PAGES = 20
"""After as many pages with numbers, links to older rows begin at a row."""
BEFORE = "before"
"""The query parameter with the row after which a page begins: its time in ISO 8601 and its id, joined by a comma."""


class UncountedPaginator(paginator.Paginator):  # type: ignore[type-arg]  # generic for the type checker only
    """Reads one row more than it shows, to know whether there is a next page."""

    template_name = "pxbin/pagination.html"

    @property
    def count(self) -> int:
        """More than one page. Django needs a number; it is not shown."""
        return int(2 * self.per_page)

    def validate_number(self, number: int | float | str) -> int:
        """Any positive whole number: the last page is not known."""
        try:
            return max(1, int(number))
        except (TypeError, ValueError) as error:
            raise paginator.PageNotAnInteger("That page number is not an integer") from error

    def page(self, number: int | str) -> paginator.Page[Any]:
        """One page; without rows if it lies after the last one."""
        number = self.validate_number(number)
        start = (number - 1) * self.per_page
        rows = list(self.object_list[start : start + self.per_page + 1])
        self.has_more = len(rows) > self.per_page
        return paginator.Page(rows[: self.per_page], number, self)


class UncountedChangeList(ChangeList):  # type: ignore[misc]  # unfold has no types
    """A change list without a total number of rows in its heading, whose pages may begin at a row."""

    def get_filters_params(self, params: Any = None) -> dict[str, Any]:
        """The parameters that filters read: not the ones of the list itself."""
        own = {BEFORE, *self.model_admin.own_parameters}
        return {name: value for name, value in super().get_filters_params(params).items() if name not in own}

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:
        """The filtered rows; with `before` only those after that row."""
        rows: QuerySet[Any] = super().get_queryset(request, exclude_parameters)
        cursor = read_cursor(request.GET.get(BEFORE, ""))
        if cursor is None:
            return rows
        moment, pk = cursor
        return rows.filter(Q(timestamp__lt=moment) | Q(timestamp=moment, pk__lt=pk), timestamp__lte=moment)

    def get_results(self, request: HttpRequest) -> None:
        """Set the total to the number of results, so that it is not shown."""
        super().get_results(request)
        self.full_result_count = self.result_count

    @property
    def begins_at(self) -> str:
        """The time of the row before this page, in UTC; empty on pages with a number."""
        cursor = read_cursor(self.params.get(BEFORE, ""))
        return "" if cursor is None else f"{cursor[0]:%Y-%m-%d %H:%M:%S}"

    @property
    def newest_url(self) -> str:
        """The first page with the same filters."""
        return str(self.get_query_string({BEFORE: None, "p": None}))

    @property
    def older_url(self) -> str:
        """The next page; empty after the last row."""
        if not self.paginator.has_more:
            return ""
        if self.page_num < NUMBERED_PAGES and not self.params.get(BEFORE):
            return str(self.get_query_string({"p": self.page_num + 1}))
        last = self.result_list[-1]
        return str(self.get_query_string({BEFORE: f"{last.timestamp.isoformat()},{last.pk}", "p": None}))

    @property
    def newer_url(self) -> str:
        """The page before this one; empty on the first. From a page that begins at a row it is the first."""
        if self.params.get(BEFORE):
            return self.newest_url
        return str(self.get_query_string({"p": self.page_num - 1})) if self.page_num > 1 else ""


class UncountedPage(TableAdmin):
    """An admin page for a table whose rows are not counted. ``own_parameters``: query parameters that are not filters."""

    paginator = UncountedPaginator
    sortable_by = ()
    show_full_result_count = False
    show_facets = ShowFacets.NEVER
    list_max_show_all = 0
    own_parameters: tuple[str, ...] = ()

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:  # noqa: ARG002  (Django's signature)
        """The change list that does not count."""
        return UncountedChangeList


def read_cursor(text: str) -> tuple[datetime, uuid.UUID] | None:
    """The time and the id of a row, of the parameter :data:`BEFORE`; ``None`` for a text of another form."""
    moment, _, pk = text.partition(",")
    try:
        parsed = parse_datetime(moment.replace(" ", "+"))
        return None if parsed is None or parsed.tzinfo is None else (parsed, uuid.UUID(pk))
    except ValueError:
        return None
