"""Requests that need no key of ours: the client brings the upstream's own."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings

from accounts import keys
from accounts.keys import Key
from proxy.exchange.http_request import HttpRequest
from proxy.translation.errors import ClientMistake
from proxy.translation.json_wire import Envelope
from upstreams.catalog import snapshot
from upstreams.catalog.snapshot import ModelEntry, ResolvedModel

ANONYMOUS = Key(id="", name="anonymous")


def without_key(http: HttpRequest, opened: Callable[[bytes], Envelope], prefix: str, refusal: ClientMistake) -> Key:
    """The key of nobody, where the model is open to everybody; else raises ``refusal``, whatever else is wrong.

    A revoked key stays refused.
    """
    if refusal.failure.kind != "authentication":
        raise refusal
    try:
        found = snapshot.current().find(opened(http.body).model, prefix)
    except ClientMistake:
        raise refusal from None
    if found is None:
        raise refusal
    if is_open(found.model):
        return ANONYMOUS
    raise refusal


def may_use(key: Key, found: ResolvedModel) -> bool:
    """Whether a caller may use a model: whom the key allows it, and everybody where it is open. Nobody's key opens nothing else."""
    return is_open(found.model) if key is ANONYMOUS else keys.may_use(key, found.requested, found.model.name)


def is_open(model: ModelEntry) -> bool:
    """Whether a model needs no key of ours: by ``allow_anonymous``, or by ``PXBIN_OPEN_PASSTHROUGH``.

    The latter where each of its upstreams is called with the client's own credential.
    """
    passes = bool(model.routes) and all(route.upstream.pass_client_credentials for route in model.routes)
    return model.allow_anonymous or (settings.PXBIN.open_passthrough and passes)
