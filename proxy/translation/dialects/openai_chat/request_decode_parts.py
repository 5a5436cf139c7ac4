"""Content parts of a chat client, by type (section 7.3, and 7.11 for media)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Any

from proxy.translation import media
from proxy.translation.canonical import Audio, CacheMark, Document, Image, Part, Reasoning, Seal, Source, Text
from proxy.translation.dialects.openai_chat import wire_request
from proxy.translation.dialects.openai_chat.wire_request import FAMILY
from proxy.translation.errors import ClientMistake

_FILE_TYPES = {
    "pdf": "application/pdf",
    "txt": "text/plain",
    "md": "text/markdown",
    "csv": "text/csv",
    "html": "text/html",
    "json": "application/json",
}
"""Types of files whose content comes without one, by the ending of their name."""
_PDF_IN_BASE64 = "JVBERi0"


def mistake(at: str, words: str) -> ClientMistake:
    """The error for the field at ``at``."""
    return ClientMistake(f"{at}: {words}", param=at)


def words_of(value: Any) -> str:
    """A text, or nothing where something else stands."""
    return value if isinstance(value, str) else ""


def _cache(part: wire_request.Part) -> CacheMark | None:
    if wire_request.given(part.cache_control):
        return CacheMark(part.cache_control)
    return CacheMark() if wire_request.given(part.prompt_cache_breakpoint) else None


def guessed_type(part: wire_request.Part) -> str:
    """The type of a part that names none."""
    return "" if part.text is None else "text"


def _text(part: wire_request.Part, at: str) -> Part:
    if part.text is None:
        raise mistake(f"{at}.text", "a text part needs its text")
    return Text(part.text, _cache(part))


def _refusal(part: wire_request.Part, at: str) -> Part:
    if part.refusal is None:
        raise mistake(f"{at}.refusal", "a refusal part needs its text")
    return Text(part.refusal, _cache(part), refusal=True)


def _image(part: wire_request.Part, at: str) -> Part:
    link = part.image_url
    if link is None:
        raise mistake(f"{at}.image_url", "an image_url part needs its image_url")
    url, detail = (link, None) if isinstance(link, str) else (link.url, link.detail)
    if media.is_web_url(url):
        return Image(Source("url", url), detail, _cache(part), at)
    source = media.parse_data_url(url)
    if source is None:
        raise mistake(f"{at}.image_url.url", "an http(s) URL or a base64 data URL is expected")
    if source.media_type == "application/pdf":
        return Document(source, cache=_cache(part), at=at)
    if not source.media_type.startswith("image/"):
        raise mistake(f"{at}.image_url.url", f"{source.media_type} is not an image type")
    return Image(source, detail, _cache(part), at)


def _audio(part: wire_request.Part, at: str) -> Part:
    sound = part.input_audio
    if not isinstance(sound, wire_request.Sound) or not (sound.data and sound.format):
        raise mistake(f"{at}.input_audio", "an input_audio part needs its data and format")
    return Audio(sound.data, sound.format, at)


def _file(part: wire_request.Part, at: str) -> Part:
    file = part.file
    if file is None or not (file.file_data or file.file_id):
        raise mistake(f"{at}.file", "a file part needs file_data or file_id")
    source = _file_source(file.file_data, file.filename or "", at) if file.file_data else Source("file", file.file_id or "")
    if source.kind == "base64" and source.media_type.startswith("image/"):
        return Image(source, None, _cache(part), at)
    return Document(source, title=file.filename, filename=file.filename, cache=_cache(part), at=at)


def _file_source(data: str, filename: str, at: str) -> Source:
    """A file's content from its data URL, or from bare base64 with the type told by its name."""
    if data[:5].lower() == "data:":
        source = media.parse_data_url(data)
    else:
        media_type = _FILE_TYPES.get(filename.rpartition(".")[2].lower(), "")
        if not media_type and data.startswith(_PDF_IN_BASE64):
            media_type = "application/pdf"
        source = Source("base64", data, media_type) if media_type and _is_base64(data) else None
    readable = None if source is None else media.as_text(source)
    if readable is None:
        raise mistake(f"{at}.file.file_data", "a data URL with base64 content is expected")
    return readable


def _is_base64(data: str) -> bool:
    try:
        base64.b64decode(data[:64], validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


def _thinking(part: wire_request.Part, at: str) -> Part | None:  # noqa: ARG001 - the table's signature
    """Mistral's reasoning part: a text, or text parts."""
    thinking = part.thinking
    if isinstance(thinking, list):
        thinking = "".join(words_of(each.get("text")) for each in thinking if isinstance(each, dict))
    return Reasoning(thinking, Seal(FAMILY, None)) if isinstance(thinking, str) else None


PART_OF_TYPE: dict[str, Callable[[wire_request.Part, str], Part | None]] = {
    "text": _text,
    "refusal": _refusal,
    "image_url": _image,
    "input_audio": _audio,
    "file": _file,
    "thinking": _thinking,
}
