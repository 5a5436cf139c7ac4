"""JSON bodies: typed decoding that reports the path of an invalid field, and encoding.

msgspec validates while it decodes. It raises ``ValidationError`` with a path, ``DecodeError``, ``UnicodeDecodeError`` and
``RecursionError``; all of them become a :class:`ClientMistake` here. It also refuses lone surrogates, which ``JSON.stringify``
produces from a cut emoji: they are replaced by U+FFFD, and the body is decoded once more.
"""

from __future__ import annotations

import re
from typing import Any, TypeVar

import msgspec

from proxy.translation.errors import ClientMistake

T = TypeVar("T")

_ESCAPE = re.compile(rb"\\(?:u[dD][89aAbB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[dD][89a-fA-F][0-9a-fA-F]{2}|.)", re.DOTALL)
_UNICODE_ESCAPE = re.compile(r"\\(?:u[dD][89aAbB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|.)")
_ALWAYS_ESCAPED = '"\\'
_PATH = re.compile(r" - at `(?P<path>[^`]*)`$")
_MISSING = re.compile(r"Object missing required field `(?P<name>[^`]*)`")
_MAP_DECODER = msgspec.json.Decoder(dict[str, msgspec.Raw])
_STRING_DECODER = msgspec.json.Decoder(str)


class Envelope(msgspec.Struct, frozen=True):
    """The top level of a request: its undecoded fields, and the model and ``stream`` for routing."""

    fields: dict[str, msgspec.Raw]
    model: str
    stream: bool = False


def decode(body: bytes | msgspec.Raw, decoder: msgspec.json.Decoder[T], *, at: str = "") -> T:
    """Decode with a typed decoder. ``at``: the path of ``body`` in the client's request.

    Raises :class:`ClientMistake` with the path of the invalid field in ``param``.
    """
    try:
        return _decode(body, decoder)
    except msgspec.ValidationError as error:
        message, path = _locate(error, at)
        raise ClientMistake(f"{path}: {message}" if path else message, param=path or None) from None
    except RecursionError:
        raise ClientMistake("The request is nested too deeply", param=at or None) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ClientMistake(f"The request body is not valid JSON: {error}", param=at or None) from None


def _decode(body: bytes | msgspec.Raw, decoder: msgspec.json.Decoder[T]) -> T:
    try:
        return decoder.decode(body)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        # msgspec reports a lone surrogate as "invalid" or, at the end of a string, as "truncated". Whether there is one shows
        # in the repair: it changes the body.
        repaired_body = repaired(bytes(body))
        if repaired_body == bytes(body):
            raise
        return decoder.decode(repaired_body)


def repaired(body: bytes) -> bytes:
    """The JSON with every escaped lone surrogate replaced by U+FFFD."""
    return _ESCAPE.sub(_replace_lone_surrogate, body)


def _replace_lone_surrogate(match: re.Match[bytes]) -> bytes:
    escape = match[0]
    lone = len(escape) == 6 and escape[1:2] == b"u" and escape[2:3] in b"dD" and escape[3:4] in b"89aAbBcCdDeEfF"
    return b"\\ufffd" if lone else escape


def _locate(error: msgspec.ValidationError, at: str) -> tuple[str, str]:
    """Message and path of a validation error. ``$.messages[0].content`` becomes ``messages.0.content``, after ``at``."""
    text = str(error)
    match = _PATH.search(text)
    message, path = text if match is None else text[: match.start()], at
    if match is not None:
        steps = match["path"].removeprefix("$").replace("[...]", "").replace("[", ".").replace("]", "").strip(".")
        path = f"{at}.{steps}".strip(".")
    missing = _MISSING.fullmatch(message)
    if missing is not None:
        return "Field required", f"{path}.{missing['name']}".strip(".")
    return message, path


def open_object(body: bytes) -> dict[str, msgspec.Raw]:
    """The undecoded fields of a JSON object. Raises :class:`ClientMistake` for any other body."""
    if not body.strip():
        raise ClientMistake("The request body is empty; a JSON object is expected")
    return decode(body, _MAP_DECODER)


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


def _unescape(match: re.Match[str]) -> str:
    escape = match[0]
    if escape[1] != "u":
        return escape
    character = mended(escape)
    return escape if character < " " or character in _ALWAYS_ESCAPED else character


def mended(inside: str) -> str:
    """The text of a JSON string without its quotes. Lone surrogates become U+FFFD."""
    return str(_decode(b'"' + inside.encode() + b'"', _STRING_DECODER))
