"""Decodes the content parts of messages and tool outputs (docs/wire-formats.md, sections 3.3 and 7.11)."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from proxy.translation.canonical import Audio, CacheMark, Document, Image, Opaque, Part, Source, Text
from proxy.translation.dialects.openai_responses.wire import FAMILY, ContentPart, require
from proxy.translation.errors import ClientMistake
from proxy.translation.media import as_text, file_source, is_web_url, parse_data_url

_CACHE_MARK = CacheMark()


def _text(part: ContentPart, at: str) -> Part:
    text = part.text if part.text is not None else require(None, "text", at)
    return Text(text) if part.prompt_cache_breakpoint is None else Text(text, _cache_mark(part))


def _cache_mark(part: ContentPart) -> CacheMark | None:
    return None if part.prompt_cache_breakpoint is None else _CACHE_MARK


def _refusal(part: ContentPart, at: str) -> Part:
    return Text(require(part.refusal, "refusal", at), refusal=True)


def _decode_data_url(url: str, at: str) -> Source:
    source = parse_data_url(url)
    if source is None:
        raise ClientMistake(f"{at}: not a valid base64 data URL", param=at)
    return source


def _decode_text_file(source: Source, at: str) -> Source:
    decoded = as_text(source)
    if decoded is None:
        raise ClientMistake(f"{at}.file_data: the text file is not valid UTF-8", param=f"{at}.file_data")
    return decoded


def _image(part: ContentPart, at: str) -> Part:
    if part.image_url is not None:
        url_at = f"{at}.image_url"
        source = Source("url", part.image_url) if is_web_url(part.image_url) else _decode_data_url(part.image_url, url_at)
    elif part.file_id is not None:
        source = Source("file", part.file_id)
    else:
        raise ClientMistake(f"{at}: an image needs image_url or file_id", param=at)
    return Image(source, part.detail, _cache_mark(part), at)


def _file(part: ContentPart, at: str) -> Part:
    if part.file_data is not None:
        file = file_source(part.file_data, part.filename or "")
        if file is None:
            raise ClientMistake(f"{at}.file_data: a data URL with base64 content is expected", param=f"{at}.file_data")
        source = _decode_text_file(file, at)
    elif part.file_url is not None:
        source = Source("url", part.file_url)
    elif part.file_id is not None:
        source = Source("file", part.file_id)
    else:
        raise ClientMistake(f"{at}: a file needs file_data, file_url or file_id", param=at)
    return Document(source, filename=part.filename, cache=_cache_mark(part), at=at)


def _audio(part: ContentPart, at: str) -> Part:
    if part.input_audio is None:
        raise ClientMistake(f"{at}.input_audio: the field is required", param=f"{at}.input_audio")
    return Audio(part.input_audio.data, part.input_audio.format, at)


_DECODER_OF_TYPE: dict[str | None, Callable[[ContentPart, str], Part]] = {
    "input_text": _text,
    "output_text": _text,
    "text": _text,
    "summary_text": _text,
    "reasoning_text": _text,
    "refusal": _refusal,
    "input_image": _image,
    "input_file": _file,
    "input_audio": _audio,
}


def decode_content(value: str | list[ContentPart], at: str, native: Callable[[int], msgspec.Raw]) -> tuple[Part, ...]:
    """The canonical parts of a content field with the path ``at``; an empty text makes no part.

    ``native(n)`` returns the JSON of the n-th part, for types that become :class:`~proxy.translation.canonical.Opaque`.
    """
    if isinstance(value, str):
        return (Text(value),) if value else ()
    parts: list[Part] = []
    for position, part in enumerate(value):
        decode = _DECODER_OF_TYPE.get(part.type)
        if decode is _text and part.text is not None:
            if part.text:
                parts.append(_text(part, at))
        elif decode is not None:
            parts.append(decode(part, f"{at}.{position}"))
        elif part.type is None:
            raise ClientMistake(f"{at}.{position}.type: the field is required", param=f"{at}.{position}.type")
        else:
            parts.append(Opaque(FAMILY, part.type, native(position), part.text or "", at=f"{at}.{position}"))
    return tuple(parts)
