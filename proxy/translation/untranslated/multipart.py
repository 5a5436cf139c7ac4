"""Forms (``multipart/form-data``, RFC 7578): split into parts without copying, with the model replaced.

Boundary, parts and headers keep their bytes. Nothing is written to disk.
"""

from __future__ import annotations

import re
from email.message import Message

import msgspec

from proxy.translation.errors import ClientMistake

FORM = "multipart/form-data"
MAX_PARTS = 256
_BOUNDARY = re.compile(r"[\x20-\x7e]{0,199}[\x21-\x7e]")


class Part(msgspec.Struct, frozen=True):
    """A part of a form. ``begin`` and ``end``: offsets of its content in the body; ``filename`` is None for plain fields."""

    name: str
    filename: str | None
    begin: int
    end: int


class Form:
    """A ``multipart/form-data`` body. Raises :class:`~proxy.translation.errors.ClientMistake` for any other body."""

    def __init__(self, body: bytes, content_type: str) -> None:
        self.body = body
        self.parts = _split(body, _boundary(content_type))

    def texts(self, name: str) -> list[str]:
        """The values of all plain fields with this name."""
        values = [self.body[part.begin : part.end] for part in self.parts if part.name == name and part.filename is None]
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
        return any(part.name == name and part.filename is not None for part in self.parts)

    def with_model(self, model: str) -> bytes:
        """The body with another value of the field ``model``."""
        pieces, done = [], 0
        for part in self.parts:
            if part.name == "model" and part.filename is None:
                pieces += [self.body[done : part.begin], model.encode()]
                done = part.end
        return b"".join([*pieces, self.body[done:]])


def _boundary(content_type: str) -> bytes:
    message = Message()
    message["content-type"] = content_type
    boundary = message.get_boundary() if message.get_content_type() == FORM else None
    if boundary is None or not _BOUNDARY.fullmatch(boundary):
        raise ClientMistake("The body must be multipart/form-data, and its content type must name the boundary")
    return boundary.encode("ascii")


def _split(body: bytes, boundary: bytes) -> list[Part]:
    """The parts between the delimiters. Bytes before the first and after the last delimiter are ignored (RFC 2046)."""
    opening = b"--" + boundary
    place = 0 if body.startswith(opening) else body.find(b"\r\n" + opening) + 2
    if place == 1:
        raise ClientMistake("The form has no parts: its boundary does not occur in the body")
    parts: list[Part] = []
    delimiter = b"\r\n" + opening
    while True:
        place += len(opening)
        if body.startswith(b"--", place):
            return parts
        line = body.find(b"\r\n", place)
        following = body.find(delimiter, line) if line >= 0 else -1
        if following < 0 or body[place:line].strip(b" \t"):
            raise ClientMistake("The form is not complete: it has no closing boundary")
        if len(parts) == MAX_PARTS:
            raise ClientMistake(f"The form has more than {MAX_PARTS} parts")
        parts.append(_part(body, line, following))
        place = following + 2


def _part(body: bytes, line: int, end: int) -> Part:
    """One part; its headers begin after the line end at offset ``line``."""
    if body.startswith(b"\r\n", line + 2):
        raise ClientMistake("A part of the form has no Content-Disposition")
    blank = body.find(b"\r\n\r\n", line, end + 2)
    if blank < 0:
        raise ClientMistake("The headers of a part of the form do not end")
    for header in body[line + 2 : blank].decode("utf-8", "replace").split("\r\n"):
        name, _, value = header.partition(":")
        if name.strip().lower() == "content-disposition":
            message = Message()
            message["content-disposition"] = value.strip()
            field, filename = message.get_param("name", header="content-disposition"), message.get_filename()
            if isinstance(field, str):
                return Part(field, filename, blank + 4, max(blank + 4, end))
    raise ClientMistake("A part of the form has no name")
