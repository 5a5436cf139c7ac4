"""The doors of the proxy: one async view a path. What happens behind them is in :mod:`proxy.exchange.exchange`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import cache
from typing import Any
from urllib.parse import parse_qs, unquote

import msgspec
from django.conf import settings

from accounts import keys
from accounts.keys import Key
from proxy import model_list
from proxy.exchange import admission, debug_headers, exchange, passthrough, stored_responses
from proxy.exchange.client_credentials import presented_key, speaks_anthropic
from proxy.exchange.http_request import HttpRequest, unknown_path
from proxy.exchange.http_response import JsonResponse, StreamingResponse
from proxy.translation import json_wire
from proxy.translation.canonical import Response
from proxy.translation.dialects.base import Dialect, EncodeContext
from proxy.translation.dialects.bedrock import dialect as bedrock
from proxy.translation.dialects.openai_responses import compaction
from proxy.translation.dialects.openai_responses import input_item_list as response_items
from proxy.translation.dialects.registry import REGISTRY
from proxy.translation.errors import ClientMistake, GatewayError
from proxy.translation.json_wire import Envelope
from proxy.translation.untranslated import bodies
from upstreams.catalog import snapshot
from upstreams.monitoring import listed_windows
from upstreams.routing import plan

ANTHROPIC = REGISTRY["anthropic"]
BEDROCK = REGISTRY["bedrock"]
OPENAI_CHAT = REGISTRY["openai_chat"]
OPENAI_RESPONSES = REGISTRY["openai_responses"]

DEFAULT_PAGE, LARGEST_PAGE = 20, 1000
"""Anthropic's page sizes of the list of models."""


async def messages(http: HttpRequest, prefix: str = "") -> JsonResponse | StreamingResponse:
    """``POST /v1/messages``."""
    return await exchange.serve(http, ANTHROPIC, prefix=prefix)


async def count_tokens(http: HttpRequest, prefix: str = "") -> JsonResponse | StreamingResponse:
    """``POST /v1/messages/count_tokens``: the body of a request, without ``max_tokens``."""

    def open_body(body: bytes) -> Envelope:
        fields = json_wire.open_object(body)
        return ANTHROPIC.open_request(json_wire.encode({"max_tokens": 1, **fields, "stream": False}))

    return await exchange.count(http, ANTHROPIC, exchange.translated(ANTHROPIC, open_body), prefix=prefix)


async def input_tokens(http: HttpRequest, prefix: str = "") -> JsonResponse | StreamingResponse:
    """``POST /v1/responses/input_tokens``."""
    read_body = stored_responses.restoring(OPENAI_RESPONSES, OPENAI_RESPONSES.open_request)
    return await exchange.count(http, OPENAI_RESPONSES, read_body, prefix=prefix)


async def chat_completions(http: HttpRequest, prefix: str = "") -> JsonResponse | StreamingResponse:
    """``POST /v1/chat/completions``."""
    return await exchange.serve(http, OPENAI_CHAT, prefix=prefix)


async def chat_completions_stream(http: HttpRequest, prefix: str = "") -> JsonResponse | StreamingResponse:
    """``POST /v1/chat/completions/stream``: the same, always streamed."""

    def open_streamed(body: bytes) -> Envelope:
        envelope = OPENAI_CHAT.open_request(body)
        return msgspec.structs.replace(envelope, stream=True, fields=envelope.fields | {"stream": msgspec.Raw(b"true")})

    return await exchange.serve(http, OPENAI_CHAT, open_body=open_streamed, prefix=prefix)


async def responses(http: HttpRequest, prefix: str = "") -> JsonResponse | StreamingResponse:
    """``POST /v1/responses``."""
    if stored_responses.is_on():
        return await exchange.run(http, OPENAI_RESPONSES, stored_responses.storing(OPENAI_RESPONSES), prefix=prefix)
    return await exchange.serve(http, OPENAI_RESPONSES, prefix=prefix)


