"""The views of the proxy, one for each kind of endpoint; :mod:`proxy.exchange.exchange` does the work."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from typing import Any
from urllib.parse import parse_qs, unquote

import msgspec

from accounts import keys
from accounts.common.gateway_config import config
from accounts.keys import Key
from proxy import model_list
from proxy.exchange import admission, debug_headers, exchange, object_calls, passthrough, remote_objects, stored_responses
from proxy.exchange.error_response import error_response
from proxy.exchange.http_request import HttpRequest, unknown_path
from proxy.exchange.http_response import JsonResponse, StreamingResponse, whole_in_form
from proxy.exchange.large_bodies import in_thread_if_large
from proxy.translation.canonical import Response
from proxy.translation.dialects.base import Dialect, EncodeContext
from proxy.translation.dialects.client_api import Endpoint, EndpointKind, StreamForm, UntranslatedPath
from proxy.translation.dialects.lookup import PASSTHROUGH, dialect_of
from proxy.translation.errors import ClientMistake, GatewayError
from proxy.translation.json_wire import Envelope
from proxy.translation.untranslated import bodies
from upstreams.catalog import snapshot
from upstreams.catalog.reachable_names import reachable_names
from upstreams.monitoring import listed_windows
from upstreams.routing import plan

View = Callable[..., Awaitable[Any]]


def generate(dialect: Dialect, endpoint: Endpoint) -> View:
    """The view of a path that returns a model's response."""
    stores = endpoint.open_request is None and endpoint.encode_response is None and dialect.client.stores_responses
    read_plain = _body_reader(dialect, endpoint, {})

    async def view(http: HttpRequest, prefix: str = "", **captured: str) -> JsonResponse | StreamingResponse:
        read_body: exchange.BodyReader = _body_reader(dialect, endpoint, captured) if captured else read_plain
        if stores and stored_responses.is_on():
            read_body = stored_responses.storing(dialect)
        return await exchange.run(http, dialect, read_body, prefix=prefix)

    return view if endpoint.stream_form is None else _with_stream_forms(view, endpoint.stream_form)


def _with_stream_forms(view: View, stream_form: Callable[[Mapping[str, str]], StreamForm | None]) -> View:
    """The view of a path whose query chooses the form of its streams."""

    async def view_in_form(http: HttpRequest, prefix: str = "", **captured: str) -> JsonResponse | StreamingResponse:
        form = stream_form(_query(http))
        response: JsonResponse | StreamingResponse = await view(http, prefix, **captured)
        if form is None:
            return response
        return response.in_form(form) if isinstance(response, StreamingResponse) else whole_in_form(response, form)

    return view_in_form


def count(dialect: Dialect, endpoint: Endpoint) -> View:
    """The view of a path that counts the input tokens of a request."""

    async def view(http: HttpRequest, prefix: str = "", **captured: str) -> JsonResponse | StreamingResponse:
        return await exchange.count(http, dialect, _body_reader(dialect, endpoint, captured), prefix=prefix)

    return view


def _body_reader(dialect: Dialect, endpoint: Endpoint, captured: dict[str, str]) -> exchange.BodyReader:
    """The function that reads an endpoint's bodies. They may refer to stored responses, but their own responses are not stored."""
    open_body = _opener(dialect, endpoint, captured)
    read_body: Callable[[HttpRequest, Key], Awaitable[exchange.Translated | stored_responses.Restoring]]
    if dialect.client.stores_responses:
        read_body = stored_responses.restoring(dialect, open_body)
    else:
        read_body = exchange.translated(dialect, open_body)
    encode = endpoint.encode_response
    if encode is None:
        return read_body

    async def read_with_encoder(http: HttpRequest, key: Key) -> _WithOwnEncoder:
        return _WithOwnEncoder(await read_body(http, key), encode)

    return read_with_encoder


class _WithOwnEncoder(msgspec.Struct, frozen=True):
    """A body whose endpoint encodes responses in its own way (a :class:`~proxy.exchange.exchange.ReadBody`)."""

    body: exchange.Translated | stored_responses.Restoring
    encode: Callable[[Response, EncodeContext, Envelope], bytes]

    @property
    def dialect(self) -> Dialect:
        return self.body.dialect

    @property
    def envelope(self) -> Envelope:
        return self.body.envelope

    async def restore(self, key: Key) -> exchange.Translated:
        translated = await self.body.restore(key)

        def encode_response(response: Response, context: EncodeContext) -> bytes:
            return self.encode(response, context, translated.envelope)

        return msgspec.structs.replace(translated, dialect=msgspec.structs.replace(translated.dialect, encode_response=encode_response))


