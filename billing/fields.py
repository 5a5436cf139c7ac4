"""The model field for amounts of money: exact in every database, also in sums.

SQLite stores Django's own DecimalField as floating point, where the sum of a thousand times 0.1 is not 100.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django import forms
from django.core import exceptions
from django.db import models

from billing.money import DIGITS, from_pico, to_pico

if TYPE_CHECKING:
    Field = models.Field[Any, Any]
else:
    Field = models.Field  # takes type arguments in the stubs only


class MoneyField(Field):
    """An amount in USD: `Decimal` in Python, pico-dollars (BIGINT) in the database. Aggregates are exact `Decimal`s, too."""

    description = "Amount of money in USD"

    def get_internal_type(self) -> str:
        """The database treats it as a BIGINT in columns, casts and aggregates."""
        return "BigIntegerField"

    def from_db_value(self, value: Any, _expression: object, _connection: object) -> Decimal | None:
        """Convert the value of a column or an aggregate: an int, or `Decimal` for a sum on PostgreSQL."""
        return None if value is None else from_pico(int(value))

    def to_python(self, value: Any) -> Decimal | None:
        """Convert a Decimal, int, text or float (by its shortest representation). Raises ValidationError for anything else."""
        if value is None or isinstance(value, Decimal):
            return value
        try:
            amount = Decimal(str(value))
        except ArithmeticError:
            amount = Decimal("nan")
        if not amount.is_finite():
            raise exceptions.ValidationError(f"{value!r} is not an amount of money.")
        return amount

    def get_prep_value(self, value: Any) -> int | None:
        """The amount in pico-dollars, rounded half to even."""
        amount = self.to_python(super().get_prep_value(value))
        return None if amount is None else to_pico(amount)

    def value_to_string(self, obj: models.Model) -> str:
        """The amount as text, for fixtures."""
        amount = self.value_from_object(obj)
        return "" if amount is None else str(amount)

    def formfield(self, **kwargs: Any) -> forms.Field | None:
        """A form field for a decimal number that is not negative."""
        return super().formfield(**{"form_class": forms.DecimalField, "min_value": Decimal(0), "decimal_places": DIGITS, **kwargs})


_MICRO = 1_000_000


def exact_sums(column: str) -> dict[str, models.Aggregate]:
    """Aggregates for `annotate` that sum an amount of any size: `<column>_micro` and `<column>_rest` for :func:`exact_sum`.

    A sum of pico-dollars in 64 bits, which is what SQLite has, would end at 9.2 million USD.
    """
    parts = {"micro": f"(%(expressions)s / {_MICRO})", "rest": f"(%(expressions)s %%%% {_MICRO})"}
    return {
        f"{column}_{name}": models.Sum(models.Func(models.F(column), template=template, output_field=models.BigIntegerField()))
        for name, template in parts.items()
    }


def exact_sum(row: Mapping[str, Any], column: str) -> Decimal:
    """The amount of a row with the aggregates of :func:`exact_sums`; 0 if there was nothing to sum."""
    return from_pico(int(row[f"{column}_micro"] or 0) * _MICRO + int(row[f"{column}_rest"] or 0))
