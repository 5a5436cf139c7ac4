"""Filters of lists of keys, and the form of filter that other apps build on."""

from __future__ import annotations

from typing import Any

from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from unfold.contrib.filters.admin import DropdownFilter, RelatedDropdownFilter


class Choice(DropdownFilter):  # type: ignore[misc]  # unfold has no types
    """A filter with a choice of conditions. ``conditions`` gives for each value its name and what it asks of a row."""

    def conditions(self) -> dict[str, tuple[str, Q]]:
        """By the value that stands in the address."""
        raise NotImplementedError

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ARG002
        """Django's question for the choices."""
        return [(value, name) for value, (name, _) in self.conditions().items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:  # noqa: ARG002
        """Django's question for the rows; a value that is not a choice asks nothing."""
        chosen = self.conditions().get(self.value() or "")
        return queryset if chosen is None else queryset.filter(chosen[1])


class ValueFilter(Choice):
    """By the values that a column has, without the empty one. ``parameter_name`` is the column; no choices, no filter."""

    def __init__(self, request: HttpRequest, params: Any, model: Any, model_admin: Any) -> None:
        self.rows = model.objects.order_by(self.parameter_name)
        super().__init__(request, params, model, model_admin)

    def conditions(self) -> dict[str, tuple[str, Q]]:
        """Each value by itself."""
        values = self.rows.exclude(**{self.parameter_name: ""}).values_list(self.parameter_name, flat=True).distinct()
        return {value: (value, Q(**{self.parameter_name: value})) for value in values}


class RelatedFilter(RelatedDropdownFilter):  # type: ignore[misc]  # unfold has no types
    """By what a row belongs to. Links lead to filtered lists, so it filters also where there is a single choice."""

    def has_output(self) -> bool:
        """Django would leave it out, and show every row."""
        return True


class KeyStateFilter(Choice):
    """By whether a key works."""

    title = "state"
    parameter_name = "state"

    def conditions(self) -> dict[str, tuple[str, Q]]:
        """As the list shows them."""
        past = Q(expires_at__lte=timezone.now())
        return {
            "active": ("Active", Q(is_active=True) & ~past),
            "revoked": ("Revoked", Q(is_active=False)),
            "expired": ("Expired", Q(is_active=True) & past),
        }
