"""What all attempts of one request share."""

from __future__ import annotations

from proxy.exchange.capture import Capture
from proxy.exchange.http_request import HttpRequest
from proxy.exchange.prepare import Preparer
from proxy.exchange.response_encoding import ResponseEncoding
from proxy.exchange.tool_call_enforcement import ToolCallEnforcement
from proxy.translation.dialects.base import Dialect
from proxy.translation.json_wire import Envelope
from upstreams.http import headers


class RequestContext:
    """What all attempts of one request share.

    ``identity``: 24 hexadecimal digits from which the ids in the response are made. ``created``: Unix seconds. ``size``: bytes of
    the body, with the earlier turns of a conversation that were put into it. ``capture``: copies the bodies; usually ``None``.
    """

    def __init__(
        self,
        http: HttpRequest,
        dialect: Dialect,
        envelope: Envelope,
        *,
        identity: str,
        created: int,
        seal_key: bytes,
        enforcement: ToolCallEnforcement | None = None,
    ) -> None:
        self.http = http
        self.identity = identity
        self.dialect = dialect
        self.envelope = envelope
        beta_header = dialect.client.beta_header
        betas = headers.forwardable_value(http.headers, beta_header) if beta_header else ""
        self.size = len(http.body)
        if dialect.client.stores_responses:
            self.size = max(self.size, sum(memoryview(raw).nbytes for raw in envelope.fields.values()))
        self.preparer = Preparer(dialect, envelope, seal_key, betas=betas)
        self.encoding = ResponseEncoding(dialect, envelope, self.preparer, identity=identity, created=created, seal_key=seal_key)
        self.enforcement = enforcement
        self.capture: Capture | None = None
