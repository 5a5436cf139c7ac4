"""One request as its page tells it: figures, the calls it took, who was passed over and why, tokens by class, and the facts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

from django.urls import reverse
from django.utils.html import format_html

from accounts.common.admin import link
from accounts.models import ApiKey
from billing.admin import formatting
from billing.models import Price, RequestAttempt, RequestLog, RequestPayload
from upstreams.models import Model, Route, Upstream

ATTEMPT_HEADERS = ("#", "Upstream", "Key", "Model there", "Outcome", "Error", "Time", "First token", "Tokens", "Cost")
PASSED_HEADERS = ("Upstream", "Key", "Model there", "Why", "In the end")
NOT_FOUND = 404
TOKEN_CLASSES = (
    ("Input, no cache involved", "input_tokens", "input"),
    ("Read from a cache", "cache_read_tokens", "cache_read"),
    ("Written to a cache for 5 minutes", "cache_write_5m_tokens", "cache_write_5m"),
    ("Written to a cache for an hour", "cache_write_1h_tokens", "cache_write_1h"),
    ("Output, reasoning included", "output_tokens", "output"),
    ("of it reasoning", "reasoning_tokens", ""),
)


class Figure(NamedTuple):
    """A card: what it shows, how much, and what is to be known about it."""

    title: str
    value: str
    note: str = ""


class Links:
    """The pages of what a row names, where it still exists: four queries, whatever is named."""

    def __init__(self, row: RequestLog, tries: Sequence[RequestAttempt]) -> None:
        named = (row.upstream_id, *(each.upstream_id for each in tries))
        self._upstreams = set(
            Upstream.objects.filter(pk__in={identity for identity in named if identity is not None}).values_list("pk", flat=True)
        )
        self._key = row.api_key_id if row.api_key_id and ApiKey.objects.filter(pk=row.api_key_id).exists() else None
        self._model = Model.objects.filter(name=row.model).values_list("pk", flat=True).first() if row.model else None
        self.price = Price.objects.filter(pk=row.price_id).first() if row.price_id else None

    def lead_nowhere(self, row: RequestLog) -> bool:
        """Whether a model that the client was told does not exist is there, and lacks a way to any upstream."""
        return row.status_code == NOT_FOUND and self._model is not None and not Route.objects.filter(model=self._model).exists()

    def upstream(self, identity: UUID | None, name: str) -> str:
        """The upstream's name, with a link if it is still there."""
        return _linked("upstreams_upstream", identity if identity in self._upstreams else None, name)

    def key(self, text: str) -> str:
        """The client's key."""
        return _linked("accounts_apikey", self._key, text)

    def model(self, name: str) -> str:
        """The model that the client named, where there is one of just that name."""
        return _linked("upstreams_model", self._model, name)


def of(row: RequestLog) -> dict[str, Any]:
    """Everything that the template shows."""
    tries = list(row.tries.order_by("number"))
    links = Links(row, tries)
    decided = row.routing if isinstance(row.routing, list) else []
    skips = [each for each in decided if "chosen" not in each]
    chosen = "; ".join(_first_choice(each) for each in decided if "chosen" in each)
    return {
        "row": row,
        "outcome": formatting.outcome(row.outcome, row.status_code),
        "sentence": sentence(row, tries, len(skips)) + (" The model has no route." if links.lead_nowhere(row) else ""),
        "figures": figures(row),
        "attempts": {"headers": ATTEMPT_HEADERS, "rows": _attempts(row, tries, links)} if row.attempts else None,
        "passed": {"headers": PASSED_HEADERS, "rows": [_passed(skip, tries) for skip in skips]} if skips else None,
        "tokens": {"headers": ("Class", "Tokens", "USD per million"), "rows": _tokens(row, links.price)} if row.attempts else None,
        "facts": _facts(row, links, chosen),
        "payload": RequestPayload.objects.filter(pk=row.pk).values_list("pk", flat=True).first(),
    }


def sentence(row: RequestLog, tries: Sequence[RequestAttempt], skipped: int) -> str:
    """The decision in words."""
    if not row.attempts:
        told = "No upstream was called."
    elif row.attempts == 1:
        told = (
            f"{row.upstream_name} was called once." if row.outcome != "finished" else f"{row.upstream_name} answered at the first attempt."
        )
    elif row.outcome == "finished":
        failed = ", ".join(dict.fromkeys(each.upstream_name for each in tries[:-1]))
        told = f"{row.upstream_name} answered at attempt {row.attempts}" + (f", after {failed}." if failed else ".")
    else:
        told = f"{row.attempts} attempts, the last one at {row.upstream_name}."
    passed = "candidate was put back or left out" if skipped == 1 else "candidates were put back or left out"
    return f"{told} {skipped} {passed}." if skipped else told


