"""Amazon event streams: bytes to frames and frames to bytes (``application/vnd.amazon.eventstream``, docs/wire-formats.md, section 4).

One frame, all numbers big-endian::

    total length u32 · headers length u32 · crc32 of these eight bytes u32
    headers: (name length u8 · name · type u8 · value)*        type 7, a string: length u16 · bytes
    payload
    crc32 of everything before u32

Bedrock sends each event of a model as the payload ``{"bytes": base64}`` of a ``chunk``. An exception has its name in the header
``:exception-type`` and the payload ``{"message"}``. Reads may split frames anywhere. A frame with a wrong length or checksum ends
the stream with one exception, because the start of the next frame is unknown.
"""

from __future__ import annotations

import functools
import struct
import zlib

import msgspec

from proxy.translation.framing.sse import Frame

MEDIA_TYPE = "application/vnd.amazon.eventstream"
CHUNK = "chunk"
"""The event name of frames that carry an event of the model; any other name is an exception or an error."""
BROKEN = Frame(b'{"message":"The event stream is damaged"}', "modelStreamErrorException")
"""The exception that ends a damaged or cut stream."""

_PRELUDE = struct.Struct(">III")
_CRC = struct.Struct(">I")
_U16 = struct.Struct(">H")
_MIN_FRAME = _PRELUDE.size + _CRC.size
_MAX_FRAME = 32 * 1024 * 1024
_FIXED_SIZES = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
"""Bytes of a header value by type: booleans, integers, timestamp, UUID. Types 6 and 7 (bytes, string) have a length field."""
_STRING = 7
_TYPES_WITH_LENGTH = (6, _STRING)


class _Chunk(msgspec.Struct):
    event: bytes = msgspec.field(name="bytes")
    """Base64 on the wire."""


class _Message(msgspec.Struct):
    message: str


_CHUNK = msgspec.json.Decoder(_Chunk)


class _DamagedError(Exception):
    """A frame whose lengths or checksums are wrong, or a chunk without a valid payload."""


class EventStreamReader:
    """A :class:`~proxy.translation.dialects.base.FrameReader`. ``is_named``: see :class:`NamedEventStream`."""

    def __init__(self, *, is_named: bool = False) -> None:
        self._buffer = bytearray()
        self._broken = False
        self._is_named = is_named

    def feed(self, chunk: bytes) -> list[Frame]:
        """The completed frames: a ``chunk`` has the JSON of a model's event as data, an exception has ``{"message"}``."""
        if self._broken:
            return []
        self._buffer += chunk
        frames: list[Frame] = []
        try:
            while (size := self._complete_size()) > 0:
                message = bytes(self._buffer[:size])
                del self._buffer[:size]
                frame = _frame(message, is_named=self._is_named)
                if frame is not None:
                    frames.append(frame)
        except _DamagedError:
            self._broken = True
            frames.append(BROKEN)
        return frames

    def close(self) -> list[Frame]:
        """:data:`BROKEN` if the last frame is incomplete."""
        if self._broken or not self._buffer:
            return []
        self._broken = True
        return [BROKEN]

    def _complete_size(self) -> int:
        """Bytes of the first frame in the buffer, 0 if it is incomplete."""
        if len(self._buffer) < _PRELUDE.size:
            return 0
        total, headers, crc = _PRELUDE.unpack_from(self._buffer)
        if zlib.crc32(self._buffer[:8]) != crc or not _MIN_FRAME + headers <= total <= _MAX_FRAME:
            raise _DamagedError
        return total if len(self._buffer) >= total else 0


