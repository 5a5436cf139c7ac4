"""Where prices come from: the data bundled with genai-prices, and files in the format of LiteLLM's price file.

Importing this module is cheap. The first lookup loads the bundled data (1.6 MB of Python), which takes 0.2 s; therefore no request
is made to wait for a lookup.
"""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.request import getproxies, proxy_bypass

import msgspec

from billing.models import Price
from billing.rates import CLASSES

if TYPE_CHECKING:
    import httpx

FETCH_SECONDS = 30.0
MAX_REDIRECTS = 10


class ListedPrice(msgspec.Struct, frozen=True, kw_only=True):
    """A price from a source: rates by the classes of `rates.CLASSES`, in USD per million tokens, and tiers as `Price.tiers` holds them."""

    rates: dict[str, Decimal]
    tiers: dict[str, Any]
    source: str
    version: str


PriceSource = Callable[[str, str], ListedPrice | None]
"""Called with a remote name and the upstream's base URL; returns `None` if it does not know the model."""


# --- genai-prices ------------------------------------------------------------------------------------------------------

GENAI_CLASSES: Mapping[str, str] = {
    "input_mtok": "input",
    "output_mtok": "output",
    "cache_read_mtok": "cache_read",
    "cache_write_mtok": "cache_write_5m",
    "cache_write_1h_mtok": "cache_write_1h",
}


def look_up_genai_price(name: str, base_url: str) -> ListedPrice | None:
    """The bundled price of a model: that of the provider at `base_url` if this lists the model, else that of any provider which does.

    The last part of a name with slashes (`org/model`) is tried when the whole name is unknown.
    """
    from genai_prices.data_snapshot import get_snapshot

    snapshot = get_snapshot()
    for reference, url in ((name, base_url or None), (name, None), (name.rpartition("/")[2], None)):
        try:
            _, model = snapshot.find_provider_model(reference, None, None, url)
        except LookupError:
            continue
        now = datetime.now(UTC)
        rates, prompt = _genai_rates(model.get_prices(now))
        if not rates:
            continue
        service = {}
        for variant in model.price_variants or ():
            if set(variant.when) == {"service_tier"} and (variant.constraint is None or variant.constraint.active(now)):
                flat, steps = _genai_rates(variant.prices)
                if flat:
                    service[variant.when["service_tier"]] = {**_texts(flat), **({"prompt": steps} if steps else {})}
        tiers = {**({"prompt": prompt} if prompt else {}), **({"service": service} if service else {})}
        version = f"genai-prices {importlib.metadata.version('genai-prices')}"
        return ListedPrice(rates=rates, tiers=tiers, source=Price.Source.GENAI_PRICES, version=version)
    return None


def _genai_rates(prices: Any) -> tuple[dict[str, Decimal], list[dict[str, Any]]]:
    """Base rates by class, and prompt tiers as `Price.tiers` holds them."""
    rates: dict[str, Decimal] = {}
    steps: dict[int, dict[str, Any]] = {}
    for key, name in GENAI_CLASSES.items():
        price = getattr(prices, key)
        if price is None:
            continue
        rates[name] = getattr(price, "base", price)
        for tier in getattr(price, "tiers", ()):
            steps.setdefault(tier.start, {"above": tier.start})[name] = str(tier.price)
    return rates, [steps[start] for start in sorted(steps)]


class FetchFailed(Exception):  # noqa: N818  (it says what happened)
    """A price file could not be fetched; the message gives the reason."""


def fetch_price_file(url: str) -> bytes:
    """Fetch a price file, through the proxy that the environment names, if any. Raises :class:`FetchFailed`.

    Neither the URL nor a redirect may lead to a link-local or metadata address. A proxy resolves names itself: with one, only
    such addresses and the known names of metadata services are refused.
    """
    import httpx

    try:
        for _ in range(MAX_REDIRECTS):
            with _client_for(httpx.URL(url)) as client:
                response = client.get(url)
            if response.next_request is None:
                response.raise_for_status()
                return response.content
            url = str(response.next_request.url)
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        raise FetchFailed(f"Failed to fetch pricing: {error}") from error
    raise FetchFailed("Failed to fetch pricing: too many redirects")