def figures(row: RequestLog) -> list[Figure]:
    """The cards at the top."""
    total = row.input_tokens + row.cache_read_tokens + row.cache_creation_tokens
    cost = formatting.NONE if row.cost is None and not row.attempts else formatting.dollars(row.cost)
    return [
        Figure("Latency", formatting.milliseconds(row.latency_ms), "from the first byte of the request to the last of the answer"),
        Figure("First token", formatting.milliseconds(row.ttft_ms), "from the request until the answer's first content"),
        Figure(
            "Own overhead",
            formatting.milliseconds(row.overhead_us / 1000, places=2) if row.attempts else formatting.NONE,
            "until the first upstream was called",
        ),
        Figure(
            "Tokens", f"{total:,} → {row.output_tokens:,}", "estimated: the upstream did not tell" if row.usage_estimated else "in → out"
        ),
        Figure("Cost", cost, "no price is known for this model" if cost == "unknown" else "USD"),
    ]


def _attempts(row: RequestLog, tries: Sequence[RequestAttempt], links: Links) -> list[list[str]]:
    """The calls. Where the only one has no row of its own, the log's row says it all."""
    if tries:
        return [_attempt(str(each.number), each, links, key=each.credential_name, status=each.status_code) for each in tries]
    return [_attempt("1", row, links, key="", status=row.upstream_status)]


def _attempt(number: str, each: RequestAttempt | RequestLog, links: Links, *, key: str, status: int | None) -> list[str]:
    total = each.input_tokens + each.cache_read_tokens + each.cache_write_5m_tokens + each.cache_write_1h_tokens
    return [
        number,
        links.upstream(each.upstream_id, each.upstream_name),
        key or formatting.NONE,
        each.remote_model or formatting.NONE,
        formatting.outcome(each.outcome, status),
        ": ".join(filter(None, (each.error_type, each.error_message))) or formatting.NONE,
        formatting.milliseconds(each.latency_ms),
        formatting.milliseconds(each.ttft_ms),
        f"{total:,} → {each.output_tokens:,}",
        formatting.NONE if each.cost is None and not total and not each.output_tokens else formatting.dollars(each.cost),
    ]


def _passed(skip: dict[str, Any], tries: Sequence[RequestAttempt]) -> list[str]:
    """One candidate that others were preferred to. What was only put back may have been called after all."""
    own = (skip.get("upstream", ""), skip.get("key", ""), skip.get("model", ""))
    called = any((each.upstream_name, each.credential_name, each.remote_model) == own for each in tries)
    return [
        *(str(part) or formatting.NONE for part in own),
        str(skip.get("skipped", "")),
        "called all the same" if called else "not called",
    ]


def _tokens(row: RequestLog, price: Price | None) -> list[list[str]]:
    def per_million(field: str) -> str:
        if not field:
            return ""
        known = getattr(price, field) if price is not None else None
        return "as input" if known is None and price is not None and field.startswith("cache_") else formatting.dollars(known)

    return [[title, f"{getattr(row, column):,}", per_million(field)] for title, column, field in TOKEN_CLASSES]


def _first_choice(chosen: dict[str, Any]) -> str:
    key = f" ({chosen['key']})" if chosen.get("key") else ""
    return f"{chosen.get('upstream', '')}{key}: {chosen['chosen']}"


def _facts(row: RequestLog, links: Links, chosen: str) -> list[tuple[str, list[tuple[str, Any]]]]:
    """What else is known, in groups; what is empty is left out."""
    prices = links.price
    price = link(reverse("admin:billing_price_change", args=(prices.pk,)), str(prices)) if prices is not None else ""
    groups = (
        (
            "Request",
            (
                ("Began (UTC)", f"{row.timestamp:%Y-%m-%d %H:%M:%S.%f}"[:-3]),
                ("Request id", row.request_id),
                ("Model", links.model(row.model)),
                ("Sent to", f"{row.method} {row.path}"),
                ("Protocols", formatting.between(row.dialect, row.upstream_dialect) + (", stream" if row.stream else "")),
                ("Service tier", row.service_tier),
                ("Metadata", row.request_metadata),
            ),
        ),
        (
            "Client",
            (
                ("API key", links.key(" ".join(filter(None, (row.key_name, f"({row.key_prefix}…)" if row.key_prefix else ""))))),
                ("Address", row.client_ip),
                ("Program", row.user_agent),
                ("Session", row.session_id),
            ),
        ),
        (
            "Upstream",
            (
                ("First choice", chosen),
                ("Answered by", links.upstream(row.upstream_id, row.upstream_name)),
                ("Model there", row.remote_model),
                ("Its status", row.upstream_status),
                (
                    "Billed at",
                    format_html("{} {}", price, f"({row.price_version})") if price and row.price_version else price or row.price_version,
                ),
            ),
        ),
    )
    shown = ((title, [(name, value) for name, value in facts if value not in (None, "")]) for title, facts in groups)
    return [(title, facts) for title, facts in shown if facts]


def _linked(page: str, identity: UUID | None, text: str) -> str:
    return link(reverse(f"admin:{page}_change", args=(identity,)), text) if identity is not None and text else text
