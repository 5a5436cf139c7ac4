"""The assistant message of a response, or the delta of one in a stream: its structs and readers (docs/wire-formats.md, section 8.1).

A message and a delta have the same fields, and ``response_decode`` and ``stream_decode`` read them in the same way.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import msgspec

from proxy.translation import json_wire
from proxy.translation.canonical import Citation
from proxy.translation.dialects.openai_chat.native_fields import NativeMessage
from proxy.translation.dialects.openai_chat.wire_request import FAMILY, CallState

PieceKind = Literal["text", "reasoning"]
Raw = msgspec.Raw


class WireFunction(msgspec.Struct):
    """The function of a tool call. ``arguments`` is JSON text; some servers send the object itself."""

    name: str | None = None
    arguments: str | dict[str, Raw] | list[Raw] | None = None


class WireCustom(msgspec.Struct):
    """The free-form tool of a tool call."""

    name: str | None = None
    input: str | None = None


class WireCall(CallState):
    """A tool call of a message, or a fragment of one in a delta."""

    index: int | None = None
    id: str | int | None = None
    type: str | None = None
    function: WireFunction | None = None
    custom: WireCustom | None = None


class Logprobs(msgspec.Struct):
    """Log probabilities of a choice; the entries are passed on unchanged."""

    content: list[Any] | None = None
    refusal: list[Any] | None = None


class ResponseMessage(NativeMessage):
    """A message or a delta.

    ``content`` is a list of parts at Mistral. Servers name the reasoning text ``reasoning_content`` or ``reasoning``; OpenRouter adds
    ``reasoning_details``.
    """

    content: str | list[Any] | dict[str, Any] | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: Any = None
    tool_calls: list[WireCall | None] | None = None
    function_call: WireFunction | None = None
    annotations: Any = None


def has_base_error(base_resp: Any) -> bool:
    """Whether MiniMax's ``base_resp`` reports a failure: its status is not 0."""
    return isinstance(base_resp, dict) and base_resp.get("status_code") not in (0, None)


def read_reasoning(message: ResponseMessage) -> str:
    """The reasoning text. Servers that fill several of the fields put the same text into each, so the first one is taken."""
    if message.reasoning_content:
        return message.reasoning_content
    if isinstance(message.reasoning, str) and message.reasoning:
        return message.reasoning
    if not isinstance(message.reasoning_details, list):
        return ""
    pieces = [entry.get("text") or entry.get("summary") for entry in message.reasoning_details if isinstance(entry, dict)]
    return "".join(piece for piece in pieces if isinstance(piece, str))


def read_content(content: str | list[Any] | dict[str, Any] | None) -> list[tuple[PieceKind, str]]:
    """The content as pieces of text and reasoning, none of them empty. Parts of other types are skipped.

    Mistral sends ``[{"type": "thinking", "thinking": [...]}, {"type": "text", "text": ...}]``.
    """
    if isinstance(content, str):
        return [("text", content)] if content else []
    pieces: list[tuple[PieceKind, str]] = []
    for part in [content] if isinstance(content, dict) else content or ():
        if isinstance(part, str):
            pieces.append(("text", part))
        elif isinstance(part, dict) and part.get("type") == "thinking":
            thinking = part.get("thinking")
            text = thinking if isinstance(thinking, str) else "".join(piece for _, piece in read_content(_as_list(thinking)))
            pieces.append(("reasoning", text))
        elif isinstance(part, dict) and isinstance(part.get("text"), str):
            pieces.append(("text", part["text"]))
    return [(kind, text) for kind, text in pieces if text]


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def read_citations(annotations: Any) -> Iterable[Citation]:
    """The URL citations among a message's annotations."""
    for annotation in _as_list(annotations):
        cited = annotation.get("url_citation") if isinstance(annotation, dict) else None
        if isinstance(cited, dict) and isinstance(cited.get("url"), str):
            title, start, end = cited.get("title"), cited.get("start_index"), cited.get("end_index")
            yield Citation(
                url=cited["url"],
                title=title if isinstance(title, str) else "",
                start=start if isinstance(start, int) else None,
                end=end if isinstance(end, int) else None,
                dialect=FAMILY,
                native=Raw(json_wire.encode(annotation)),
            )


_TEXT = msgspec.json.Decoder(str)
_OBJECT = msgspec.json.Decoder(dict[str, Raw])


def is_quoted(arguments: str) -> bool:
    """Whether arguments begin as a JSON string: servers on vLLM encode them twice."""
    return arguments.lstrip()[:1] == '"'


def unquoted(arguments: str) -> str:
    """The JSON of the object in arguments that were encoded twice; any others unchanged."""
    try:
        inner = _TEXT.decode(arguments)
        _OBJECT.decode(inner)
    except (msgspec.DecodeError, UnicodeDecodeError, UnicodeEncodeError, RecursionError):
        return arguments
    return inner


def arguments_as_json(arguments: str | dict[str, Raw] | list[Raw] | None) -> str:
    """The arguments of a call as JSON text; an object or a list is encoded."""
    if arguments is None or isinstance(arguments, str):
        return unquoted(arguments) if arguments and is_quoted(arguments) else arguments or ""
    return json_wire.compact(json_wire.encode(arguments))
