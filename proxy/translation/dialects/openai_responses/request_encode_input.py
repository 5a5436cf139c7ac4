"""A conversation as ``input`` items for a Responses upstream (wire formats, sections 7.4 and 7.11)."""

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
from proxy.translation.dialects.openai_responses.wire import DEFAULT_NAMESPACE, FAMILY
from proxy.translation.errors import ClientMistake
from proxy.translation.media import data_url

_BREAKPOINT = {"mode": "explicit"}
_MOST_BREAKPOINTS = 4
_LEADS_ON = frozenset({"reasoning", "function_call", "custom_tool_call"})


class InputEncoder:
    """Makes the items of one request."""

    def __init__(self, family: str, destination: EncodeTarget) -> None:
        self.items: list[Any] = []
        self._family = family
        self._upstream = destination.upstream
        self._marks = family == FAMILY or destination.quirks.cache_markers == "openai_breakpoints"
        self._marked: list[dict[str, Any]] = []
        self._content_of: dict[type, Callable[[Any], Any]] = {
            Text: self._text,
            Image: self._image,
            Document: self._document,
            Audio: self._audio,
            Opaque: self._opaque,
        }

    def encode(self, messages: Iterable[Message]) -> list[Any]:
        """All items; raises :class:`ClientMistake` for content that Responses cannot carry."""
        for message in messages:
            if message.role == "assistant":
                self._assistant(message.parts)
            elif message.role == "user":
                self._user(message.parts)
            else:
                self.developer(message.parts)
        for part in self._marked[:-_MOST_BREAKPOINTS]:
            del part["prompt_cache_breakpoint"]
        return _without_loose_reasoning(self.items)

    def developer(self, parts: Iterable[Part]) -> None:
        """System text behind the first turn, in its place."""
        texts = [self._content(part) for part in parts if not isinstance(part, Text) or part.text]
        if texts:
            self.items.append({"type": "message", "role": "developer", "content": texts})

    # --- the user's side -------------------------------------------------------------------------------------------

    def _user(self, parts: tuple[Part, ...]) -> None:
        contents: list[Any] = []
        for part in parts:
            if isinstance(part, ToolResult):
                self.items.append(self._result(part))
            elif isinstance(part, Opaque) and part.family == FAMILY and _is_item(part):
                self.items.append(part.native)
            elif not isinstance(part, Text) or part.text:
                contents.append(self._content(part))
        if contents:
            self.items.append({"type": "message", "role": "user", "content": contents})

    def _result(self, result: ToolResult) -> dict[str, Any]:
        kind = "custom_tool_call_output" if result.kind == "custom" else "function_call_output"
        return {"type": kind, "call_id": result.call_id, "output": self._output(result)}

    def _output(self, result: ToolResult) -> Any:
        texts = [part.text for part in result.content if isinstance(part, Text) or _is_foreign_words(part)]
        if len(texts) == len(result.content) and (len(texts) < 2 or self._family != FAMILY):
            return _flagged("\n".join(texts), is_error=result.is_error)
        parts = [self._content(part) for part in result.content if not isinstance(part, Text) or part.text]
        if result.is_error:
            parts.insert(0, {"type": "input_text", "text": "Error:"})
        return parts

    def _content(self, part: Part) -> Any:
        encode = self._content_of.get(type(part))
        if encode is None:
            raise ClientMistake(f"messages: a {type(part).__name__} part cannot stand here", param="messages")
        return encode(part)

    def _marked_part(self, part: dict[str, Any], cache: CacheMark | None) -> dict[str, Any]:
        if cache is not None and self._marks:
            part["prompt_cache_breakpoint"] = _BREAKPOINT
            self._marked.append(part)
        return part

    def _text(self, part: Text) -> Any:
        return self._marked_part({"type": "input_text", "text": part.text}, part.cache)

    def _image(self, part: Image) -> Any:
        out: dict[str, Any] = {"type": "input_image"}
        if part.source.kind == "file":
            out["file_id"] = self._own_file(part.source.value, part.at)
        else:
            out["image_url"] = data_url(part.source) if part.source.kind == "base64" else part.source.value
        out["detail"] = part.detail or "auto"
        return self._marked_part(out, part.cache)

    def _document(self, part: Document) -> Any:
        source = part.source
        if source.kind == "text":
            head = part.title or part.filename
            words = [each for each in (head, part.context, source.value) if each]
            return self._marked_part({"type": "input_text", "text": "\n".join(words)}, part.cache)
        out: dict[str, Any] = {"type": "input_file"}
        if source.kind == "base64":
            out["filename"] = part.filename or part.title or "document.pdf"
            out["file_data"] = data_url(source)
        elif source.kind == "url":
            out["file_url"] = source.value
        else:
            out["file_id"] = self._own_file(source.value, part.at)
        return self._marked_part(out, part.cache)

    def _own_file(self, file_id: str, at: str) -> str:
        if self._family != FAMILY:
            raise ClientMistake(
                f"{at}: a file id of another vendor cannot be used at this model's upstream; send the file inline", param=at
            )
        return file_id

    def _audio(self, part: Audio) -> Any:
        return {"type": "input_audio", "input_audio": {"data": part.data, "format": part.format}}

    def _opaque(self, part: Opaque) -> Any:
        if part.family == FAMILY:
            return part.native
        if part.text:
            return {"type": "input_text", "text": part.text}
        raise ClientMistake(f"{part.at}: {part.type!r} cannot be sent to this model's upstream", param=part.at)

    # --- the assistant's side --------------------------------------------------------------------------------------

    def _assistant(self, parts: tuple[Part, ...]) -> None:
        run: list[Any] = []
        for part in parts:
            if isinstance(part, Text):
                if part.text:
                    run.append(_assistant_text(part))
                continue
            if isinstance(part, Opaque) and part.family != FAMILY:
                if part.text:
                    run.append(_assistant_text(Text(part.text)))
                continue
            self._close(run)
            run = []
            item = self._assistant_item(part)
            if item is not None:
                self.items.append(item)
        self._close(run)

    def _close(self, run: list[Any]) -> None:
        if run:
            self.items.append({"type": "message", "role": "assistant", "content": run})

    def _assistant_item(self, part: Part) -> Any:
        if isinstance(part, ToolCall):
            return _call(part)
        if isinstance(part, Reasoning):
            return self._reasoning(part)
        if isinstance(part, Opaque):
            return part.native
        at = getattr(part, "at", "") or "messages"
        raise ClientMistake(f"{at}: an assistant message for this model's upstream can hold text and tool calls only", param=at)

    def _reasoning(self, part: Reasoning) -> Any:
        """The provider's own item, for the upstream that made it; any other reasoning is left out."""
        seal = part.seal
        if seal is None or not opens(seal, self._upstream):
            return None
        text = part.text or seal.fields.get("text", "")
        return {"type": "reasoning", **own_fields(seal), "summary": [{"type": "summary_text", "text": text}] if text else []}


