"""What the management API's own documentation says: the forms of bodies and answers. Answers are checked against them."""

from __future__ import annotations

from typing import Annotated, Any, Generic, TypeVar

from ninja import Field, Schema
from ninja.responses import Status
from pydantic import ConfigDict, WithJsonSchema, model_validator
from pydantic_core.core_schema import ValidationInfo

from accounts.common.api_envelope import LARGEST_PAGE_SIZE, STATUSES

Moment = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]
"""What :func:`timestamp` returns."""
Id = Annotated[str, WithJsonSchema({"type": "string", "format": "uuid"})]
Whole = Annotated[int, Field(ge=-(2**31), le=2**31 - 1)]
"""What an integer column holds on every database."""
Item = TypeVar("Item")
FAILURES = frozenset({400, 401, 403, 404, 409})
IGNORED = "pxbin.ignored"
"""Where a request's META holds the fields of its body that mean nothing here, if there are any."""
LISTS_OF_MODELS = ("fallbacks", "allowed_models")
MENTIONED = "pxbin.mentioned"
"""Where a request's META holds the models that these fields of its body name, if there are any."""
FIELDS = "pxbin.fields"
"""Where the parser leaves the names of a body's fields."""


class Body(Schema):
    """A JSON object in a request. Fields that it does not have are ignored, as pxbin always did, but the answer names them."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)

    @model_validator(mode="after")
    def _note_ignored(self, info: ValidationInfo) -> Body:
        request = (info.context or {}).get("request")
        if request is not None and (given := request.META.get(FIELDS)):
            request.META[MENTIONED] = {name: getattr(self, name) for name in LISTS_OF_MODELS if getattr(self, name, None)}
            request.META[IGNORED] = {name: list(type(self).model_fields) for name in given if name not in type(self).model_fields}
        return self


class Paging(Schema):
    """Which page of a list. What is no positive number means the default."""

    page: Annotated[str | None, WithJsonSchema({"type": "integer", "minimum": 1, "default": 1})] = None
    per_page: Annotated[str | None, WithJsonSchema({"type": "integer", "minimum": 1, "maximum": LARGEST_PAGE_SIZE, "default": 50})] = None


class Data(Schema, Generic[Item]):
    """Success."""

    data: Item


class Meta(Schema):
    """Where a page stands in its list."""

    total: int
    page: int
    per_page: int


class Page(Schema, Generic[Item]):
    """One page of a list."""

    data: list[Item]
    meta: Meta


class Done(Schema):
    """What was done."""

    status: str


class Deleted(Schema):
    """How many rows are gone."""

    deleted: int


class Problem(Schema):
    """What is wrong."""

    type: Annotated[str, WithJsonSchema({"type": "string", "enum": list(STATUSES)})]
    message: str


class Failure(Schema):
    """Failure. Where the management key itself is refused (401, 403), `error` is a plain text."""

    error: Problem | str


Created = Status[dict[str, Any]]


def created(answer: dict[str, Any]) -> Created:
    """An answer of status 201."""
    return Status(201, answer)


def answers(success: Any, status: int = 200, *, upstream: bool = False) -> dict[Any, Any]:
    """The ``response`` of an operation: ``success`` with its status, failures; ``upstream``: it may fail upstream, too."""
    return {status: success, FAILURES: Failure, **({502: Failure} if upstream else {})}
