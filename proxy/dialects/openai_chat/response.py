"""Whole answers of Chat Completions (sections 2.4 and 8)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any, NoReturn

import msgspec

from proxy import reasoning, wire
from proxy.canonical import Citation, Part, Reasoning, Response, Seal, Text, ToolCall, settled
from proxy.dialects.base import Reply
from proxy.dialects.openai_chat.think_tags import ThinkTags
from proxy.dialects.openai_chat.usage import (
    WireUsage,
    decode_finish,
    decode_usage,
    encode_usage,
    finish_word,
    service_tier,
)
from proxy.dialects.openai_errors import failure_told
from proxy.errors import ClientMistake, Failure, UpstreamFailed
from proxy.quirks import Quirks

FAMILY = "openai_chat"
SEAL = Seal(FAMILY, "")
"""Chat upstreams keep no state with their reasoning: the text is all."""

Raw = msgspec.Raw


class WireFunction(msgspec.Struct):
    """What a call says of its function; arguments are an object at some servers."""

    name: str | None = None
    arguments: str | dict[str, Raw] | list[Raw] | None = None


class WireCustom(msgspec.Struct):
    """A call of a free-form tool."""

    name: str | None = None
    input: str | None = None


class WireCall(msgspec.Struct):
    """A tool call, or a fragment of one."""

    index: int | None = None
    id: str | int | None = None
    type: str | None = None
    function: WireFunction | None = None
    custom: WireCustom | None = None


class Logprobs(msgspec.Struct):
    """Log probabilities, passed on as they are."""

    content: list[Any] | None = None
    refusal: list[Any] | None = None


class Said(msgspec.Struct):
    """A message, or the delta of one."""

    content: str | list[Any] | dict[str, Any] | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: Any = None
    reasoning_details: Any = None
    tool_calls: list[WireCall | None] | None = None
    function_call: WireFunction | None = None
    annotations: Any = None


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


# --- from an upstream ------------------------------------------------------------------------------------------------


def decode_response(body: bytes, quirks: Quirks) -> Response:
    """The canonical answer; raises :class:`UpstreamFailed` for an error object or nonsense in a 200."""
    try:
        answer = _ANSWER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        try:
            answer = wire.decode(body, _ANSWER)  # mends lone surrogates
        except ClientMistake:
            _refuse(body, error)
    choice = _first(answer)
    if choice is None or choice.message is None:
        _refuse(body, None)
    if choice.error or choice.finish_reason == "error":
        raise UpstreamFailed(failure_told(choice.error), answered=True)
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
        said = failure_told(whole)
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


def thought_of(said: Said) -> str:
    """The reasoning in whichever field it stands; servers that fill several say the same in each."""
    if said.reasoning_content:
        return said.reasoning_content
    if isinstance(said.reasoning, str) and said.reasoning:
        return said.reasoning
    if not isinstance(said.reasoning_details, list):
        return ""
    pieces = [entry.get("text") or entry.get("summary") for entry in said.reasoning_details if isinstance(entry, dict)]
    return "".join(piece for piece in pieces if isinstance(piece, str))


def content_of(content: str | list[Any] | dict[str, Any] | None) -> list[tuple[str, str]]:
    """Content as ``("text" | "reasoning", words)``; Mistral answers in parts."""
    if isinstance(content, str):
        return [("text", content)] if content else []
    told: list[tuple[str, str]] = []
    for part in [content] if isinstance(content, dict) else content or ():
        if isinstance(part, str):
            told.append(("text", part))
        elif isinstance(part, dict) and part.get("type") == "thinking":
            thinking = part.get("thinking")
            words = thinking if isinstance(thinking, str) else "".join(piece for _, piece in content_of(_list(thinking)))
            told.append(("reasoning", words))
        elif isinstance(part, dict) and isinstance(part.get("text"), str):
            told.append(("text", part["text"]))
    return [(kind, words) for kind, words in told if words]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def citations_of(annotations: Any) -> Iterable[Citation]:
    """The URL citations among a message's annotations."""
    for annotation in _list(annotations):
        cited = annotation.get("url_citation") if isinstance(annotation, dict) else None
        if isinstance(cited, dict) and isinstance(cited.get("url"), str):
            title, start, end = cited.get("title"), cited.get("start_index"), cited.get("end_index")
            yield Citation(
                url=cited["url"],
                title=title if isinstance(title, str) else "",
                start=start if isinstance(start, int) else None,
                end=end if isinstance(end, int) else None,
                dialect=FAMILY,
                native=Raw(wire.encode(annotation)),
            )


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


def arguments_text(arguments: str | dict[str, Raw] | list[Raw] | None) -> str:
    """Arguments as JSON text; servers that send an object get it written out."""
    if arguments is None or isinstance(arguments, str):
        return arguments or ""
    return wire.compact(wire.encode(arguments))


