"""Canonical messages to Anthropic turns: merged by role, results first, nothing empty, at most four cache marks."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Any

from proxy.translation.canonical import Audio, Document, Image, Message, Opaque, Reasoning, Text, ToolCall, ToolResult
from proxy.translation.dialects.anthropic.cache_marks import Marks
from proxy.translation.dialects.anthropic.tool_arguments import tool_input
from proxy.translation.dialects.anthropic.wire import FAMILY, OBJECT, EncodedBlock, EncodedTurn
from proxy.translation.errors import ClientMistake

IMAGE_TYPES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})


class TurnWriter:
    """Writes the messages of one request; ``late_system`` collects system text that cannot stay in its place.

    ``native``: the client is of this family. ``keeps_system``: the model takes late system messages. ``unsigned``: it takes
    thinking with an empty signature.
    """

    def __init__(self, *, native: bool, keeps_system: bool, unsigned: bool, marks: Marks) -> None:
        self.late_system: list[Text] = []
        self.turns: list[EncodedTurn] = []
        self._native = native
        self._keeps_system = keeps_system
        self._unsigned = unsigned
        self._marks = marks
        self._waiting: list[Text | Opaque] = []
        self._encoders: dict[type, Callable[[Any], EncodedBlock | None]] = {
            Text: self._text,
            Image: self._image,
            Document: self._document,
            Audio: self._audio,
            Reasoning: self._reasoning,
            ToolCall: self._tool_use,
            ToolResult: self._tool_result,
            Opaque: self._opaque,
        }

    def write(self, messages: tuple[Message, ...]) -> list[EncodedTurn]:
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

    def texts(self, parts: tuple[Text, ...]) -> list[EncodedBlock]:
        """System text as blocks, the empty ones left out."""
        return [block for part in parts if (block := self._text(part)) is not None]

    def _append(self, role: str, blocks: list[EncodedBlock]) -> None:
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

    def _text(self, part: Text) -> EncodedBlock | None:
        if not part.text or part.text.isspace():
            return None
        block: EncodedBlock = {"type": "text", "text": part.text}
        if self._native and part.citations:
            block["citations"] = [each.native for each in part.citations]
        return self._marks.set(block, part.cache)

    def _image(self, part: Image) -> EncodedBlock:
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

    def _document(self, part: Document) -> EncodedBlock:
        if part.dialect == FAMILY and part.native:
            return self._marks.set(dict(OBJECT.decode(part.native)), part.cache)
        block: EncodedBlock = {"type": "document", "source": self._document_source(part)}
        title = part.title or part.filename
        if title:
            block["title"] = title
        if part.context:
            block["context"] = part.context
        return self._marks.set(block, part.cache)

    def _document_source(self, part: Document) -> EncodedBlock:
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

    def _audio(self, part: Audio) -> EncodedBlock:
        raise _mistake(part.at, "this model does not take audio")

    def _reasoning(self, part: Reasoning) -> EncodedBlock | None:
        """Only what the family made itself, word for word; the rest is dropped."""
        if part.seal is None or part.seal.origin != FAMILY:
            return None
        fields = part.seal.fields
        if "redacted" in fields:
            return {"type": "redacted_thinking", "data": fields["redacted"]}
        signature = fields.get("signature", "")
        return {"type": "thinking", "thinking": part.text, "signature": signature} if signature or self._unsigned else None

    def _tool_use(self, part: ToolCall) -> EncodedBlock:
        return self._marks.set({"type": "tool_use", "id": part.id, "name": part.name, "input": tool_input(part.arguments)}, part.cache)

    def _tool_result(self, part: ToolResult) -> EncodedBlock:
        block: EncodedBlock = {"type": "tool_result", "tool_use_id": part.call_id}
        content = [inner for each in part.content if (inner := self._encoders[type(each)](each)) is not None]
        if content:
            block["content"] = shortened(content)
        if part.is_error:
            block["is_error"] = True
        return self._marks.set(block, part.cache)

    def _opaque(self, part: Opaque) -> EncodedBlock | None:
        if part.family == FAMILY:
            self._marks.count_native(part.native)
            return dict(OBJECT.decode(part.native))
        if part.text:
            return self._text(Text(part.text))
        if part.history:
            return None
        raise _mistake(part.at, f"content of type {part.type!r} cannot be carried to this model")


def shortened(content: list[EncodedBlock]) -> list[EncodedBlock] | str:
    """A lone text block as the string that means the same."""
    if len(content) == 1 and content[0].keys() == {"type", "text"}:
        return str(content[0]["text"])
    return content


def _results_first(block: EncodedBlock) -> bool:
    return block.get("type") != "tool_result"


def _plain(part: Document) -> str:
    try:
        return base64.b64decode(part.source.value, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise _mistake(part.at, "the file is not valid base64 of UTF-8 text") from None


def _mistake(at: str, words: str) -> ClientMistake:
    return ClientMistake(f"{at}: {words}" if at else words, param=at or None)
