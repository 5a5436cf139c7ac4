"""Facts that the documentation of a request body takes from its table, and the fields that a body must have."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

_NUMBERS = ("integer", "number")
_LIMITS = "limits"
ValidatorT = TypeVar("ValidatorT", bound=Callable[[Any], None])


def accepts(least: float, largest: float) -> Callable[[ValidatorT], ValidatorT]:
    """Decorator of a validator function: the numbers that it accepts, for the documentation."""

    def mark(validator: ValidatorT) -> ValidatorT:
        setattr(validator, _LIMITS, (least, largest))
        return validator

    return mark


def add_limits(schema: dict[str, Any], table: type[models.Model]) -> None:
    """Give each number in a JSON schema the least and the largest value that the column of its name accepts, and each text its length."""
    columns = {column.attname: column for column in table._meta.concrete_fields}  # noqa: SLF001  (documented)
    for name, field in schema["properties"].items():
        if name in columns:
            for variant in _variants(field):
                if variant.get("type") in _NUMBERS:
                    _narrow(variant, columns[name].validators)
                elif variant.get("type") == "string":
                    _limit_length(variant, columns[name])


def mark_required(schema: dict[str, Any], names: Iterable[str]) -> None:
    """Document that a body must have these fields, not ``null`` and not empty."""
    schema["required"] = list(names)
    for name in names:
        field = schema["properties"][name]
        variants = [variant for variant in _variants(field) if variant.get("type") != "null" and variant.get("const") != ""]
        for key in ("anyOf", "default"):
            field.pop(key, None)
        for variant in variants:
            if variant.get("type") == "string":
                variant.setdefault("minLength", 1)
        field |= variants[0] if len(variants) == 1 else {"anyOf": variants}


def mark_alternatives(schema: dict[str, Any], alternatives: Iterable[Iterable[str]]) -> None:
    """Document that a body must have all fields of one of these groups, as texts that are not empty."""
    text = {"type": "string", "minLength": 1}
    schema["anyOf"] = [{"required": list(names), "properties": dict.fromkeys(names, text)} for names in alternatives]


def _variants(field: dict[str, Any]) -> list[dict[str, Any]]:
    return [leaf for variant in field["anyOf"] for leaf in _variants(variant)] if "anyOf" in field else [field]


def _limit_length(variant: dict[str, Any], column: models.Field[Any, Any]) -> None:
    """A text of a column that must not be blank has something besides white space."""
    if not isinstance(column, models.CharField | models.TextField):
        return
    if column.max_length is not None:
        variant.setdefault("maxLength", column.max_length)
    if not column.blank and not variant.keys() & {"enum", "pattern"}:
        variant |= {"minLength": 1, "pattern": r"\S"}


def _narrow(variant: dict[str, Any], validators: Iterable[Any]) -> None:
    for validator in validators:
        if isinstance(validator, MinValueValidator):
            variant["minimum"] = max(variant.get("minimum", validator.limit_value), validator.limit_value)
        elif isinstance(validator, MaxValueValidator):
            variant["maximum"] = min(variant.get("maximum", validator.limit_value), validator.limit_value)
        elif limits := getattr(validator, _LIMITS, None):
            variant["minimum"], variant["maximum"] = limits
