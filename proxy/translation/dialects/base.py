"""What a dialect is: one :class:`Dialect` value that holds everything the gateway knows of a wire protocol.

Every folder beside this file has a ``dialect.py`` that binds the folder's functions into the value. No other module names a
dialect: it reads a field of the value, or a table that :mod:`~proxy.translation.dialects.lookup` derives from all of them.
decode = wire to canonical, encode = canonical to wire.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, Protocol

import msgspec

from proxy.translation.canonical import Event, Request, Response, Usage
from proxy.translation.dialects.client_api import ClientApi
from proxy.translation.dialects.upstream_api import UpstreamApi
from proxy.translation.errors import Failure
from proxy.translation.framing.sse import Frame
from proxy.translation.json_wire import Envelope
from proxy.translation.policies.prompt_shape import PromptShape
from proxy.translation.quirks import DEFAULT, Quirks


class EncodeTarget(msgspec.Struct, frozen=True, kw_only=True):
    """Where an encoded request goes.

    ``model``: the upstream's name of the model. ``upstream``: its id (seals of Responses are bound to it).
    ``max_output_tokens``: the model's maximum, when known; ``default_max_output_tokens`` stands in for it where the wire
    demands a limit (Anthropic) and the client gave none.
    """

    model: str
    dialect: str
    upstream: str = ""
    quirks: Quirks = DEFAULT
    max_output_tokens: int | None = None
    default_max_output_tokens: int = 8192
    stream: bool = False
    """Whether the upstream is asked to stream, which may differ from what the client asked for."""


class EncodeContext(msgspec.Struct, frozen=True, kw_only=True):
    """What an encoder must know of the request that it answers.

    ``id``: 24 hexadecimal digits from which every id in the reply is made. ``created``: Unix seconds. ``model``: the name
    that the client asked for. ``input_estimate``: input tokens for formats that want them before the upstream tells.
    """

    id: str
    created: int
    model: str
    request: Request
    seal_key: bytes
    input_estimate: int = 0


class Traits(msgspec.Struct, frozen=True, kw_only=True):
    """What a dialect's wire can say; ``adapt`` moves or refuses the rest before an encoder sees it."""

    tool_name_limit: int = 64
    custom_tools: bool = False
    namespaces: bool = False
    conversation_field: str = "messages"
    """Where a request keeps its turns, as mistakes name it."""
    strict_call_ids: bool = False
    """Tool call ids must match ``^[a-zA-Z0-9_-]+$``."""
    tool_subsets: bool = True
    """Knows ``allowed_tools``; where not, the list of tools itself is narrowed."""
    image_urls: bool = True
    """Takes images by URL of clients of another family; their own family's words go up as they are."""
    stops: int | None = None
    """How many stop sequences it takes at most."""


class StreamDecoder(Protocol):
    """Reads one upstream's stream."""

    def feed(self, frame: Frame) -> list[Event]:
        """The events that one frame tells. Nothing follows ``Finished`` or ``Failed``; later frames are ignored."""
        ...

    def close(self) -> list[Event]:
        """At the end of the bytes: ``Finished`` or ``Failed`` unless one was told already, else nothing."""
        ...


class StreamEncoder(Protocol):
    """Writes one client's stream."""

    def feed(self, event: Event) -> list[Frame]:
        """The frames that tell one event, perhaps none; the last ones come with ``Finished`` or ``Failed``."""
        ...


class FrameReader(Protocol):
    """Cuts bytes into frames, however they were split."""

    def feed(self, chunk: bytes) -> list[Frame]:
        """The frames that one read completed."""
        ...

    def close(self) -> list[Frame]:
        """What is left at the end of the bytes."""
        ...


class Framing(Protocol):
    """How a dialect's stream lies in the bytes."""

    media_type: str

    def reader(self) -> FrameReader:
        """A new reader for one stream."""
        ...

    def write(self, frame: Frame) -> bytes:
        """The bytes of one frame."""
        ...


class ErrorBody(msgspec.Struct, frozen=True):
    """A whole error answer, without the headers that all answers have."""

    status: int
    body: bytes
    headers: dict[str, str] = {}


def encode_input_tokens(tokens: int) -> bytes:
    """The answer to a question for the size of a request, as Anthropic gives it."""
    return b'{"input_tokens":%d}' % tokens


