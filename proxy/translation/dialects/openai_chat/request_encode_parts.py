"""Encodes content parts for a Chat upstream, with its kind of cache markers (docs/wire-formats.md, sections 7.2, 7.11 and 7.12)."""

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

JsonObject = dict[str, Any]


class PartsEncoder:
    """Encodes the parts of one request.

    ``same_family``: the client is a Chat client, so its own parts and file ids are valid at the upstream. ``has_markers``: the upstream
    supports cache markers. ``_parts_with_breakpoint``: the encoded parts with a breakpoint, in their order.
    """

    def __init__(self, quirks: Quirks, *, same_family: bool) -> None:
        self._same_family = same_family
        self._cache_markers = quirks.cache_markers
        self.has_markers = self._cache_markers != "drop"
        self._parts_with_breakpoint: list[JsonObject] = []
        self._encode_type: dict[type, Callable[[Any], list[Any]]] = {
            Text: self._encode_text,
            Image: self._encode_images,
            Document: self._encode_document,
            Audio: self._encode_audio,
            Opaque: self._encode_opaque,
        }

    def as_texts(self, part: Part) -> list[Text]:
        """The texts of a part of a tool result; none for media."""
        if isinstance(part, Text):
            return [part]
        if isinstance(part, Document):
            return [Text(_document_text(part), part.cache)]
        if isinstance(part, Opaque):
            return [Text(part.text)] if part.text else _nothing_or_refuse(part)
        return []

    def encode_parts(self, parts: Iterable[Part]) -> list[JsonObject]:
        """The parts of a user message; tool calls and reasoning are skipped."""
        out: list[JsonObject] = []
        for part in parts:
            encode = self._encode_type.get(type(part))
            if encode is not None:
                out += encode(part)
        return out

    def _encode_text(self, part: Text) -> list[JsonObject]:
        return [self.add_marker({"type": "text", "text": part.text}, part.cache)] if part.text else []

    def _encode_images(self, part: Image) -> list[JsonObject]:
        return [self.encode_image(part)]

    def encode_image(self, part: Image) -> JsonObject:
        """An image by data URL or by URL."""
        source = part.source
        if source.kind not in ("base64", "url"):
            raise _unsupported(part.at, "this model's upstream does not support images by file id")
        image_url: JsonObject = {"url": source.value if source.kind == "url" else media.data_url(source)}
        if part.detail in _DETAILS:
            image_url["detail"] = part.detail
        return self.add_marker({"type": "image_url", "image_url": image_url}, part.cache)

    def _encode_document(self, part: Document) -> list[JsonObject]:
        source = part.source
        if source.kind == "text":
            return [self.add_marker({"type": "text", "text": _document_text(part)}, part.cache)]
        if source.kind == "file" and self._same_family:
            file: JsonObject = {"file_id": source.value}
            if part.filename:
                file["filename"] = part.filename
            return [self.add_marker({"type": "file", "file": file}, part.cache)]
        if source.kind != "base64":
            raise _unsupported(part.at, "this model's upstream does not support documents by URL or by file id; send the content inline")
        name = part.filename or part.title or ("document.pdf" if source.media_type == "application/pdf" else "document")
        return [self.add_marker({"type": "file", "file": {"filename": name, "file_data": media.data_url(source)}}, part.cache)]

    def _encode_audio(self, part: Audio) -> list[JsonObject]:
        return [{"type": "input_audio", "input_audio": {"data": part.data, "format": part.format}}]

    def _encode_opaque(self, part: Opaque) -> list[Any]:
        if part.family == FAMILY:
            return [part.native]
        return [{"type": "text", "text": text.text} for text in self.as_texts(part)]

    def text_content(self, texts: list[Text], separator: str) -> Any:
        """The texts joined to one string; as parts if one has a cache marker that the upstream supports."""
        if not self.has_markers or not any(text.cache for text in texts):
            return separator.join(text.text for text in texts)
        return [self.add_marker({"type": "text", "text": text.text}, text.cache) for text in texts if text.text] or ""

    def add_marker(self, part: JsonObject, cache: CacheMark | None) -> JsonObject:
        """Add the cache marker to a part, if there is one and the upstream supports it."""
        if cache is None or not self.has_markers:
            return part
        if self._cache_markers == "passthrough":
            part["cache_control"] = cache.native
        else:
            part["prompt_cache_breakpoint"] = {"mode": "explicit"}
            self._parts_with_breakpoint.append(part)
        return part

    def drop_excess_breakpoints(self) -> None:
        """Remove all breakpoints but the last four, which is the limit of the API."""
        for part in self._parts_with_breakpoint[:-_MAX_BREAKPOINTS]:
            del part["prompt_cache_breakpoint"]


def _unsupported(at: str, message: str) -> ClientMistake:
    return ClientMistake(f"{at}: {message}" if at else message, param=at or None)


def _nothing_or_refuse(part: Opaque) -> list[Text]:
    """No texts for a part of the assistant's history; raises :class:`ClientMistake` for content that the model was meant to read."""
    if part.history:
        return []
    raise _unsupported(part.at, f"this model's upstream does not support content of type {part.type!r}")


def non_empty_texts(parts: Iterable[Text], separator: str) -> list[Text]:
    """The texts to join with ``separator``, without empty ones unless it is a line break: lines of a tool result may be empty."""
    return [part for part in parts if part.text] if separator != "\n" else list(parts)


def collapse_parts(parts: list[JsonObject], has_markers: bool) -> Any:
    """The text of a single text part without a cache marker as a string; otherwise the parts."""
    if not parts:
        return ""
    single = parts[0] if len(parts) == 1 else None
    if isinstance(single, dict) and single["type"] == "text" and not (has_markers and len(single) > 2):
        return single["text"]
    return parts


def as_parts(content: Any) -> list[JsonObject]:
    """Content that is a string or a list, as a list of parts."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    return list(content)


def _document_text(document: Document) -> str:
    title = document.title or document.filename
    return "\n".join(line for line in (title, document.context, document.source.value) if line)
