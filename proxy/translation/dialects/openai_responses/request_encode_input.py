"""Encodes canonical messages as ``input`` items for a Responses upstream (docs/wire-formats.md, sections 7.4 and 7.11)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeGuard

from proxy.translation.canonical import (
    Audio,
    CacheMark,
    Document,
    Image,
    Message,
    Opaque,
    Part,
    Reasoning,
    Seal,
    Text,
    ToolCall,
    ToolResult,
)
from proxy.translation.dialects.base import EncodeTarget
from proxy.translation.dialects.openai_responses.wire import CONTENT_FORM, DEFAULT_NAMESPACE, FAMILY
from proxy.translation.errors import ClientMistake
from proxy.translation.media import data_url

_BREAKPOINT = {"mode": "explicit"}
_MAX_BREAKPOINTS = 4
_MAY_FOLLOW_REASONING = frozenset({"reasoning", "function_call", "custom_tool_call"})


class InputEncoder:
    """Encodes the items of one request.

    ``_has_breakpoints``: the upstream supports cache breakpoints. ``_parts_with_breakpoint``: the encoded parts with one, in their order.
    """

    def __init__(self, family: str, target: EncodeTarget) -> None:
        self.items: list[Any] = []
        self._family = family
        self._upstream = target.upstream
        self._has_breakpoints = family == FAMILY or target.quirks.cache_markers == "openai_breakpoints"
        self._parts_with_breakpoint: list[dict[str, Any]] = []
        self._encode_type: dict[type, Callable[[Any], Any]] = {
            Text: self._encode_text,
            Image: self._encode_image,
            Document: self._encode_document,
            Audio: self._encode_audio,
            Opaque: self._encode_opaque,
        }

    def encode(self, messages: Iterable[Message]) -> list[Any]:
        """All items; raises :class:`ClientMistake` for content that Responses has no form for."""
        for message in messages:
            if message.role == "assistant":
                self._encode_assistant(message.parts)
            elif message.role == "user":
                self._encode_user(message.parts)
            else:
                self.encode_developer(message.parts)
        for part in self._parts_with_breakpoint[:-_MAX_BREAKPOINTS]:
            del part["prompt_cache_breakpoint"]
        return _without_unfollowed_reasoning(self.items)

    def encode_developer(self, parts: Iterable[Part]) -> None:
        """Add a ``developer`` message for system text after the first turn."""
        texts = [self._encode_part(part) for part in parts if _has_content(part)]
        if texts:
            self.items.append({"type": "message", "role": "developer", "content": texts})

    # --- the user's side -------------------------------------------------------------------------------------------

    def _encode_user(self, parts: tuple[Part, ...]) -> None:
        contents: list[Any] = []
        for part in parts:
            if isinstance(part, ToolResult):
                self.items.append(self._encode_result(part))
            elif isinstance(part, Opaque) and part.family == FAMILY and _is_item(part):
                self.items.append(part.native)
            elif _has_content(part):
                contents.append(self._encode_part(part))
        if contents:
            self.items.append({"type": "message", "role": "user", "content": contents})

    def _encode_result(self, result: ToolResult) -> dict[str, Any]:
        kind = "custom_tool_call_output" if result.kind == "custom" else "function_call_output"
        return {"type": kind, "call_id": result.call_id, "output": self._encode_output(result)}

    def _encode_output(self, result: ToolResult) -> Any:
        texts = [part.text for part in result.content if isinstance(part, Text) or _is_foreign_text(part)]
        has_marks = self._has_breakpoints and any(getattr(part, "cache", None) is not None for part in result.content)
        if len(texts) == len(result.content) and (len(texts) < 2 or self._family != FAMILY) and not has_marks:
            return _with_error_prefix("\n".join(texts), is_error=result.is_error)
        parts = [self._encode_part(part) for part in result.content if _has_content(part)]
        if result.is_error:
            parts.insert(0, {"type": "input_text", "text": "Error:"})
        return parts

    def _encode_part(self, part: Part) -> Any:
        encode = self._encode_type.get(type(part))
        if encode is None:
            raise ClientMistake(f"messages: a {type(part).__name__} part is not supported here", param="messages")
        return encode(part)

    def _add_breakpoint(self, part: dict[str, Any], cache: CacheMark | None) -> dict[str, Any]:
        if cache is not None and self._has_breakpoints:
            part["prompt_cache_breakpoint"] = _BREAKPOINT
            self._parts_with_breakpoint.append(part)
        return part

    def _encode_text(self, part: Text) -> Any:
        return self._add_breakpoint({"type": "input_text", "text": part.text}, part.cache)

    def _encode_image(self, part: Image) -> Any:
        out: dict[str, Any] = {"type": "input_image"}
        if part.source.kind == "file":
            out["file_id"] = self._require_own_file(part.source.value, part.at)
        else:
            out["image_url"] = data_url(part.source) if part.source.kind == "base64" else part.source.value
        out["detail"] = part.detail or "auto"
        return self._add_breakpoint(out, part.cache)

    def _encode_document(self, part: Document) -> Any:
        source = part.source
        if source.kind == "text":
            title = part.title or part.filename
            lines = [line for line in (title, part.context, source.value) if line]
            return self._add_breakpoint({"type": "input_text", "text": "\n".join(lines)}, part.cache)
        out: dict[str, Any] = {"type": "input_file"}
        if source.kind == "base64":
            out["filename"] = part.filename or part.title or "document.pdf"
            out["file_data"] = data_url(source)
        elif source.kind == "url":
            out["file_url"] = source.value
        else:
            out["file_id"] = self._require_own_file(source.value, part.at)
        return self._add_breakpoint(out, part.cache)

    def _require_own_file(self, file_id: str, at: str) -> str:
        if self._family != FAMILY:
            raise ClientMistake(f"{at}: this model's upstream does not have files of another provider; send the file inline", param=at)
        return file_id

    def _encode_audio(self, part: Audio) -> Any:
        if self._family != FAMILY:
            raise ClientMistake(f"{part.at}: this model's upstream does not take audio", param=part.at)
        return {"type": "input_audio", "input_audio": {"data": part.data, "format": part.format}}

    def _encode_opaque(self, part: Opaque) -> Any:
        if part.family == FAMILY:
            return part.native
        if part.text:
            return {"type": "input_text", "text": part.text}
        raise ClientMistake(f"{part.at}: this model's upstream does not support content of type {part.type!r}", param=part.at)

    # --- the assistant's side --------------------------------------------------------------------------------------

    def _encode_assistant(self, parts: tuple[Part, ...]) -> None:
        contents: list[Any] = []
        for part in parts:
            if isinstance(part, Text):
                if part.text:
                    contents.append(_encode_assistant_text(part))
                continue
            if isinstance(part, Opaque) and part.family != FAMILY:
                if part.text:
                    contents.append(_encode_assistant_text(Text(part.text)))
                continue
            self._add_assistant_message(contents)
            contents = []
            item = self._encode_assistant_item(part)
            if item is not None:
                self.items.append(item)
        self._add_assistant_message(contents)

    def _add_assistant_message(self, contents: list[Any]) -> None:
        if contents:
            self.items.append({"type": "message", "role": "assistant", "content": contents})

    def _encode_assistant_item(self, part: Part) -> Any:
        if isinstance(part, ToolCall):
            return _encode_call(part)
        if isinstance(part, Reasoning):
            return self._encode_reasoning(part)
        if isinstance(part, Opaque):
            return part.native
        at = getattr(part, "at", "") or "messages"
        raise ClientMistake(f"{at}: an assistant message for this model's upstream can hold text and tool calls only", param=at)

    def _encode_reasoning(self, part: Reasoning) -> Any:
        """The reasoning item for the upstream that made it; ``None`` for any other reasoning."""
        seal = part.seal
        if seal is None or not can_open(seal, self._upstream):
            return None
        text = part.text or seal.fields.get("text", "")
        return reasoning_item(seal, [{"type": "summary_text", "text": text}] if text else [])


def _has_content(part: Part) -> bool:
    """Whether a part is sent: not an empty text, and not a block of another family that has no text and may be dropped."""
    if isinstance(part, Opaque):
        return part.family == FAMILY or bool(part.text) or not part.history
    return not isinstance(part, Text) or bool(part.text)


def can_open(seal: Seal, upstream: str) -> bool:
    """Whether the upstream with this id can open a seal: it made it, or the seal does not name an upstream."""
    return seal.origin == FAMILY and seal.upstream in (None, "", upstream)


def reasoning_item(seal: Seal, summary: list[dict[str, str]]) -> dict[str, Any]:
    """The provider's reasoning item. ``summary``: the text that the client has, which may belong into ``content``."""
    item: dict[str, Any] = {"type": "reasoning"}
    item |= {name: value for name, value in seal.fields.items() if name in ("id", "encrypted_content")}
    if seal.fields.get("form") == CONTENT_FORM:
        return {**item, "summary": [], "content": [{"type": "reasoning_text", "text": part["text"]} for part in summary]}
    content = seal.fields.get("content")
    return {**item, "summary": summary} | ({"content": [{"type": "reasoning_text", "text": content}]} if content else {})


