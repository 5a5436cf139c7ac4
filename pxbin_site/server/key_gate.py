"""Checks the key of a request when its head has arrived, so that nobody without a key makes the gateway read a large body."""

from __future__ import annotations

from collections.abc import Callable

from accounts import keys
from accounts.keys import PREFIXES
from proxy.exchange.admission import is_open
from proxy.exchange.client_credentials import presented
from proxy.exchange.http_request import Headers
from proxy.translation.errors import ClientMistake, GatewayError
from pxbin_site.server.http1.head import Head
from pxbin_site.server.http1.key_state import KeyState
from upstreams.catalog import snapshot


class ClientKeyGate:
    """The gate of the LLM endpoints. ``needs_key``: whether every request to a path needs a client key or an open model.

    Other paths (the admin, the management API, paths below a prefix) decide themselves, after the body; without a client key their
    bodies use the memory for requests without a known key.
    """

    def __init__(self, needs_key: Callable[[str], bool]) -> None:
        self._needs_key = needs_key
        self._catalog: snapshot.Catalogue | None = None
        self._has_open_models = False

    def check(self, head: Head) -> KeyState:
        """See :class:`~pxbin_site.server.http1.key_state.KeyGate`."""
        token = presented(Headers(head.headers)).key
        if token and keys.cached_key(token) is not None:
            return KeyState.KNOWN
        if token.startswith(PREFIXES["llm"]):
            return KeyState.NOT_CACHED
        return self._without_key(head)

    async def look_up(self, head: Head) -> KeyState:
        """See :class:`~pxbin_site.server.http1.key_state.KeyGate`."""
        try:
            await keys.authenticate(presented(Headers(head.headers)).key)
        except (ClientMistake, GatewayError) as error:
            if error.failure.kind == "authentication":
                return self._without_key(head)
            return KeyState.REFUSED if self._needs_key(head.path) else KeyState.KEYLESS
        return KeyState.KNOWN

    def _without_key(self, head: Head) -> KeyState:
        return KeyState.REFUSED if self._needs_key(head.path) and not self._any_open_model() else KeyState.KEYLESS

    def _any_open_model(self) -> bool:
        """Whether a model may be used without a client key; computed once for each state of the catalogue."""
        catalog = snapshot.current()
        if catalog is not self._catalog:
            self._catalog = catalog
            self._has_open_models = any(is_open(model) for model in catalog.models)
        return self._has_open_models
