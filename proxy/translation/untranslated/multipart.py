"""Forms (``multipart/form-data``, RFC 7578): split into parts without copying, with the model replaced.

Boundary, parts and headers keep their bytes. Nothing is written to disk. A form in which another parser may find other parts, or
another ``model``, is refused: the boundary occurs only as a delimiter, and headers are read by
:mod:`proxy.translation.untranslated.part_headers`.
"""

from __future__ import annotations

import re

import msgspec

from proxy.translation.errors import ClientMistake
from proxy.translation.untranslated.part_headers import PartHeaders, parse_parameters, parse_part_headers

FORM = "multipart/form-data"
MODEL = "model"
MAX_PARTS = 256
MAX_HEADER_BYTES = 8_192
"""The most bytes that the headers of one part may have."""
_BOUNDARY = re.compile(r"[\x20-\x5b\x5d-\x7e]{0,199}[\x21-\x5b\x5d-\x7e]")
"""Printable ASCII without the backslash, which parsers read differently in a quoted value."""


class Part(msgspec.Struct, frozen=True):
    """A part of a form. ``begin`` and ``end``: offsets of its content in the body."""

    name: str
    is_file: bool
    begin: int
    end: int


class Form:
    """A ``multipart/form-data`` body. Raises :class:`~proxy.translation.errors.ClientMistake` for any other body."""

    def __init__(self, body: bytes, content_type: str) -> None:
        self.body = body
        self.parts = _split(body, _boundary(content_type))

    def texts(self, name: str) -> list[str]:
        """The values of all plain fields with this name."""
        values = [self.body[part.begin : part.end] for part in self.parts if part.name == name and not part.is_file]
        try:
            return [value.decode() for value in values]
        except UnicodeDecodeError:
            raise ClientMistake(f"{name}: the text is not valid UTF-8", param=name) from None

    def text(self, name: str) -> str | None:
        """The value of the last plain field with this name."""
        values = self.texts(name)
        return values[-1] if values else None

    def has_file(self, name: str) -> bool:
        """Whether the form has a file in this field."""
        return any(part.name == name and part.is_file for part in self.parts)

    def with_model(self, model: str) -> bytes:
        """The body with another value of the field ``model``."""
        pieces, done = [], 0
        for part in self.parts:
            if part.name == MODEL and not part.is_file:
                pieces += [self.body[done : part.begin], model.encode()]
                done = part.end
        return b"".join([*pieces, self.body[done:]])


def _boundary(content_type: str) -> bytes:
    """The boundary, which must be named once and plainly: parsers differ in what they make of ``boundary*`` and of a second one."""
    kind, _, rest = content_type.partition(";")
    parameters = parse_parameters(";" + rest) if kind.strip().lower() == FORM else None
    boundaries = [value for name, value in parameters or () if name.startswith("boundary")]
    if len(boundaries) != 1 or ("boundary", boundaries[0]) not in (parameters or ()) or not _BOUNDARY.fullmatch(boundaries[0]):
        raise ClientMistake("The body must be multipart/form-data, and its content type must name the boundary")
    return boundaries[0].encode("ascii")


def _split(body: bytes, boundary: bytes) -> list[Part]:
    """The parts between the delimiters. Bytes before the first and after the last delimiter are ignored (RFC 2046)."""
    opening = b"--" + boundary
    place = 0 if body.startswith(opening) else body.find(b"\r\n" + opening) + 2
    if place == 1:
        raise ClientMistake("The form has no parts: its boundary does not occur in the body")
    first, parts = place, list[Part]()
    delimiter = b"\r\n" + opening
    while True:
        place += len(opening)
        if body.startswith(b"--", place):
            break
        line = body.find(b"\r\n", place)
        following = body.find(delimiter, line) if line >= 0 else -1
        if following < 0 or body[place:line].strip(b" \t"):
            raise ClientMistake("The form is not complete: it has no closing boundary")
        if len(parts) == MAX_PARTS:
            raise ClientMistake(f"The form has more than {MAX_PARTS} parts")
        parts.append(_part(body, line, following))
        place = following + 2
    if body.count(opening) != len(parts) + 1 or opening in body[:first]:
        raise ClientMistake("The form has its boundary inside a part, or before or after its parts")
    _check_model(parts)
    return parts


def names_model(name: str) -> bool:
    """Whether some parser of forms and queries takes a name for ``model``: in another case, with brackets, with a NUL."""
    return name.replace("\0", "").strip().casefold().partition("[")[0].strip() == MODEL


def _check_model(parts: list[Part]) -> None:
    if sum(part.name == MODEL for part in parts) > 1:
        raise ClientMistake("model: the field occurs twice", param=MODEL)
    for part in parts:
        if part.name != MODEL and names_model(part.name):
            raise ClientMistake(f"{part.name}: the field is spelled {MODEL}", param=MODEL)


def _part(body: bytes, line: int, end: int) -> Part:
    """One part; its headers begin after the line end at offset ``line``."""
    if body.startswith(b"\r\n", line + 2):
        raise ClientMistake("A part of the form has no Content-Disposition")
    blank = body.find(b"\r\n\r\n", line, min(end + 2, line + MAX_HEADER_BYTES))
    if blank < 0:
        raise ClientMistake(f"The headers of a part of the form do not end, or have more than {MAX_HEADER_BYTES} bytes")
    headers = parse_part_headers(body[line + 2 : blank])
    if headers.name == MODEL:
        _check_plain_text(headers)
    return Part(headers.name, headers.is_file, blank + 4, max(blank + 4, end))


def _check_plain_text(headers: PartHeaders) -> None:
    """Refuse a model that some parsers take for a file, or decode."""
    if headers.is_file:
        raise ClientMistake("model: the field must be text; it has a filename", param=MODEL)
    if not headers.is_plain_text:
        raise ClientMistake("model: the field must be text in UTF-8 without a transfer encoding", param=MODEL)