async def responses_compact(http: HttpRequest, prefix: str = "") -> JsonResponse | StreamingResponse:
    """``POST /v1/responses/compact``: the conversation, summarised by the model into one item that comes back encrypted."""
    read_request = stored_responses.restoring(
        OPENAI_RESPONSES, lambda body: compaction.to_summary_request(OPENAI_RESPONSES.open_request(body))
    )

    async def read_body(http: HttpRequest, key: Key) -> exchange.Translated:
        envelope = (await read_request(http, key)).envelope

        def encode_response(response: Response, context: EncodeContext) -> bytes:
            return compaction.encode_compact_response(response, context, envelope)

        return exchange.Translated(msgspec.structs.replace(OPENAI_RESPONSES, encode_response=encode_response), envelope)

    return await exchange.run(http, OPENAI_RESPONSES, read_body, prefix=prefix)


async def stored_response(http: HttpRequest, response_id: str, prefix: str = "") -> JsonResponse:  # noqa: ARG001  (ids are the key's)
    """``GET`` and ``DELETE /v1/responses/{id}``, for the key that made it."""
    try:
        key = await keys.authenticate(presented_key(http.headers))
        if http.method == "DELETE":
            await stored_responses.delete_turn(response_id, key.id)
            return _json({"id": response_id, "object": "response", "deleted": True})
        return JsonResponse((await stored_responses.find_turn(response_id, key.id)).response.encode())
    except GatewayError as error:
        return _refusal(http, OPENAI_RESPONSES, error)


async def stored_input(http: HttpRequest, response_id: str, prefix: str = "") -> JsonResponse:  # noqa: ARG001  (as above)
    """``GET /v1/responses/{id}/input_items``."""
    query = parse_qs(http.query_string.decode("latin-1"))
    asked = {name: query[name][0] for name in ("limit", "order", "after") if name in query}
    try:
        key = await keys.authenticate(presented_key(http.headers))
        turn = await stored_responses.find_turn(response_id, key.id)
        return _json(response_items.list_input_items(await stored_responses.input_items(turn), turn.id, **asked))
    except GatewayError as error:
        return _refusal(http, OPENAI_RESPONSES, error)


async def invoke(http: HttpRequest, model: str, prefix: str = "") -> JsonResponse | StreamingResponse:
    """``POST /model/{id}/invoke``: Bedrock's InvokeModel, the model in the path."""
    return await exchange.serve(http, BEDROCK, open_body=bedrock.opener(unquote(model), stream=False), prefix=prefix)


async def invoke_stream(http: HttpRequest, model: str, prefix: str = "") -> JsonResponse | StreamingResponse:
    """``POST /model/{id}/invoke-with-response-stream``."""
    return await exchange.serve(http, BEDROCK, open_body=bedrock.opener(unquote(model), stream=True), prefix=prefix)


async def models(http: HttpRequest, prefix: str = "") -> JsonResponse:
    """``GET /v1/models``: what the caller's key may use, in the caller's shape; patterns are not listed."""
    dialect = _caller(http)
    try:
        key = await keys.authenticate(presented_key(http.headers))
        listed = [model for model in snapshot.current().listed(prefix) if keys.may_use(key, model.name)]
        await listed_windows.refresh(listed)
        if dialect is not ANTHROPIC:
            return _json(model_list.openai_list(listed))
        query = parse_qs(http.query_string.decode("latin-1"))
        page = model_list.anthropic_list(
            listed, limit=_page_size(query), after=query.get("after_id", [None])[0], before=query.get("before_id", [None])[0]
        )
        return _json(page)
    except GatewayError as error:
        return _refusal(http, dialect, error)


async def model(http: HttpRequest, name: str, prefix: str = "") -> JsonResponse:
    """``GET /v1/models/{id}``: any name that a request would be accepted for, also an alias or a name that a pattern takes."""
    dialect = _caller(http)
    try:
        key = await keys.authenticate(presented_key(http.headers))
        found = snapshot.current().find(name, prefix) or await snapshot.find_after_refresh(name, prefix)
        if found is None or not keys.may_use(key, name, found.model.name):
            raise admission.unknown_model(name)
        await listed_windows.refresh([found.model])
        return _json(model_list.anthropic_model(found.model, name) if dialect is ANTHROPIC else model_list.openai_model(found.model, name))
    except GatewayError as error:
        return _refusal(http, dialect, error)


