"""Decodes the content parts of a Chat client by their type (docs/wire-formats.md, sections 7.3 and 7.11)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from proxy.translation import media
from proxy.translation.canonical import Audio, CacheMark, Document, Image, Part, Reasoning, Seal, Source, Text
from proxy.translation.dialects.openai_chat import wire_request as wire
from proxy.translation.dialects.openai_chat.wire_request import FAMILY
from proxy.translation.errors import ClientMistake


def client_mistake(at: str, message: str) -> ClientMistake:
    """The error for the field with the path ``at``."""
    return ClientMistake(f"{at}: {message}", param=at)


def string_or_empty(value: Any) -> str:
    """The value if it is a string, else an empty string."""
    return value if isinstance(value, str) else ""


def cache_mark(part: wire.Part) -> CacheMark | None:
    """The cache breakpoint after a part."""
    if wire.is_present(part.cache_control):
        return CacheMark(part.cache_control)
    return CacheMark() if part.prompt_cache_breakpoint is not None else None


def default_type(part: wire.Part) -> str:
    """The type of a part without ``type``: ``text`` if it has a text, else empty."""
    return "" if part.text is None else "text"


def _text(part: wire.Part, at: str) -> Part:
    if part.text is None:
        raise client_mistake(f"{at}.text", "the field is required")
    return Text(part.text, cache_mark(part))


def _refusal(part: wire.Part, at: str) -> Part:
    if part.refusal is None:
        raise client_mistake(f"{at}.refusal", "the field is required")
    return Text(part.refusal, cache_mark(part), refusal=True)


def decode_image_url(part: wire.Part, at: str) -> Part:
    """The image or the PDF in an ``image_url`` part."""
    image_url = part.image_url
    if image_url is None:
        raise client_mistake(f"{at}.image_url", "the field is required")
    url, detail = (image_url, None) if isinstance(image_url, str) else (image_url.url, image_url.detail)
    if media.is_web_url(url):
        return Image(Source("url", url), detail, cache_mark(part), at)
    source = media.parse_data_url(url)
    if source is None:
        raise client_mistake(f"{at}.image_url.url", "an http(s) URL or a base64 data URL is expected")
    if source.media_type == "application/pdf":
        return Document(source, cache=cache_mark(part), at=at)
    if not source.media_type.startswith("image/"):
        raise client_mistake(f"{at}.image_url.url", f"{source.media_type} is not an image type")
    return Image(source, detail, cache_mark(part), at)


def _audio(part: wire.Part, at: str) -> Part:
    audio = part.input_audio
    if not isinstance(audio, wire.InputAudio) or not (audio.data and audio.format):
        raise client_mistake(f"{at}.input_audio", "an input_audio part needs its data and format")
    return Audio(audio.data, audio.format, at)


def _file(part: wire.Part, at: str) -> Part:
    file = part.file
    if file is None or not (file.file_data or file.file_id):
        raise client_mistake(f"{at}.file", "a file part needs file_data or file_id")
    source = _file_source(file.file_data, file.filename or "", at) if file.file_data else Source("file", file.file_id or "")
    if source.kind == "base64" and source.media_type.startswith("image/"):
        return Image(source, None, cache_mark(part), at)
    return Document(source, title=file.filename, filename=file.filename, cache=cache_mark(part), at=at)


def _file_source(data: str, filename: str, at: str) -> Source:
    """The content of a file: a data URL, or bare base64 whose media type follows from the file name or the first bytes."""
    source = media.file_source(data, filename)
    readable = None if source is None else media.as_text(source)
    if readable is None:
        raise client_mistake(f"{at}.file.file_data", "a data URL with base64 content is expected")
    return readable


def _thinking(part: wire.Part, at: str) -> Part | None:  # noqa: ARG001 - signature of DECODER_OF_TYPE
    """Mistral's reasoning part: ``thinking`` is a string or a list of text parts."""
    thinking = part.thinking
    if isinstance(thinking, list):
        thinking = "".join(string_or_empty(piece.get("text")) for piece in thinking if isinstance(piece, dict))
    return Reasoning(thinking, Seal(FAMILY, None)) if isinstance(thinking, str) else None


DECODER_OF_TYPE: dict[str, Callable[[wire.Part, str], Part | None]] = {
    "text": _text,
    "refusal": _refusal,
    "image_url": decode_image_url,
    "input_audio": _audio,
    "file": _file,
    "thinking": _thinking,
}
