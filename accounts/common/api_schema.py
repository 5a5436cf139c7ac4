"""Schemas that the resources of the management API share. They validate bodies and responses, and are its documentation."""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Generic, TypeVar

from django.db import models
from ninja import Field, Schema
from ninja.responses import Status
from pydantic import BeforeValidator, ConfigDict, GetJsonSchemaHandler, WithJsonSchema, model_validator
from pydantic_core.core_schema import CoreSchema, ValidationInfo

from accounts.common.api_envelope import STATUSES
from accounts.common.api_limits import add_limits, mark_alternatives, mark_required

DEFAULT_PAGE_SIZE, LARGEST_PAGE_SIZE = 50, 1000


def _integer(value: Any) -> Any:
    """A number without a fraction as an integer: in JSON Schema, 1.0 is one."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Moment = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]
"""A time as :func:`~accounts.common.api_envelope.timestamp` writes it."""
MomentOrEmpty = Annotated[str, WithJsonSchema({"anyOf": [{"type": "string", "format": "date-time"}, {"const": ""}]})]
"""A time in a query; the empty text is the same as no value."""
DecimalText = Annotated[str, WithJsonSchema({"type": "string", "format": "decimal"})]
"""An exact amount as text, such as ``0.000125``."""


def decimal_schema(pattern: re.Pattern[str]) -> WithJsonSchema:
    """The documentation of an amount as text that matches a pattern as a whole."""
    return WithJsonSchema({"type": "string", "format": "decimal", "pattern": f"^{pattern.pattern}$"})


Id = Annotated[str, WithJsonSchema({"type": "string", "format": "uuid"})]
IdOrEmpty = Annotated[str, WithJsonSchema({"anyOf": [{"type": "string", "format": "uuid"}, {"const": ""}]})]
"""An id; the empty text is the same as no value."""
ModelNames = Annotated[list[str], WithJsonSchema({"type": "array", "items": {"type": "string", "minLength": 1, "pattern": "[!-~]"}})]
Int32 = Annotated[int, Field(ge=-(2**31), le=2**31 - 1), BeforeValidator(_integer)]
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
WARNING = "pxbin.warning"
"""Key of a request's META: a sentence for the header `X-Pxbin-Warning`."""
LISTED_MODELS = "pxbin.listed_models"
"""Key of a request's META: the models that :data:`MODEL_LIST_FIELDS` of its body name, by field."""


class RequestBody(Schema):
    """A JSON object in a request. Unknown fields are ignored, as in the original pxbin, but a response header names them."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)
    table: ClassVar[type[models.Model] | None] = None
    """The table whose columns the fields of the same names set; its limits are documented."""
    needs: ClassVar[tuple[str, ...]] = ()
    """The fields that a body must have."""
    alternatives: ClassVar[tuple[tuple[str, ...], ...]] = ()
    """Groups of fields, of which a body must have at least one."""

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        reference = handler(core_schema)
        schema = handler.resolve_ref_schema(reference)
        if cls.table is not None:
            add_limits(schema, cls.table)
        if cls.needs:
            mark_required(schema, cls.needs)
        if cls.alternatives:
            mark_alternatives(schema, cls.alternatives)
        return reference

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

    page: Annotated[
        str | None,
        WithJsonSchema({"type": "string", "default": "1", "description": "A positive integer; other text means the default."}),
    ] = None
    per_page: Annotated[
        str | None,
        WithJsonSchema(
            {
                "type": "string",
                "default": str(DEFAULT_PAGE_SIZE),
                "description": f"A positive integer; other text means the default. At most {LARGEST_PAGE_SIZE} rows are returned.",
            }
        ),
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

    needs = ("ids",)

    ids: Annotated[list[str], WithJsonSchema({"type": "array", "minItems": 1, "items": {"type": "string", "format": "uuid"}})] = []


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