class Dialect(msgspec.Struct, frozen=True, kw_only=True):
    """One wire protocol.

    name, family:
        ``name`` is the stored form. ``family`` is shared by dialects that understand each other's native blocks and seals
        (Anthropic and Bedrock).
    title, short_title, letter:
        Names for people: in forms, in the log, in tables of pairs.
    format, input_format:
        Names in the management API: of an upstream's dialect, and of a client's in log rows.
    client, upstream:
        The HTTP side: see :class:`ClientApi` and :class:`UpstreamApi`.
    prompt_shape:
        Where the body has what policies edit.
    beta_field:
        The field of a body that lists betas; empty: there is none.
    binds_seals:
        Reasoning is encrypted for the account behind one upstream, so that its seals are of use only there.
    path(target):
        The upstream's path (and query) for a request.
    open_request(body):
        The envelope, with the main fields' types checked; raises ``ClientMistake`` with the offending path.
    decode_request(envelope, seal_key) / encode_request(request, target):
        ``decode`` raises ``ClientMistake``. ``encode`` expects an adapted request, and raises ``ClientMistake`` for content
        that its wire cannot carry.
    patch_request(envelope, target, seal_key):
        The client's own body for an upstream of the same dialect: model name, streaming and usage switches, our carriers
        taken out; every other byte of every field as received.
    decode_response(body, quirks) / encode_response(response, context) / patch_response(body, model):
        ``decode`` raises ``UpstreamFailed`` for an error object or nonsense in a 200. ``patch`` renames the model only.
    decoder(quirks) / encoder(context):
        New stream machines.
    relay(model, hide_usage):
        For streams of the same dialect: a function from the upstream's frame to the client's, or ``None`` to leave one out.
        ``model``: the client's name for it, or ``None`` when it was not renamed.
    break_off(failure, frames_sent):
        The frames that end a relayed stream which broke; ``frames_sent`` gives Responses its next sequence number.
    decode_error(status, headers, body) / encode_error(failure, request_id):
        Non-2xx answers. ``decode`` reads anything, also HTML and nothing at all.
    keepalive:
        Bytes that mean nothing, for an idle stream.
    ending:
        The frames that end a relayed stream which was complete but for them.
    last_events:
        Names of the events after which clients leave a stream.
    answer_headers(usage):
        Headers by which clients of this dialect are told of an answer, in lower case; ``usage`` is ``None`` while it is not known.
    encode_count(tokens):
        The answer to a question for the size of a request, in tokens.
    """

    name: str
    family: str
    title: str
    short_title: str
    letter: str
    format: str
    input_format: Literal["anthropic", "openai"]
    client: ClientApi
    upstream: UpstreamApi
    prompt_shape: PromptShape
    beta_field: str = ""
    binds_seals: bool = False
    traits: Traits
    framing: Framing
    path: Callable[[EncodeTarget], str]
    open_request: Callable[[bytes], Envelope]
    decode_request: Callable[[Envelope, bytes], Request]
    encode_request: Callable[[Request, EncodeTarget], bytes]
    patch_request: Callable[[Envelope, EncodeTarget, bytes], bytes]
    decode_response: Callable[[bytes, Quirks], Response]
    encode_response: Callable[[Response, EncodeContext], bytes]
    patch_response: Callable[[bytes, str], bytes]
    decoder: Callable[[Quirks], StreamDecoder]
    encoder: Callable[[EncodeContext], StreamEncoder]
    relay: Callable[[str | None, bool], Callable[[Frame], Frame | None]]
    break_off: Callable[[Failure, int], list[Frame]]
    decode_error: Callable[[int, Mapping[str, str], bytes], Failure]
    encode_error: Callable[[Failure, str], ErrorBody]
    keepalive: bytes = b": keep-alive\n\n"
    ending: tuple[Frame, ...] = ()
    last_events: frozenset[str] = frozenset()
    answer_headers: Callable[[Usage | None], Mapping[str, str]] | None = None
    encode_count: Callable[[int], bytes] = encode_input_tokens

    def open_for_model(self, body: bytes, model: str) -> Envelope:
        """The envelope of a body sent to the dialect's first path, which may hold the name of ``model``."""
        opened = self.client.endpoints[0].open_request
        return self.open_request(body) if opened is None else opened(body, {"model": model})


def error_object(body: bytes) -> Any:
    """The JSON in an upstream's error body, or ``None`` (HTML, nothing, half a JSON)."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


class _Kind(msgspec.Struct):
    type: str = ""


_KIND = msgspec.json.Decoder(_Kind)


def with_event_name(frame: Frame) -> Frame:
    """The frame with its ``event:`` line, by the ``type`` in its JSON where the server left it out: SDKs skip or refuse others."""
    if frame.event:
        return frame
    try:
        return Frame(frame.data, _KIND.decode(frame.data).type)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return frame
