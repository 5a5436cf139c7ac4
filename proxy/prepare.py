"""One request, made ready for one target."""

from __future__ import annotations

import msgspec

from proxy import wire
from proxy.adapt import adapt
from proxy.canonical import Request
from proxy.dialects.base import Destination, Dialect
from proxy.restore import Restorer
from proxy.wire import Envelope

ANTHROPIC = "anthropic"
"""The family that Anthropic and Bedrock share, and the name of the first."""
BETAS = "anthropic_beta"
_STRINGS = msgspec.json.Decoder(list[str])

replace = msgspec.structs.replace


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """What goes to a target, and how its reply comes back.

    ``relayed``: the client's own body within one dialect; the reply then passes through too. ``hides_usage``: the usage
    chunk was asked for by us. ``dropped``: what the target does not have, for the log.
    """

    body: bytes
    path: str
    stream: bool
    relayed: bool = False
    hides_usage: bool = False
    restorer: Restorer | None = None
    dropped: tuple[str, ...] = ()
    betas: str = ""
    """Betas that the client gave in its body, for an upstream that reads them from a header."""


class Preparer:
    """Makes bodies for the candidates of one request; the client's body is decoded at most once."""

    def __init__(self, dialect: Dialect, envelope: Envelope, seal_key: bytes, *, betas: str = "") -> None:
        """``betas``: the value of the header ``anthropic-beta``; Bedrock upstreams want them in the body."""
        self._betas = betas
        self._dialect = dialect
        self._envelope = envelope
        self._seal_key = seal_key
        self._request: Request | None = None

    @property
    def request(self) -> Request:
        """The canonical request; raises :class:`~proxy.errors.ClientMistake` when the body makes no sense."""
        if self._request is None:
            request = self._dialect.decode_request(self._envelope, self._seal_key)
            if self._betas and request.family == ANTHROPIC and BETAS not in request.extra:
                names = [name.strip() for name in self._betas.split(",") if name.strip()]
                request = replace(request, extra=request.extra | {BETAS: msgspec.Raw(wire.encode(names))})
            self._request = request
        return self._request

    @property
    def decoded_or_bare(self) -> Request:
        """The canonical request if anything needed it so far, else one that knows only the envelope."""
        return self._request or Request(model=self._envelope.model, messages=(), family="", stream=self._envelope.stream)

    def prepare(self, target: Dialect, destination: Destination) -> Prepared:
        """The body for a target; raises :class:`~proxy.errors.ClientMistake` for what it cannot carry."""
        if target is self._dialect and destination.stream == self._envelope.stream:
            return Prepared(
                body=target.patch_request(self._envelope, destination, self._seal_key),
                path=target.path(destination),
                stream=destination.stream,
                relayed=True,
                hides_usage=destination.stream and not _asks_for_usage(self._envelope),
            )
        request, betas = self.request, ""
        if destination.dialect == ANTHROPIC and BETAS in request.extra:
            names: list[str] = wire.decode(request.extra[BETAS], _STRINGS, at=BETAS)
            betas = ",".join(names)
            request = replace(request, extra={name: raw for name, raw in request.extra.items() if name != BETAS})
        adapted = adapt(request, destination, family=target.family, traits=target.traits)
        return Prepared(
            body=target.encode_request(adapted.request, destination),
            path=target.path(destination),
            stream=destination.stream,
            restorer=adapted.restorer,
            dropped=adapted.dropped,
            betas=betas,
        )


def _asks_for_usage(envelope: Envelope) -> bool:
    options = envelope.fields.get("stream_options")
    if options is None:
        return False
    asked = msgspec.json.decode(options)
    return isinstance(asked, dict) and bool(asked.get("include_usage"))