def _frame(message: bytes, *, is_named: bool) -> Frame | None:
    """The frame in a complete message; ``None`` for events other than ``chunk``, unless the stream's events have names."""
    if zlib.crc32(message[:-4]) != _CRC.unpack_from(message, len(message) - 4)[0]:
        raise _DamagedError
    headers_end = _PRELUDE.size + _PRELUDE.unpack_from(message)[1]
    headers = _headers(message[_PRELUDE.size : headers_end])
    payload = message[headers_end:-4]
    kind = headers.get(":message-type", "")
    if kind == "exception":
        return Frame(payload, headers.get(":exception-type", BROKEN.event))
    if kind == "error":
        return Frame(_encode_message(headers.get(":error-message", "")), headers.get(":error-code", BROKEN.event))
    if is_named:
        return Frame(payload, headers.get(":event-type", ""))
    if headers.get(":event-type") != CHUNK:
        return None
    try:
        return Frame(_CHUNK.decode(payload).event, CHUNK)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise _DamagedError from None


def _headers(data: bytes) -> dict[str, str]:
    """The string headers by name; values of other types are skipped."""
    headers: dict[str, str] = {}
    position = 0
    try:
        while position < len(data):
            start = position + 1
            position = start + data[position]
            name, kind = data[start:position].decode(), data[position]
            position += 1
            if kind in _TYPES_WITH_LENGTH:
                size = _U16.unpack_from(data, position)[0]
                position += 2
            else:
                size = _FIXED_SIZES[kind]
            value = data[position : position + size]
            position += size
            if kind == _STRING:
                headers[name] = value.decode()
    except (IndexError, KeyError, struct.error, UnicodeDecodeError):
        raise _DamagedError from None
    if position != len(data):
        raise _DamagedError
    return headers


def _encode_message(message: str) -> bytes:
    return msgspec.json.encode(_Message(message))


def _header(name: str, value: str) -> bytes:
    encoded_name, encoded = name.encode(), value.encode()
    return b"%c%b%c%b%b" % (len(encoded_name), encoded_name, _STRING, _U16.pack(len(encoded)), encoded)


_JSON_TYPE = _header(":content-type", "application/json")
_CHUNK_HEADERS = _header(":event-type", CHUNK) + _JSON_TYPE + _header(":message-type", "event")


def write(frame: Frame) -> bytes:
    """The bytes of one frame. A frame that is not named ``chunk`` becomes an exception of that name."""
    if frame.event == CHUNK:
        return _message(_CHUNK_HEADERS, msgspec.json.encode(_Chunk(frame.data)))
    return _exception(frame)


def _exception(frame: Frame) -> bytes:
    headers = _header(":exception-type", frame.event) + _JSON_TYPE + _header(":message-type", "exception")
    return _message(headers, frame.data)


def is_exception(name: str) -> bool:
    """Whether the name of a frame is that of an exception, and not of an event."""
    return name.endswith(("Exception", "Error"))


@functools.lru_cache(maxsize=64)
def _event_headers(name: str) -> bytes:
    return _header(":event-type", name) + _JSON_TYPE + _header(":message-type", "event")


def write_named(frame: Frame) -> bytes:
    """The bytes of one frame whose name is that of its event or exception."""
    return _exception(frame) if is_exception(frame.event) else _message(_event_headers(frame.event), frame.data)


def _message(headers: bytes, payload: bytes) -> bytes:
    lengths = struct.pack(">II", _MIN_FRAME + len(headers) + len(payload), len(headers))
    message = b"%b%b%b%b" % (lengths, _CRC.pack(zlib.crc32(lengths)), headers, payload)
    return message + _CRC.pack(zlib.crc32(message))


class EventStream:
    """A :class:`~proxy.translation.dialects.base.Framing`."""

    media_type = MEDIA_TYPE

    def reader(self) -> EventStreamReader:
        return EventStreamReader()

    def write(self, frame: Frame) -> bytes:
        return write(frame)


class NamedEventStream:
    """A :class:`~proxy.translation.dialects.base.Framing` in which the type of an event is its name, and the payload its JSON."""

    media_type = MEDIA_TYPE

    def reader(self) -> EventStreamReader:
        return EventStreamReader(is_named=True)

    def write(self, frame: Frame) -> bytes:
        return write_named(frame)


EVENT_STREAM = EventStream()
NAMED_EVENT_STREAM = NamedEventStream()
