"""Media in a conversation: data URLs in and out, and the text of text files (RFC 2397).

Payloads are passed on as they are: nobody here decodes base64 except to read a text file.
"""

from __future__ import annotations

import base64
import binascii
from urllib.parse import unquote_to_bytes

from proxy.translation.canonical import Source

MEDIA_TYPE_ALIASES = {"image/jpg": "image/jpeg", "image/pjpeg": "image/jpeg", "application/x-pdf": "application/pdf"}
"""Names that clients write, and the registered names that vendors accept."""

_TEXT_TYPES = frozenset({"application/json", "application/xml", "application/yaml", "application/x-yaml", "application/javascript"})
_WEB_SCHEMES = ("http://", "https://")


def media_type_of(name: str) -> str:
    """The registered name of a media type: lower case, without parameters."""
    plain = name.partition(";")[0].strip().lower()
    return MEDIA_TYPE_ALIASES.get(plain, plain)


def parse_data_url(url: str) -> Source | None:
    """The payload of a data URL as base64, or ``None`` for what is none or cannot be read.

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
    """A base64 source as a data URL."""
    return f"data:{source.media_type};base64,{source.value}"


def is_web_url(url: str) -> bool:
    """Whether ``url`` can be fetched by a provider."""
    return url[:8].lower().startswith(_WEB_SCHEMES)


def is_text(media_type: str) -> bool:
    """Whether a file of this type is text that a model can read as it is."""
    return media_type.startswith("text/") or media_type in _TEXT_TYPES


def decoded_text(source: Source) -> str | None:
    """The words of a base64 source, or ``None`` where they are no UTF-8."""
    try:
        return base64.b64decode(source.value).decode("utf-8-sig")
    except (binascii.Error, ValueError):
        return None


def as_text(source: Source) -> Source | None:
    """A base64 text file as a ``text`` source; other sources unchanged; ``None`` where its bytes are no text."""
    if source.kind != "base64" or not is_text(source.media_type):
        return source
    text = decoded_text(source)
    return None if text is None else Source("text", text, source.media_type)
