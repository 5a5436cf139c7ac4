"""Canonical messages to Converse messages (docs/wire-formats.md, sections 17.3 to 17.5).

Consecutive messages of one role become one. Results come first in the user's. System messages between turns move to ``system``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from msgspec import Raw

from proxy.translation import media
from proxy.translation.canonical import Audio, CacheMark, Document, Image, Message, Opaque, Part, Reasoning, Text, ToolCall, ToolResult
from proxy.translation.dialects.anthropic.tool_arguments import encode_arguments
from proxy.translation.dialects.bedrock_converse.citations import encode_citation
from proxy.translation.dialects.bedrock_converse.seals import encode_own, is_own
from proxy.translation.dialects.bedrock_converse.wire import DOCUMENT_TYPES, FAMILY, IMAGE_FORMATS, OBJECT, EncodedBlock
from proxy.translation.errors import ClientMistake

NO_MESSAGE = "(no message)"
"""The user's turn before a conversation that begins with the assistant's, which the API refuses."""
NO_TEXT = "(document)"
"""The text beside a document without one, which the API refuses."""
_MAX_POINTS = 4
_POINT = Raw(b'{"type":"default"}')
_FORMATS = {media_type: name for name, media_type in DOCUMENT_TYPES.items()}
_NOT_IN_A_NAME = re.compile(r"[^a-zA-Z0-9()\[\] -]+")
_BLANKS = re.compile(r"\s+")


class CachePoints:
    """The cache points of one request. The API accepts four; :meth:`drop_excess` removes the earliest ones beyond that.

    ``native``: the client's own points keep their JSON. ``takes_points``: whether the model accepts points of other clients.
    """

    def __init__(self, *, native: bool, takes_points: bool) -> None:
        self._native = native
        self._takes_points = takes_points
        self._lists: list[list[Any]] = []

    def behind(self, block: Any, mark: CacheMark | None) -> list[Any]:
        """A block, and the point behind it."""
        if mark is None or not (self._native or self._takes_points):
            return [block]
        return [block, {"cachePoint": mark.native if self._native else _POINT}]

    def add(self, blocks: list[Any]) -> None:
        """Count the points in a list, in the order of the prompt: tools, system, messages."""
        self._lists.append(blocks)

    def drop_excess(self) -> None:
        """Remove the earliest points."""
        places = [(blocks, block) for blocks in self._lists for block in blocks if isinstance(block, dict) and "cachePoint" in block]
        for blocks, point in places[: max(0, len(places) - _MAX_POINTS)]:
            del blocks[next(index for index, block in enumerate(blocks) if block is point)]


class TurnEncoder:
    """Encodes the messages of one request. ``native``: the client is of this family."""

    def __init__(self, points: CachePoints, *, native: bool) -> None:
        self._points = points
        self._native = native
        self._encoders: dict[type, Callable[[Any], EncodedBlock | None]] = {
            Text: _encode_text,
            Image: lambda part: {"image": _encode_image(part)},
            Document: lambda part: {"document": _encode_document(part)},
            Audio: lambda part: {"audio": {"format": part.format, "source": {"bytes": part.data}}},
            Reasoning: lambda part: encode_own(part) if is_own(part.seal) else None,
            ToolCall: _encode_call,
            ToolResult: self._encode_result,
            Opaque: _encode_opaque,
        }

    def late_system(self, messages: tuple[Message, ...]) -> list[Text]:
        """The texts of system messages. Raises :class:`ClientMistake` for other content in them."""
        texts: list[Text] = []
        for part in (part for message in messages if message.role == "system" for part in message.parts):
            if isinstance(part, Text):
                texts.append(part)
            elif isinstance(part, Opaque) and not part.history:
                raise _unsupported(part.at, f"content of type {part.type!r} is not available for this model")
        return texts

    def encode(self, messages: tuple[Message, ...]) -> list[dict[str, Any]]:
        """The messages. Raises :class:`ClientMistake` for content that the API cannot express."""
        turns: list[dict[str, Any]] = []
        for message in messages:
            blocks = self._encode_parts(message.parts) if message.role != "system" else []
            if turns and blocks and turns[-1]["role"] == message.role:
                turns[-1]["content"] += blocks
            elif blocks:
                turns.append({"role": message.role, "content": blocks})
        if turns and turns[0]["role"] == "assistant" and not self._native:
            turns.insert(0, {"role": "user", "content": [{"text": NO_MESSAGE}]})
        for turn in turns:
            if turn["role"] == "user":
                turn["content"] = _results_first(turn["content"])
                if any("document" in block for block in turn["content"]) and not any("text" in block for block in turn["content"]):
                    turn["content"].append({"text": NO_TEXT})
            self._points.add(turn["content"])
        return turns

    def _encode_parts(self, parts: tuple[Part, ...]) -> list[Any]:
        blocks: list[Any] = []
        for part in parts:
            block = self._encoders[type(part)](part)
            if block is not None:
                blocks += self._points.behind(block, getattr(part, "cache", None))
        return blocks

    def _encode_result(self, result: ToolResult) -> EncodedBlock:
        content: list[Any] = []
        for part in result.content:
            block = self._encoders[type(part)](part)
            if block is not None and "citationsContent" not in block:
                content.append(block)
        status = {"status": "error"} if result.is_error else {}
        return {"toolResult": {"toolUseId": result.call_id, "content": content, **status}}


def _results_first(blocks: list[Any]) -> list[Any]:
    """The blocks with the results, and the cache points behind them, at the front."""
    results: list[Any] = []
    others: list[Any] = []
    target = others
    for block in blocks:
        if "cachePoint" not in block:
            target = results if "toolResult" in block else others
        target.append(block)
    return [*results, *others]


def has_lost_reasoning(turns: list[dict[str, Any]]) -> bool:
    """Whether the last assistant turn of a tool loop, or a prefill, has no reasoning, which Claude requires with manual thinking."""
    last = next((index for index in range(len(turns) - 1, -1, -1) if turns[index]["role"] == "assistant"), None)
    if last is None:
        return False
    after = turns[last + 1 :]
    in_loop = not after or any("toolResult" in turn["content"][0] for turn in after)
    return in_loop and "reasoningContent" not in turns[last]["content"][0]


def _encode_text(part: Text) -> EncodedBlock | None:
    if not part.text or part.text.isspace():
        return None
    own = [encode_citation(citation) for citation in part.citations if citation.dialect == FAMILY]
    return {"citationsContent": {"content": [{"text": part.text}], "citations": own}} if own else {"text": part.text}


def _encode_call(call: ToolCall) -> EncodedBlock:
    return {"toolUse": {"toolUseId": call.id, "name": call.name, "input": encode_arguments(call.arguments)}}


def _encode_opaque(part: Opaque) -> EncodedBlock | None:
    if part.family == FAMILY:
        return dict(OBJECT.decode(part.native))
    if part.text:
        return {"text": part.text}
    if part.history:
        return None
    raise _unsupported(part.at, f"this model's upstream does not support content of type {part.type!r}")


def _encode_image(part: Image) -> EncodedBlock:
    source = part.source
    kind, _, name = source.media_type.partition("/")
    if source.kind != "base64":
        raise _unsupported(part.at, "this model's upstream takes images only inline")
    if kind != "image" or name not in IMAGE_FORMATS:
        raise _unsupported(part.at, f"images of type {source.media_type!r} are not supported; use PNG, JPEG, GIF or WebP")
    return {"format": name, "source": {"bytes": source.value}}


def _encode_document(part: Document) -> EncodedBlock:
    source = part.source
    name = _BLANKS.sub(" ", _NOT_IN_A_NAME.sub(" ", part.title or part.filename or "")).strip()[:200] or "document"
    fields: EncodedBlock = {"context": part.context} if part.context else {}
    if source.kind == "text":
        return {"format": "txt", "name": name, "source": {"text": source.value}, **fields}
    if source.kind != "base64":
        raise _unsupported(part.at, "this model's upstream takes documents only inline")
    extension = _FORMATS.get(source.media_type)
    if extension is None:
        text = media.as_text(source)
        if text is None or text.kind != "text":
            raise _unsupported(part.at, f"documents of type {source.media_type!r} are not supported")
        return {"format": "txt", "name": name, "source": {"text": text.value}, **fields}
    return {"format": extension, "name": name, "source": {"bytes": source.value}, **fields}


def _unsupported(at: str, message: str) -> ClientMistake:
    return ClientMistake(f"{at}: {message}" if at else message, param=at or None)