def _opener(dialect: Dialect, endpoint: Endpoint, captured: dict[str, str]) -> Callable[[bytes], Envelope]:
    """The function that parses an endpoint's bodies; ``captured``: the values of the path's placeholders, percent-encoded."""
    open_request = endpoint.open_request
    if open_request is None:
        return dialect.open_request
    decoded = {name: unquote(value) for name, value in captured.items()}
    return lambda body: open_request(body, decoded)


def stored_response(dialect: Dialect, _endpoint: Endpoint) -> View:
    """The view that returns or deletes a response of the same client key: one that pxbin stored, else one that its provider keeps."""

    async def view(http: HttpRequest, response_id: str, prefix: str = "") -> JsonResponse | StreamingResponse:
        try:
            key = await admission.client_key(http)
            if http.method == "DELETE":
                await stored_responses.delete_turn(response_id, key.id)
                if await remote_objects.find_own(response_id, key.id) is None:
                    return _json({"id": response_id, "object": "response", "deleted": True})
            else:
                return JsonResponse((await stored_responses.find_turn(response_id, key.id)).response.encode())
        except ClientMistake as mistake:
            missing = mistake
        except GatewayError as error:
            return _refusal(http, dialect, error)
        else:
            missing = _no_object("Response", response_id)
        return await object_calls.call(http, dialect, response_id, missing=missing, prefix=prefix)

    return view


def stored_items(dialect: Dialect, _endpoint: Endpoint) -> View:
    """The view that lists the input items of a stored response."""

    async def view(http: HttpRequest, response_id: str, prefix: str = "") -> JsonResponse | StreamingResponse:
        query = {name: value for name, value in _query(http).items() if name in ("limit", "order", "after")}
        try:
            key = await admission.client_key(http)
            turn = await stored_responses.find_turn(response_id, key.id)
            return _json(await stored_responses.input_page(turn, **query))
        except ClientMistake as mistake:
            if mistake.failure.kind != "not_found":
                return _refusal(http, dialect, mistake)
            missing = mistake
        except GatewayError as error:
            return _refusal(http, dialect, error)
        return await object_calls.call(http, dialect, response_id, missing=missing, prefix=prefix)

    return view


def new_object(_dialect: Dialect, endpoint: Endpoint) -> View:
    """The view that makes an object at an upstream. Dialects share some of these paths."""

    async def view(http: HttpRequest, prefix: str = "") -> JsonResponse | StreamingResponse:
        dialect = dialect_of(http.path.removeprefix(prefix), http.headers)
        return await object_calls.make(http, dialect, is_nested=endpoint.is_nested, prefix=prefix)

    return view


def remote_object(_dialect: Dialect, endpoint: Endpoint) -> View:
    """The view of an object at an upstream, and of what belongs to it."""

    async def view(http: HttpRequest, object_path: str, prefix: str = "") -> JsonResponse | StreamingResponse:
        dialect = dialect_of(http.path.removeprefix(prefix), http.headers)
        object_id, *rest = object_path.split("/")
        if "." in rest or ".." in rest:  # the upstream could take it for another object
            return _refusal(http, dialect, ClientMistake(unknown_path(http.method, http.path, prefix), kind="not_found"))
        return await object_calls.call(http, dialect, object_id, missing=_no_object(endpoint.noun, object_id), prefix=prefix)

    return view


def _no_object(noun: str, object_id: str) -> ClientMistake:
    return ClientMistake(f"{noun} with id '{object_id}' not found.", kind="not_found")


async def models(http: HttpRequest, prefix: str = "") -> JsonResponse:
    """``GET /v1/models``: the models that the client's key may use, in the client's dialect; of patterns, the names that they reach.

    Without a key it lists the models that need none, if there are any.
    """
    dialect = dialect_of(http.path, http.headers)
    try:
        key = await _key_or_anonymous(http)
        listed = [resolved for resolved in reachable_names(snapshot.current(), prefix) if admission.may_use_model(key, resolved)]
        await listed_windows.refresh(resolved.model for resolved in listed)
        return _json(dialect.client.encode_models(model_list.model_infos(listed, dialect.client, http.headers), _query(http)))
    except GatewayError as error:
        return _refusal(http, dialect, error)


async def _key_or_anonymous(http: HttpRequest) -> Key:
    """The client key, or ``ANONYMOUS`` without a valid one where models are open. Raises :class:`GatewayError`."""
    try:
        return await admission.client_key(http)
    except ClientMistake as mistake:
        if mistake.failure.kind != "authentication" or not admission.has_open_models():
            raise
        return admission.ANONYMOUS


