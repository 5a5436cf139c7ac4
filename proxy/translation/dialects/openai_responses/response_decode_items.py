"""Decodes the output items of a Responses upstream (docs/wire-formats.md, section 3.3), for whole responses and for streams."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec

from proxy.translation.canonical import Citation, Finish, Opaque, Part, Reasoning, Seal, Text, ToolCall, Usage
from proxy.translation.dialects.openai_errors import failure_from_error
from proxy.translation.dialects.openai_responses.usage import WireUsage, decode_usage
from proxy.translation.dialects.openai_responses.wire import (
    CONTENT_FORM,
    FAMILY,
    JSON_NULL,
    SUMMARY_SEPARATOR,
    ContentPart,
    Item,
)
from proxy.translation.errors import Failure, Kind

_KIND_OF_CODE: dict[str, Kind] = {
    "rate_limit_exceeded": "rate_limit",
    "context_length_exceeded": "context_length",
    "insufficient_quota": "quota",
    "server_is_overloaded": "overloaded",
    "slow_down": "overloaded",
    "server_error": "upstream_error",
    "invalid_prompt": "invalid_request",
    "vector_store_timeout": "timeout",
}


_REQUEST_CODE = re.compile(r"image|policy|data_residency|unsupported|invalid_|too_large|too_small")
"""Codes of ``ResponseError`` that are about the request, so that another attempt fails in the same way: ``invalid_image``,
``image_too_large``, ``bio_policy``, ``data_residency_mismatch``, … A new code that resembles them is one of them."""


class IncompleteDetails(msgspec.Struct):
    """``incomplete_details`` of a response object."""

    reason: str | None = None


class WireResponse(msgspec.Struct):
    """The fields of a response object that are used."""

    id: str | None = None
    model: str | None = None
    status: str | None = None
    error: Any = None
    incomplete_details: IncompleteDetails | None = None
    output: list[Item] | None = None
    usage: WireUsage | None = None
    service_tier: str | None = None
    background: Any = None
    tool_usage: msgspec.Raw = JSON_NULL
    tools: msgspec.Raw = JSON_NULL


class RawOutput(msgspec.Struct):
    """A response object whose items are not decoded."""

    output: list[msgspec.Raw] = []


class NativeItems:
    """The JSON of the items of one response. It is decoded on first use: few responses have an item that keeps its JSON."""

    def __init__(self, read: Callable[[], list[msgspec.Raw]]) -> None:
        self._read = read
        self._items: list[msgspec.Raw] | None = None

    def item(self, position: int) -> msgspec.Raw:
        """The JSON of the item at ``position``."""
        if self._items is None:
            self._items = self._read()
        return self._items[position]


def decode_response_usage(response: WireResponse) -> Usage | None:
    """The usage; ``None`` if the upstream sent none."""
    if response.usage is None:
        return None
    if response.tool_usage is JSON_NULL:
        return decode_usage(response.usage, response.service_tier)
    return decode_usage(response.usage, response.service_tier, tool_usage=bytes(response.tool_usage), tools=bytes(response.tools))


def decode_finish(response: WireResponse, *, refused: bool) -> Finish:
    """The finish of a response object; :func:`~proxy.translation.canonical.settled` then compares it with the parts."""
    if response.status == "incomplete":
        reason = response.incomplete_details.reason if response.incomplete_details else None
        return Finish(reason="refusal") if reason == "content_filter" else Finish(reason="length")
    return Finish(reason="refusal") if refused else Finish()


def decode_failure(error: Any) -> Failure:
    """The failure of an ``error`` object in a response or in an error event."""
    failure = failure_from_error(error, default="upstream_error")
    kind = _KIND_OF_CODE.get(failure.code or "")
    if kind is None and failure.code and _REQUEST_CODE.search(failure.code):
        kind = "invalid_request"
    return failure if kind is None else msgspec.structs.replace(failure, kind=kind)


def decode_text_part(part: ContentPart) -> Text | None:
    """The text of a content part; ``None`` for a part of another type."""
    if part.type == "refusal":
        return Text(part.refusal or "", refusal=True)
    if part.type in ("output_text", "text") or (part.type is None and part.text is not None):
        return Text(part.text or "", citations=decode_citations(part.annotations), logprobs=decode_logprobs(part.logprobs))
    return None


def decode_message(item: Item) -> list[Part]:
    """The texts of a message that are not empty."""
    if isinstance(item.content, str):
        return [Text(item.content)] if item.content else []
    texts = (decode_text_part(part) for part in item.content or ())
    return [text for text in texts if text is not None and (text.text or text.citations)]


def call_arguments(item: Item) -> str:
    """The arguments of a call as text; some servers send the object itself."""
    arguments = item.input if item.type == "custom_tool_call" else item.arguments
    if arguments is None:
        return ""
    return arguments if isinstance(arguments, str) else msgspec.json.encode(arguments).decode()


def decode_call(item: Item) -> ToolCall:
    """A call with empty arguments."""
    kind = "custom" if item.type == "custom_tool_call" else "function"
    return msgspec.convert(
        {"id": item.call_id or "", "name": item.name or "", "arguments": "", "kind": kind, "namespace": item.namespace or ""}, ToolCall
    )


def reasoning_text(item: Item) -> str:
    """The text of the summary, or of ``content`` at servers without a summary; an empty line separates the parts."""
    parts = item.summary or (item.content if isinstance(item.content, list) else None) or ()
    return _joined(list(parts))


def reasoning_seal(item: Item, upstream: str | None = "") -> Seal | None:
    """The seal with ``encrypted_content``, id and raw text; ``None`` if the item has only a summary and an id.

    The raw text of an item without a summary is the text of the reasoning itself; ``CONTENT_FORM`` then says where it belongs.
    """
    fields = {"encrypted_content": item.encrypted_content} if item.encrypted_content else {}
    if item.content and isinstance(item.content, list):
        fields |= {"content": _joined(item.content)} if item.summary else {"form": CONTENT_FORM}
    if not fields:
        return None
    return Seal(FAMILY, upstream, {"id": item.id, **fields} if item.id else fields)


def _joined(parts: list[ContentPart]) -> str:
    return SUMMARY_SEPARATOR.join(part.text or "" for part in parts)


def decode_native(item: Item, native: msgspec.Raw) -> Opaque:
    """An item that only this family knows, such as a call of a hosted tool."""
    return Opaque(FAMILY, item.kind, msgspec.Raw(bytes(native)), history=True)


def decode_item(item: Item, native: Callable[[], msgspec.Raw]) -> list[Part]:
    """The parts of an item. ``native`` returns its JSON, which an item of a kind without a canonical form keeps."""
    if item.type == "message":
        return decode_message(item)
    if item.type in ("function_call", "custom_tool_call"):
        return [msgspec.structs.replace(decode_call(item), arguments=call_arguments(item))] if item.name else []
    if item.type == "reasoning":
        text, seal = reasoning_text(item), reasoning_seal(item)
        return [Reasoning(text, seal)] if text or seal else []
    return [decode_native(item, native())]


# --- annotations and log probabilities -------------------------------------------------------------------------------


class _Annotation(msgspec.Struct):
    type: str | None = None
    url: str | None = None
    title: str | None = None
    start_index: int | None = None
    end_index: int | None = None


_ANNOTATION_DECODER = msgspec.json.Decoder(_Annotation)
_RAW_LIST_DECODER = msgspec.json.Decoder(list[msgspec.Raw] | None)
_LOGPROBS_DECODER = msgspec.json.Decoder(list[Any] | None)
_EMPTY_LISTS = (JSON_NULL, msgspec.Raw(b"[]"))


def decode_citation(raw: msgspec.Raw) -> Citation | None:
    """The citation of an annotation; ``None`` if the annotation cannot be decoded."""
    try:
        annotation = _ANNOTATION_DECODER.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return Citation(
        url=annotation.url or "",
        title=annotation.title or "",
        start=annotation.start_index,
        end=annotation.end_index,
        dialect=FAMILY,
        native=msgspec.Raw(bytes(raw)),
    )


def decode_citations(raw: msgspec.Raw) -> tuple[Citation, ...]:
    """The citations of a list of annotations."""
    if raw in _EMPTY_LISTS:
        return ()
    try:
        annotations = _RAW_LIST_DECODER.decode(raw) or ()
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ()
    return tuple(citation for citation in map(decode_citation, annotations) if citation is not None)


def decode_logprobs(logprobs_json: msgspec.Raw) -> tuple[Any, ...]:
    """The entries of a list of log probabilities, one for each token."""
    if logprobs_json in _EMPTY_LISTS:
        return ()
    try:
        return tuple(_LOGPROBS_DECODER.decode(logprobs_json) or ())
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ()
