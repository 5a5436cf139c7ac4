"""What an upstream's model said, in a whole message or in the delta of one: the same fields, read the same way (section 8.1)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from proxy.translation import json_wire
from proxy.translation.canonical import Citation, Seal
from proxy.translation.dialects.openai_chat.wire_request import FAMILY

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
                native=Raw(json_wire.encode(annotation)),
            )


def arguments_text(arguments: str | dict[str, Raw] | list[Raw] | None) -> str:
    """Arguments as JSON text; servers that send an object get it written out."""
    if arguments is None or isinstance(arguments, str):
        return arguments or ""
    return json_wire.compact(json_wire.encode(arguments))
