"""Model fields, form fields and validators for names and for JSON objects and lists."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models

from accounts.common.client_address import parse_networks


def json_object(value: object) -> None:
    """Validator: the value is an object without NaN and Infinity. Migrations refer to it by name."""
    if not isinstance(value, dict):
        raise ValidationError("Give a JSON object, for example {}.")
    try:
        json.dumps(value, allow_nan=False)
    except ValueError as error:
        raise ValidationError("NaN and Infinity are not valid JSON numbers.") from error


def strings(value: object) -> None:
    """Validator: the value is a list of non-empty strings. Migrations refer to it by name."""
    if not isinstance(value, list) or not all(isinstance(item, str) and item.strip() for item in value):
        raise ValidationError('Give a list of names, for example ["claude-*", "gpt-5"].')


def ip_ranges(value: object) -> None:
    """Validator: the value is a list of IP addresses and ranges. Migrations refer to it by name."""
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValidationError('Give a list of addresses and ranges, for example ["10.0.0.0/8", "2001:db8::1"].')
    for text in value:
        try:
            parse_networks([text])
        except ValueError:
            raise ValidationError(f"{text!r} is not an IP address or range: use 10.0.0.1, 10.0.0.0/8 or 2001:db8::/32.") from None


class NameField(models.CharField):  # type: ignore[type-arg]  # generic for the type checker only
    """Text without white space around it; white space alone counts as blank."""

    def deconstruct(self) -> Any:
        """Migrations see a plain ``CharField``."""
        name, _, args, options = super().deconstruct()
        return name, "django.db.models.CharField", args, options

    def to_python(self, value: Any) -> Any:
        text = super().to_python(value)
        return text.strip() if isinstance(text, str) else text


class FactorField(models.DecimalField):  # type: ignore[type-arg]  # generic for the type checker only
    """A number of at least 0 with 6 decimal places by which amounts are multiplied; empty is 1."""

    def __init__(self, **options: Any) -> None:
        usual = {"max_digits": 12, "decimal_places": 6, "default": Decimal(1), "blank": True, "validators": [MinValueValidator(0)]}
        super().__init__(**{**usual, **options})

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        """The value to store."""
        value = super().pre_save(model_instance, add)
        if value is None:
            value = Decimal(1)
            setattr(model_instance, self.attname, value)
        return value

    def deconstruct(self) -> Any:
        """Migrations see a plain ``DecimalField``."""
        name, _, args, options = super().deconstruct()
        return name, "django.db.models.DecimalField", args, options


class ObjectFormField(forms.JSONField):
    """A form field for a JSON object; an empty text area means ``{}``."""

    shape: type = dict

    def prepare_value(self, value: Any) -> Any:
        """Nothing for an empty value, indented JSON for others; text that was submitted stays as it was typed."""
        if value in ({}, []):
            return ""
        return json.dumps(value, indent=2, ensure_ascii=False) if isinstance(value, dict | list) else super().prepare_value(value)

    def to_python(self, value: Any) -> Any:
        """The parsed value. The message of a ``ValidationError`` names the line and column of a syntax error."""
        try:
            return super().to_python(value)
        except ValidationError as error:
            raise ValidationError(_syntax_error(value), code="invalid") from error

    def clean(self, value: Any) -> Any:
        """The value of an empty text is the empty object, not ``None``."""
        cleaned = super().clean(value)
        return self.shape() if cleaned is None else cleaned


def _syntax_error(text: Any) -> str:
    try:
        json.loads(text)
    except (TypeError, ValueError) as problem:
        place = f" (line {problem.lineno}, column {problem.colno})" if isinstance(problem, json.JSONDecodeError) else ""
        return f'This is not JSON{place}. Put names and texts in double quotes, for example {{"name": "value"}}.'
    return "This JSON cannot be stored."


class ListFormField(ObjectFormField):
    """A form field for a JSON list; an empty text area means ``[]``."""

    shape = list


class ObjectField(models.JSONField):
    """A column with a JSON object, by default ``{}``; never null."""

    empty_values = [{}]
    form_class: type[forms.JSONField] = ObjectFormField
    shape: Any = dict

    def __init__(self, *args: Any, **options: Any) -> None:
        options.setdefault("default", self.shape)
        options.setdefault("blank", True)
        super().__init__(*args, **options)

    def deconstruct(self) -> Any:
        """Migrations see a plain ``JSONField``."""
        name, _, args, options = super().deconstruct()
        return name, "django.db.models.JSONField", args, options

    def formfield(self, **options: Any) -> Any:
        return super().formfield(**{"form_class": self.form_class, **options})


class ListField(ObjectField):
    """A column with a JSON list, by default ``[]``; never null."""

    empty_values = [[]]
    form_class = ListFormField
    shape = list
