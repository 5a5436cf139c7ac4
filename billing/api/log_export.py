"""``/api/v1/logs/export``: all requests that match, as a file of lines or CSV, which is read and sent in pieces."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Annotated, Any

from asgiref.sync import sync_to_async
from django.db.models import Q
from django.http import HttpRequest, StreamingHttpResponse
from ninja import Field, Query, Router
from pydantic import WithJsonSchema

from accounts.common.api_envelope import ApiError
from accounts.common.api_schema import ErrorResponse
from billing.api.log_items import LOG_FIELDS, log_item
from billing.api.logs import Filters, filter_logs
from billing.models import RequestLog, RequestLogQuerySet

router = Router(tags=["logs"])

ROWS_PER_READ = 1000
RUN_BY_SPREADSHEETS = ("=", "+", "-", "@", "\t", "\r")
"""How texts begin that a spreadsheet takes for formulas. They may come from clients, so they get an apostrophe."""
EXACT = {"cost": "cost_usd"}
"""Numbers that CSV leaves out, because another column has them exactly."""

Encode = Callable[[Sequence[RequestLog]], str]


def _jsonl(rows: Sequence[RequestLog]) -> str:
    return "".join(f"{json.dumps(log_item(row), ensure_ascii=False)}\n" for row in rows)


COLUMNS = tuple(field.name for field in LOG_FIELDS if field.name not in EXACT)


def _csv(rows: Sequence[RequestLog]) -> str:
    items = [log_item(row) for row in rows]
    return _csv_lines([[_cell(item[name]) for name in COLUMNS] for item in items])


def _csv_lines(lines: Sequence[Sequence[Any]]) -> str:
    output = io.StringIO()
    csv.writer(output, lineterminator="\n").writerows(lines)
    return output.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"'{value}" if isinstance(value, str) and value.startswith(RUN_BY_SPREADSHEETS) else value


FORMATS: dict[str, tuple[str, str, Encode]] = {
    "csv": ("text/csv; charset=utf-8", _csv_lines([COLUMNS]), _csv),
    "jsonl": ("application/jsonl; charset=utf-8", "", _jsonl),
}
"""The media type, the beginning and the encoder of each format."""
FormatName = Annotated[str, WithJsonSchema({"type": "string", "enum": ["", *FORMATS]})]


class ExportFilters(Filters):
    """The filters of `/api/v1/logs`; pages have no effect."""

    format: FormatName | None = Field(None, description="`csv` (default), or `jsonl`: the items of `/api/v1/logs`, one a line.")


TEXT_CONTENT = {media_type.partition(";")[0]: {"schema": {"type": "string"}} for media_type, _, _ in FORMATS.values()}


@router.get(
    "",
    response={frozenset({400, 401, 403}): ErrorResponse},
    openapi_extra={"responses": {200: {"description": "A file, the newest request first", "content": TEXT_CONTENT}}},
)
def export_logs(request: HttpRequest, filters: Query[ExportFilters]) -> StreamingHttpResponse:
    """All requests that match, the newest first, as a file."""
    format_name = filters.format or "csv"
    if format_name not in FORMATS:
        raise ApiError("invalid_request", f"Invalid format, must be one of {', '.join(FORMATS)}")
    media_type, beginning, encode = FORMATS[format_name]
    pieces = _pieces(filter_logs(request.GET), encode, beginning)
    headers = {"Content-Disposition": f'attachment; filename="requests.{format_name}"'}
    return StreamingHttpResponse(pieces, content_type=media_type, headers=headers)


async def _pieces(rows: RequestLogQuerySet, encode: Encode, beginning: str) -> AsyncIterator[str]:
    """The file in pieces. Each read begins after the last row, so that a long file needs neither memory nor a long transaction."""
    if beginning:
        yield beginning
    last: RequestLog | None = None
    while True:
        read = await sync_to_async(_read)(rows, last)
        if read:
            yield encode(read)
        if len(read) < ROWS_PER_READ:
            return
        last = read[-1]


def _read(rows: RequestLogQuerySet, last: RequestLog | None) -> list[RequestLog]:
    if last is not None:
        rows = rows.filter(Q(timestamp__lt=last.timestamp) | Q(timestamp=last.timestamp, id__lt=last.pk), timestamp__lte=last.timestamp)
    return list(rows.newest_first()[:ROWS_PER_READ])
