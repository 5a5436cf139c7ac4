"""The context of a request's admin page: figures, attempts, skipped targets with reasons, tokens by class, and other columns."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

from django.urls import reverse
from django.utils.html import format_html
from django.utils.http import urlencode

from accounts.common.admin import link
from accounts.models import ApiKey
from billing.admin import formatting
from billing.admin.payload import panes
from billing.log_columns import LOG_COLUMNS, CostSource
from billing.models import Price, RequestAttempt, RequestLog, RequestPayload
from billing.outcomes import Outcome
from upstreams.models import Model, Route, Upstream

ATTEMPT_HEADERS = ("#", "Upstream", "Credential", "Remote name", "Outcome", "Error", "Time", "First token", "Tokens", "Cost")
SKIP_HEADERS = ("Upstream", "Credential", "Remote name", "Reason", "Result")
NOT_FOUND = 404
MILLISECOND = timedelta(milliseconds=1)
OUTCOME_LEVELS = formatting.OUTCOME_LEVELS
TOKEN_CLASSES = (
    ("Input, not cached", "input_tokens", "input"),
    ("Read from a cache", "cache_read_tokens", "cache_read"),
    ("Written to a cache for 5 minutes", "cache_write_5m_tokens", "cache_write_5m"),
    ("Written to a cache for 1 hour", "cache_write_1h_tokens", "cache_write_1h"),
    ("Output, including reasoning", "output_tokens", "output"),
    ("of which reasoning", "reasoning_tokens", ""),
)
MODALITY_CLASSES = (
    ("of the input: audio", "input_audio_tokens", "input_audio"),
    ("of the output: audio", "output_audio_tokens", "output_audio"),
    ("of the input: images", "input_image_tokens", "input_image"),
    ("of the output: images", "output_image_tokens", "output_image"),
)
"""Shown where a request has such tokens."""
SUBSTITUTED = {
    **dict.fromkeys(("cache_read", "cache_write_5m", "cache_write_1h", "input_image"), "as input"),
    "output_image": "as output",
}
"""What stands for a rate that a price does not have."""


PLACED_COLUMNS = frozenset({
    "id", "timestamp", "request_id", "method", "path", "dialect", "input_format", "upstream_dialect", "stream", "api_key_id",
    "key_prefix", "key_name", "owner", "session_id", "trace_id", "tags", "client_ip", "user_agent",
    "model", "remote_model", "upstream_id", "upstream_name",
    "status_code", "upstream_status", "outcome", "error_type", "error_message", "attempts", "latency_ms", "overhead_us", "ttft_ms",
    "input_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens", "output_tokens", "reasoning_tokens",
    "input_audio_tokens", "output_audio_tokens", "input_image_tokens", "output_image_tokens", "server_tool_use", "usage_parts",
    "usage_estimated", "service_tier", "speed", "inference_geo", "cost", "cost_source", "reported_cost", "price_id",
    "price_version", "request_metadata", "routing", "response_id", "reason",
})  # fmt: skip
"""Columns that have a place on the page, or of which it shows another form."""
OTHER_COLUMNS = [column for column in LOG_COLUMNS if column.name not in PLACED_COLUMNS]
"""Listed under "Other": a new column of the log appears there."""


class Figure(NamedTuple):
    """A card with a title, a value and a note."""

    title: str
    value: str
    note: str = ""


class Links:
    """Links to the admin pages of the objects that a row refers to, if they still exist. Takes four queries."""

    def __init__(self, row: RequestLog, tries: Sequence[RequestAttempt]) -> None:
        upstream_ids = {pk for pk in (row.upstream_id, *(attempt.upstream_id for attempt in tries)) if pk is not None}
        self._upstreams = set(Upstream.objects.filter(pk__in=upstream_ids).values_list("pk", flat=True))
        self._key = row.api_key_id if row.api_key_id and ApiKey.objects.filter(pk=row.api_key_id).exists() else None
        self._model = Model.objects.filter(name=row.model).values_list("pk", flat=True).first() if row.model else None
        self.price = Price.objects.filter(pk=row.price_id).first() if row.price_id else None

    def has_model_without_route(self, row: RequestLog) -> bool:
        """Whether the request was answered with 404 although its model exists, because the model has no route."""
        return row.status_code == NOT_FOUND and self._model is not None and not Route.objects.filter(model=self._model).exists()

    def set_price_url(self, row: RequestLog) -> str:
        """The form that adds a price for what was used, or the price that lacks a rate."""
        if self.price is not None:
            return reverse("admin:billing_price_change", args=(self.price.pk,))
        upstream = {"upstream": str(row.upstream_id)} if row.upstream_id in self._upstreams else {}
        model = {"model": str(self._model)} if self._model else {"name": row.remote_model or row.model}
        return f"{reverse('admin:billing_price_add')}?{urlencode({**model, **upstream})}"

    def upstream(self, pk: UUID | None, name: str) -> str:
        """The upstream's name, as a link if it still exists."""
        return _linked("upstreams_upstream", pk if pk in self._upstreams else None, name)

    def key(self, text: str) -> str:
        """The client key."""
        return _linked("accounts_apikey", self._key, text)

    def model(self, name: str) -> str:
        """The model name, as a link if a model has exactly this name."""
        return _linked("upstreams_model", self._model, name)


