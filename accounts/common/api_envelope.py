"""The forms of the management API's answers: one envelope for data, one for errors, pages, times."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import IntegrityError, models, transaction

RowT = TypeVar("RowT", bound=models.Model)

DEFAULT_PAGE_SIZE, LARGEST_PAGE_SIZE = 50, 1000

STATUSES = {
    "invalid_request": 400,
    "authentication_error": 401,
    "permission_error": 403,
    "not_found": 404,
    "conflict": 409,
    "server_error": 500,
    "upstream_error": 502,
}


class Refused(Exception):  # noqa: N818  (it reads as what happened: the call was refused)
    """A call that cannot be carried out; ``kind`` is one of :data:`STATUSES`."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message

    @property
    def status(self) -> int:
        """The HTTP status of the refusal."""
        return STATUSES[self.kind]


def data(payload: Any) -> dict[str, Any]:
    """The envelope of success."""
    return {"data": payload}


def error(kind: str, message: str) -> dict[str, Any]:
    """The envelope of failure."""
    return {"error": {"type": kind, "message": message}}


def page_of(rows: models.QuerySet[RowT, RowT], query: Mapping[str, str], *, shown: Callable[[RowT], dict[str, Any]]) -> dict[str, Any]:
    """The page of ``rows`` that a query string asks for; ``total`` counts all of them, whatever the page.

    ``page`` and ``per_page``: what is no positive number means the default, and pages are bounded.
    """
    page = _positive(query.get("page"), 1)
    size = min(_positive(query.get("per_page"), DEFAULT_PAGE_SIZE), LARGEST_PAGE_SIZE)
    items = [shown(row) for row in rows[(page - 1) * size : page * size]]
    return {"data": items, "meta": {"total": rows.count(), "page": page, "per_page": size}}


def _positive(text: str | None, default: int) -> int:
    if text is None or not text.isascii() or not text.isdigit() or len(text) > 9:
        return default
    return int(text) or default


def timestamp(moment: datetime | None) -> str | None:
    """RFC 3339 in UTC, with as many digits of a fraction as it has, six at most."""
    if moment is None:
        return None
    text = moment.astimezone(UTC).replace(tzinfo=None).isoformat()
    return (text.rstrip("0") if "." in text else text) + "Z"


def moment_of(text: str, field: str) -> datetime:
    """A point in time as RFC 3339 writes it; without an offset it is UTC. Raises :class:`Refused`, which names ``field``."""
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):  # no time at all, or one before the year 1 or after 9999, seen from UTC
        raise Refused("invalid_request", f"{field}: write it as in RFC 3339, for example 2030-01-31T12:00:00Z") from None


def uuid_of(text: str, message: str = "Invalid ID format") -> uuid.UUID:
    """A UUID in any of its spellings; raises :class:`Refused`."""
    try:
        return uuid.UUID(text)
    except ValueError:
        raise Refused("invalid_request", message) from None


def stored(row: models.Model) -> None:
    """Validate and save ``row``. Raises :class:`Refused`: ``conflict`` for a duplicate, ``invalid_request`` for a bad value."""
    try:
        with transaction.atomic():
            row.full_clean()
            row.save()
    except ValidationError as problem:
        duplicate = any(each.code in ("unique", "unique_together") for each in _leaves(problem))
        raise Refused("conflict" if duplicate else "invalid_request", _sentence(problem, row)) from None
    except IntegrityError:
        raise Refused("conflict", f"This {row._meta.verbose_name} exists already") from None  # noqa: SLF001  (documented)


def validated(row: models.Model) -> None:
    """Validate the fields of a row that is not to be saved; raises :class:`Refused`."""
    try:
        row.clean_fields()
    except ValidationError as problem:
        raise Refused("invalid_request", _sentence(problem, row)) from None


def _leaves(problem: ValidationError) -> list[ValidationError]:
    if hasattr(problem, "error_dict"):
        return [leaf for errors in problem.error_dict.values() for each in errors for leaf in each.error_list]
    return list(problem.error_list)


def _sentence(problem: ValidationError, row: models.Model) -> str:
    """What is wrong, with the fields that it is wrong with."""
    if not hasattr(problem, "error_dict"):
        return " ".join(problem.messages)
    return " ".join(
        _of_field(field, leaf, row) for field, errors in problem.error_dict.items() for each in errors for leaf in each.error_list
    )


def _of_field(field: str, problem: ValidationError, row: models.Model) -> str:
    words = " ".join(problem.messages)
    if field == NON_FIELD_ERRORS or problem.code == "unique":
        return words
    column = row._meta.get_field(field)  # noqa: SLF001  (documented)
    if problem.code == "invalid_choice" and isinstance(column, models.Field):
        words = f"{getattr(row, field)!r} is not one of {', '.join(str(value) for value, _ in column.flatchoices)}."
    return f"{field}: {words}"
