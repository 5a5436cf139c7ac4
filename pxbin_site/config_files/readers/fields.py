"""Typed access to the values of a document, with errors that name the line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

from pxbin_site.config_files.documents import Document, Steps

T = TypeVar("T")
KINDS = {str: "a text", int: "a whole number", float: "a number", bool: "true or false", dict: "an object", list: "a list"}


def value_at(document: Document, steps: Steps) -> Any:
    """The value at ``steps``; ``None`` if there is none."""
    value = document.value
    for step in steps:
        if isinstance(step, str) and isinstance(value, dict):
            value = value.get(step)
        elif isinstance(step, int) and isinstance(value, list) and step < len(value):
            value = value[step]
        else:
            return None
    return value


def of_type(document: Document, steps: Steps, value: Any, kind: type[T]) -> T:
    """``value``, checked. Whole numbers are numbers, and numbers are texts where these are expected."""
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)  # type: ignore[return-value]
    if kind is str and isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)  # type: ignore[return-value]
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise document.error(steps, f"must be {KINDS[kind]}")
    return value


def optional(document: Document, steps: Steps, kind: type[T]) -> T | None:
    """The value at ``steps``, checked; ``None`` if it is missing or null."""
    value = value_at(document, steps)
    return None if value is None else of_type(document, steps, value, kind)


def required(document: Document, steps: Steps, kind: type[T]) -> T:
    """The value at ``steps``, checked; an empty text counts as missing."""
    value = optional(document, steps, kind)
    if value is None or value == "":
        raise document.error(steps[:-1], f"{steps[-1]} is missing")
    return value


def objects(document: Document, steps: Steps) -> Iterator[tuple[Steps, dict[str, Any]]]:
    """The objects of a list, each with its steps; none if the list is missing."""
    for index, item in enumerate(optional(document, steps, list) or []):
        yield (*steps, index), of_type(document, (*steps, index), item, dict)
