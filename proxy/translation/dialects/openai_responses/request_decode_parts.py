"""Content parts of the client's messages and tool outputs, into canonical parts."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from proxy.translation.canonical import Audio, CacheMark, Document, Image, Opaque, Part, Source, Text
from proxy.translation.dialects.openai_responses.wire import FAMILY, NO_JSON, ContentPart, required
from proxy.translation.errors import ClientMistake
from proxy.translation.media import as_text, is_web_url, parse_data_url

_MARK = CacheMark()


def _text(part: ContentPart, at: str) -> Part:
    text = part.text if part.text is not None else required(None, "text", at)
    return Text(text) if part.prompt_cache_breakpoint is NO_JSON else Text(text, _mark(part))


def _mark(part: ContentPart) -> CacheMark | None:
    return None if part.prompt_cache_breakpoint == NO_JSON else _MARK


def _refusal(part: ContentPart, at: str) -> Part:
    return Text(required(part.refusal, "refusal", at), refusal=True)


def _inline(url: str, at: str) -> Source:
    source = parse_data_url(url)
    if source is None:
        raise ClientMistake(f"{at}: this is not a data URL that can be read", param=at)
    return source


def _readable(source: Source, at: str) -> Source:
    readable = as_text(source)
    if readable is None:
        raise ClientMistake(f"{at}.file_data: the text file is not valid UTF-8", param=f"{at}.file_data")
    return readable


def _image(part: ContentPart, at: str) -> Part:
    if part.image_url is not None:
        at_url = f"{at}.image_url"
        source = Source("url", part.image_url) if is_web_url(part.image_url) else _inline(part.image_url, at_url)
    elif part.file_id is not None:
        source = Source("file", part.file_id)
    else:
        raise ClientMistake(f"{at}: an image needs image_url or file_id", param=at)
    return Image(source, part.detail, _mark(part), at)


def _file(part: ContentPart, at: str) -> Part:
    if part.file_data is not None:
        source = _readable(_inline(part.file_data, f"{at}.file_data"), at)
    elif part.file_url is not None:
        source = Source("url", part.file_url)
    elif part.file_id is not None:
        source = Source("file", part.file_id)
    else:
        raise ClientMistake(f"{at}: a file needs file_data, file_url or file_id", param=at)
    return Document(source, filename=part.filename, cache=_mark(part), at=at)


def _audio(part: ContentPart, at: str) -> Part:
    if part.input_audio is None:
        raise ClientMistake(f"{at}.input_audio: the field is required", param=f"{at}.input_audio")
    return Audio(part.input_audio.data, part.input_audio.format, at)


_PART_OF: dict[str | None, Callable[[ContentPart, str], Part]] = {
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


def content(value: str | list[ContentPart], at: str, native: Callable[[int], msgspec.Raw]) -> tuple[Part, ...]:
    """The parts of a content field; ``native(n)`` gives the JSON of the n-th part, for kinds that only the vendor knows.

    ``at`` is the field's path. Empty text makes no part.
    """
    if isinstance(value, str):
        return (Text(value),) if value else ()
    parts: list[Part] = []
    for position, part in enumerate(value):
        decode = _PART_OF.get(part.type)
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