def _with_error_prefix(text: str, *, is_error: bool) -> str:
    """A tool output that begins with ``Error`` if the tool failed; Responses has no field for that."""
    return f"Error: {text}" if is_error and not text.lower().startswith("error") else text


def _is_foreign_text(part: Part) -> TypeGuard[Opaque]:
    return isinstance(part, Opaque) and part.family != FAMILY and bool(part.text)


def _is_item(part: Opaque) -> bool:
    """Whether an opaque part of a user message was an item, and not a content part of a message."""
    return ".content." not in part.at


def _encode_assistant_text(part: Text) -> dict[str, Any]:
    if part.refusal:
        return {"type": "refusal", "refusal": part.text}
    return {"type": "output_text", "text": part.text, "annotations": []}


def _encode_call(call: ToolCall) -> dict[str, Any]:
    if call.kind == "custom":
        item = {"type": "custom_tool_call", "call_id": call.id, "name": call.name, "input": call.arguments}
    else:
        item = {"type": "function_call", "call_id": call.id, "name": call.name, "arguments": call.arguments or "{}"}
    return item if call.namespace in ("", DEFAULT_NAMESPACE) else {**item, "namespace": call.namespace}


def _without_unfollowed_reasoning(items: list[Any]) -> list[Any]:
    """The items without each reasoning item that no assistant message or call follows: the API refuses such an item."""
    result: list[Any] = []
    follower: Any = None
    for item in reversed(items):
        if isinstance(item, dict) and item["type"] == "reasoning" and not _may_follow_reasoning(follower):
            continue
        result.append(item)
        follower = item
    result.reverse()
    return result


def _may_follow_reasoning(item: Any) -> bool:
    if not isinstance(item, dict):
        return item is not None
    return item["type"] in _MAY_FOLLOW_REASONING or item.get("role") == "assistant"
