"""Whether a request may be served: client key, model, permission, checked in this order; then :mod:`proxy.exchange.reservation`.

A model may be open to requests without a client key: by ``allow_anonymous``, or because its upstreams are called with the
client's own credentials.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Protocol

import msgspec

from accounts import keys
from accounts.common.gateway_config import config
from accounts.keys import Key
from proxy.exchange import client_labels
from proxy.exchange.client_credentials import own_credentials, presented_key
from proxy.exchange.http_request import HttpRequest
from proxy.exchange.large_bodies import in_thread_if_large, use_keyless_thread
from proxy.exchange.named_models import TOOL_FIELDS, named_models
from proxy.exchange.record import Record
from proxy.exchange.request_encoding import decode_body
from proxy.translation.dialects.base import Dialect
from proxy.translation.errors import MAINTENANCE, ClientMistake
from proxy.translation.json_wire import Envelope
from upstreams.catalog import snapshot
from upstreams.catalog.snapshot import Catalogue, ModelEntry, ResolvedModel

MAX_KEYLESS_BODY = 16 * 1024 * 1024
"""Bytes of a decoded body without a valid key: as many as all such bodies share while they arrive (``Limits.max_keyless_bytes``)."""
MAINTENANCE_RETRY_SECONDS = 30
"""The ``Retry-After`` of a model whose upstreams are switched off."""
ANONYMOUS = Key(id="", name="anonymous")
"""Takes the place of a client key in requests without one."""


class OpenedRequest(Protocol):
    """A request whose top-level fields were read."""

    @property
    def dialect(self) -> Dialect:
        """The client's dialect, in which the response is encoded."""
        ...

    @property
    def envelope(self) -> Envelope:
        """The top-level fields of the body."""
        ...


class Admitted(msgspec.Struct, frozen=True):
    """A request that may be served."""

    key: Key
    model: ResolvedModel


async def authenticate(record: Record, read_body: Callable[[HttpRequest, Key], Awaitable[OpenedRequest]], prefix: str) -> Key:
    """The request's client key, or ``ANONYMOUS`` for an open model; raises :class:`ClientMistake`."""
    if record.http.refusal is not None:  # decided from the headers, before the body was received
        raise record.http.refusal
    try:
        token = presented_key(record.http.headers)
        key = keys.cached_key(token) or await keys.authenticate(token)
        if key.allowed_networks is not None:
            record.note_key(key)
            keys.check_address(key, record.http.client)
    except ClientMistake as mistake:
        if mistake.failure.kind != "authentication" or not await _is_open_request(record.http, read_body, prefix):
            raise
        key = ANONYMOUS
    record.note_key(key)
    return key


async def authenticate_key(record: Record) -> Key:
    """The request's client key, where no model is named that could be open; raises :class:`ClientMistake`."""
    if record.http.refusal is not None:
        raise record.http.refusal
    key = await client_key(record.http)
    record.note_key(key)
    return key


async def client_key(http: HttpRequest) -> Key:
    """The valid client key of a request that may be used from its address; raises :class:`GatewayError`."""
    key = await keys.authenticate(presented_key(http.headers))
    keys.check_address(key, http.client)
    return key


async def admit(record: Record, key: Key, body: OpenedRequest, prefix: str) -> Admitted:
    """Resolve the model and check the key's permission; raises :class:`ClientMistake`."""
    name = body.envelope.model
    record.note_model(name, stream=body.envelope.stream)
    record.note_tags(client_labels.tags(record.http.headers, body.envelope, key))
    model = snapshot.current().find(name, prefix) or await snapshot.find_after_refresh(name, prefix)
    if model is None or not may_use_model(key, model):
        raise _refusal(record, key, name, prefix, model)
    if model.model.capture_payloads:
        record.start_capture()
    await check_named_models(key, body.envelope, prefix)
    return Admitted(key, model)