async def model(http: HttpRequest, name: str, prefix: str = "") -> JsonResponse:
    """``GET /v1/models/{id}``: any name that requests may use, also an alias or a name that matches a pattern."""
    dialect = dialect_of(http.path, http.headers)
    try:
        key = await admission.client_key(http)
        resolved = snapshot.current().find(name, prefix) or await snapshot.find_after_refresh(name, prefix)
        if resolved is None or not keys.may_use(key, resolved.requested, resolved.model.name):
            raise admission.unknown_model(name)
        await listed_windows.refresh([resolved.model])
        return _json(dialect.client.encode_model(model_list.model_info(resolved.model, name, resolved=resolved.requested)))
    except GatewayError as error:
        return _refusal(http, dialect, error)


def untranslated_view(dialect: Dialect, declaration: UntranslatedPath) -> View:
    """The view of a path of ``dialect`` whose bodies are forwarded untranslated; errors are encoded in the dialect."""
    dialect, path = passthrough.at_untranslated_paths(dialect), passthrough.DeclaredPath(declaration)

    async def view(http: HttpRequest, prefix: str = "") -> JsonResponse | StreamingResponse:
        return await passthrough.serve(http, path, dialect=dialect, prefix=prefix)

    return view


async def serve_plain_path(http: HttpRequest, prefix: str) -> JsonResponse | StreamingResponse:
    """Forward any path below a path prefix if a model of the prefix has an upstream of plain proxy mode; else 404."""
    dialect = dialect_of(http.path.removeprefix(prefix), http.headers)
    plain_models = [model for model in snapshot.current().models if model.path_prefix == prefix and is_plain(model)]
    if not plain_models or any(segment in (".", "..") for segment in http.path.split("/")):
        error = ClientMistake(unknown_path(http.method, http.path, prefix), kind="not_found")
        return _refusal(http, dialect, error)
    path = passthrough.PlainPath(path=passthrough.path_below(http, prefix), default_model=plain_models[0].name)
    return await passthrough.serve(http, path, prefix=prefix, dialect=dialect)


@cache
def known_path_or_plain(view: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """The view of an API path below a prefix that also accepts other paths: forwards requests for models of plain proxy mode only."""

    async def forward_or_view(http: HttpRequest, prefix: str, **captured: str) -> Any:
        if view not in MODEL_LIST_VIEWS and "model" not in captured and await _has_only_plain_upstreams(http, prefix):
            return await serve_plain_path(http, prefix)
        return await view(http, prefix=prefix, **captured)

    return forward_or_view


MODEL_LIST_VIEWS = frozenset({models, model})
"""Views that are never forwarded."""


async def _has_only_plain_upstreams(http: HttpRequest, prefix: str) -> bool:
    """Whether the requested model, or every model of the prefix if the body names none, has upstreams of plain proxy mode only."""
    try:
        name = (await in_thread_if_large(len(http.body), bodies.open_any, http.body, http.headers, default="")).envelope.model
    except ClientMistake:  # the view that reads the body refuses it, after the key was checked
        name = ""
    catalogue = snapshot.current()
    if name:
        resolved_models = [catalogue.find(name, prefix) or await snapshot.find_after_refresh(name, prefix)]
    else:
        resolved_models = [snapshot.ResolvedModel(entry, entry.name) for entry in catalogue.models if entry.path_prefix == prefix]
    return all(resolved is not None and _is_wholly_plain(resolved) for resolved in resolved_models)


def _is_wholly_plain(resolved: snapshot.ResolvedModel) -> bool:
    """Whether all routes of the model and of its fallbacks are of plain proxy mode: other upstreams may not accept a forwarded body."""
    routes = [route for candidate in plan.with_fallbacks(resolved, snapshot.current(), []) for route in candidate.model.routes]
    return bool(routes) and all(route.upstream.dialect == PASSTHROUGH for route in routes)


def is_plain(model: snapshot.ModelEntry) -> bool:
    """Whether a model has an upstream of plain proxy mode, to which any path below the prefix is forwarded."""
    return any(route.upstream.dialect == PASSTHROUGH for route in model.routes)


def _query(http: HttpRequest) -> dict[str, str]:
    """The first value of each parameter; empty ones are left out."""
    return {name: values[0] for name, values in parse_qs(http.query_string.decode("latin-1")).items()}


def _json(value: object) -> JsonResponse:
    return JsonResponse(msgspec.json.encode(value))


def _refusal(http: HttpRequest, dialect: Dialect, error: GatewayError) -> JsonResponse:
    own = debug_headers.headers([], request=http) if config().response_headers else []
    return error_response(error.failure, dialect=dialect, request_id=http.request_id, own_headers=own, names_request=True)


VIEWS: Mapping[EndpointKind, Callable[[Dialect, Endpoint], View]] = {
    "generate": generate,
    "count": count,
    "models": lambda _dialect, _endpoint: models,
    "model": lambda _dialect, _endpoint: model,
    "stored_response": stored_response,
    "stored_items": stored_items,
    "new_object": new_object,
    "object": remote_object,
}
"""Functions that create the view of an endpoint, by its kind. Dialects share the paths of model lists."""