def build_request_detail(row: RequestLog) -> dict[str, Any]:
    """The values that the template shows."""
    tries = list(row.tries.order_by("number"))
    links = Links(row, tries)
    decisions = row.routing if isinstance(row.routing, list) else []
    skips = [decision for decision in decisions if "chosen" not in decision]
    chosen = "; ".join(_first_choice(decision) for decision in decisions if "chosen" in decision)
    payload = RequestPayload.objects.filter(pk=row.pk).first()
    return {
        "row": row,
        "outcome": formatting.outcome_label(row.outcome, row.status_code),
        "sentence": sentence(row, tries, len(skips)) + (" The model has no route." if links.has_model_without_route(row) else ""),
        "figures": figures(row, links.set_price_url(row)),
        "timeline": timeline(row, tries),
        "attempts": {"headers": ATTEMPT_HEADERS, "rows": _attempt_table(row, tries, links)} if row.attempts else None,
        "skipped": {"headers": SKIP_HEADERS, "rows": [_skip_row(skip, tries) for skip in skips]} if skips else None,
        "tokens": {"headers": ("Class", "Tokens", "USD per million"), "rows": _token_table(row, links.price)} if row.attempts else None,
        "facts": _facts(row, links, chosen),
        "payload": payload,
        "panes": panes(payload) if payload else [],
    }


def sentence(row: RequestLog, tries: Sequence[RequestAttempt], skipped: int) -> str:
    """Which upstream answered, at which attempt, and how many targets were skipped."""
    if not row.attempts:
        summary = "No upstream was called."
    elif row.attempts == 1:
        summary = (
            f"{row.upstream_name} was called once."
            if row.outcome != Outcome.FINISHED
            else f"{row.upstream_name} answered at the first attempt."
        )
    elif row.outcome == Outcome.FINISHED:
        failed = ", ".join(dict.fromkeys(attempt.upstream_name for attempt in tries[:-1]))
        summary = f"{row.upstream_name} answered at attempt {row.attempts}" + (f", after {failed}." if failed else ".")
    else:
        summary = f"{row.attempts} attempts, the last one at {row.upstream_name}."
    targets = "target was" if skipped == 1 else "targets were"
    return f"{summary} {skipped} {targets} skipped." if skipped else summary


class Bar(NamedTuple):
    """One attempt on the time line of its request: where it begins and how long it is, in percent of the whole."""

    title: str
    begin: float
    length: float
    level: str
    note: str


