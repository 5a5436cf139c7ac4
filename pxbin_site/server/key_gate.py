"""Checks the client key from the headers, so that nobody without one makes the server receive a body.

The checks are those of :mod:`proxy.exchange.admission`, which refuses the request in the client's dialect and logs it.
"""

from __future__ import annotations

from collections.abc import Sequence

from accounts import keys
from accounts.common.key_kinds import PREFIXES
from proxy.exchange.admission import has_open_models
from proxy.exchange.client_credentials import presented_key
from proxy.exchange.http_request import Headers
from proxy.translation.errors import ClientMistake, GatewayError
from pxbin_site.server.common_headers import is_management
from pxbin_site.server.http1.gate import WITH_KEY, WITHOUT_KEY, Verdict
from pxbin_site.server.http1.head import Head
from pxbin_site.server.query_key import NOT_FOR_CLIENTS, moved

RawHeaders = Sequence[tuple[bytes, bytes]]


def is_of_clients(path: str) -> bool:
    """Whether a path is one of clients, or below a path prefix: not the admin, the management API or a health check."""
    return path[1:].partition("/")[0].lower() not in NOT_FOR_CLIENTS and not is_management(path)


class KeyGate:
    """The gate of client paths. Other paths receive their bodies without a key, and check the sender in their own way."""

    def read_query(self, head: Head) -> None:
        """See :class:`~pxbin_site.server.http1.gate.Gate`."""
        without_key = moved(head.path, head.query, head.headers)
        if without_key is not None:
            head.query, head.headers = without_key

    def decide(self, path: str, headers: RawHeaders) -> Verdict | None:
        """See :class:`~pxbin_site.server.http1.gate.Gate`. Only memory is looked at."""
        if not is_of_clients(path):
            return WITHOUT_KEY
        try:
            token = presented_key(Headers(headers))
        except ClientMistake as mistake:
            return WITHOUT_KEY if has_open_models() else Verdict(has_key=False, refusal=mistake)
        if keys.cached_key(token) is not None:
            return WITH_KEY
        if has_open_models():
            return None if token.startswith(PREFIXES["llm"]) else WITHOUT_KEY
        return None if token else Verdict(has_key=False, refusal=ClientMistake(keys.MISSING, kind="authentication"))

    async def look_up(self, headers: RawHeaders) -> Verdict:
        """See :class:`~pxbin_site.server.http1.gate.Gate`."""
        try:
            await keys.authenticate(presented_key(Headers(headers)))
        except GatewayError as refusal:
            if refusal.failure.kind == "authentication" and has_open_models():
                return WITHOUT_KEY
            return Verdict(has_key=False, refusal=refusal)
        return WITH_KEY
