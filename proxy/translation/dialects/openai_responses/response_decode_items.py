"""Output items of an upstream, into canonical parts; whole replies and the ends of streams read them alike."""

from __future__ import annotations

from typing import Any

import msgspec

from proxy.translation.canonical import Citation, Finish, Part, Reasoning, Seal, Text, ToolCall, Usage
from proxy.translation.dialects.openai_errors import failure_from_error
from proxy.translation.dialects.openai_responses.usage import UsageOnWire, usage_from_wire
from proxy.translation.dialects.openai_responses.wire import FAMILY, NO_JSON, SUMMARY_SEPARATOR, ContentPart, Item
from proxy.translation.errors import Failure, Kind

_CODES: dict[str, Kind] = {
    "rate_limit_exceeded": "rate_limit",
    "context_length_exceeded": "context_length",
    "insufficient_quota": "quota",
    "server_is_overloaded": "overloaded",
    "slow_down": "overloaded",
    "server_error": "upstream_error",
    "invalid_prompt": "invalid_request",
    "vector_store_timeout": "timeout",
}


class IncompleteDetails(msgspec.Struct):
    """Why a response is incomplete."""

    reason: str | None = None


class ResponseOnWire(msgspec.Struct):
    """A response object as far as it is read."""

    id: str | None = None
    model: str | None = None
    status: str | None = None
    error: Any = None
    incomplete_details: IncompleteDetails | None = None
    output: list[Item] | None = None
    usage: UsageOnWire | None = None
    service_tier: str | None = None


def usage_of(response: ResponseOnWire) -> Usage | None:
    """The usage, when the upstream told any."""
    return None if response.usage is None else usage_from_wire(response.usage, response.service_tier)


def finish_of(response: ResponseOnWire, *, refused: bool) -> Finish:
    """Why the model stopped, before the content has its say."""
    if response.status == "incomplete":
        reason = response.incomplete_details.reason if response.incomplete_details else None
        return Finish(reason="refusal") if reason == "content_filter" else Finish(reason="length")
    return Finish(reason="refusal") if refused else Finish()


def failure_of(error: Any) -> Failure:
    """The failure in a response's ``error``, or in an error event."""
    failure = failure_from_error(error, default="upstream_error")
    kind = _CODES.get(failure.code or "")
    return failure if kind is None else msgspec.structs.replace(failure, kind=kind)


def content_part(part: ContentPart) -> Text | None:
    """A part of a message; kinds that are no words are ``None``."""
    if part.type == "refusal":
        return Text(part.refusal or "", refusal=True)
    if part.type in ("output_text", "text") or (part.type is None and part.text is not None):
        return Text(part.text or "", citations=citations_of(part.annotations), logprobs=logprobs_of(part.logprobs))
    return None


def message_parts(item: Item) -> list[Part]:
    """The texts of a message, empty ones left out."""
    if isinstance(item.content, str):
        return [Text(item.content)] if item.content else []
    found = (content_part(part) for part in item.content or ())
    return [part for part in found if part is not None and (part.text or part.citations)]


def call_arguments(item: Item) -> str:
    """The arguments of a call as text, also where a server sends an object."""
    given = item.input if item.type == "custom_tool_call" else item.arguments
    if given is None:
        return ""
    return given if isinstance(given, str) else msgspec.json.encode(given).decode()


def call_head(item: Item) -> ToolCall:
    """A call without its arguments."""
    kind = "custom" if item.type == "custom_tool_call" else "function"
    return msgspec.convert(
        {"id": item.call_id or "", "name": item.name or "", "arguments": "", "kind": kind, "namespace": item.namespace or ""}, ToolCall
    )


def reasoning_text(item: Item) -> str:
    """The summary, or the raw text of servers that give no summary; several parts are separated by an empty line."""
    parts = item.summary or (item.content if isinstance(item.content, list) else None) or ()
    return SUMMARY_SEPARATOR.join(part.text or "" for part in parts)


def reasoning_seal(item: Item) -> Seal | None:
    """What the upstream wants back, when it gave something to hand back."""
    if not item.encrypted_content:
        return None
    fields = {"encrypted_content": item.encrypted_content}
    return Seal(FAMILY, "", {"id": item.id, **fields} if item.id else fields)


def item_parts(item: Item) -> list[Part]:
    """The parts that one item holds; items of hosted tools hold none."""
    if item.type == "message":
        return message_parts(item)
    if item.type in ("function_call", "custom_tool_call"):
        return [msgspec.structs.replace(call_head(item), arguments=call_arguments(item))] if item.name else []
    if item.type == "reasoning":
        text, seal = reasoning_text(item), reasoning_seal(item)
        return [Reasoning(text, seal)] if text or seal else []
    return []


# --- annotations and log probabilities -------------------------------------------------------------------------------


class _Annotation(msgspec.Struct):
    type: str | None = None
    url: str | None = None
    title: str | None = None
    start_index: int | None = None
    end_index: int | None = None


_ANNOTATION_DECODER = msgspec.json.Decoder(_Annotation)
_RAWS_DECODER = msgspec.json.Decoder(list[msgspec.Raw] | None)
_LOGPROBS_DECODER = msgspec.json.Decoder(list[Any] | None)
_NONE_OF = (NO_JSON, msgspec.Raw(b"[]"))


def citation_of(raw: msgspec.Raw) -> Citation | None:
    """An annotation; ``None`` for what cannot be read."""
    try:
        given = _ANNOTATION_DECODER.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return Citation(
        url=given.url or "",
        title=given.title or "",
        start=given.start_index,
        end=given.end_index,
        dialect=FAMILY,
        native=msgspec.Raw(bytes(raw)),
    )


def citations_of(raw: msgspec.Raw) -> tuple[Citation, ...]:
    """The annotations of a text."""
    if raw in _NONE_OF:
        return ()
    try:
        given = _RAWS_DECODER.decode(raw) or ()
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ()
    return tuple(citation for citation in map(citation_of, given) if citation is not None)


def logprobs_of(raw: msgspec.Raw) -> tuple[Any, ...]:
    """The log probabilities of a text, token by token."""
    if raw in _NONE_OF:
        return ()
    try:
        return tuple(_LOGPROBS_DECODER.decode(raw) or ())
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ()
