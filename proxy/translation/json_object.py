"""The top level of a request's JSON body: its fields, opened so that no other parser reads another model than pxbin.

Parsers differ in keys that occur twice, and Go's compares keys without case (``strings.EqualFold``, in which U+017F is an ``s`` and
U+212A a ``k``). A body in which ``model`` has a second spelling is therefore refused; so is one that is not UTF-8.
"""

from __future__ import annotations

import msgspec

from proxy.translation import json_wire
from proxy.translation.errors import ClientMistake
from proxy.translation.lone_surrogates import replace_lone_surrogates

MAX_FIELDS = 1_000
"""The most top-level fields of a request. APIs have less than a hundred; a million of them would take a second to decode."""
SINGLE_FIELDS = ("model", "models", "fallbacks")
"""The fields that name models: each may occur once, in this spelling only."""


class OpenedObject(msgspec.Struct, frozen=True):
    """A JSON object. ``body``: its bytes without lone surrogates; ``repeats``: some key occurs twice, the last value counts."""

    fields: dict[str, msgspec.Raw]
    body: bytes
    repeats: bool


class _Key:
    """A key in the order of the text; equal ones stay apart."""


_KEYS = tuple(_Key() for _ in range(MAX_FIELDS))


class _KeyDecoder:
    """Notes the keys of an object in ``names`` and bounds their number while they are decoded. Making one takes longer than its work."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._decoder = msgspec.json.Decoder(dict[_Key, msgspec.Raw], dec_hook=self._note)

    def _note(self, _type: type, name: str) -> _Key:
        names = self.names
        if len(names) == MAX_FIELDS:
            raise ClientMistake(f"The request has more than {MAX_FIELDS} top-level fields")
        names.append(name)
        return _KEYS[len(names) - 1]

    def decode(self, body: bytes | msgspec.Raw, /) -> dict[_Key, msgspec.Raw]:
        """The values of an object in the order of :attr:`names`."""
        self.names = []
        return self._decoder.decode(body)


_idle_decoders: list[_KeyDecoder] = []
"""Bodies are opened in several threads; each takes a decoder from here."""


def open_body(body: bytes) -> OpenedObject:
    """Open a JSON object; raises :class:`ClientMistake` for any other body, and for a second spelling of ``model``."""
    if not body or body.isspace():
        raise ClientMistake("The request body is empty; a JSON object is expected")
    try:
        decoder = _idle_decoders.pop()
    except IndexError:
        decoder = _KeyDecoder()
    try:
        return _open(body, decoder)
    finally:
        decoder.names = []
        _idle_decoders.append(decoder)


def _open(body: bytes, decoder: _KeyDecoder) -> OpenedObject:
    opened = body
    if not _is_utf8(body):
        raise _not_utf8(body, decoder)
    try:
        values = decoder.decode(body)
    except msgspec.ValidationError:
        raise ClientMistake("The request body must be a JSON object") from None
    except msgspec.DecodeError:
        opened = replace_lone_surrogates(body)
        values = json_wire.decode(opened, decoder)
    except RecursionError:
        raise ClientMistake("The request is nested too deeply") from None
    names = decoder.names
    fields = dict(zip(names, values.values(), strict=True))
    repeats = len(fields) != len(names)
    _check_spelling(names)
    return OpenedObject(fields, opened, repeats)


def open_object(body: bytes) -> dict[str, msgspec.Raw]:
    """The undecoded fields of a JSON object; raises as :func:`open_body`."""
    return open_body(body).fields


def _check_spelling(names: list[str]) -> None:
    for name in names:
        field = name.strip().casefold()
        if field not in SINGLE_FIELDS:
            continue
        if name != field:
            raise ClientMistake(f"{name[:40]}: the field is spelled {field}", param=field)
        if names.count(field) > 1:
            raise ClientMistake(f"{field}: the field occurs twice", param=field)


def _is_utf8(text: bytes) -> bool:
    if text.isascii():
        return True
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _not_utf8(body: bytes, decoder: _KeyDecoder) -> ClientMistake:
    """The error for a body that is not UTF-8, with the field if only a value is at fault."""
    try:
        values = decoder.decode(body).values()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ClientMistake("The request body is not valid UTF-8")
    for name, value in zip(decoder.names, values, strict=True):
        if not _is_utf8(bytes(value)):
            return ClientMistake(f"{name}: the text is not valid UTF-8", param=name)
    return ClientMistake("The request body is not valid UTF-8")