def timeline(row: RequestLog, tries: Sequence[RequestAttempt]) -> list[Bar]:
    """When the attempts of a request ran, and how fast they answered. ``tries``: in their order."""
    whole = max([1, row.latency_ms, *((attempt.timestamp - row.timestamp) / MILLISECOND + attempt.latency_ms for attempt in tries)])
    bars = []
    for attempt in tries:
        begin = max(0.0, (attempt.timestamp - row.timestamp) / MILLISECOND)
        notes = [formatting.milliseconds(attempt.latency_ms)]
        if attempt.ttft_ms is not None:
            notes.append(f"first token after {formatting.milliseconds(attempt.ttft_ms)}")
            seconds = (attempt.latency_ms - attempt.ttft_ms) / 1000
            notes += [f"{attempt.output_tokens / seconds:,.0f} tokens/s"] if seconds > 0 and attempt.output_tokens else []
        notes += [": ".join(filter(None, (attempt.error_type.replace("_", " "), attempt.error_message)))] if attempt.error_type else []
        title = " ".join(filter(None, (f"{attempt.number}.", attempt.upstream_name, attempt.credential_name, attempt.remote_model)))
        length = max(0.5, 100 * attempt.latency_ms / whole)
        bars.append(
            Bar(title, 100 * begin / whole, min(length, 100 - 100 * begin / whole), OUTCOME_LEVELS[attempt.outcome], ", ".join(notes))
        )
    return bars


def figures(row: RequestLog, set_price_url: str = "") -> list[Figure]:
    """The cards at the top."""
    total = row.input_tokens + row.cache_read_tokens + row.cache_creation_tokens
    cost = formatting.NONE if row.cost is None and not row.attempts else formatting.dollars(row.cost)
    return [
        Figure("Latency", formatting.milliseconds(row.latency_ms), "from the end of the body to the last byte of the response"),
        Figure("First token", formatting.milliseconds(row.ttft_ms), "from the end of the body to the first content of the response"),
        Figure(
            "pxbin overhead",
            formatting.milliseconds(row.overhead_us / 1000, places=2) if row.attempts else formatting.NONE,
            "until the first upstream was called",
        ),
        Figure(
            "Tokens",
            f"{total:,} → {row.output_tokens:,}",
            "estimated: the upstream reported no usage" if row.usage_estimated else "in → out",
        ),
        Figure("Cost", cost, _cost_note(row, cost, set_price_url)),
    ]


def _cost_note(row: RequestLog, cost: str, set_price_url: str) -> str:
    if cost == "unknown":
        cause = "the price lacks a rate for what was used" if row.price_id else "this model has no price"
        return format_html("{}: {}", cause, link(set_price_url, "set price")) if set_price_url else cause
    return "USD, as the upstream reported: this model has no price" if row.cost_source == CostSource.REPORTED else "USD"


def _attempt_table(row: RequestLog, tries: Sequence[RequestAttempt], links: Links) -> list[list[str]]:
    """The rows of the table of attempts. A single attempt may have no row of its own; the log row has its values."""
    if tries:
        return [
            _attempt_row(str(attempt.number), attempt, links, key=attempt.credential_name, status=attempt.status_code) for attempt in tries
        ]
    return [_attempt_row("1", row, links, key="", status=row.upstream_status)]


def _attempt_row(number: str, attempt: RequestAttempt | RequestLog, links: Links, *, key: str, status: int | None) -> list[str]:
    total = attempt.input_tokens + attempt.cache_read_tokens + attempt.cache_write_5m_tokens + attempt.cache_write_1h_tokens
    return [
        number,
        links.upstream(attempt.upstream_id, attempt.upstream_name),
        key or formatting.NONE,
        attempt.remote_model or formatting.NONE,
        formatting.outcome_label(attempt.outcome, status),
        ": ".join(filter(None, (attempt.error_type, attempt.error_message))) or formatting.NONE,
        formatting.milliseconds(attempt.latency_ms),
        formatting.milliseconds(attempt.ttft_ms),
        f"{total:,} → {attempt.output_tokens:,}",
        formatting.NONE if attempt.cost is None and not total and not attempt.output_tokens else formatting.dollars(attempt.cost),
    ]


def _skip_row(skip: dict[str, Any], tries: Sequence[RequestAttempt]) -> list[str]:
    """One skipped target. One that was only put back may have been called later."""
    target = (skip.get("upstream", ""), skip.get("key", ""), skip.get("model", ""))
    called = any((attempt.upstream_name, attempt.credential_name, attempt.remote_model) == target for attempt in tries)
    return [
        *(str(part) or formatting.NONE for part in target),
        str(skip.get("skipped", "")),
        "called later" if called else "not called",
    ]


