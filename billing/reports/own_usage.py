"""What one client key has used: for the holder of the key, who has no access to the admin."""

from __future__ import annotations

from datetime import UTC, datetime

from billing.reports import query
from billing.reports.items import Item, totals_item
from billing.reports.query import Selection
from billing.reports.totals import Totals, add
from billing.reports.windows import Window
from billing.rollups.accumulate import DAY


def own_usage(api_key_id: str, window: Window) -> Item:
    """Totals of a key's requests in whole UTC days, with those of each model and of each day."""
    sums = query.sum_by_time(Selection(window, {"key": [api_key_id]}), DAY, "model")
    by_day: dict[str, dict[str, Totals]] = {}
    for (start, model), totals in sums.items():
        by_day.setdefault(_date(start), {})[model] = totals
    models = {model for _, model in sums}
    by_model = {model: add(totals for (_, name), totals in sums.items() if name == model) for model in models}
    order = sorted(by_model, key=lambda model: (-by_model[model].cost, -by_model[model].requests, model))
    return {
        **totals_item(add(sums.values())),
        "by_model": [_item("model", model, by_model[model]) for model in order],
        "by_day": [
            {
                **_item("date", day, add(by_day[day].values())),
                "models": [_item("model", model, totals) for model, totals in sorted(by_day[day].items())],
            }
            for day in sorted(by_day)
        ],
    }


def csv_rows(usage: Item) -> list[Item]:
    """The days and models of :func:`own_usage` as rows of a table."""
    return [{"date": day["date"], **model} for day in usage["by_day"] for model in day["models"]]


def _item(name: str, value: str, totals: Totals) -> Item:
    return {name: value, **totals_item(totals)}


def _date(start: int) -> str:
    return f"{datetime.fromtimestamp(start, UTC):%Y-%m-%d}"
