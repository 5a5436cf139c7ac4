"""The column type of money: exact in every database, in sums too.

SQLite keeps Django's own DecimalField as floating point, where a thousand times 0.1 is not 100.
"""

from __future__ import annotations

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
    """An amount of USD as `Decimal`, stored as BIGINT pico-dollars. Sums, minima and maxima come back as exact `Decimal`s."""

    description = "Amount of money in USD"

    def get_internal_type(self) -> str:
        """Columns, casts and aggregates are those of a BIGINT."""
        return "BigIntegerField"

    def from_db_value(self, value: Any, _expression: object, _connection: object) -> Decimal | None:
        """Read a column or an aggregate: int, or PostgreSQL's numeric for a sum."""
        return None if value is None else from_pico(int(value))

    def to_python(self, value: Any) -> Decimal | None:
        """Accept what forms and fixtures give: Decimal, int or text. A float is taken as it prints."""
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
        """Round for the database."""
        amount = self.to_python(super().get_prep_value(value))
        return None if amount is None else to_pico(amount)

    def value_to_string(self, obj: models.Model) -> str:
        """Write the amount for a fixture."""
        amount = self.value_from_object(obj)
        return "" if amount is None else str(amount)

    def formfield(self, **kwargs: Any) -> forms.Field | None:
        """Ask for a decimal number that is not negative."""
        return super().formfield(**{"form_class": forms.DecimalField, "min_value": Decimal(0), "decimal_places": DIGITS, **kwargs})
