"""``/api/v1/logs``: the request log."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from django.db.models import Q
from django.http import HttpRequest
from ninja import Field, Query, Router, Schema
from pydantic import WithJsonSchema

from accounts.common.api_envelope import ApiError, data_envelope, parse_uuid
from accounts.common.api_resource import page_envelope
from accounts.common.api_schema import Data, Id, IdOrEmpty, MomentOrEmpty, Page, Paging, responses
from billing import ilike  # noqa: F401  (registers `ilike`)
from billing.api.log_items import ATTEMPT_FIELDS, INPUT_FORMATS, LOG_FIELDS, InputFormat, OutcomeName, attempt_item, item_schema, log_item
from billing.models import RequestLog, RequestLogQuerySet, RequestPayload
from billing.outcomes import Outcome

router = Router(tags=["logs"])

LONGEST_PATTERN = 500
_TAG_KEY = re.compile(r"[a-z](?:_?[a-z0-9])*")
_BETWEEN_TAGS = re.compile(rf",(?={_TAG_KEY.pattern}:)")


def _moment(text: str, name: str) -> datetime:
    refusal = ApiError("invalid_request", f"Invalid '{name}' timestamp, use RFC3339")
    try:
        # In a query string a plus sign that was not encoded arrives as a space.
        moment = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
    except ValueError:
        raise refusal from None
    if moment.tzinfo is None or "T" not in text.upper():
        raise refusal
    try:
        return moment.astimezone(UTC)
    except OverflowError:  # before the year 1 or after 9999, seen from UTC
        raise refusal from None


def _status(text: str) -> Q:
    if not text.isascii() or not text.isdigit() or len(text) > 4:
        raise ApiError("invalid_request", "Invalid status_code")
    code = int(text)
    if code and code % 100 == 0:
        return Q(status_code__gte=code, status_code__lt=code + 100)
    return Q(status_code=code)


def _input_format(text: str) -> Q:
    if text not in INPUT_FORMATS:
        raise ApiError("invalid_request", f"Invalid input_format, must be one of {', '.join(INPUT_FORMATS)}")
    return Q(input_format=text)


def _outcome(text: str) -> Q:
    if text not in tuple(Outcome):
        raise ApiError("invalid_request", f"Invalid outcome, must be one of {', '.join(Outcome)}")
    return Q(outcome=text)


def _tag(text: str) -> Q:
    """The rows that have all of these tags. A value may hold commas that no key and colon follow."""
    condition = Q()
    for tag in _BETWEEN_TAGS.split(text):
        key, colon, value = tag.partition(":")
        if not _TAG_KEY.fullmatch(key):
            raise ApiError("invalid_request", "Invalid tag, use key:value")
        condition &= Q(**{f"tags__{key}": value}) if colon else Q(tags__has_key=key)
    return condition


class Condition(NamedTuple):
    """What a filter of the log demands of a row; ``where`` raises :class:`ApiError` for an invalid value."""

    where: Callable[[str], Q]


class Filters(Paging):
    """Filters of requests. A request must match all of them; an empty value is no filter."""

    key_id: Annotated[IdOrEmpty | None, Condition(lambda text: Q(api_key_id=parse_uuid(text, "Invalid key_id format")))] = None
    upstream_id: Annotated[IdOrEmpty | None, Condition(lambda text: Q(upstream_id=parse_uuid(text, "Invalid upstream_id format")))] = None
    model: Annotated[str | None, Condition(lambda text: Q(model__ilike=f"%{text[:LONGEST_PATTERN]}%"))] = Field(
        None, description="Part of the model name, case-insensitive; % and _ are wildcards."
    )
    status_code: Annotated[str | None, Condition(_status), WithJsonSchema({"type": "integer", "minimum": 0, "maximum": 9999})] = Field(
        None, description="A multiple of 100 means its class: 400 is 400 to 499."
    )
    input_format: Annotated[InputFormat | None, Condition(_input_format)] = None
    dialect: Annotated[str | None, Condition(lambda text: Q(dialect=text))] = Field(
        None, description="The dialect of the client, for example `anthropic`."
    )
    outcome: Annotated[OutcomeName | None, Condition(_outcome)] = None
    request_id: Annotated[str | None, Condition(lambda text: Q(request_id=text))] = Field(
        None, description="The x-request-id that the client sent or got."
    )
    session_id: Annotated[str | None, Condition(lambda text: Q(session_id=text))] = Field(None, description="The session, exactly.")
    trace_id: Annotated[str | None, Condition(lambda text: Q(trace_id=text))] = Field(None, description="The trace, exactly.")
    tag: Annotated[
        str | None,
        Condition(_tag),
        WithJsonSchema({"anyOf": [{"type": "string", "pattern": f"^({_TAG_KEY.pattern}(:[^,]*)?)?$"}, {"type": "null"}]}),
    ] = Field(None, description="`key:value`, or `key` for requests with any value of it; several are separated by commas.")
    from_: Annotated[MomentOrEmpty | None, Condition(lambda text: Q(timestamp__gte=_moment(text, "from")))] = Field(
        None, alias="from", description="RFC 3339, inclusive."
    )
    to: Annotated[MomentOrEmpty | None, Condition(lambda text: Q(timestamp__lte=_moment(text, "to")))] = Field(
        None, description="RFC 3339, inclusive."
    )


CONDITIONS: Mapping[str, Callable[[str], Q]] = {
    field.alias or name: part.where
    for name, field in Filters.model_fields.items()
    for part in field.metadata
    if isinstance(part, Condition)
}
"""The condition that each parameter of a query adds."""


if TYPE_CHECKING:  # classes that are made at runtime are no types for the type checker

    class LogItem(Schema):
        """See `log_items`."""

    class AttemptItem(Schema):
        """See `log_items`."""

else:
    LogItem = item_schema("LogItem", LOG_FIELDS, "One request. Tokens are in disjoint classes.")
    AttemptItem = item_schema("AttemptItem", ATTEMPT_FIELDS, "One attempt: a call of an upstream.")


class Payload(Schema):
    """The bodies of a request, redacted and cut; of streams the beginning of their text."""

    client_body: str = Field(..., description="What the client sent.")
    sent_body: str = Field(..., description="What the upstream that was called last got.")
    upstream_answer: str = Field(..., description="What that upstream answered.")
    delivered_answer: str = Field(..., description="What the client got.")
    truncated: bool = Field(..., description="Whether one of them was longer.")


class LogDetail(LogItem):
    """One request with its attempts, and its bodies if they were captured."""

    tries: list[AttemptItem]
    payload: Payload | None


@router.get("", response=responses(Page[LogItem]))
def list_logs(request: HttpRequest, filters: Query[Filters]) -> dict[str, Any]:
    """Requests, the newest first."""
    return page_envelope(filter_logs(request.GET).newest_first(), filters, show=log_item)


@router.get("/{log_id}", response=responses(Data[LogDetail]))
def get_log(request: HttpRequest, log_id: Id) -> dict[str, Any]:
    """One request with its attempts and bodies."""
    row = RequestLog.objects.filter(pk=parse_uuid(log_id)).first()
    if row is None:
        raise ApiError("not_found", "Log not found")
    tries = [attempt_item(attempt) for attempt in row.tries.order_by("number")]
    payload = RequestPayload.objects.filter(pk=row.pk).values(*Payload.model_fields).first()
    return data_envelope({**log_item(row), "tries": tries, "payload": payload})


def filter_logs(query: Mapping[str, str]) -> RequestLogQuerySet:
    """The rows that match a query string; an empty value is no filter. Raises :class:`ApiError` for an invalid value."""
    rows: RequestLogQuerySet = RequestLog.objects.all()
    for name, condition in CONDITIONS.items():
        if value := query.get(name, "").replace("\0", ""):
            rows = rows.filter(condition(value))
    return rows
