"""Requests that need no key of ours: the client brings the upstream's own."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings

from accounts.keys import Key
from proxy.errors import ClientMistake
from proxy.requests import HttpRequest
from proxy.wire import Envelope
from upstreams import catalog

ANONYMOUS = Key(id="", name="anonymous")


def without_key(http: HttpRequest, opened: Callable[[bytes], Envelope], prefix: str, refusal: ClientMistake) -> Key:
    """The key of nobody, where the model is open to everybody; else raises ``refusal``, whatever else is wrong.

    A model is open by ``allow_anonymous``, or by ``PXBIN_OPEN_PASSTHROUGH`` when each of its upstreams is called with the
    client's own credential. A revoked key stays refused.
    """
    if refusal.failure.kind != "authentication":
        raise refusal
    try:
        found = catalog.current().find(opened(http.body).model, prefix)
    except ClientMistake:
        raise refusal from None
    if found is None:
        raise refusal
    model = found.model
    passes = bool(model.routes) and all(route.upstream.pass_client_credentials for route in model.routes)
    if model.allow_anonymous or (settings.PXBIN.open_passthrough and passes):
        return ANONYMOUS
    raise refusal
