"""The interface of a dialect: one :class:`Dialect` value with the functions and properties of a wire protocol.

decode = wire to canonical form, encode = canonical form to wire. A dialect's folder has one module for each job; a large one is
split into modules with the same beginning (``request_decode_parts``), and a small one may be absent:

=================================  ======================================================================================
``dialect``                        the :class:`Dialect` value, which refers to the functions of the other modules
``wire``                           structs of the JSON on the wire
``request_decode``                 envelope and request of a client
``request_encode``                 request to an upstream
``response_decode``                complete response of an upstream
``response_encode``                complete response to a client
``stream_decode``                  frames of an upstream to events
``stream_encode``                  events to frames for a client
``relay``                          requests, responses and frames between a client and an upstream of the same dialect
``usage``                          token counts
``errors``                         error bodies
``places``                         the names of what a translation leaves out, in the client's body
=================================  ======================================================================================

Other modules never compare a dialect's name. They read a field of the value, or a table that
:mod:`~proxy.translation.dialects.lookup` derives from all dialects.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, Protocol

import msgspec

from proxy.translation import json_wire
from proxy.translation.canonical import Event, Opaque, Reasoning, Request, Response, Usage
from proxy.translation.dialects.client_api import ClientApi
from proxy.translation.dialects.upstream_api import UpstreamApi
from proxy.translation.errors import Failure
from proxy.translation.framing.sse import Frame
from proxy.translation.json_wire import Envelope
from proxy.translation.policies.prompt_shape import PromptShape
from proxy.translation.quirks import DEFAULT, Quirks

JSON_OBJECT_SENTENCE = "Respond with a single JSON object."
"""Added to the system text for ``json_object`` where a wire or a server has no setting for it."""


class EncodeTarget(msgspec.Struct, frozen=True, kw_only=True):
    """The properties of a target that an encoder needs.

    ``model``: the remote name. ``upstream``: the owner of the upstream's
    seals: its id, or a hash of its address, by the dialect's ``binds_seals``. ``max_output_tokens``: the
    model's maximum, ``None`` if unknown; then ``default_max_output_tokens`` is used where a request needs a limit and has none.
    ``version``: the API version that goes up in a header; empty if the dialect has none.
    """

    model: str
    dialect: str
    upstream: str = ""
    quirks: Quirks = DEFAULT
    max_output_tokens: int | None = None
    default_max_output_tokens: int = 8192
    stream: bool = False
    """Whether the upstream must stream, which may differ from the client's ``stream``."""
    follows_objects: bool = False
    """Whether the client can fetch by its id what the upstream keeps."""
    version: str = ""

    def default_limit(self, *, thinking: int) -> int:
        """The output limit of a request without one: the model's maximum, else the default and the tokens of ``thinking`` on top."""
        return self.default_max_output_tokens + thinking if self.max_output_tokens is None else self.max_output_tokens


class EncodeContext(msgspec.Struct, frozen=True, kw_only=True):
    """The properties of a request that the encoder of its response needs.

    ``id``: 24 hexadecimal digits from which all ids in the response are made. ``created``: Unix seconds. ``model``: the name in the
    client's request. ``input_estimate``: estimated input tokens, for streams that begin with a usage before the upstream reports one.
    ``clock``: returns the time in Unix seconds; ``None``: the time stays at ``created``.
    """

    id: str
    created: int
    model: str
    request: Request
    seal_key: bytes
    input_estimate: int = 0
    clock: Callable[[], float] | None = None

    def now(self) -> int:
        """The time in whole Unix seconds."""
        return self.created if self.clock is None else int(self.clock())


class Traits(msgspec.Struct, frozen=True, kw_only=True):
    """The features of a dialect's requests. ``adapt`` converts or rejects content that needs others, before encoding."""

    tool_name_limit: int = 64
    custom_tools: bool = False
    namespaces: bool = False
    conversation_field: str = "messages"
    """The field that contains the turns, for error messages."""
    strict_call_ids: bool = False
    """Tool call ids must match ``^[a-zA-Z0-9_-]+$``."""
    tool_subsets: bool = True
    """Has ``allowed_tools``; otherwise the list of tools is reduced instead."""
    image_urls: bool = True
    """Accepts image URLs. Used only for requests of another family; those of the same family are sent unchanged."""
    stops: int | None = None
    """The maximum number of stop sequences; ``None``: no limit."""
    requires_limit: bool = False
    """A request must have an output limit."""


def accepts_sampling_by_quirk(target: EncodeTarget, fields: Mapping[str, msgspec.Raw]) -> bool:  # noqa: ARG001 - see ``Dialect``
    """The default of ``Dialect.accepts_sampling``."""
    return not target.quirks.no_sampling


