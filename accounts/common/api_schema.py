"""Schemas that the resources of the management API share. They validate bodies and responses, and are its documentation."""

from __future__ import annotations

from typing import Annotated, Any, Generic, TypeVar

from ninja import Field, Schema
from ninja.responses import Status
from pydantic import ConfigDict, WithJsonSchema, model_validator
from pydantic_core.core_schema import ValidationInfo

from accounts.common.api_envelope import STATUSES

DEFAULT_PAGE_SIZE, LARGEST_PAGE_SIZE = 50, 1000

Moment = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]
"""A time as :func:`~accounts.common.api_envelope.timestamp` writes it."""
Id = Annotated[str, WithJsonSchema({"type": "string", "format": "uuid"})]
Int32 = Annotated[int, Field(ge=-(2**31), le=2**31 - 1)]
"""The range of an integer column in every supported database."""
Item = TypeVar("Item")


class ClearedByNull:
    """Annotation of a body's field for which ``null`` stores the column's default: ``NULL``, or an empty text, list or object."""


Clearable = Annotated[Item | None, ClearedByNull()]
"""Type of a body's field that ``null`` clears. For a field without it, ``null`` means unchanged."""

ERROR_STATUSES = frozenset({400, 401, 403, 404, 409})
MODEL_LIST_FIELDS = ("fallbacks", "allowed_models")
"""Body fields that list names of models."""
BODY_NAMES = "pxbin.body_names"
"""Key of a request's META: the names of its body's fields, written by the parser."""
IGNORED_NAMES = "pxbin.ignored_names"
"""Key of a request's META: the body's names that are not in its schema, each with the names that are."""
LISTED_MODELS = "pxbin.listed_models"
"""Key of a request's META: the models that :data:`MODEL_LIST_FIELDS` of its body name, by field."""


class RequestBody(Schema):
    """A JSON object in a request. Unknown fields are ignored, as in the original pxbin, but a response header names them."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)

    @model_validator(mode="after")
    def _note_ignored(self, info: ValidationInfo) -> RequestBody:
        request = (info.context or {}).get("request")
        if request is not None and (names := request.META.get(BODY_NAMES)):
            schema_names = type(self).model_fields
            request.META[LISTED_MODELS] = {name: getattr(self, name) for name in MODEL_LIST_FIELDS if getattr(self, name, None)}
            request.META[IGNORED_NAMES] = {name: list(schema_names) for name in names if name not in schema_names}
        return self


class Paging(Schema):
    """Which page of a list. Anything that is not a positive integer means the default."""

    page: Annotated[str | None, WithJsonSchema({"type": "integer", "minimum": 1, "default": 1})] = None
    per_page: Annotated[
        str | None, WithJsonSchema({"type": "integer", "minimum": 1, "maximum": LARGEST_PAGE_SIZE, "default": DEFAULT_PAGE_SIZE})
    ] = None


class Data(Schema, Generic[Item]):
    """Success."""

    data: Item


class Meta(Schema):
    """The number of all rows, and the page that was returned."""

    total: int
    page: int
    per_page: int


class Page(Schema, Generic[Item]):
    """One page of a list."""

    data: list[Item]
    meta: Meta


class ActionResult(Schema):
    """What an action did: `updated`, `deleted` and the like."""

    status: str


class Deleted(Schema):
    """How many rows were deleted."""

    deleted: int


class Ids(RequestBody):
    """Rows to delete."""

    model_config = ConfigDict(json_schema_extra={"required": ["ids"]})

    ids: list[str] = []


class ErrorDetail(Schema):
    """The error's type, and a sentence for people."""

    type: Annotated[str, WithJsonSchema({"type": "string", "enum": list(STATUSES)})]
    message: str


class ErrorResponse(Schema):
    """An error. When the management key itself is refused (401, 403), `error` is a plain string."""

    error: ErrorDetail | str


CreatedResponse = Status[dict[str, Any]]


def created_response(envelope: dict[str, Any]) -> CreatedResponse:
    """A response with status 201."""
    return Status(201, envelope)


def responses(success: Any, status: int = 200, *, upstream: bool = False) -> dict[Any, Any]:
    """The ``response`` argument of an operation: the schema of success and those of errors; ``upstream`` adds 502."""
    return {status: success, ERROR_STATUSES: ErrorResponse, **({502: ErrorResponse} if upstream else {})}