def opens(seal: Seal, upstream: str) -> bool:
    """Whether an upstream can open a seal: it made it, or the seal does not say who did."""
    return seal.origin == FAMILY and seal.upstream in (None, "", upstream)


def own_fields(seal: Seal) -> dict[str, str]:
    """The fields of the provider's own item in a seal."""
    return {name: value for name, value in seal.fields.items() if name in ("id", "encrypted_content")}


def _flagged(text: str, *, is_error: bool) -> str:
    """Responses has no flag for failed tools: the words say it."""
    return f"Error: {text}" if is_error and not text.lower().startswith("error") else text


def _is_foreign_words(part: Part) -> TypeGuard[Opaque]:
    return isinstance(part, Opaque) and part.family != FAMILY and bool(part.text)


def _is_item(part: Opaque) -> bool:
    """Whether an opaque part of the user's side is an item of its own, rather than a part of a message's content."""
    return ".content." not in part.at


def _assistant_text(part: Text) -> dict[str, Any]:
    if part.refusal:
        return {"type": "refusal", "refusal": part.text}
    return {"type": "output_text", "text": part.text, "annotations": []}


def _call(call: ToolCall) -> dict[str, Any]:
    if call.kind == "custom":
        item = {"type": "custom_tool_call", "call_id": call.id, "name": call.name, "input": call.arguments}
    else:
        item = {"type": "function_call", "call_id": call.id, "name": call.name, "arguments": call.arguments or "{}"}
    return item if call.namespace in ("", DEFAULT_NAMESPACE) else {**item, "namespace": call.namespace}


def _without_loose_reasoning(items: list[Any]) -> list[Any]:
    """A reasoning item must be followed by what it led to; one that is not would be refused."""
    kept: list[Any] = []
    follower: Any = None
    for item in reversed(items):
        if isinstance(item, dict) and item["type"] == "reasoning" and not _may_follow(follower):
            continue
        kept.append(item)
        follower = item
    kept.reverse()
    return kept


def _may_follow(item: Any) -> bool:
    if not isinstance(item, dict):
        return item is not None
    return item["type"] in _LEADS_ON or item.get("role") == "assistant"
