"""Decodes a whole response of a Chat upstream (docs/wire-formats.md, sections 2.4 and 8)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NoReturn

import msgspec

from proxy.translation.canonical import Finish, Part, Reasoning, Response, Text, ToolCall, settled
from proxy.translation.dialects.lenient_json import decode_leniently
from proxy.translation.dialects.openai_chat.finish_reasons import decode_finish_reason, failure_of_finish
from proxy.translation.dialects.openai_chat.native_fields import NativeFields, NativeResponse
from proxy.translation.dialects.openai_chat.opaque_state import EMPTY_SEAL, DetailsCollector, call_part, message_part
from proxy.translation.dialects.openai_chat.think_tags import ThinkTags
from proxy.translation.dialects.openai_chat.wire_response import (
    Logprobs,
    ResponseMessage,
    arguments_as_json,
    has_base_error,
    read_citations,
    read_content,
    read_reasoning,
)
from proxy.translation.dialects.openai_errors import failure_from_error
from proxy.translation.errors import ClientMistake, Failure, Kind, UpstreamFailed
from proxy.translation.quirks import Quirks
from proxy.translation.usage_counters import read_usage


class _Choice(msgspec.Struct):
    index: int | None = None
    message: ResponseMessage | None = None
    finish_reason: str | None = None
    logprobs: Logprobs | None = None
    error: Any = None
    usage: Any = None


class _WireResponse(NativeResponse):
    id: str | int | None = None
    model: str | None = None
    choices: list[_Choice | None] | None = None
    usage: Any = None
    service_tier: Any = None
    error: Any = None
    object: str | None = None
    base_resp: Any = None


_WIRE_RESPONSE = msgspec.json.Decoder(_WireResponse)


def decode_response(body: bytes, quirks: Quirks) -> Response:
    """The canonical response.

    Raises :class:`UpstreamFailed` if the body of the 200 is an error object, or is no chat completion with a choice.
    """
    try:
        response = _WIRE_RESPONSE.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        try:
            response = decode_leniently(body, _WIRE_RESPONSE)
        except ClientMistake:
            _raise_unusable(body, error)
    choice = _first_choice(response)
    if choice is None or choice.message is None or has_base_error(response.base_resp):
        _raise_unusable(body, None)
    if choice.error or choice.finish_reason == "error":
        raise UpstreamFailed(failure_from_error(choice.error), answered=True)
    broken_off = failure_of_finish(choice.finish_reason)
    if broken_off is not None:
        raise UpstreamFailed(broken_off, answered=True)
    parts = _decode_parts(choice.message, choice.logprobs, quirks)
    has_calls = any(isinstance(part, ToolCall) for part in parts)
    refused = any(isinstance(part, Text) and part.refusal for part in parts)
    usage = response.usage or choice.usage
    finish = settled(decode_finish_reason(choice.finish_reason, refused=refused), has_calls=has_calls)
    return Response(
        id="" if response.id is None else str(response.id),
        model=response.model or "",
        parts=tuple(parts),
        finish=_with_native(finish, response, choice.message),
        usage=read_usage(usage, response.service_tier) if isinstance(usage, dict) else None,
    )


def _with_native(finish: Finish, response: _WireResponse, message: ResponseMessage) -> Finish:
    native = NativeFields()
    native.add_response(response)
    native.add_message(message)
    return native.kept_in(finish)


def _first_choice(response: _WireResponse) -> _Choice | None:
    """The choice with the index 0, else the first one."""
    first = None
    for choice in response.choices or ():
        if choice is not None:
            if not choice.index:
                return choice
            first = first or choice
    return first


def _raise_unusable(body: bytes, error: Exception | None) -> NoReturn:
    """Raise :class:`UpstreamFailed` for the body of a 200 without a choice: with the message of its error object, or with what is wrong."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        value = None
    if isinstance(value, dict) and (value.get("error") or value.get("object") == "error" or has_base_error(value.get("base_resp"))):
        failure = failure_from_error(value)
        kind: Kind = "context_length" if failure.kind == "context_length" else "bad_gateway"
        raise UpstreamFailed(Failure(kind=kind, message=failure.message, code=failure.code), answered=True)
    if error is None or isinstance(error, RecursionError):
        message = "The upstream response has no choices."
    else:
        message = f"The upstream response cannot be decoded: {error}"
    raise UpstreamFailed(Failure(kind="bad_gateway", message=message), answered=True)


def _decode_parts(message: ResponseMessage, logprobs: Logprobs | None, quirks: Quirks) -> list[Part]:
    parts: list[Part] = []
    reasoning = read_reasoning(message)
    if reasoning or message.reasoning_details:
        details = DetailsCollector()
        details.add(message.reasoning_details)
        if reasoning or details:
            parts.append(Reasoning(reasoning, details.take()))
    parts += _decode_content(message, tuple(logprobs.content or ()) if logprobs else (), quirks)
    if message.refusal:
        parts.append(Text(message.refusal, refusal=True, logprobs=tuple(logprobs.refusal or ()) if logprobs else ()))
    if message.tool_calls or message.function_call:
        parts += _decode_calls(message)
    state = message.state()
    return [*parts, message_part(state)] if state else parts


def _decode_content(message: ResponseMessage, logprobs: tuple[Any, ...], quirks: Quirks) -> list[Part]:
    """Text and reasoning in the order of the content. Log probabilities belong to the first text, citations to the last one."""
    if isinstance(message.content, str) and not quirks.split_think_tags:
        citations = tuple(read_citations(message.annotations)) if message.annotations else ()
        return [Text(message.content, citations=citations, logprobs=logprobs)] if message.content else []
    runs: list[tuple[str, str]] = []
    for kind, text in read_content(message.content):
        pieces = ThinkTags().split(text) if quirks.split_think_tags and kind == "text" else [(kind, text)]
        for piece_kind, piece in pieces:
            if runs and runs[-1][0] == piece_kind:
                runs[-1] = (piece_kind, runs[-1][1] + piece)
            elif piece:
                runs.append((piece_kind, piece))
    parts: list[Part] = []
    last_text = max((place for place, (run_kind, _) in enumerate(runs) if run_kind == "text"), default=-1)
    for place, (run_kind, run) in enumerate(runs):
        if run_kind != "text":
            parts.append(Reasoning(run, EMPTY_SEAL))
            continue
        citations = tuple(read_citations(message.annotations)) if place == last_text else ()
        parts.append(Text(run, citations=citations, logprobs=logprobs))
        logprobs = ()
    return parts


def _decode_calls(message: ResponseMessage) -> Iterable[Part]:
    """The calls, each after the part with its state."""
    seen_ids: set[str] = set()
    for number, call in enumerate(call for call in message.tool_calls or () if call is not None):
        call_id = "" if call.id is None else str(call.id)
        call_id = "" if call_id in seen_ids else call_id
        seen_ids.add(call_id)
        state = call.state()
        if state:
            yield call_part(state, call_id, number)
        if call.custom is not None and call.custom.name:
            yield ToolCall(call_id, call.custom.name, call.custom.input or "", "custom")
        elif call.function is not None and call.function.name:
            yield ToolCall(call_id, call.function.name, arguments_as_json(call.function.arguments))
    if not message.tool_calls and message.function_call is not None and message.function_call.name:
        yield ToolCall("", message.function_call.name, arguments_as_json(message.function_call.arguments))
