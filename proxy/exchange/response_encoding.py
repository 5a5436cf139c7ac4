"""How the response of one request is encoded for its client, whichever attempt it comes from."""

from __future__ import annotations

import time

from proxy.exchange.large_bodies import LARGE_BYTES
from proxy.exchange.prepare import Preparer
from proxy.translation.canonical import Event, Started
from proxy.translation.dialects.base import Dialect, EncodeContext, StreamEncoder
from proxy.translation.framing.sse import Frame
from proxy.translation.json_wire import Envelope
from proxy.translation.quirks import Quirks


class ResponseEncoding:
    """Encoders of a request's response, always with the same ids, and the beginning of the client's stream.

    ``identity``: 24 hexadecimal digits from which the ids are made. ``created``: Unix seconds. ``is_open``: :meth:`open_stream`
    has begun the client's stream before any content came; encoders continue after its first event from then on.
    """

    def __init__(self, dialect: Dialect, envelope: Envelope, preparer: Preparer, *, identity: str, created: int, seal_key: bytes) -> None:
        self.is_open = False
        self._dialect = dialect
        self._envelope = envelope
        self._preparer = preparer
        self._identity = identity
        self._created = created
        self._seal_key = seal_key

    def encode_context(self) -> EncodeContext:
        """The context for an encoder; a new one for each attempt."""
        request = self._preparer.decoded_or_bare
        return EncodeContext(
            id=self._identity,
            created=self._created,
            model=self._envelope.model,
            request=request,
            seal_key=self._seal_key,
            input_estimate=self._preparer.input_estimate if self._envelope.stream else 0,
            clock=time.time,
        )

    def open_stream(self, size: int) -> bytes:
        """Begin the client's stream before any content has come; returns its first bytes.

        pxbin encodes the stream from here on, for the decoded request. If the body, of ``size`` bytes, is large and was not
        decoded yet, the stream does not repeat the request's fields.
        """
        if size <= LARGE_BYTES:
            self._preparer.try_decode()
        opening = self.encode_event(Started())
        self.is_open = True
        return opening

    def new_encoder(self) -> StreamEncoder:
        """An encoder for the client's stream; if the stream is open, one that continues after its first event.

        Each attempt has its own, so that a failed attempt leaves no state behind.
        """
        encoder = self._dialect.encoder(self.encode_context())
        if self.is_open:
            encoder.feed(Started())
        return encoder

    def encode_event(self, event: Event) -> bytes:
        """The bytes of an event of pxbin's own, as the first one of the client's stream or the first one after its opening."""
        return b"".join(self._dialect.framing.write(frame) for frame in self.new_encoder().feed(event))

    def stream_of_choices(self, body: bytes, quirks: Quirks) -> bytes:
        """The client's stream of a forwarded whole response with several choices (see :class:`Dialect`); empty for any other one."""
        convert, write = self._dialect.stream_of_choices, self._dialect.framing.write
        frames = None if convert is None else convert(body, quirks, self.encode_context())
        return b"".join(write(frame) for frame in frames or ())

    def whole_of_choices(self, frames: list[Frame], quirks: Quirks) -> bytes | None:
        """The client's whole response of a forwarded stream with several choices; ``None`` for any other one."""
        convert = self._dialect.response_of_choices
        return None if convert is None else convert(frames, quirks, self.encode_context())
