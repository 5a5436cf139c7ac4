"""Filters of lists of keys, and base classes of filters for other apps."""

from __future__ import annotations

from typing import Any

from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.functional import cached_property
from unfold.contrib.filters.admin import DropdownFilter, RelatedDropdownFilter


class ConditionFilter(DropdownFilter):  # type: ignore[misc]  # unfold has no types
    """A filter with a choice of conditions."""

    def conditions(self) -> dict[str, tuple[str, Q]]:
        """By the parameter's value: the choice's label and its condition."""
        raise NotImplementedError

    def other_condition(self, value: str) -> tuple[str, Q] | None:  # noqa: ARG002
        """The label and the condition of a value that is not a choice, for links from other pages; ``None``: it does not filter."""
        return None

    @cached_property
    def _choices(self) -> dict[str, tuple[str, Q]]:
        """All choices, and the value of the URL if it is another one."""
        choices = self.conditions()
        value = self.value() or ""
        if value and value not in choices and (other := self.other_condition(value)) is not None:
            choices = {**choices, value: other}
        return choices

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ARG002
        return [(value, label) for value, (label, _) in self._choices.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:  # noqa: ARG002
        """A value that is not a choice does not filter."""
        chosen = self._choices.get(self.value() or "")
        return queryset if chosen is None else queryset.filter(chosen[1])


class ValueFilter(ConditionFilter):
    """By the non-empty values of a column, whose name is ``parameter_name``. Without values the filter is not shown."""

    def __init__(self, request: HttpRequest, params: Any, model: Any, model_admin: Any) -> None:
        self.rows = model.objects.order_by(self.parameter_name)
        super().__init__(request, params, model, model_admin)

    def conditions(self) -> dict[str, tuple[str, Q]]:
        values = self.rows.exclude(**{self.parameter_name: ""}).values_list(self.parameter_name, flat=True).distinct()
        return {value: (value, Q(**{self.parameter_name: value})) for value in values}


class RelatedFilter(RelatedDropdownFilter):  # type: ignore[misc]  # unfold has no types
    """By a related row. Shown also with a single choice, because links from other pages use the filter."""

    def has_output(self) -> bool:
        """Django would drop a filter with a single choice, and show all rows."""
        return True


class KeyStateFilter(ConditionFilter):
    """By the state that the list shows."""

    title = "state"
    parameter_name = "state"

    def conditions(self) -> dict[str, tuple[str, Q]]:
        past = Q(expires_at__lte=timezone.now())
        return {
            "active": ("Active", Q(is_active=True) & ~past),
            "revoked": ("Revoked", Q(is_active=False)),
            "expired": ("Expired", Q(is_active=True) & past),
        }