# --- for a client ----------------------------------------------------------------------------------------------------


def encode_response(response: Response, reply: Reply) -> bytes:
    """The ``chat.completion`` that a client reads."""
    message, refused = _message(response.parts, reply)
    logprobs = _logprobs(response.parts)
    body: dict[str, Any] = {
        "id": f"chatcmpl-{reply.id}",
        "object": "chat.completion",
        "created": reply.created,
        "model": reply.model,
        "choices": [{"index": 0, "message": message, "logprobs": logprobs, "finish_reason": finish_word(response.finish, refused=refused)}],
        "usage": encode_usage(response.usage),
    }
    if "function_call" in message and response.finish.reason == "tool_calls":
        body["choices"][0]["finish_reason"] = "function_call"
    tier = service_tier(response.usage)
    if tier is not None:
        body["service_tier"] = tier
    return msgspec.json.encode(body)


def _message(parts: tuple[Part, ...], reply: Reply) -> tuple[dict[str, Any], bool]:
    """The message, and whether it holds a refusal."""
    texts = [part for part in parts if isinstance(part, Text)]
    refusal = "".join(part.text for part in texts if part.refusal)
    content, annotations = _content([part for part in texts if not part.refusal])
    message: dict[str, Any] = {"role": "assistant", "content": content or None, "refusal": refusal or None}
    _add_reasoning(message, [part for part in parts if isinstance(part, Reasoning)], reply.seal_key)
    if annotations:
        message["annotations"] = annotations
    calls = [_call(call, index, reply) for index, call in enumerate(part for part in parts if isinstance(part, ToolCall))]
    if calls and wants_legacy_calls(reply):
        message["function_call"] = calls[0]["function"]
    elif calls:
        message["tool_calls"] = calls
    return message, bool(refusal)


def _content(texts: list[Text]) -> tuple[str, list[Any]]:
    """The texts as one, and their URL citations."""
    content, annotations = "", []
    for part in texts:
        start, content = len(content), content + part.text
        annotations += [annotation(citation, start, len(content)) for citation in part.citations if citation.url]
    return content, annotations


def _add_reasoning(message: dict[str, Any], thoughts: list[Reasoning], seal_key: bytes) -> None:
    visible = "\n\n".join(part.text for part in thoughts if part.text)
    if visible:
        message["reasoning_content"] = visible
    details = [detail for index, part in enumerate(thoughts) if (detail := reasoning_detail(part, index, seal_key))]
    if details:
        message["reasoning_details"] = details


def wants_legacy_calls(reply: Reply) -> bool:
    """Whether the client offered ``functions`` rather than tools, and reads ``function_call`` only."""
    request = reply.request
    return request.family == FAMILY and "functions" in request.extra


def _call(call: ToolCall, index: int, reply: Reply) -> dict[str, Any]:
    call_id = call.id or generated_call_id(reply, index)
    if call.kind == "custom" and not wants_legacy_calls(reply):
        return {"id": call_id, "type": "custom", "custom": {"name": call.name, "input": call.arguments}}
    return {"id": call_id, "type": "function", "function": {"name": call.name, "arguments": call.arguments or "{}"}}


def generated_call_id(reply: Reply, index: int) -> str:
    """The id of the ``index``-th call of a reply whose upstream gave it none."""
    return f"call_{hashlib.sha256(f'{reply.id}:{index}'.encode()).hexdigest()[:24]}"


def reasoning_detail(part: Reasoning, index: int, seal_key: bytes) -> dict[str, Any] | None:
    """The entry of ``reasoning_details`` that brings a provider's state back to us (section 11)."""
    if part.seal is None or part.seal.origin == FAMILY:
        return None
    carrier = reasoning.pack(part.seal, seal_key)
    if not part.text:
        return {"type": "reasoning.encrypted", "data": carrier, "index": index}
    return {"type": "reasoning.text", "text": part.text, "signature": carrier, "index": index}


def annotation(citation: Citation, start: int, end: int) -> Any:
    """A URL citation of the text from ``start`` to ``end``, or as chat wrote it."""
    if citation.dialect == FAMILY and citation.native:
        return citation.native
    if citation.start is not None and citation.end is not None:
        start, end = start + citation.start, start + citation.end
    cited = {"url": citation.url, "title": citation.title, "start_index": start, "end_index": end}
    return {"type": "url_citation", "url_citation": cited}


def _logprobs(parts: tuple[Part, ...]) -> dict[str, Any] | None:
    content = [each for part in parts if isinstance(part, Text) and not part.refusal for each in part.logprobs]
    refusal = [each for part in parts if isinstance(part, Text) and part.refusal for each in part.logprobs]
    return {"content": content or None, "refusal": refusal or None} if content or refusal else None
