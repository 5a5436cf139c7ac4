"""Envelopes, errors and scalar formats of the management API.

Success: ``{"data": …}``; a page of a list adds ``meta``. Failure: ``{"error": {"type": …, "message": …}}``.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

STATUSES = {
    "invalid_request": 400,
    "authentication_error": 401,
    "permission_error": 403,
    "not_found": 404,
    "conflict": 409,
    "server_error": 500,
    "upstream_error": 502,
}
"""The HTTP status of each error type."""


class ApiError(Exception):
    """A call that fails with an error envelope; ``kind`` is one of :data:`STATUSES`."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message

    @property
    def status(self) -> int:
        """The HTTP status of the response."""
        return STATUSES[self.kind]


def data_envelope(payload: Any) -> dict[str, Any]:
    """The body of a successful response."""
    return {"data": payload}


def error_envelope(kind: str, message: str) -> dict[str, Any]:
    """The body of a failed response."""
    return {"error": {"type": kind, "message": message}}


def require(condition: object, message: str) -> None:
    """Raise :class:`ApiError` of type ``invalid_request`` unless ``condition`` is true."""
    if not condition:
        raise ApiError("invalid_request", message)


def timestamp(moment: datetime | None) -> str | None:
    """RFC 3339 in UTC, with up to six digits of a second's fraction and no trailing zeros."""
    if moment is None:
        return None
    text = moment.astimezone(UTC).replace(tzinfo=None).isoformat()
    return (text.rstrip("0") if "." in text else text) + "Z"


def parse_moment(text: str, field: str) -> datetime:
    """A time in RFC 3339 format; without an offset it is UTC. Raises :class:`ApiError`, whose message names ``field``."""
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):  # OverflowError: before the year 1 or after 9999 in UTC
        raise ApiError("invalid_request", f"{field}: write it as in RFC 3339, for example 2030-01-31T12:00:00Z") from None


def parse_uuid(text: str, message: str = "Invalid ID format") -> uuid.UUID:
    """A UUID in any of its spellings. Raises :class:`ApiError` with ``message``."""
    try:
        return uuid.UUID(text)
    except ValueError:
        raise ApiError("invalid_request", message) from None
