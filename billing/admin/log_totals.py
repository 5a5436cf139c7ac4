"""The totals of the filtered request log: one query that sums what the list shows."""

from __future__ import annotations

from typing import Any

from django.db.models import Count, Q, QuerySet, Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from billing.admin import formatting
from billing.admin.log_search import ALL_TIME, is_bounded, recent
from billing.outcomes import Outcome

TOTALS_TEMPLATE = "admin/billing/requestlog/totals.html"


def totals(rows: QuerySet[Any]) -> dict[str, Any]:
    """Requests, failures, tokens and cost of rows; ``unpriced`` are the requests whose upstream was called and whose cost is unknown."""
    return rows.order_by().aggregate(
        requests=Count("pk"),
        failed=Count("pk", filter=Q(outcome=Outcome.FAILED)),
        rejected=Count("pk", filter=Q(outcome=Outcome.REJECTED)),
        input=Sum("input_tokens", default=0),
        cached=Sum("cache_read_tokens", default=0),
        written_5m=Sum("cache_write_5m_tokens", default=0),
        written_1h=Sum("cache_write_1h_tokens", default=0),
        output=Sum("output_tokens", default=0),
        spent=Sum("cost"),
        unpriced=Count("pk", filter=Q(cost__isnull=True, attempts__gt=0)),
    )


def page(request: HttpRequest, rows: QuerySet[Any]) -> HttpResponse:
    """The totals as a piece of HTML that the list loads after itself, so that it need not wait for them."""
    sums = totals(recent(rows, request.GET))
    everything = request.GET.copy()
    everything[ALL_TIME] = "1"
    read = sums["input"] + sums["cached"] + sums["written_5m"] + sums["written_1h"]
    context = {
        "figures": [
            ("Requests", f"{sums['requests']:,}", ""),
            ("Failed", f"{sums['failed']:,}", f"{sums['rejected']:,} rejected" if sums["rejected"] else ""),
            (
                "Tokens",
                f"{read:,} → {sums['output']:,}",
                f"{sums['cached'] / read:.0%} of input cached" if sums["cached"] else "",
            ),
            (
                "Cost",
                formatting.NONE if sums["spent"] is None else formatting.rounded_dollars(sums["spent"]),
                f"{sums['unpriced']:,} with unknown price" if sums["unpriced"] else "",
            ),
        ],
        "exact_cost": "" if sums["spent"] is None else formatting.dollars(sums["spent"]),
        "is_recent": not is_bounded(request.GET),
        "everything": everything.urlencode(),
    }
    return render(request, TOTALS_TEMPLATE, context)