def _token_table(row: RequestLog, price: Price | None) -> list[list[str]]:
    def per_million(field: str) -> str:
        if not field:
            return ""
        rate = getattr(price, field) if price is not None else None
        if rate is None and price is not None and field in SUBSTITUTED:
            return SUBSTITUTED[field]
        return formatting.dollars(rate)

    classes = (*TOKEN_CLASSES, *(entry for entry in MODALITY_CLASSES if getattr(row, entry[1])))
    return [[title, f"{getattr(row, column):,}", per_million(field)] for title, column, field in classes]


def _first_choice(chosen: dict[str, Any]) -> str:
    key = f" ({chosen['key']})" if chosen.get("key") else ""
    return f"{chosen.get('upstream', '')}{key}: {chosen['chosen']}"


_DROPPED = {"dropped": "Fields of the request", "dropped_details": "Types and numbers", "dropped_response": "Fields of the response"}
"""Titles of what a translation left out, by key of ``request_metadata``."""


def _facts(row: RequestLog, links: Links, chosen: str) -> list[tuple[str, list[tuple[str, Any]]]]:
    """Other columns in groups, without empty ones."""
    prices = links.price
    price = link(reverse("admin:billing_price_change", args=(prices.pk,)), str(prices)) if prices is not None else ""
    metadata = row.request_metadata or {}
    groups = (
        (
            "Request",
            (
                ("Began", f"{row.timestamp:%Y-%m-%d %H:%M:%S.%f}"[:-3]),
                ("Request id", row.request_id),
                ("Response id", row.response_id),
                ("Model", links.model(row.model)),
                ("Path", f"{row.method} {row.path}"),
                ("API formats", formatting.translation_title(row.dialect, row.upstream_dialect) + (", stream" if row.stream else "")),
                ("Service tier", row.service_tier),
                ("Speed", row.speed),
                ("Inference geography", row.inference_geo),
                ("Server tools", ", ".join(f"{name}: {count:,}" for name, count in (row.server_tool_use or {}).items())),
                ("Besides the totals", row.usage_parts),
                ("Metadata", {name: value for name, value in metadata.items() if name not in _DROPPED} or None),
            ),
        ),
        (
            "Left out by the translation",
            tuple((title, ", ".join(metadata.get(name, ()))) for name, title in _DROPPED.items()),
        ),
        (
            "Client",
            (
                ("API key", links.key(" ".join(filter(None, (row.key_name, f"({row.key_prefix}…)" if row.key_prefix else ""))))),
                ("Owner", row.owner),
                ("IP address", row.client_ip),
                ("User agent", row.user_agent),
                ("Session", session_link(row.session_id)),
                ("Trace", row.trace_id),
                ("Tags", ", ".join(f"{key}: {value}" for key, value in (row.tags or {}).items())),
            ),
        ),
        (
            "Upstream",
            (
                ("First choice", chosen),
                ("Answered by", links.upstream(row.upstream_id, row.upstream_name)),
                ("Remote name", row.remote_model),
                ("Upstream status", row.upstream_status),
                ("Reported cost", "" if row.reported_cost is None else formatting.dollars(row.reported_cost)),
                (
                    "Billed at",
                    format_html("{} {}", price, f"({row.price_version})") if price and row.price_version else price or row.price_version,
                ),
            ),
        ),
    )
    other = ((column.name.replace("_", " ").capitalize(), getattr(row, column.name)) for column in OTHER_COLUMNS)
    shown = ((title, [(name, value) for name, value in facts if value not in (None, "")]) for title, facts in (*groups, ("Other", other)))
    return [(title, facts) for title, facts in shown if facts]


def session_link(session_id: str) -> str:
    """A session's id as a link to its requests."""
    return link(f"{reverse('admin:billing_requestlog_changelist')}?{urlencode({'session': session_id})}", session_id) if session_id else ""


def _linked(page: str, pk: UUID | None, text: str) -> str:
    return link(reverse(f"admin:{page}_change", args=(pk,)), text) if pk is not None and text else text
