"""Pages of tables that may hold millions of rows: nothing is counted, and no page is far from the first."""

from __future__ import annotations

from typing import Any

from django.contrib.admin import ShowFacets
from django.core import paginator
from django.http import HttpRequest
from unfold.views import ChangeList

from accounts.common.admin import TableAdmin

MOST_PAGES = 200
"""A database walks over every row before a page: further back one goes by the filters of time."""


class UncountedPaginator(paginator.Paginator):  # type: ignore[type-arg]  # generic for the type checker only
    """A page reads one row more than it shows, to know whether another one follows."""

    template_name = "pxbin/pagination.html"

    @property
    def count(self) -> int:
        """As if there were as many rows as can be paged through; nobody is shown this number."""
        return int(MOST_PAGES * self.per_page)

    def page(self, number: int | str) -> paginator.Page[Any]:
        """One page; raises ``EmptyPage`` behind the last one."""
        number = self.validate_number(number)
        start = (number - 1) * self.per_page
        rows = list(self.object_list[start : start + self.per_page + 1])
        if not rows and number > 1:
            raise paginator.EmptyPage("That page contains no results")
        self.has_more = len(rows) > self.per_page and number < MOST_PAGES
        return paginator.Page(rows[: self.per_page], number, self)


class UncountedChangeList(ChangeList):  # type: ignore[misc]  # unfold has no types
    """A list whose heading does not speak of a number of rows."""

    def get_results(self, request: HttpRequest) -> None:
        """As if everything was found."""
        super().get_results(request)
        self.full_result_count = self.result_count


class UncountedPage(TableAdmin):
    """A table of which only pages are read."""

    paginator = UncountedPaginator
    sortable_by = ()
    show_full_result_count = False
    show_facets = ShowFacets.NEVER
    list_max_show_all = 0

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:  # noqa: ARG002  (Django's signature)
        """Our own list."""
        return UncountedChangeList
