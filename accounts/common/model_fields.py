"""Columns that hold JSON of one shape, and what they refuse."""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db import models


def json_object(value: object) -> None:
    """Refuse a JSON value that is not an object, and one with a number that JSON does not know."""
    if not isinstance(value, dict):
        raise ValidationError("Give a JSON object, for example {}.")
    try:
        json.dumps(value, allow_nan=False)
    except ValueError as error:
        raise ValidationError("NaN and Infinity are no numbers of JSON.") from error


def strings(value: object) -> None:
    """Refuse a JSON value that is not a list of non-empty strings."""
    if not isinstance(value, list) or not all(isinstance(item, str) and item.strip() for item in value):
        raise ValidationError('Give a list of names, for example ["claude-*", "gpt-5"].')


class NameField(models.CharField):  # type: ignore[type-arg]  # generic for the type checker only
    """A name: without white space around it, so that it is not blank either."""

    def deconstruct(self) -> Any:
        """For migrations it is a text column like any other."""
        name, _, args, options = super().deconstruct()
        return name, "django.db.models.CharField", args, options

    def to_python(self, value: Any) -> Any:
        """The name as it is stored."""
        text = super().to_python(value)
        return text.strip() if isinstance(text, str) else text


class ObjectFormField(forms.JSONField):
    """A form field for a JSON object; an empty text area is the empty object."""

    shape: type = dict

    def prepare_value(self, value: Any) -> Any:
        """Nothing where nothing is set, else lines that a person can read; what was typed stays as it was typed."""
        if value in ({}, []):
            return ""
        return json.dumps(value, indent=2, ensure_ascii=False) if isinstance(value, dict | list) else super().prepare_value(value)

    def to_python(self, value: Any) -> Any:
        """The value; says where text stops being JSON."""
        try:
            return super().to_python(value)
        except ValidationError as error:
            raise ValidationError(_what_is_wrong(value), code="invalid") from error

    def clean(self, value: Any) -> Any:
        """The object; raises ``ValidationError``."""
        cleaned = super().clean(value)
        return self.shape() if cleaned is None else cleaned


def _what_is_wrong(text: Any) -> str:
    try:
        json.loads(text)
    except (TypeError, ValueError) as problem:
        place = f" (line {problem.lineno}, column {problem.colno})" if isinstance(problem, json.JSONDecodeError) else ""
        return f'This is not JSON{place}. Names and texts stand in double quotes, for example {{"name": "value"}}.'
    return "This is not JSON that can be stored."


class ListFormField(ObjectFormField):
    """The same for a list."""

    shape = list


class ObjectField(models.JSONField):
    """A JSON object, empty where nothing is set: never null, never another shape."""

    empty_values = [{}]
    form_class: type[forms.JSONField] = ObjectFormField
    shape: Any = dict

    def __init__(self, *args: Any, **options: Any) -> None:
        options.setdefault("default", self.shape)
        options.setdefault("blank", True)
        super().__init__(*args, **options)

    def deconstruct(self) -> Any:
        """For migrations it is a JSON column like any other."""
        name, _, args, options = super().deconstruct()
        return name, "django.db.models.JSONField", args, options

    def formfield(self, **options: Any) -> Any:
        """A field that takes an empty text."""
        return super().formfield(**{"form_class": self.form_class, **options})


class ListField(ObjectField):
    """A JSON list."""

    empty_values = [[]]
    form_class = ListFormField
    shape = list