class Places(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Where a request's body has what: the names of what a translation leaves out. Paths have ``[]`` for indexes.

    settings:
        The paths of the fields that hold a canonical setting, by its name. A field that is not listed holds the setting of its own name.
    objects:
        The fields that hold several settings; the paths of ``settings`` and ``defaults`` go into them.
    quiet:
        Fields that are never reported: the conversation, which is compared part by part, and what is no setting of the model.
    defaults:
        The values that say what the API does anyway, by path.
    served:
        Fields that the gateway itself serves if the body has another field, by path: that other field.
    system, message, part, result, tool, output:
        The paths of a system text, a message, a part of it, a part of a tool result, a tool, and the output format.
    strict:
        The name of a tool's setting that makes its schema binding.
    cache, citations, name, detail, context, title, source, output_name, output_strict, output_description:
        The names of these fields in one of those objects; ``reasoning``: whole paths.
    response_part, response_citation:
        The paths of a part and of a citation in a response.
    """

    settings: Mapping[str, tuple[str, ...]] = {}
    objects: frozenset[str] = frozenset()
    quiet: frozenset[str] = frozenset()
    defaults: Mapping[str, Any] = {}
    served: Mapping[str, str] = {}
    system: str = "system"
    message: str = "messages[]"
    part: str = "messages[].content[]"
    result: str = "messages[].content[].content[]"
    tool: str = "tools[]"
    strict: str = "strict"
    output: str = ""
    cache: tuple[str, ...] = ("cache_control",)
    citations: tuple[str, ...] = ("citations",)
    name: tuple[str, ...] = ("name",)
    detail: tuple[str, ...] = ("detail",)
    context: tuple[str, ...] = ("context",)
    title: tuple[str, ...] = ("title",)
    source: tuple[str, ...] = ("source.content[]",)
    reasoning: tuple[str, ...] = ()
    output_name: tuple[str, ...] = ("name",)
    output_strict: tuple[str, ...] = ("strict",)
    output_description: tuple[str, ...] = ("description",)
    response_part: str = "content[]"
    response_citation: str = "content[].citations[]"


def leaves_nothing_out(_request: Request, _target: EncodeTarget) -> frozenset[str]:
    """For :attr:`Dialect.leaves_out`: the dialect has a form of everything."""
    return frozenset()


def keeps_no_native_part(_part: Reasoning | Opaque, _request: Request, _target: EncodeTarget) -> bool:
    """For :attr:`Dialect.keeps`: the dialect has no parts of its own."""
    return False


class StreamDecoder(Protocol):
    """Converts the frames of one upstream stream to events."""

    def feed(self, frame: Frame) -> list[Event]:
        """The events of one frame. ``Finished`` or ``Failed`` is the last event; later frames are ignored."""
        ...

    def close(self) -> list[Event]:
        """Called when the upstream closed the stream: ``Finished`` or ``Failed`` if neither was returned before, else nothing."""
        ...


class StreamEncoder(Protocol):
    """Converts events to the frames of one client stream."""

    def feed(self, event: Event) -> list[Frame]:
        """The frames of one event, possibly none. ``Finished`` and ``Failed`` return the last ones."""
        ...


class FrameReader(Protocol):
    """Splits a stream of bytes into frames; chunk boundaries may be anywhere."""

    def feed(self, chunk: bytes) -> list[Frame]:
        """The frames that are complete after this chunk."""
        ...

    def close(self) -> list[Frame]:
        """The frames that remain at the end of the stream."""
        ...


class Framing(Protocol):
    """The byte format of a dialect's streams."""

    media_type: str

    def reader(self) -> FrameReader:
        """A new reader for one stream."""
        ...

    def write(self, frame: Frame) -> bytes:
        """The bytes of one frame."""
        ...


class ErrorBody(msgspec.Struct, frozen=True):
    """An error response; ``headers`` without those that all responses have."""

    status: int
    body: bytes
    headers: dict[str, str] = {}


def encode_input_tokens(tokens: int) -> bytes:
    """The body of a response to a token count, in Anthropic's form."""
    return b'{"input_tokens":%d}' % tokens


class Dialect(msgspec.Struct, frozen=True, kw_only=True):
    """One wire protocol.

    name, family:
        ``name`` is stored in the database. ``family`` is shared by dialects that understand each other's native blocks and seals
        (Anthropic and Bedrock).
    title, short_title, letter:
        Names in texts for people: in forms, in the log, in tables of pairs.
    format, input_format:
        Names in the management API: of an upstream's dialect, and of a client's dialect in log rows.
    client, upstream:
        Paths and headers: see :class:`ClientApi` and :class:`UpstreamApi`.
    prompt_shape:
        The fields of a request body that policies edit.
    beta_field:
        The field of a body that lists beta features; empty if there is none.
    binds_seals:
        Who can open a seal: ``upstream``, the account that returned it; ``address``, every upstream with its base URL; empty, everyone.
    path(target):
        The upstream's path (and query) for a request.
    open_request(body):
        The envelope; checks the types of the main fields. Raises ``ClientMistake`` with the path of the invalid field.
    decode_request(envelope, seal_key) / encode_fields(request, target):
        Both raise ``ClientMistake``: ``decode`` for an invalid request, ``encode`` for content that the dialect does not have.
        ``encode`` expects an adapted request and returns the fields of the body.
    places, leaves_out(request, target), keeps(part, request, target):
        For the list of what a translation drops: the names in a client's body; the features that the encoder has no form of (fields of
        ``Places``, some with a value after a dot; ``late_system``: system messages as such); whether it sends a reasoning part or a
        vendor's own part as it came.
    patch_request(envelope, target, seal_key):
        The client's body for an upstream of the same dialect: replaces the model name and the switches for streaming and usage, and
        removes pxbin's carriers. All other fields keep their bytes.
    accepts_sampling(target, fields):
        Whether ``temperature``, ``top_p`` and ``top_k`` may be added to a body for ``target``; ``fields``: those of a client's body that
        is forwarded.
    decode_response(body, quirks) / encode_response(response, context) / patch_response(body, model):
        ``decode`` raises ``UpstreamFailed`` if the body of a 200 is an error object or invalid. ``patch`` replaces only the model name.
    mend_response(body, response, context):
        The body of a whole response of the same dialect, without mistakes that clients cannot work with; ``None``: it is forwarded.
    decoder(quirks) / encoder(context):
        A new converter for one stream.
    relay(model, hide_usage):
        For streams of the same dialect: a function from the upstream's frame to the client's, or to ``None`` for a frame that is not
        forwarded. ``model``: the name in the client's request, or ``None`` if it is the remote name.
    break_off(failure, frames_sent):
        The frames that end a relayed stream after a failure. ``frames_sent``: from this, Responses derives the next sequence number.
    decode_error(status, headers, body) / encode_error(failure, request_id):
        Non-2xx responses. ``decode`` accepts any body, also HTML and an empty one.
    stream_of_choices(body, quirks, context) / response_of_choices(frames, quirks, context):
        A whole response of the same dialect as a stream, and the other way round, if it has several choices, which the canonical form
        does not have; ``None`` for any other response. The fields are ``None`` for dialects without choices.
    keepalive:
        Bytes that clients ignore, sent while a stream is idle.
    ending:
        Frames that are appended to a relayed stream that is complete except for them.
    last_events:
        Names of the events after which clients may close the connection.
    answer_headers(usage):
        Response headers that only this dialect has, with lower-case names; ``usage`` is ``None`` while it is unknown.
    encode_count(tokens):
        The body of a response to a token count.
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
    binds_seals: Literal["", "upstream", "address"] = ""
    traits: Traits
    framing: Framing
    path: Callable[[EncodeTarget], str]
    open_request: Callable[[bytes], Envelope]
    decode_request: Callable[[Envelope, bytes], Request]
    encode_fields: Callable[[Request, EncodeTarget], dict[str, Any]]
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
    places: Places = Places()
    leaves_out: Callable[[Request, EncodeTarget], frozenset[str]] = leaves_nothing_out
    keeps: Callable[[Reasoning | Opaque, Request, EncodeTarget], bool] = keeps_no_native_part
    accepts_sampling: Callable[[EncodeTarget, Mapping[str, msgspec.Raw]], bool] = accepts_sampling_by_quirk
    mend_response: Callable[[bytes, Response, EncodeContext], bytes] | None = None
    stream_of_choices: Callable[[bytes, Quirks, EncodeContext], list[Frame] | None] | None = None
    response_of_choices: Callable[[list[Frame], Quirks, EncodeContext], bytes | None] | None = None
    keepalive: bytes = b": keep-alive\n\n"
    ending: tuple[Frame, ...] = ()
    last_events: frozenset[str] = frozenset()
    answer_headers: Callable[[Usage | None], Mapping[str, str]] | None = None
    encode_count: Callable[[int], bytes] = encode_input_tokens

    def encode_request(self, request: Request, target: EncodeTarget) -> bytes:
        """The body with the fields of ``encode_fields``."""
        return json_wire.encode(self.encode_fields(request, target))

    def open_for_model(self, body: bytes, model: str) -> Envelope:
        """The envelope of a body for the dialect's first endpoint, whose path may contain ``model``."""
        open_request = self.client.endpoints[0].open_request
        return self.open_request(body) if open_request is None else open_request(body, {"model": model})


def error_object(body: bytes) -> Any:
    """The JSON value of an upstream's error body; ``None`` for HTML, an empty body and truncated JSON."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


class _Kind(msgspec.Struct):
    type: str = ""


_KIND = msgspec.json.Decoder(_Kind)


def with_event_name(frame: Frame) -> Frame:
    """The frame with an ``event:`` line, taken from ``type`` in the JSON if the server omitted it: SDKs ignore or reject frames without."""
    if frame.event:
        return frame
    try:
        return Frame(frame.data, _KIND.decode(frame.data).type)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return frame
