"""``/api/v1/stats``: what was used, by whom and for how much. Computed by `billing.reports`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from ninja import Field, Query, Router
from pydantic import WithJsonSchema

from accounts.common.api_envelope import ApiError, data_envelope, parse_moment, parse_uuid
from accounts.common.api_resource import page_of
from accounts.common.api_schema import Data, IdOrEmpty, MomentOrEmpty, Page, Paging, responses
from billing.api.stats_items import Bucket, Forecast, GroupItem, LatencyItem, Overview
from billing.reports import breakdowns, items, latency, overview, query, tags, windows
from billing.reports.query import Selection
from billing.reports.windows import Window

router = Router(tags=["stats"])

Period = Annotated[str, WithJsonSchema({"type": "string", "default": windows.DEFAULT_PERIOD, "examples": list(windows.PERIODS)})]
Interval = Annotated[str, WithJsonSchema({"type": "string", "default": windows.DEFAULT_INTERVAL, "examples": list(windows.INTERVALS)})]
Format = Annotated[str, WithJsonSchema({"type": "string", "enum": ["json", "csv"], "default": "json"})]
CSV_TYPE = "text/csv; charset=utf-8"


class StatsFilters(Paging):
    """Which requests count. A request must match all filters; an empty value is no filter."""

    period: Period | None = Field(None, description="The time until now; anything else means 24h. `from` overrules it.")
    from_: MomentOrEmpty | None = Field(
        None, alias="from", description="RFC 3339. Rounded down to a bucket of 5 minutes, an hour after 35 days."
    )
    to: MomentOrEmpty | None = Field(None, description="RFC 3339. Rounded up in the same way. Default: now.")
    key_id: IdOrEmpty | None = None
    upstream_id: IdOrEmpty | None = None
    model: str | None = Field(None, description="The exact name under which requests are counted.")
    owner: str | None = Field(None, description="The exact name.")
    dialect: str | None = Field(None, description="The dialect of the client.")
    tag: str | None = Field(None, description="`key:value`; for `by-tag` also a key alone, whose values are listed.")
    format: Format | None = Field(None, description="`csv` returns all rows as a CSV file.")


class SeriesFilters(StatsFilters):
    """The same, and the length of the buckets."""

    interval: Interval | None = Field(None, description="Anything else means 1h.")


def _selection(filters: StatsFilters) -> Selection:
    values: dict[str, list[Any]] = {}
    for name, value in (("model", filters.model), ("owner", filters.owner), ("dialect", filters.dialect)):
        if value:
            values[name] = [value.replace("\0", "")]
    if filters.key_id:
        values["key"] = [str(parse_uuid(filters.key_id, "Invalid key_id format"))]
    if filters.upstream_id:
        values["upstream"] = [str(parse_uuid(filters.upstream_id, "Invalid upstream_id format"))]
    if filters.tag and ":" in filters.tag:
        values["tags"] = list(tags.texts_with(tags.Tag(*filters.tag.split(":", 1))))
    return Selection(_window(filters), values)


def _window(filters: StatsFilters) -> Window:
    now = timezone.now()
    end = parse_moment(filters.to.replace(" ", "+"), "to") if filters.to else None
    if filters.from_:
        begin = parse_moment(filters.from_.replace(" ", "+"), "from")
        if end is not None and end < begin:
            raise ApiError("invalid_request", "to must not be before from")
        return windows.between(begin, end, now)
    period = windows.PERIODS.get(filters.period or "", windows.PERIODS[windows.DEFAULT_PERIOD])
    return windows.last(period, now) if end is None else windows.between(end - period, end, now)


def _page(rows: list[Any], show: Callable[[Any], items.Item], filters: StatsFilters, name: str) -> Any:
    """One page of rows, or all of them as CSV."""
    return csv_response([show(row) for row in rows], name) if filters.format == "csv" else page_of(rows, filters, show=show)


def csv_response(rows: list[items.Item], name: str) -> HttpResponse:
    """A CSV file."""
    return HttpResponse(items.as_csv(rows), content_type=CSV_TYPE, headers={"Content-Disposition": f'attachment; filename="{name}.csv"'})


@router.get("/overview", response=responses(Data[Overview]))
def get_overview(request: HttpRequest, filters: Query[StatsFilters]) -> dict[str, Any]:
    """Totals of all requests, refused ones included, and the totals of the time of the same length before."""
    report = overview.overview(_selection(filters), timezone.now())
    return data_envelope({**items.totals_item(report.totals), "previous": items.totals_item(report.previous)})


def _groups(dimension: str, filters: StatsFilters, *, without: tuple[Any, ...] = ()) -> list[items.Item]:
    """The values of a dimension, but for some, with their totals and percentiles."""
    selection = _selection(filters)
    percentiles = latency.latency_by(selection, dimension)
    groups = (group for group in breakdowns.by_dimension(selection, dimension) if group.value not in without)
    return [items.group_item(dimension, group, percentiles.get(group.value)) for group in groups]


@router.get("/by-key", response=responses(Page[GroupItem]), exclude_unset=True)
def by_key(request: HttpRequest, filters: Query[StatsFilters]) -> Any:
    """Totals of each client key, the dearest first. Requests without a valid key are not in this list."""
    return _page(_groups("key", filters, without=(None,)), dict, filters, "by-key")


@router.get("/by-model", response=responses(Data[list[GroupItem]]), exclude_unset=True)
def by_model(request: HttpRequest, filters: Query[StatsFilters]) -> Any:
    """Totals of each model that clients named, the dearest first; unknown names are `(unknown)`."""
    return _whole("model", filters, without=("",))


@router.get("/by-upstream", response=responses(Data[list[GroupItem]]), exclude_unset=True)
def by_upstream(request: HttpRequest, filters: Query[StatsFilters]) -> Any:
    """Totals of each upstream that was called last; null: none was called."""
    return _whole("upstream", filters)


@router.get("/by-owner", response=responses(Data[list[GroupItem]]), exclude_unset=True)
def by_owner(request: HttpRequest, filters: Query[StatsFilters]) -> Any:
    """Totals of each owner of keys; empty: of none."""
    return _whole("owner", filters)


@router.get("/by-dialect", response=responses(Data[list[GroupItem]]), exclude_unset=True)
def by_dialect(request: HttpRequest, filters: Query[StatsFilters]) -> Any:
    """Totals of each dialect of clients."""
    return _whole("dialect", filters)


@router.get("/by-status", response=responses(Data[list[GroupItem]]), exclude_unset=True)
def by_status(request: HttpRequest, filters: Query[StatsFilters]) -> Any:
    """Totals of each HTTP status that clients got."""
    return _whole("status", filters)


@router.get("/by-outcome", response=responses(Data[list[GroupItem]]), exclude_unset=True)
def by_outcome(request: HttpRequest, filters: Query[StatsFilters]) -> Any:
    """Totals of each outcome."""
    return _whole("outcome", filters)


@router.get("/by-error", response=responses(Data[list[GroupItem]]), exclude_unset=True)
def by_error(request: HttpRequest, filters: Query[StatsFilters]) -> Any:
    """Totals of each kind of failure; empty: none."""
    return _whole("error", filters)


def _whole(dimension: str, filters: StatsFilters, *, without: tuple[Any, ...] = ()) -> Any:
    """A breakdown without pages."""
    rows = _groups(dimension, filters, without=without)
    return _as_requested(rows, filters, f"by-{dimension}")


def _as_requested(rows: list[items.Item], filters: StatsFilters, name: str) -> Any:
    """The rows as JSON, or as a CSV file of this name."""
    return csv_response(rows, name) if filters.format == "csv" else data_envelope(rows)


@router.get("/by-tag", response=responses(Data[list[GroupItem]]), exclude_unset=True)
def by_tag(request: HttpRequest, filters: Query[StatsFilters]) -> Any:
    """Totals of each tag, the dearest first. A request counts for each of its tags; `tag=key` lists the values of one key."""
    key = filters.tag if filters.tag and ":" not in filters.tag else None
    rows = [{"tag": tag.key, "value": tag.value, **items.totals_item(totals)} for tag, totals in tags.by_tag(_selection(filters), key)]
    return _as_requested(rows, filters, "by-tag")


@router.get("/by-session", response=responses(Page[GroupItem]), exclude_unset=True)
def by_session(request: HttpRequest, filters: Query[StatsFilters]) -> Any:
    """Totals of each session whose requests are in the log, the dearest first."""
    return _page(breakdowns.by_session(_selection(filters)), items.session_item, filters, "by-session")


@router.get("/timeseries", response=responses(Data[list[Bucket]]), exclude_unset=True)
def get_timeseries(request: HttpRequest, filters: Query[SeriesFilters]) -> Any:
    """Totals by bucket, in order of time; buckets without requests are left out."""
    seconds = windows.INTERVALS.get(filters.interval or "", windows.INTERVALS[windows.DEFAULT_INTERVAL])
    selection = _selection(filters)
    percentiles = latency.latency_by_time(selection, seconds)
    sums: Mapping[Any, Any] = query.sum_by_time(selection, seconds)
    rows = [items.bucket_item(start, totals, percentiles.get(start)) for (start,), totals in sorted(sums.items())]
    return _as_requested(rows, filters, "timeseries")


@router.get("/latency", response=responses(Data[LatencyItem]))
def get_latency(request: HttpRequest, filters: Query[StatsFilters]) -> dict[str, Any]:
    """Percentiles of latency in milliseconds, of overhead in microseconds, of the time to the first token in milliseconds."""
    percentiles = latency.latency(_selection(filters))
    if percentiles is None:
        raise ApiError("invalid_request", "Percentiles exist of all requests, and of one key, model, upstream or owner")
    shown = items.latency_item(percentiles)
    return data_envelope({name.removesuffix("_latency_ms"): value for name, value in _overhead_first(shown).items()})


def _overhead_first(percentiles: items.Item) -> items.Item:
    """With the names that the original pxbin uses: `overhead_p50_us`."""
    renamed = {}
    for name, value in percentiles.items():
        share, quantity, unit = name.split("_")
        renamed[name if quantity == "latency" else f"{quantity}_{share}_{unit}"] = value
    return renamed


@router.get("/forecast", response=responses(Data[Forecast]))
def get_forecast(request: HttpRequest, filters: Query[StatsFilters]) -> dict[str, Any]:
    """The cost of this month (UTC): until now, a day on average of the last seven days, and expected until its end."""
    forecast = overview.forecast(timezone.now(), _selection(filters).values)
    amounts = {"month_to_date": forecast.month_to_date, "per_day": forecast.per_day, "month": forecast.month}
    return data_envelope({name: value for field, amount in amounts.items() for name, value in items.money(field, amount).items()})
