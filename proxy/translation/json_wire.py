"""JSON bodies: typed decoding that reports the path of an invalid field, and encoding.

msgspec validates while it decodes. It raises ``ValidationError`` with a path, ``DecodeError``, ``UnicodeDecodeError`` and
``RecursionError``; all of them become a :class:`ClientMistake` here. It also refuses lone surrogates, which ``JSON.stringify``
produces from a cut emoji: they are replaced by U+FFFD (:mod:`proxy.translation.lone_surrogates`), and the body is decoded once more.
Bodies of requests are opened in :mod:`proxy.translation.json_object`.
"""

from __future__ import annotations

import re
from typing import Any, Protocol, TypeVar

import msgspec

from proxy.translation.errors import ClientMistake
from proxy.translation.lone_surrogates import replace_lone_surrogates
from proxy.translation.type_errors import explain

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_UNICODE_ESCAPE = re.compile(r"\\(?:u[dD][89aAbB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|.)")
_ALWAYS_ESCAPED = '"\\'
_BYTE = re.compile(r"\(byte (?P<offset>\d+)\)$")
_VALUE_DECODER = msgspec.json.Decoder()
_STRING_DECODER = msgspec.json.Decoder(str)


class Decoder(Protocol[T_co]):
    """A typed decoder, such as `msgspec.json.Decoder`."""

    def decode(self, body: bytes | msgspec.Raw, /) -> T_co:
        """The value. Raises as those of msgspec do."""
        ...


class Envelope(msgspec.Struct, frozen=True):
    """The top level of a request: its undecoded fields, and the model and ``stream`` for routing.

    ``is_foreign``: the body has forms of another dialect, so that it is translated for upstreams of its own dialect, too.
    """

    fields: dict[str, msgspec.Raw]
    model: str
    stream: bool = False
    is_foreign: bool = False


def decode(body: bytes | msgspec.Raw, decoder: Decoder[T], *, at: str = "") -> T:
    """Decode with a typed decoder. ``at``: the path of ``body`` in the client's request.

    Raises :class:`ClientMistake` with the path of the invalid field in ``param``.
    """
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _decode_with_repair(body, decoder, at)


def _decode_with_repair(body: bytes | msgspec.Raw, decoder: Decoder[T], at: str) -> T:
    try:
        return _decode(body, decoder)
    except msgspec.ValidationError as error:
        message, steps = explain(error)
        path = f"{at}.{steps}".strip(".")
        raise ClientMistake(f"{path}: {message}" if path else message, param=path or None) from None
    except RecursionError:
        raise ClientMistake("The request is nested too deeply", param=at or None) from None
    except UnicodeDecodeError:
        raise ClientMistake(f"{at or 'The request body'}: the text is not valid UTF-8", param=at or None) from None
    except msgspec.DecodeError as error:
        raise ClientMistake(_malformed(error, at), param=at or None) from None


def _malformed(error: msgspec.DecodeError, at: str) -> str:
    """The message for a text that is not JSON: where it stops being JSON, as an offset in bytes."""
    offset = _BYTE.search(str(error))
    place = "it ends too early" if offset is None else f"invalid at byte {offset['offset']}"
    return f"{at}: the value is not valid JSON: {place}" if at else f"The request body is not valid JSON: {place}"


def decode_value(body: bytes | msgspec.Raw, *, at: str) -> Any:
    """Any JSON value as plain Python values; raises as :func:`decode`, also for a number that no float can hold."""
    return decode(body, _VALUE_DECODER, at=at)


def _decode(body: bytes | msgspec.Raw, decoder: Decoder[T]) -> T:
    try:
        return decoder.decode(body)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        # msgspec reports a lone surrogate as "invalid" or, at the end of a string, as "truncated". Whether there is one shows
        # in the repair: it changes the body.
        repaired = replace_lone_surrogates(bytes(body))
        if repaired == bytes(body):
            raise
        return decoder.decode(repaired)


def encode(value: Any) -> bytes:
    """Compact JSON of plain values, structs and raw fragments. Keys keep their order."""
    return msgspec.json.encode(value)


def compact(raw: bytes | msgspec.Raw) -> str:
    """JSON text without insignificant white space and without escapes that JSON does not require.

    Key order and numbers stay as written. Some clients escape every letter outside ASCII; a model that reads the text should
    get the letters.
    """
    text = msgspec.json.format(bytes(raw), indent=-1).decode()
    return _UNICODE_ESCAPE.sub(_unescape, text) if "\\u" in text else text


def compact_object(raw: msgspec.Raw, *, at: str) -> str:
    """:func:`compact` of an object; ``{}`` for an absent field and for ``null``. Raises :class:`ClientMistake` for another value."""
    if not raw or bytes(raw) == b"null":
        return "{}"
    try:
        text = compact(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ClientMistake(f"{at}: not valid JSON: {error}", param=at) from None
    if not text.startswith("{"):
        raise ClientMistake(f"{at}: must be an object", param=at)
    return text


def _unescape(match: re.Match[str]) -> str:
    escape = match[0]
    if escape[1] != "u":
        return escape
    character = decode_string_content(escape)
    return escape if character < " " or character in _ALWAYS_ESCAPED else character


def decode_string_content(inside: str) -> str:
    """The text of a JSON string without its quotes. Lone surrogates become U+FFFD."""
    return str(_decode(b'"' + inside.encode() + b'"', _STRING_DECODER))
