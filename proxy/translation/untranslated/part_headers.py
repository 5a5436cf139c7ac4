"""The headers of a form's part, in the one grammar that all parsers read alike; everything else is refused.

RFC 7578 uses ``Content-Disposition: form-data`` with the parameters ``name`` and ``filename``. Parsers differ in continuations
(``name*0``), encoded values (``name*=``), parameters that occur twice, folded lines and backslashes in names.
"""

from __future__ import annotations

import re

import msgspec

from proxy.translation.errors import ClientMistake

_NAME_CHARACTERS = r"[!#$%&'*+\-.0-9A-Z^_`a-z|~]+"
_PARAMETER = re.compile(rf'\s*;\s*(?P<name>{_NAME_CHARACTERS})\s*=\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*+)"|(?P<plain>[^\s";]*+))')
_HEADER = re.compile(rf"({_NAME_CHARACTERS}):[ \t]*([^\r\n\0]*)")
_END = re.compile(r"[\s;]*")
_TEXT = re.compile(r"""text/plain\s*(?:;\s*charset\s*=\s*"?(?:utf-?8|us-ascii|iso-8859-1)"?\s*)?""", re.IGNORECASE)
_FILENAMES = ("filename", "filename*")


class PartHeaders(msgspec.Struct, frozen=True):
    """What a part's headers say. ``is_plain_text``: the content is its value, not an encoding of it."""

    name: str
    is_file: bool
    is_plain_text: bool


def parse_part_headers(block: bytes) -> PartHeaders:
    """The headers between the delimiter line and the blank line; raises :class:`ClientMistake`."""
    try:
        lines = block.decode().split("\r\n")
    except UnicodeDecodeError:
        raise ClientMistake("The headers of a part of the form are not valid UTF-8") from None
    headers: dict[str, str] = {}
    for line in lines:
        match = _HEADER.fullmatch(line)
        if match is None:
            raise ClientMistake("A part of the form has a header that is not of the form Name: value")
        if match[1].lower() in headers:
            raise ClientMistake(f"A part of the form has two {match[1]} headers")
        headers[match[1].lower()] = match[2].strip()
    if "content-disposition" not in headers:
        raise ClientMistake("A part of the form has no Content-Disposition")
    name, is_file = _parse_disposition(headers["content-disposition"])
    is_text = _TEXT.fullmatch(headers.get("content-type", "text/plain")) is not None
    return PartHeaders(name, is_file, is_text and "content-transfer-encoding" not in headers)


def _parse_disposition(value: str) -> tuple[str, bool]:
    """The name of a part, and whether it is a file."""
    kind, _, rest = value.partition(";")
    parameters = parse_parameters(";" + rest)
    if kind.strip().lower() != "form-data" or parameters is None:
        raise ClientMistake("A part of the form has a Content-Disposition that is not form-data with parameters")
    names = [name for name, _ in parameters]
    odd = next((name for name in names if name.startswith(("name", "filename")) and name not in ("name", *_FILENAMES)), None)
    if odd is not None or "name*" in names or len(set(names)) != len(names):
        raise ClientMistake("A part of the form has a Content-Disposition with a parameter that is encoded, divided or doubled")
    name = dict(parameters).get("name", "")
    if not name:
        raise ClientMistake("A part of the form has no name")
    if "\\" in name or "=?" in name or not name.isprintable():
        raise ClientMistake("A part of the form has a name with a backslash, an encoded word or a control character")
    return name, any(filename in names for filename in _FILENAMES)


def parse_parameters(text: str) -> list[tuple[str, str]] | None:
    """The parameters of a header, with lower-case names, quoted values as written; ``None`` if the text is anything else."""
    parameters, place = list[tuple[str, str]](), 0
    while _END.fullmatch(text, place) is None:
        match = _PARAMETER.match(text, place)
        if match is None:
            return None
        parameters.append((match["name"].lower(), match["plain"] if match["quoted"] is None else match["quoted"]))
        place = match.end()
    return parameters