def _refusal(record: Record, key: Key, name: str, prefix: str, model: ResolvedModel | None) -> ClientMistake:
    """The error for a model that is not served or not allowed; notes its true reason for the log.

    A model that is switched on, but none of its routes, is in maintenance: 503 for a key that may use it. All others look alike.
    """
    if model is not None:
        record.note_reason(f"The key may not use {model.model.name!r}.")
        return unknown_model(name)
    idle = snapshot.current().find_idle(name, prefix)
    if idle is None:
        record.note_reason("No model has this name or alias, and no pattern matches it.")
        return unknown_model(name)
    details = "; ".join(f"{route.upstream_name}: {route.reason}" for route in idle.idle)
    if not idle.is_active:
        record.note_reason(f"The model {idle.name!r} is switched off.")
    elif not idle.idle:
        record.note_reason(f"The model {idle.name!r} has no route and no fallback.")
    elif not may_use_model(key, ResolvedModel(idle, name)):
        record.note_reason(f"The key may not use {idle.name!r}, and no route of it is usable. {details}")
    else:
        record.note_reason(f"No route of {idle.name!r} is usable. {details}")
        headers = {"retry-after": str(MAINTENANCE_RETRY_SECONDS)}
        return ClientMistake(
            f"The model {name!r} is not available at the moment", kind="overloaded", code=MAINTENANCE, param="model", headers=headers
        )
    return unknown_model(name)


async def check_named_models(key: Key, envelope: Envelope, prefix: str) -> None:
    """Raise :class:`ClientMistake` if the body names, for the provider's own fallback or a tool, a model that the key may not use."""
    if key.allowed_models is None and key is not ANONYMOUS:
        return
    size = sum(memoryview(envelope.fields[field]).nbytes for field in TOOL_FIELDS if field in envelope.fields)
    for path, name in await in_thread_if_large(size, named_models, envelope.fields):
        model = snapshot.current().find(name, prefix)
        if not (keys.may_use(key, name) and key is not ANONYMOUS if model is None else may_use_model(key, model)):
            raise ClientMistake(
                f"{path}: the model {name[:200]!r} does not exist or you do not have access to it", kind="model_not_found", param=path
            )


async def _is_open_request(http: HttpRequest, read_body: Callable[[HttpRequest, Key], Awaitable[OpenedRequest]], prefix: str) -> bool:
    """Whether a request without a valid key has an open model.

    False also for a body or a model that is not valid: without a key the caller learns nothing of either.
    """
    if not has_open_models():
        return False
    use_keyless_thread()
    try:
        await decode_body(http, MAX_KEYLESS_BODY)
        body = await read_body(http, ANONYMOUS)
    except ClientMistake:
        return False
    model = snapshot.current().find(body.envelope.model, prefix)
    if model is None or not is_open(model.model):
        return False
    return not _takes_own_credentials(model.model) or bool(own_credentials(http.headers))


def may_use_model(key: Key, model: ResolvedModel) -> bool:
    """Whether a request with this key may use a model. ``ANONYMOUS`` may use open models only."""
    return is_open(model.model) if key is ANONYMOUS else keys.may_use(key, model.requested, model.model.name)


def is_open(model: ModelEntry) -> bool:
    """Whether a model needs no client key: by ``allow_anonymous``, or by ``PXBIN_OPEN_PASSTHROUGH``.

    The setting opens a model if every upstream of its routes is called with the client's own credentials.
    """
    return model.allow_anonymous or (config().open_passthrough and _takes_own_credentials(model))


def _takes_own_credentials(model: ModelEntry) -> bool:
    """Whether every upstream of a model is called with the client's own credential, without which a request is refused here."""
    return bool(model.routes) and all(route.upstream.pass_client_credentials for route in model.routes)


def has_open_models() -> bool:
    """Whether any model is open to requests without a client key; if not, they are refused without a look at the body."""
    return _has_open_models(snapshot.current(), config().open_passthrough)


@lru_cache(maxsize=1)
def _has_open_models(catalogue: Catalogue, _open_passthrough: bool) -> bool:
    return any(is_open(model) for model in catalogue.models)


def unknown_model(name: str) -> ClientMistake:
    """The error for a model that does not exist or that the key may not use; the client cannot tell which."""
    return ClientMistake(f"The model {name!r} does not exist or you do not have access to it", kind="model_not_found", param="model")