def relayed(endpoint: passthrough.Endpoint) -> Callable[..., Awaitable[JsonResponse | StreamingResponse]]:
    """The view of an endpoint whose bodies pass untranslated."""

    async def view(http: HttpRequest, prefix: str = "") -> JsonResponse | StreamingResponse:
        return await passthrough.serve(http, endpoint, prefix=prefix)

    return view


async def plain(http: HttpRequest, prefix: str) -> JsonResponse | StreamingResponse:
    """Any path below a path prefix, as it came: served where the group has an upstream of the plain proxy mode."""
    takers = [model for model in snapshot.current().models if model.path_prefix == prefix and is_plain(model)]
    if not takers or any(segment in (".", "..") for segment in http.path.split("/")):
        error = ClientMistake(unknown_path(http.method, http.path, prefix), kind="not_found")
        return _refusal(http, _caller_below(http, prefix), error)
    endpoint = passthrough.PlainPath(path=passthrough.path_below(http, prefix), default_model=takers[0].name)
    return await passthrough.serve(http, endpoint, prefix=prefix, dialect=_caller_below(http, prefix))


@cache
def known_or_plain(view: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """The view of a known path in a group that also takes any other: what only upstreams of the plain proxy mode serve goes its way."""

    async def chosen(http: HttpRequest, prefix: str, **captured: str) -> Any:
        if view not in OWN_LISTS and "model" not in captured and await _is_for_plain_ones(http, prefix):
            return await plain(http, prefix)
        return await view(http, prefix=prefix, **captured)

    return chosen


OWN_LISTS = frozenset({models, model})
"""What a group answers by itself in any case."""


async def _is_for_plain_ones(http: HttpRequest, prefix: str) -> bool:
    """Whether the model that is asked for, or each of the group where none is named, has upstreams of the plain proxy mode alone."""
    name = bodies.open_any(http.body, http.headers, default="").envelope.model
    catalogue = snapshot.current()
    if name:
        found = [catalogue.find(name, prefix) or await snapshot.find_after_refresh(name, prefix)]
    else:
        found = [snapshot.ResolvedModel(each, each.name) for each in catalogue.models if each.path_prefix == prefix]
    return all(each is not None and _is_wholly_plain(each) for each in found)


def _is_wholly_plain(found: snapshot.ResolvedModel) -> bool:
    """Also of the models that it falls back to: another upstream would not understand what goes up as it came."""
    routes = [route for each in plan.with_fallbacks(found, snapshot.current(), []) for route in each.model.routes]
    return bool(routes) and all(route.upstream.dialect == "passthrough" for route in routes)


def is_plain(model: snapshot.ModelEntry) -> bool:
    """Whether a model takes whatever is asked for below its path prefix."""
    return any(route.upstream.dialect == "passthrough" for route in model.routes)


def _caller(http: HttpRequest) -> Dialect:
    return ANTHROPIC if speaks_anthropic(http.headers) else OPENAI_CHAT


def _caller_below(http: HttpRequest, prefix: str) -> Dialect:
    """Whom an answer of ours at any path has to please."""
    rest = http.path.removeprefix(prefix)
    if "/v1/messages" in rest or "anthropic-version" in http.headers:
        return ANTHROPIC
    if rest.startswith("/v1/responses"):
        return OPENAI_RESPONSES
    return BEDROCK if rest.startswith("/model/") else OPENAI_CHAT


def _page_size(query: dict[str, list[str]]) -> int:
    given = query.get("limit", [str(DEFAULT_PAGE)])[0]
    if not (given.isascii() and given.isdigit() and 1 <= int(given) <= LARGEST_PAGE):
        raise ClientMistake(f"limit: a whole number from 1 to {LARGEST_PAGE} is expected", param="limit")
    return int(given)


def _json(value: object) -> JsonResponse:
    return JsonResponse(msgspec.json.encode(value))


def _refusal(http: HttpRequest, dialect: Dialect, error: GatewayError) -> JsonResponse:
    shown = dialect.encode_error(error.failure, http.request_id)
    own = debug_headers.headers([], request=http) if settings.PXBIN.response_headers else []
    return JsonResponse(shown.body, status=shown.status, headers=[*shown.headers.items(), *own])
