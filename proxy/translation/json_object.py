"""The top level of a request's JSON body: its fields, opened so that no other parser reads another model than pxbin.

Parsers differ in keys that occur twice, and Go's compares keys without case (``strings.EqualFold``, in which U+017F is an ``s`` and
U+212A a ``k``). A body in which ``model`` has a second spelling is therefore refused; so is one that is not UTF-8.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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


def open_body(body: bytes) -> OpenedObject:
    """Open a JSON object; raises :class:`ClientMistake` for any other body, and for a second spelling of ``model``."""
    if not body or body.isspace():
        raise ClientMistake("The request body is empty; a JSON object is expected")
    names: list[str] = []
    decoder = msgspec.json.Decoder(dict[_Key, msgspec.Raw], dec_hook=_collector(names))
    opened = body
    if not _is_utf8(body):
        raise _not_utf8(body)
    try:
        values = decoder.decode(body)
    except msgspec.ValidationError:
        raise ClientMistake("The request body must be a JSON object") from None
    except msgspec.DecodeError:
        opened = replace_lone_surrogates(body)
        names.clear()
        values = json_wire.decode(opened, decoder)
    except RecursionError:
        raise ClientMistake("The request is nested too deeply") from None
    fields = dict(zip(names, values.values(), strict=True))
    repeats = len(fields) != len(names)
    _check_spelling(names)
    return OpenedObject(fields, opened, repeats)


def open_object(body: bytes) -> dict[str, msgspec.Raw]:
    """The undecoded fields of a JSON object; raises as :func:`open_body`."""
    return open_body(body).fields


def _collector(names: list[str]) -> Callable[[type, Any], Any]:
    """A function that msgspec calls with each key; it bounds their number while they are decoded."""

    def collect(_type: type, name: str) -> _Key:
        if len(names) == MAX_FIELDS:
            raise ClientMistake(f"The request has more than {MAX_FIELDS} top-level fields")
        names.append(name)
        return _Key()

    return collect


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


def _not_utf8(body: bytes) -> ClientMistake:
    """The error for a body that is not UTF-8, with the field if only a value is at fault."""
    names: list[str] = []
    try:
        values = msgspec.json.Decoder(dict[_Key, msgspec.Raw], dec_hook=_collector(names)).decode(body).values()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ClientMistake("The request body is not valid UTF-8")
    for name, value in zip(names, values, strict=True):
        if not _is_utf8(bytes(value)):
            return ClientMistake(f"{name}: the text is not valid UTF-8", param=name)
    return ClientMistake("The request body is not valid UTF-8")