def _client_for(url: httpx.URL) -> httpx.Client:
    """A client for one call of ``url``. Raises ``OSError`` for a refused address behind a proxy."""
    import httpx

    from upstreams.http.pool import tls_context
    from upstreams.http.ssrf_guard import check_host, guarded_transport

    proxies = {} if proxy_bypass(url.host) else getproxies()
    proxy = proxies.get(url.scheme) or proxies.get("all")
    if proxy is None:
        transport = guarded_transport(tls_context())
    else:
        check_host(url.host)
        transport = httpx.HTTPTransport(verify=tls_context(), proxy=proxy)
    return httpx.Client(transport=transport, timeout=FETCH_SECONDS, trust_env=False)


# --- LiteLLM's price file ----------------------------------------------------------------------------------------------

LITELLM_CLASSES: Mapping[str, str] = {
    "input_cost_per_token": "input",
    "output_cost_per_token": "output",
    "cache_read_input_token_cost": "cache_read",
    "cache_creation_input_token_cost": "cache_write_5m",
    "cache_creation_input_token_cost_above_1hr": "cache_write_1h",
}
LITELLM_TIERS = ("flex", "priority")
_ABOVE = re.compile(r"(.+)_above_(\d+)k_tokens")
_NOT_MODELS = frozenset({"sample_spec", "fallback_generalizations"})


def litellm_source(content: bytes, *, version: str) -> PriceSource:
    """Make a source of the content of a price file; entries without an input or output price are ignored.

    Raises ValueError if the content is not a JSON object.
    """
    try:
        entries = msgspec.json.decode(content)
    except msgspec.DecodeError as error:
        raise ValueError(f"not a price file: {error}") from error
    if not isinstance(entries, dict):
        raise ValueError("not a price file: not a JSON object")  # noqa: TRY004  (the content is wrong, not an argument's type)
    listed = {
        name: price
        for name, entry in entries.items()
        if name not in _NOT_MODELS and isinstance(entry, dict) and (price := _litellm_price(entry, version))
    }

    def look_up(name: str, base_url: str) -> ListedPrice | None:  # noqa: ARG001  (the file lists no addresses)
        return listed.get(name)

    return look_up


def _litellm_price(entry: dict[str, Any], version: str) -> ListedPrice | None:
    rates: dict[str, Decimal] = {}
    prompt: dict[int, dict[str, Any]] = {}
    service: dict[str, dict[str, Any]] = {}
    for key, value in entry.items():
        if type(value) not in (int, float) or value < 0:
            continue
        rate = Decimal(str(value)) * 1_000_000
        base, above = key, None
        if parts := _ABOVE.fullmatch(key):
            base, above = parts[1], int(parts[2]) * 1000
        tier = next((tier for tier in LITELLM_TIERS if base.endswith(f"_{tier}")), None)
        name = LITELLM_CLASSES.get(base.removesuffix(f"_{tier}"))
        if name is None:
            continue
        if tier is not None and above is None:
            service.setdefault(tier, {})[name] = str(rate)
        elif above is not None and tier is None:
            prompt.setdefault(above, {"above": above})[name] = str(rate)
        elif above is None:
            rates[name] = rate
    if not rates.get("input") and not rates.get("output"):
        return None
    tiers = {**({"prompt": [prompt[above] for above in sorted(prompt)]} if prompt else {}), **({"service": service} if service else {})}
    return ListedPrice(rates=rates, tiers=tiers, source=Price.Source.LITELLM, version=version)


def _texts(rates: Mapping[str, Decimal]) -> dict[str, str]:
    return {name: str(rates[name]) for name in CLASSES if name in rates}
