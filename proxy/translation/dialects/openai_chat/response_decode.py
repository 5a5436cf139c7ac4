"""Whole answers of Chat Completions: decoded here, encoded in ``encode_response`` (sections 2.4 and 8)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NoReturn

import msgspec

from proxy.translation.canonical import Part, Reasoning, Response, Text, ToolCall, settled
from proxy.translation.dialects.lenient_json import decode_leniently
from proxy.translation.dialects.openai_chat.think_tags import ThinkTags
from proxy.translation.dialects.openai_chat.usage import WireUsage, decode_finish, decode_usage
from proxy.translation.dialects.openai_chat.wire_response import SEAL, Logprobs, Said, arguments_text, citations_of, content_of, thought_of
from proxy.translation.dialects.openai_errors import failure_from_error
from proxy.translation.errors import ClientMistake, Failure, UpstreamFailed
from proxy.translation.quirks import Quirks


class _Choice(msgspec.Struct):
    index: int | None = None
    message: Said | None = None
    finish_reason: str | None = None
    logprobs: Logprobs | None = None
    error: Any = None
    usage: WireUsage | None = None


class _Answer(msgspec.Struct):
    id: str | int | None = None
    model: str | None = None
    choices: list[_Choice | None] | None = None
    usage: WireUsage | None = None
    service_tier: Any = None
    error: Any = None
    object: str | None = None


_ANSWER = msgspec.json.Decoder(_Answer)


def decode_response(body: bytes, quirks: Quirks) -> Response:
    """The canonical answer; raises :class:`UpstreamFailed` for an error object or nonsense in a 200."""
    try:
        answer = _ANSWER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        try:
            answer = decode_leniently(body, _ANSWER)
        except ClientMistake:
            _refuse(body, error)
    choice = _first(answer)
    if choice is None or choice.message is None:
        _refuse(body, None)
    if choice.error or choice.finish_reason == "error":
        raise UpstreamFailed(failure_from_error(choice.error), answered=True)
    parts = _parts(choice.message, choice.logprobs, quirks)
    has_calls = any(isinstance(part, ToolCall) for part in parts)
    refused = any(isinstance(part, Text) and part.refusal for part in parts)
    usage = answer.usage or choice.usage
    return Response(
        id="" if answer.id is None else str(answer.id),
        model=answer.model or "",
        parts=tuple(parts),
        finish=settled(decode_finish(choice.finish_reason, refused=refused), has_calls=has_calls),
        usage=None if usage is None else decode_usage(usage, answer.service_tier),
    )


def _first(answer: _Answer) -> _Choice | None:
    choices = [choice for choice in answer.choices or () if choice is not None]
    return next((choice for choice in choices if not choice.index), choices[0] if choices else None)


def _refuse(body: bytes, error: Exception | None) -> NoReturn:
    """A 200 that is no answer: an error object, which is told in its own words, or something else."""
    try:
        whole = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        whole = None
    if isinstance(whole, dict) and (whole.get("error") or whole.get("object") == "error"):
        said = failure_from_error(whole)
        raise UpstreamFailed(Failure(kind="bad_gateway", message=said.message, code=said.code), answered=True)
    why = f": {error}" if error is not None and not isinstance(error, RecursionError) else " without choices"
    raise UpstreamFailed(Failure(kind="bad_gateway", message=f"the upstream's answer cannot be read{why}"), answered=True)


def _parts(said: Said, logprobs: Logprobs | None, quirks: Quirks) -> list[Part]:
    parts: list[Part] = []
    thought = thought_of(said)
    if thought:
        parts.append(Reasoning(thought, SEAL))
    texts: list[str] = []
    for kind, words in content_of(said.content):
        pieces = ThinkTags().whole(words) if quirks.split_think_tags and kind == "text" else [(kind, words)]
        for piece_kind, piece in pieces:
            if piece_kind == "text":
                texts.append(piece)
            else:
                parts.append(Reasoning(piece, SEAL))
    content = "".join(texts)
    if content:
        told = tuple(logprobs.content or ()) if logprobs else ()
        parts.append(Text(content, citations=tuple(citations_of(said.annotations)), logprobs=told))
    if said.refusal:
        parts.append(Text(said.refusal, refusal=True, logprobs=tuple(logprobs.refusal or ()) if logprobs else ()))
    return parts + list(_calls(said))


def _calls(said: Said) -> Iterable[ToolCall]:
    seen: set[str] = set()
    for call in said.tool_calls or ():
        if call is None:
            continue
        call_id = "" if call.id is None else str(call.id)
        call_id = "" if call_id in seen else call_id
        seen.add(call_id)
        if call.custom is not None and call.custom.name:
            yield ToolCall(call_id, call.custom.name, call.custom.input or "", "custom")
        elif call.function is not None and call.function.name:
            yield ToolCall(call_id, call.function.name, arguments_text(call.function.arguments))
    if not said.tool_calls and said.function_call is not None and said.function_call.name:
        yield ToolCall("", said.function_call.name, arguments_text(said.function_call.arguments))
