"""The HTTP side of a dialect towards upstreams: headers, credentials, and the calls that count, list and probe."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import msgspec

from proxy.translation.quirks import Quirks

WINDOW_FIELDS = ("context_window", "context_length", "max_input_tokens", "max_model_len")
"""Where servers give a model's context window: gateways, OpenRouter, Anthropic, vLLM."""


class AuthHeader(msgspec.Struct, frozen=True):
    """The header that carries a credential, and the scheme before it; an empty scheme means the bare secret."""

    name: str = "authorization"
    scheme: str = "Bearer"


class CountApi(msgspec.Struct, frozen=True, kw_only=True):
    """How an upstream counts the input tokens of a request.

    ``encode``: the body of a request without what a count refuses. ``decode``: the tokens, ``None`` for a body that is no count.
    """

    path: str
    encode: Callable[[bytes], bytes]
    decode: Callable[[bytes], int | None]


class ListedModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model as an upstream lists it; sizes in tokens."""

    name: str
    provider: str = ""
    display_name: str | None = None
    context_window: int | None = None
    max_output_tokens: int | None = None


class ListedPage(msgspec.Struct, frozen=True):
    """One page of an upstream's list. ``next_query``: that of the next page, without its question mark; ``None``: the last page."""

    models: list[ListedModel]
    next_query: str | None = None


class ModelListApi(msgspec.Struct, frozen=True, kw_only=True):
    """How an upstream lists its models. ``query``: of the first page. ``decode(value)``: a page of JSON; ``None`` for another shape."""

    path: str = "/v1/models"
    query: str = ""
    decode: Callable[[Any], ListedPage | None]


def is_object(value: Any) -> bool:
    """Whether a JSON value is an object."""
    return isinstance(value, dict)


class HealthProbe(msgspec.Struct, frozen=True, kw_only=True):
    """The smallest request that an upstream answers with a text of a model.

    ``subject`` and ``endpoint`` name the response and the path in messages. ``accepts(value)``: whether the JSON of a 200 is a response.
    """

    path: str
    subject: str
    endpoint: str
    encode: Callable[[str, Quirks], dict[str, Any]]
    accepts: Callable[[Any], bool] = is_object


class UpstreamApi(msgspec.Struct, frozen=True, kw_only=True):
    """How upstreams of a dialect are called.

    main_path:
        The path that the quirk ``api_path`` stands in for; empty where the model is in the path.
    sigv4_service:
        The AWS service that requests are signed for when a credential has an access key id; empty: requests are never signed.
    regional_base_url:
        The base URL of upstreams that have a region instead; ``{region}`` stands for it. Empty: a base URL is required.
    default_headers:
        Request headers with the values that they have unless the client sends its own.
    beta_header:
        The header that names betas; empty: there is none.
    headers_up, headers_down:
        Prefixes of request headers that go from the client to the upstream, and of response headers that go back.
    count, probe:
        ``None``: upstreams cannot count; health checks only list the models.
    lists_for_clients:
        Whether the upstream is asked for context windows when a client lists models.
    takes_untranslated:
        Whether upstreams answer the paths of :class:`~proxy.translation.dialects.client_api.UntranslatedPath`.
    binds_thinking:
        Thinking blocks and cached prompts are bound to the conversation before them, so that changed prompts void them.
    """

    main_path: str = ""
    auth: AuthHeader = AuthHeader()
    sigv4_service: str = ""
    regional_base_url: str = ""
    default_headers: tuple[tuple[str, str], ...] = ()
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


def count_without(*refused: str) -> Callable[[bytes], bytes]:
    """An ``encode`` of :class:`CountApi` that leaves out these fields of a request."""
    left_out = frozenset(refused)

    def encode(body: bytes) -> bytes:
        return msgspec.json.encode({name: value for name, value in _FIELDS.decode(body).items() if name not in left_out})

    return encode


def read_input_tokens(body: bytes) -> int | None:
    """A ``decode`` of :class:`CountApi` for ``{"input_tokens": n}``."""
    try:
        return _INPUT_TOKENS.decode(body).input_tokens
    except msgspec.DecodeError:
        return None


def read_model_page(value: Any) -> ListedPage | None:
    """A ``decode`` of :class:`ModelListApi` for the shapes of OpenAI (``data``) and Anthropic (with ``has_more`` and ``last_id``).

    Compatible servers mix them, and some answer with a bare list. A next page is asked for by ``after_id``, and only where one
    was announced.
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
    )


def _text(value: Any) -> str:
    """A text that people can read and databases store; of anything else nothing."""
    return value if isinstance(value, str) and value.isprintable() and not value.isspace() else ""


def _tokens(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**31 else None
