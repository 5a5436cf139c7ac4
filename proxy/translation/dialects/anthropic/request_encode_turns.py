"""Canonical messages to Messages turns (docs/wire-formats.md, sections 6.7 and 7).

Consecutive messages of one role become one turn. In user turns tool results come first, as the API requires. Empty text and
empty turns are left out.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Any

from proxy.translation.canonical import Audio, Document, Image, Message, Opaque, Reasoning, Text, ToolCall, ToolResult
from proxy.translation.dialects.anthropic.cache_marks import CacheMarks
from proxy.translation.dialects.anthropic.tool_arguments import encode_arguments
from proxy.translation.dialects.anthropic.wire import FAMILY, OBJECT, EncodedBlock, EncodedTurn
from proxy.translation.errors import ClientMistake

IMAGE_TYPES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})


class TurnEncoder:
    """Encodes the messages of one request. ``late_system``: system text that the caller moves to the top-level ``system``.

    ``native``: the client is of this family. ``keeps_system``: the model accepts system messages between turns. ``unsigned``: it
    accepts thinking with an empty signature.
    """

    def __init__(self, *, native: bool, keeps_system: bool, unsigned: bool, marks: CacheMarks) -> None:
        self.late_system: list[Text] = []
        self.turns: list[EncodedTurn] = []
        self._native = native
        self._keeps_system = keeps_system
        self._unsigned = unsigned
        self._marks = marks
        self._pending_system: list[Text | Opaque] = []
        self._encoders: dict[type, Callable[[Any], EncodedBlock | None]] = {
            Text: self._encode_text,
            Image: self._encode_image,
            Document: self._encode_document,
            Audio: self._encode_audio,
            Reasoning: self._encode_reasoning,
            ToolCall: self._encode_tool_use,
            ToolResult: self._encode_tool_result,
            Opaque: self._encode_opaque,
        }

    def encode(self, messages: tuple[Message, ...]) -> list[EncodedTurn]:
        """The turns. Raises :class:`ClientMistake` for content that this dialect cannot express."""
        for message in messages:
            if message.role == "system":
                self._add_system(message)
            else:
                self._append(message.role, [block for part in message.parts if (block := self._encoders[type(part)](part)) is not None])
        self._place_system()
        self.late_system += [part for part in self._pending_system if isinstance(part, Text)]
        for turn in self.turns:
            if turn["role"] == "user":
                turn["content"].sort(key=_sort_results_first)
        self._strip_end()
        return self.turns

    def encode_texts(self, parts: tuple[Text, ...]) -> list[EncodedBlock]:
        """System text as blocks, without empty ones."""
        return [block for part in parts if (block := self._encode_text(part)) is not None]

    def _append(self, role: str, blocks: list[EncodedBlock]) -> None:
        if not blocks:
            return
        if self.turns and self.turns[-1]["role"] == role:
            self.turns[-1]["content"] += blocks
            return
        if role == "assistant":
            self._place_system()
        self.turns.append({"role": role, "content": blocks})

    def _add_system(self, message: Message) -> None:
        """Keep system text after a user turn, the next one if need be, where the model accepts that; otherwise move it to the top."""
        if not self._keeps_system:
            self.late_system += [part for part in message.parts if isinstance(part, Text)]
            for part in message.parts:
                if isinstance(part, Opaque) and not part.history:
                    raise _mistake(part.at, f"content of type {part.type!r} is not available for this model")
            return
        self._pending_system += [part for part in message.parts if isinstance(part, Text | Opaque)]
        self._place_system()

    def _place_system(self) -> None:
        if self._pending_system and self.turns and self.turns[-1]["role"] == "user":
            blocks = [block for part in self._pending_system if (block := self._encoders[type(part)](part)) is not None]
            self._pending_system = []
            if blocks:
                self.turns.append({"role": "system", "content": blocks})

    def _strip_end(self) -> None:
        """Remove white space at the end of a final assistant turn, which the API refuses, and turns that become empty."""
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

    def _encode_text(self, part: Text) -> EncodedBlock | None:
        if not part.text or part.text.isspace():
            return None
        block: EncodedBlock = {"type": "text", "text": part.text}
        if self._native and part.citations:
            block["citations"] = [citation.native for citation in part.citations]
        return self._marks.set(block, part.cache)

    def _encode_image(self, part: Image) -> EncodedBlock:
        source = part.source
        if source.kind == "url":
            encoded = {"type": "url", "url": source.value}
        elif source.kind == "file" and self._native:
            encoded = {"type": "file", "file_id": source.value}
        elif source.kind == "base64":
            encoded = {"type": "base64", "media_type": self._image_type(part), "data": source.value}
        else:
            raise _mistake(part.at, "this model's upstream cannot read files of another provider; send the image inline")
        return self._marks.set({"type": "image", "source": encoded, **part.native}, part.cache)

    def _image_type(self, part: Image) -> str:
        media_type = part.source.media_type.lower()
        media_type = "image/jpeg" if media_type == "image/jpg" else media_type
        if media_type not in IMAGE_TYPES:
            raise _mistake(part.at, f"images of type {part.source.media_type!r} are not supported; use JPEG, PNG, GIF or WebP")
        return media_type

    def _encode_document(self, part: Document) -> EncodedBlock:
        if part.dialect == FAMILY and part.native:
            return self._marks.set(dict(OBJECT.decode(part.native)), part.cache)
        block: EncodedBlock = {"type": "document", "source": self._encode_document_source(part)}
        title = part.title or part.filename
        if title:
            block["title"] = title
        if part.context:
            block["context"] = part.context
        return self._marks.set(block, part.cache)

    def _encode_document_source(self, part: Document) -> EncodedBlock:
        source = part.source
        media_type = source.media_type.lower()
        if source.kind == "text":
            return {"type": "text", "media_type": "text/plain", "data": source.value}
        if source.kind == "url":
            return {"type": "url", "url": source.value}
        if source.kind == "file" and self._native:
            return {"type": "file", "file_id": source.value}
        if source.kind == "file":
            raise _mistake(part.at, "this model's upstream cannot read files of another provider; send the file inline")
        if media_type == "application/pdf":
            return {"type": "base64", "media_type": media_type, "data": source.value}
        if media_type.startswith("text/") or media_type == "application/json":
            return {"type": "text", "media_type": "text/plain", "data": _decode_base64_text(part)}
        raise _mistake(part.at, f"documents of type {source.media_type!r} are not supported; use PDF or text")

    def _encode_audio(self, part: Audio) -> EncodedBlock:
        raise _mistake(part.at, "this model does not support audio input")

    def _encode_reasoning(self, part: Reasoning) -> EncodedBlock | None:
        """Thinking of this family, unchanged; ``None`` for the reasoning of others."""
        if part.seal is None or part.seal.origin != FAMILY:
            return None
        fields = part.seal.fields
        if "redacted" in fields:
            return {"type": "redacted_thinking", "data": fields["redacted"]}
        signature = fields.get("signature", "")
        return {"type": "thinking", "thinking": part.text, "signature": signature} if signature or self._unsigned else None

    def _encode_tool_use(self, part: ToolCall) -> EncodedBlock:
        call = {"type": "tool_use", "id": part.id, "name": part.name, "input": encode_arguments(part.arguments), **part.native}
        return self._marks.set(call, part.cache)

    def _encode_tool_result(self, part: ToolResult) -> EncodedBlock:
        result: EncodedBlock = {"type": "tool_result", "tool_use_id": part.call_id}
        content = [block for inner in part.content if (block := self._encoders[type(inner)](inner)) is not None]
        if content:
            result["content"] = string_if_plain_text(content)
        if part.is_error:
            result["is_error"] = True
        result |= part.native
        return self._marks.set(result, part.cache)

    def _encode_opaque(self, part: Opaque) -> EncodedBlock | None:
        if part.family == FAMILY:
            self._marks.count_native(part.native)
            return dict(OBJECT.decode(part.native))
        if part.text:
            return self._encode_text(Text(part.text))
        if part.history:
            return None
        raise _mistake(part.at, f"content of type {part.type!r} is not available for this model")


def string_if_plain_text(content: list[EncodedBlock]) -> list[EncodedBlock] | str:
    """The text of a single block that has nothing but text; other content stays a list."""
    if len(content) == 1 and content[0].keys() == {"type", "text"}:
        return str(content[0]["text"])
    return content


def _sort_results_first(block: EncodedBlock) -> bool:
    return block.get("type") != "tool_result"


def _decode_base64_text(part: Document) -> str:
    try:
        return base64.b64decode(part.source.value, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise _mistake(part.at, "the file must be UTF-8 text, encoded as base64") from None


def _mistake(at: str, problem: str) -> ClientMistake:
    return ClientMistake(f"{at}: {problem}" if at else problem, param=at or None)
