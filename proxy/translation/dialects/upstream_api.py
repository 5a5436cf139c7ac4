"""HTTP between pxbin and upstreams of one dialect: headers, credentials, token counts, model lists, health probes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import msgspec

from proxy.translation.quirks import Quirks

WINDOW_FIELDS = ("context_window", "context_length", "max_input_tokens", "max_model_len")
"""Fields with a model's context window, in lists of gateways, OpenRouter, Anthropic and vLLM."""


MAX_AMOUNTS, MAX_AMOUNT_LENGTH = 40, 1000
"""Bounds of what is kept of a ``pricing`` object."""


class AuthHeader(msgspec.Struct, frozen=True):
    """The header that contains the credential, and the scheme before it; with an empty scheme, only the credential."""

    name: str = "authorization"
    scheme: str = "Bearer"


class CountApi(msgspec.Struct, frozen=True, kw_only=True):
    """How an upstream counts the input tokens of a request.

    ``path``: may have ``{model}`` for the remote name. ``encode(body, model)``: the body of a count for that of a request to ``model``.
    ``decode``: the tokens, or ``None`` for an invalid body.
    """

    path: str
    encode: Callable[[bytes, str], bytes]
    decode: Callable[[bytes], int | None]


class ListedModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model in an upstream's list; sizes in tokens. ``pricing``: amounts by what they are for, as the list has them (OpenRouter)."""

    name: str
    provider: str = ""
    display_name: str | None = None
    context_window: int | None = None
    max_output_tokens: int | None = None
    pricing: dict[str, str] | None = None


class ListedPage(msgspec.Struct, frozen=True):
    """One page of an upstream's list. ``next_query``: the query string of the next page, without ``?``; ``None`` on the last page."""

    models: list[ListedModel]
    next_query: str | None = None


class ModelListApi(msgspec.Struct, frozen=True, kw_only=True):
    """How an upstream lists its models. ``query``: that of the first page. ``decode(value)``: reads a page; ``None`` if it is invalid."""

    path: str = "/v1/models"
    query: str = ""
    decode: Callable[[Any], ListedPage | None]


def is_object(value: Any) -> bool:
    """The default of ``HealthProbe.accepts``."""
    return isinstance(value, dict)


class HealthProbe(msgspec.Struct, frozen=True, kw_only=True):
    """The smallest request to which a model responds with text.

    ``path``: may have ``{model}`` for the model's name. ``subject`` and ``endpoint``: names of the response and of the path in messages.
    ``accepts(value)``: whether the JSON of a 200 is
    a valid response.
    """

    path: str
    subject: str
    endpoint: str
    encode: Callable[[str, Quirks], dict[str, Any]]
    accepts: Callable[[Any], bool] = is_object


class UpstreamApi(msgspec.Struct, frozen=True, kw_only=True):
    """How upstreams of a dialect are called.

    main_path:
        The path that the quirk ``api_path`` replaces; empty if the path contains the model.
    sigv4_service:
        The AWS service for which requests are signed if the credential has an access key id; empty: requests are never signed.
    regional_base_url:
        The base URL, with ``{region}``, of upstreams that have a region and no base URL; empty: a base URL is required.
    default_headers:
        Request headers that are sent if the client does not send them.
    version_header:
        The header with the version of the API; empty if there is none.
    beta_header:
        The header that lists beta features; empty if there is none.
    headers_up, headers_down:
        Name prefixes of the request headers that are forwarded to the upstream and of the response headers that are forwarded to the
        client.
    count, probe:
        ``count`` is ``None`` if upstreams have no token count; ``probe`` is ``None`` if health checks only list the models.
    lists_for_clients:
        Whether context windows are read from the upstream's list when a client lists models.
    takes_untranslated:
        Whether upstreams have the paths of :class:`~proxy.translation.dialects.client_api.UntranslatedPath`.
    binds_thinking:
        Thinking blocks and cached prompts are valid only after an unchanged conversation, so that a policy that edits the prompt
        invalidates them.
    """

    main_path: str = ""
    auth: AuthHeader = AuthHeader()
    sigv4_service: str = ""
    regional_base_url: str = ""
    default_headers: tuple[tuple[str, str], ...] = ()
    version_header: str = ""
    beta_header: str = ""
    headers_up: tuple[str, ...] = ()
    headers_down: tuple[str, ...] = ()
    count: CountApi | None = None
    model_list: ModelListApi
    lists_for_clients: bool = True
    probe: HealthProbe | None = None
    takes_untranslated: bool = False
    binds_thinking: bool = False


class _InputTokens(msgspec.Struct):
    input_tokens: int


_INPUT_TOKENS = msgspec.json.Decoder(_InputTokens)
_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])


def path_for(path: str, model: str) -> str:
    """A path with the percent-encoded name of a model in place of ``{model}``; colons stay."""
    return path.replace("{model}", quote(model, safe=":")) if "{" in path else path


def count_without(*refused: str) -> Callable[[bytes, str], bytes]:
    """An ``encode`` of :class:`CountApi` that removes these fields of a request."""
    refused_fields = frozenset(refused)

    def encode(body: bytes, _model: str) -> bytes:
        return msgspec.json.encode({name: value for name, value in _FIELDS.decode(body).items() if name not in refused_fields})

    return encode


def read_input_tokens(body: bytes) -> int | None:
    """A ``decode`` of :class:`CountApi` for ``{"input_tokens": n}``."""
    try:
        return _INPUT_TOKENS.decode(body).input_tokens
    except msgspec.DecodeError:
        return None


def read_model_page(value: Any) -> ListedPage | None:
    """A ``decode`` of :class:`ModelListApi` for the shapes of OpenAI (``data``) and Anthropic (with ``has_more`` and ``last_id``).

    Compatible servers mix them, and some return a JSON array. The next page is requested with ``after_id`` if ``has_more`` is true.
    """
    items = value.get("data") if isinstance(value, dict) else value
    if not isinstance(items, list):
        return None
    models = [_listed(item) for item in items if isinstance(item, dict) and _text(item.get("id"))]
    more = isinstance(value, dict) and value.get("has_more") is True
    last = value.get("last_id") if more else None
    return ListedPage(models, f"after_id={quote(last, safe='')}" if isinstance(last, str) and last else None)


def _listed(item: dict[str, Any]) -> ListedModel:
    windows = (_tokens(item.get(field)) for field in WINDOW_FIELDS)
    return ListedModel(
        name=item["id"],
        provider=_text(item.get("owned_by")),
        display_name=_text(item.get("display_name")) or None,
        context_window=next((window for window in windows if window), None),
        max_output_tokens=_tokens(item.get("max_output_tokens")) or _tokens(item.get("max_tokens")),
        pricing=_pricing(item.get("pricing")),
    )


def _pricing(value: Any) -> dict[str, str] | None:
    """The amounts of a ``pricing`` object as texts; anything that is none, such as a list of exceptions, as the text of its type."""
    if not isinstance(value, dict):
        return None
    amounts = {
        str(name)[:100]: str(amount) if isinstance(amount, (str, int, float)) else type(amount).__name__
        for name, amount in list(value.items())[:MAX_AMOUNTS]
        if amount not in (None, [], {}) and len(str(amount)) < MAX_AMOUNT_LENGTH
    }
    return amounts or None


def _text(value: Any) -> str:
    """The value if it is a printable, not blank string; else an empty string."""
    return value if isinstance(value, str) and value.isprintable() and not value.isspace() else ""


def _tokens(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**31 else None
