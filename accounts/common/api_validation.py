"""Validation of rows, with errors as the management API answers them."""

from __future__ import annotations

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import IntegrityError, models, transaction

from accounts.common.api_envelope import ApiError


def save_validated(row: models.Model) -> None:
    """Validate and save ``row``.

    Raises :class:`ApiError`: ``conflict`` for a duplicate and for what this installation cannot do, ``invalid_request`` for a bad value.
    """
    try:
        with transaction.atomic():
            row.full_clean()
            row.save()
    except ValidationError as problem:
        is_conflict = any(leaf.code in ("unique", "unique_together", "conflict") for _, leaf in _leaves(problem))
        raise ApiError("conflict" if is_conflict else "invalid_request", _sentence(problem, row)) from None
    except IntegrityError:
        raise ApiError("conflict", f"This {row._meta.verbose_name} exists already") from None  # noqa: SLF001  (documented)


def validate_fields(row: models.Model) -> None:
    """Validate the fields of a row that is not going to be saved. Raises :class:`ApiError`."""
    try:
        row.clean_fields()
    except ValidationError as problem:
        raise ApiError("invalid_request", _sentence(problem, row)) from None


def _leaves(problem: ValidationError) -> list[tuple[str, ValidationError]]:
    """Each single error with the name of its field."""
    if not hasattr(problem, "error_dict"):
        return [(NON_FIELD_ERRORS, leaf) for leaf in problem.error_list]
    return [(field, leaf) for field, errors in problem.error_dict.items() for error in errors for leaf in error.error_list]


def _sentence(problem: ValidationError, row: models.Model) -> str:
    return " ".join(_field_message(field, leaf, row) for field, leaf in _leaves(problem))


def _field_message(field: str, problem: ValidationError, row: models.Model) -> str:
    message = " ".join(problem.messages)
    if field == NON_FIELD_ERRORS or problem.code == "unique":
        return message
    column = row._meta.get_field(field)  # noqa: SLF001  (documented)
    if problem.code == "invalid_choice" and isinstance(column, models.Field):
        message = f"{getattr(row, field)!r} is not one of {', '.join(str(value) for value, _ in column.flatchoices)}."
    return f"{field}: {message}"
