"""Reading JSON bodies: one decode, typed, with the path of what is wrong.

msgspec validates while it decodes and names the path of a mistake; it also rejects lone surrogates (which JSON.stringify
produces from broken emoji) and raises ``RecursionError`` and ``UnicodeDecodeError`` of its own accord. All of them become a
:class:`ClientMistake` here, except that a lone surrogate is replaced by U+FFFD and the body read once more.
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
    """A request's top level: every field still as the client wrote it, and the three facts that routing needs."""

    fields: dict[str, msgspec.Raw]
    model: str
    stream: bool = False


def decode(body: bytes | msgspec.Raw, decoder: msgspec.json.Decoder[T], *, at: str = "") -> T:
    """Decode with a typed decoder; ``at`` is the path of ``body`` in the client's request.

    Raises :class:`ClientMistake` with the path of the offending field in ``param``.
    """
    try:
        return _decode(body, decoder)
    except msgspec.ValidationError as error:
        message, path = _located(error, at)
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
        # msgspec calls a lone surrogate "invalid" or, at the end of a string, "truncated": so the repair itself tells.
        mended_body = repaired(bytes(body))
        if mended_body == bytes(body):
            raise
        return decoder.decode(mended_body)


def repaired(body: bytes) -> bytes:
    """JSON with its lone surrogates replaced by U+FFFD."""
    return _ESCAPE.sub(_mend, body)


def _mend(match: re.Match[bytes]) -> bytes:
    escape = match[0]
    lone = len(escape) == 6 and escape[1:2] == b"u" and escape[2:3] in b"dD" and escape[3:4] in b"89aAbBcCdDeEfF"
    return b"\\ufffd" if lone else escape


def _located(error: msgspec.ValidationError, at: str) -> tuple[str, str]:
    """The words of a validation error, and where: ``$.messages[0].content`` becomes ``messages.0.content`` below ``at``."""
    text = str(error)
    match = _PATH.search(text)
    words, path = text if match is None else text[: match.start()], at
    if match is not None:
        steps = match["path"].removeprefix("$").replace("[...]", "").replace("[", ".").replace("]", "").strip(".")
        path = f"{at}.{steps}".strip(".")
    missing = _MISSING.fullmatch(words)
    if missing is not None:
        return "Field required", f"{path}.{missing['name']}".strip(".")
    return words, path


def open_object(body: bytes) -> dict[str, msgspec.Raw]:
    """The fields of a JSON object, undecoded; raises :class:`ClientMistake` for anything else."""
    if not body.strip():
        raise ClientMistake("The request body is empty; a JSON object is expected")
    return decode(body, _MAP_DECODER)


def encode(value: Any) -> bytes:
    """Compact JSON bytes of plain values, structs and raw fragments; keys keep their order."""
    return msgspec.json.encode(value)


def compact(raw: bytes | msgspec.Raw) -> str:
    """JSON text without insignificant white space, its characters as themselves; key order and numbers stay as written.

    A model that reads the text again should see words, not the escapes that some clients write for every letter outside
    ASCII.
    """
    text = msgspec.json.format(bytes(raw), indent=-1).decode()
    return _UNICODE_ESCAPE.sub(_plain, text) if "\\u" in text else text


def _plain(match: re.Match[str]) -> str:
    escape = match[0]
    if escape[1] != "u":
        return escape
    character = mended(escape)
    return escape if character < " " or character in _ALWAYS_ESCAPED else character


def mended(inside: str) -> str:
    """The text of a JSON string's inside (without its quotes), lone surrogates replaced by U+FFFD."""
    return str(_decode(b'"' + inside.encode() + b'"', _STRING_DECODER))
