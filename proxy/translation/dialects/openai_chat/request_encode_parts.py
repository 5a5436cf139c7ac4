"""Content parts for a chat upstream, with cache markers as it reads them (sections 7.2, 7.11 and 7.12)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from proxy.translation import media
from proxy.translation.canonical import Audio, CacheMark, Document, Image, Opaque, Part, Text
from proxy.translation.dialects.openai_chat.wire_request import FAMILY
from proxy.translation.errors import ClientMistake
from proxy.translation.quirks import Quirks

_MAX_BREAKPOINTS = 4
_DETAILS = frozenset({"auto", "low", "high"})

Wire = dict[str, Any]


class PartsEncoder:
    """Encodes the parts of one request; ``_marked`` remembers those that got a breakpoint, in their order.

    ``own``: the request came in chat's own words, so that its native blocks and file ids may go back.
    """

    def __init__(self, quirks: Quirks, *, own: bool) -> None:
        self._own = own
        self._markers = quirks.cache_markers
        self.marks = self._markers != "drop"
        self._marked: list[Wire] = []
        self._of_type: dict[type, Callable[[Any], list[Any]]] = {
            Text: self._text_part,
            Image: self._image_part,
            Document: self._document_part,
            Audio: self._audio_part,
            Opaque: self._opaque_part,
        }

    def readable(self, part: Part) -> list[Text]:
        """A part of a tool result as words."""
        if isinstance(part, Text):
            return [part]
        if isinstance(part, Document):
            return [Text(_document_words(part), part.cache)]
        if isinstance(part, Opaque):
            return [Text(part.text)] if part.text else _dropped(part)
        return []

    def user(self, parts: Iterable[Part]) -> list[Wire]:
        """The parts of a user message."""
        out: list[Wire] = []
        for part in parts:
            encode = self._of_type.get(type(part))
            if encode is not None:
                out += encode(part)
        return out

    def _text_part(self, part: Text) -> list[Wire]:
        return [self.mark({"type": "text", "text": part.text}, part.cache)] if part.text else []

    def _image_part(self, part: Image) -> list[Wire]:
        return [self.image(part)]

    def image(self, part: Image) -> Wire:
        """An image, inline or by its address."""
        source = part.source
        if source.kind not in ("base64", "url"):
            raise _refused(part.at, "an image by a vendor's file id cannot go to this model's upstream")
        link: Wire = {"url": source.value if source.kind == "url" else media.data_url(source)}
        if part.detail in _DETAILS:
            link["detail"] = part.detail
        return self.mark({"type": "image_url", "image_url": link}, part.cache)

    def _document_part(self, part: Document) -> list[Wire]:
        source = part.source
        if source.kind == "text":
            return [self.mark({"type": "text", "text": _document_words(part)}, part.cache)]
        if source.kind == "file" and self._own:
            file: Wire = {"file_id": source.value}
            if part.filename:
                file["filename"] = part.filename
            return [self.mark({"type": "file", "file": file}, part.cache)]
        if source.kind != "base64":
            raise _refused(part.at, "a document by URL or by a vendor's file id cannot go to this model's upstream; send it inline")
        name = part.filename or part.title or ("document.pdf" if source.media_type == "application/pdf" else "document")
        return [self.mark({"type": "file", "file": {"filename": name, "file_data": media.data_url(source)}}, part.cache)]

    def _audio_part(self, part: Audio) -> list[Wire]:
        return [{"type": "input_audio", "input_audio": {"data": part.data, "format": part.format}}]

    def _opaque_part(self, part: Opaque) -> list[Any]:
        if part.family == FAMILY:
            return [part.native]
        return [{"type": "text", "text": each.text} for each in self.readable(part)]

    def content(self, texts: list[Text], separator: str) -> Any:
        """One string, or parts where a cache marker has to be kept."""
        if not self.marks or not any(text.cache for text in texts):
            return separator.join(text.text for text in texts)
        return [self.mark({"type": "text", "text": text.text}, text.cache) for text in texts if text.text] or ""

    def mark(self, part: Wire, cache: CacheMark | None) -> Wire:
        """The part with its cache marker, if it has one and the upstream reads any."""
        if cache is None or not self.marks:
            return part
        if self._markers == "passthrough":
            part["cache_control"] = cache.native
        else:
            part["prompt_cache_breakpoint"] = {"mode": "explicit"}
            self._marked.append(part)
        return part

    def keep_last_breakpoints(self) -> None:
        """Take back the breakpoints beyond the number that the API takes."""
        for part in self._marked[:-_MAX_BREAKPOINTS]:
            del part["prompt_cache_breakpoint"]


def _refused(at: str, words: str) -> ClientMistake:
    return ClientMistake(f"{at}: {words}" if at else words, param=at or None)


def _dropped(part: Opaque) -> list[Text]:
    """Nothing, for what only the assistant's side made; content meant to be read is refused instead."""
    if part.history:
        return []
    raise _refused(part.at, f"a block of type {part.type!r} cannot be translated for this model's upstream")


def texts_of(parts: Iterable[Text], separator: str) -> list[Text]:
    """The texts that say something; between joined turns an empty one would only leave its separator."""
    return [part for part in parts if part.text] if separator != "\n" else list(parts)


def plain(parts: list[Wire], marks: bool) -> Any:
    """A single text as a string, anything else as parts."""
    if not parts:
        return ""
    only = parts[0] if len(parts) == 1 else None
    if isinstance(only, dict) and only["type"] == "text" and not (marks and len(only) > 2):
        return only["text"]
    return parts


def as_parts(content: Any) -> list[Wire]:
    """Content of either form as parts."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    return list(content)


def _document_words(document: Document) -> str:
    title = document.title or document.filename
    return "\n".join(line for line in (title, document.context, document.source.value) if line)
