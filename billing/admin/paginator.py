"""Lists of tables with millions of rows: rows are not counted, and the number of pages is limited."""

from __future__ import annotations

from typing import Any

from django.contrib.admin import ShowFacets
from django.core import paginator
from django.http import HttpRequest
from unfold.views import ChangeList

from accounts.common.admin import TableAdmin

MAX_PAGES = 200
"""A database reads all rows before a page; older rows are reached by time filters."""


class UncountedPaginator(paginator.Paginator):  # type: ignore[type-arg]  # generic for the type checker only
    """Reads one row more than it shows, to know whether there is a next page."""

    template_name = "pxbin/pagination.html"

    @property
    def count(self) -> int:
        """The number of rows of all allowed pages. Django needs a number; it is not shown."""
        return int(MAX_PAGES * self.per_page)

    def page(self, number: int | str) -> paginator.Page[Any]:
        """One page. Raises ``EmptyPage`` for a page after the last one."""
        number = self.validate_number(number)
        start = (number - 1) * self.per_page
        rows = list(self.object_list[start : start + self.per_page + 1])
        if not rows and number > 1:
            raise paginator.EmptyPage("That page contains no results")
        self.has_more = len(rows) > self.per_page and number < MAX_PAGES
        return paginator.Page(rows[: self.per_page], number, self)


class UncountedChangeList(ChangeList):  # type: ignore[misc]  # unfold has no types
    """A change list without a total number of rows in its heading."""

    def get_results(self, request: HttpRequest) -> None:
        """Set the total to the number of results, so that it is not shown."""
        super().get_results(request)
        self.full_result_count = self.result_count


class UncountedPage(TableAdmin):
    """An admin page for a table whose rows are not counted."""

    paginator = UncountedPaginator
    sortable_by = ()
    show_full_result_count = False
    show_facets = ShowFacets.NEVER
    list_max_show_all = 0

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:  # noqa: ARG002  (Django's signature)
        """The change list that does not count."""
        return UncountedChangeList
