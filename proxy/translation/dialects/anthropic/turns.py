"""Canonical messages to Anthropic turns: merged by role, results first, nothing empty, at most four cache marks."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Raw

from proxy.translation import json_wire
from proxy.translation.canonical import Audio, CacheMark, Document, Image, Message, Opaque, Reasoning, Text, ToolCall, ToolResult
from proxy.translation.dialects.anthropic.parts import FAMILY
from proxy.translation.errors import ClientMistake

IMAGE_TYPES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
_MARK = Raw(b'{"type":"ephemeral"}')
_MAX_MARKS = 4
_OBJECT = msgspec.json.Decoder(dict[str, Raw])

Block = dict[str, Any]
Turn = dict[str, Any]


class Marks:
    """The cache breakpoints of one request; the API takes four, so :meth:`settle` keeps the last ones."""

    def __init__(self, *, native: bool, automatic: bool = False) -> None:
        self._native = native
        self._blocks: list[Block] = []
        self._fixed = 1 if automatic else 0

    def set(self, block: Block, mark: CacheMark | None) -> Block:
        """``block``, marked if ``mark`` says so; markers of other dialects become the ordinary one."""
        if mark is not None:
            block["cache_control"] = mark.native if self._native else _MARK
            self._blocks.append(block)
        return block

    def count_native(self, native: Raw) -> None:
        """A block that goes as it came and may hold a mark of its own."""
        if b'"cache_control"' in bytes(native):
            self._fixed += 1

    @property
    def any(self) -> bool:
        """Whether the request has breakpoints."""
        return bool(self._blocks) or self._fixed > 0

    def settle(self, first: list[Block]) -> None:
        """Drop the earliest marks beyond four. ``first``: the marked blocks that stand before all others (tools, system)."""
        heads = [block for block in first if "cache_control" in block]
        known = {id(block) for block in heads}
        ordered = heads + [block for block in self._blocks if id(block) not in known]
        for block in ordered[: max(0, len(ordered) + self._fixed - _MAX_MARKS)]:
            del block["cache_control"]


class TurnWriter:
    """Writes the messages of one request; ``late_system`` collects system text that cannot stay in its place.

    ``native``: the client is of this family. ``keeps_system``: the model takes late system messages. ``unsigned``: it takes
    thinking with an empty signature.
    """

    def __init__(self, *, native: bool, keeps_system: bool, unsigned: bool, marks: Marks) -> None:
        self.late_system: list[Text] = []
        self.turns: list[Turn] = []
        self._native = native
        self._keeps_system = keeps_system
        self._unsigned = unsigned
        self._marks = marks
        self._waiting: list[Text | Opaque] = []
        self._encoders: dict[type, Callable[[Any], Block | None]] = {
            Text: self._text,
            Image: self._image,
            Document: self._document,
            Audio: self._audio,
            Reasoning: self._reasoning,
            ToolCall: self._tool_use,
            ToolResult: self._tool_result,
            Opaque: self._opaque,
        }

    def write(self, messages: tuple[Message, ...]) -> list[Turn]:
        """The turns. Raises :class:`ClientMistake` for content that this wire cannot carry."""
        for message in messages:
            if message.role == "system":
                self._system(message)
            else:
                self._append(message.role, [block for part in message.parts if (block := self._encoders[type(part)](part)) is not None])
        self._place_system()
        self.late_system += [part for part in self._waiting if isinstance(part, Text)]
        for turn in self.turns:
            if turn["role"] == "user":
                turn["content"].sort(key=_results_first)
        self._strip_end()
        return self.turns

    def texts(self, parts: tuple[Text, ...]) -> list[Block]:
        """System text as blocks, the empty ones left out."""
        return [block for part in parts if (block := self._text(part)) is not None]

    def _append(self, role: str, blocks: list[Block]) -> None:
        if not blocks:
            return
        if self.turns and self.turns[-1]["role"] == role:
            self.turns[-1]["content"] += blocks
            return
        if role == "assistant":
            self._place_system()
        self.turns.append({"role": role, "content": blocks})

    def _system(self, message: Message) -> None:
        """System text in its place where the model takes it there: behind a user turn, so perhaps behind the next one."""
        if not self._keeps_system:
            self.late_system += [part for part in message.parts if isinstance(part, Text)]
            return
        self._waiting += [part for part in message.parts if isinstance(part, Text | Opaque)]
        self._place_system()

    def _place_system(self) -> None:
        if self._waiting and self.turns and self.turns[-1]["role"] == "user":
            blocks = [block for part in self._waiting if (block := self._encoders[type(part)](part)) is not None]
            self._waiting = []
            if blocks:
                self.turns.append({"role": "system", "content": blocks})

    def _strip_end(self) -> None:
        """The API refuses trailing white space at the end of a final assistant turn."""
        while self.turns and self.turns[-1]["role"] == "assistant":
            blocks = self.turns[-1]["content"]
            if blocks and blocks[-1].get("type") == "text":
                blocks[-1]["text"] = blocks[-1]["text"].rstrip()
                if not blocks[-1]["text"]:
                    blocks.pop()
            if blocks:
                return
            self.turns.pop()

    # --- one method per part -----------------------------------------------------------------------------------------

    def _text(self, part: Text) -> Block | None:
        if not part.text or part.text.isspace():
            return None
        block: Block = {"type": "text", "text": part.text}
        if self._native and part.citations:
            block["citations"] = [each.native for each in part.citations]
        return self._marks.set(block, part.cache)

    def _image(self, part: Image) -> Block:
        source = part.source
        if source.kind == "url":
            encoded = {"type": "url", "url": source.value}
        elif source.kind == "file" and self._native:
            encoded = {"type": "file", "file_id": source.value}
        elif source.kind == "base64":
            encoded = {"type": "base64", "media_type": self._image_type(part), "data": source.value}
        else:
            raise _mistake(part.at, "a file id of another provider cannot be read here; send the image inline")
        return self._marks.set({"type": "image", "source": encoded}, part.cache)

    def _image_type(self, part: Image) -> str:
        media_type = part.source.media_type.lower()
        media_type = "image/jpeg" if media_type == "image/jpg" else media_type
        if media_type not in IMAGE_TYPES:
            raise _mistake(part.at, f"images of type {part.source.media_type!r} are not taken; use JPEG, PNG, GIF or WebP")
        return media_type

    def _document(self, part: Document) -> Block:
        if part.dialect == FAMILY and part.native:
            return self._marks.set(dict(_OBJECT.decode(part.native)), part.cache)
        block: Block = {"type": "document", "source": self._document_source(part)}
        title = part.title or part.filename
        if title:
            block["title"] = title
        if part.context:
            block["context"] = part.context
        return self._marks.set(block, part.cache)

    def _document_source(self, part: Document) -> Block:
        source = part.source
        media_type = source.media_type.lower()
        if source.kind == "text":
            return {"type": "text", "media_type": "text/plain", "data": source.value}
        if source.kind == "url":
            return {"type": "url", "url": source.value}
        if source.kind == "file" and self._native:
            return {"type": "file", "file_id": source.value}
        if source.kind == "file":
            raise _mistake(part.at, "a file id of another provider cannot be read here; send the file inline")
        if media_type == "application/pdf":
            return {"type": "base64", "media_type": media_type, "data": source.value}
        if media_type.startswith("text/") or media_type == "application/json":
            return {"type": "text", "media_type": "text/plain", "data": _plain(part)}
        raise _mistake(part.at, f"documents of type {source.media_type!r} are not taken; use PDF or text")

    def _audio(self, part: Audio) -> Block:
        raise _mistake(part.at, "this model does not take audio")

    def _reasoning(self, part: Reasoning) -> Block | None:
        """Only what the family made itself, word for word; the rest is dropped."""
        if part.seal is None or part.seal.origin != FAMILY:
            return None
        fields = part.seal.fields
        if "redacted" in fields:
            return {"type": "redacted_thinking", "data": fields["redacted"]}
        signature = fields.get("signature", "")
        return {"type": "thinking", "thinking": part.text, "signature": signature} if signature or self._unsigned else None

    def _tool_use(self, part: ToolCall) -> Block:
        return self._marks.set({"type": "tool_use", "id": part.id, "name": part.name, "input": tool_input(part.arguments)}, part.cache)

    def _tool_result(self, part: ToolResult) -> Block:
        block: Block = {"type": "tool_result", "tool_use_id": part.call_id}
        content = [inner for each in part.content if (inner := self._encoders[type(each)](each)) is not None]
        if content:
            block["content"] = shortened(content)
        if part.is_error:
            block["is_error"] = True
        return self._marks.set(block, part.cache)

    def _opaque(self, part: Opaque) -> Block | None:
        if part.family == FAMILY:
            self._marks.count_native(part.native)
            return dict(_OBJECT.decode(part.native))
        if part.text:
            return self._text(Text(part.text))
        if part.history:
            return None
        raise _mistake(part.at, f"content of type {part.type!r} cannot be carried to this model")


def shortened(content: list[Block]) -> list[Block] | str:
    """A lone text block as the string that means the same."""
    if len(content) == 1 and content[0].keys() == {"type", "text"}:
        return str(content[0]["text"])
    return content


def tool_input(arguments: str) -> Raw:
    """``arguments`` as the object that the API demands; words that are no object are kept under ``_raw_arguments``."""
    if not arguments or arguments.isspace():
        return Raw(b"{}")
    text = arguments.encode(errors="replace")
    if _is_object(text):
        return Raw(text)
    if arguments.strip() == "null":
        return Raw(b"{}")
    mended = json_wire.repaired(text)  # half of a surrogate pair, as models cut their emoji
    return Raw(mended if _is_object(mended) else json_wire.encode({"_raw_arguments": arguments}))


def _is_object(text: bytes) -> bool:
    try:
        _OBJECT.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _results_first(block: Block) -> bool:
    return block.get("type") != "tool_result"


def _plain(part: Document) -> str:
    try:
        return base64.b64decode(part.source.value, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise _mistake(part.at, "the file is not valid base64 of UTF-8 text") from None


def _mistake(at: str, words: str) -> ClientMistake:
    return ClientMistake(f"{at}: {words}" if at else words, param=at or None)
