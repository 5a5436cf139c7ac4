"""Media of a conversation: data URLs (RFC 2397), media types, and the text of text files.

Base64 payloads are passed on without being decoded, except those of text files.
"""

from __future__ import annotations

import base64
import binascii
from urllib.parse import unquote_to_bytes

from proxy.translation.canonical import Source

MEDIA_TYPE_ALIASES = {"image/jpg": "image/jpeg", "image/pjpeg": "image/jpeg", "application/x-pdf": "application/pdf"}
"""Unregistered media types that clients send, and the registered ones that vendors accept."""

_TEXT_TYPES = frozenset({"application/json", "application/xml", "application/yaml", "application/x-yaml", "application/javascript"})
_FILE_TYPES = {
    "pdf": "application/pdf",
    "txt": "text/plain",
    "md": "text/markdown",
    "csv": "text/csv",
    "html": "text/html",
    "json": "application/json",
}
"""Media types of files whose content is bare base64, by the extension of the file name."""
_PDF_IN_BASE64 = "JVBERi0"
"""``%PDF-`` in base64."""
_WEB_SCHEMES = ("http://", "https://")


def media_type_of(name: str) -> str:
    """A media type in lower case, without parameters, by its registered name."""
    plain = name.partition(";")[0].strip().lower()
    return MEDIA_TYPE_ALIASES.get(plain, plain)


def parse_data_url(url: str) -> Source | None:
    """The payload of a data URL as base64; ``None`` if ``url`` is not a data URL or is invalid.

    Parameters such as ``;name=`` are dropped; a missing media type is ``text/plain``; percent-encoded payloads are
    turned into base64.
    """
    if url[:5].lower() != "data:":
        return None
    head, comma, payload = url[5:].partition(",")
    if not comma or not payload:
        return None
    media_type = media_type_of(head) or "text/plain"
    if head.rpartition(";")[2].strip().lower() != "base64":
        return Source("base64", base64.b64encode(unquote_to_bytes(payload)).decode(), media_type)
    if "%" in payload:
        payload = unquote_to_bytes(payload).decode("ascii", "replace")
    return Source("base64", payload, media_type) if payload.isascii() else None


def data_url(source: Source) -> str:
    """The data URL of a base64 source."""
    return f"data:{source.media_type};base64,{source.value}"


def is_web_url(url: str) -> bool:
    """Whether ``url`` begins with ``http://`` or ``https://``, so that a provider can fetch it."""
    return url[:8].lower().startswith(_WEB_SCHEMES)


def is_text(media_type: str) -> bool:
    """Whether files of this type are text that a model can read unchanged."""
    return media_type.startswith("text/") or media_type in _TEXT_TYPES


def decoded_text(source: Source) -> str | None:
    """The text of a base64 source; ``None`` if it is not valid base64 or not UTF-8."""
    try:
        return base64.b64decode(source.value).decode("utf-8-sig")
    except (binascii.Error, ValueError):
        return None


def as_text(source: Source) -> Source | None:
    """A base64 text file as a ``text`` source. Other sources stay unchanged; a text file that is not UTF-8 gives ``None``."""
    if source.kind != "base64" or not is_text(source.media_type):
        return source
    text = decoded_text(source)
    return None if text is None else Source("text", text, source.media_type)


def file_source(data: str, filename: str) -> Source | None:
    """The content of a file: a data URL, or bare base64 whose media type follows from the file's name or its first bytes.

    ``None`` for anything else.
    """
    if data[:5].lower() == "data:":
        return parse_data_url(data)
    media_type = _FILE_TYPES.get(filename.rpartition(".")[2].lower(), "")
    if not media_type and data.startswith(_PDF_IN_BASE64):
        media_type = "application/pdf"
    return Source("base64", data, media_type) if media_type and _is_base64(data) else None


def _is_base64(data: str) -> bool:
    try:
        base64.b64decode(data[:64], validate=True)
    except (binascii.Error, ValueError):
        return False
    return True
