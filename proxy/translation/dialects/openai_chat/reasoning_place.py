"""The place of reasoning between the text and the calls of an assistant message, which Chat has no form for.

A model that thinks between its calls requires its reasoning back in that order. A carrier therefore holds how many calls and how many
characters of ``content`` came before its reasoning (docs/wire-formats.md, section 11).
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from proxy.translation.canonical import Part, Reasoning, Seal, Text, ToolCall

Place = tuple[int, int]
"""The numbers of calls and of characters of ``content`` before a reasoning part."""

_FIELD = "place"


def with_place(seal: Seal, place: Place) -> Seal:
    """``seal`` with the place of its reasoning; unchanged at the beginning of a message."""
    return Seal(seal.origin, seal.upstream, {**seal.fields, _FIELD: f"{place[0]}:{place[1]}"}) if any(place) else seal


def in_order(reasoning: Iterable[Reasoning], content: list[Part], calls: list[ToolCall]) -> list[Part]:
    """The parts of a message with each reasoning at its place. ``content`` that is not one text stays before the calls, whole."""
    parts: list[Part] = []
    text = content[0] if len(content) == 1 and isinstance(content[0], Text) else None
    sent_calls = sent_characters = 0
    for part in reasoning:
        calls_before, characters_before = _place(part.seal)
        if text is not None and sent_characters < characters_before:
            parts.append(Text(text.text[sent_characters:characters_before]))
            sent_characters = characters_before
        parts += calls[sent_calls:calls_before]
        sent_calls = max(sent_calls, calls_before)
        parts.append(_without_place(part))
    if text is None or not sent_characters:
        rest = content
    else:
        rest = [Text(text.text[sent_characters:])] if sent_characters < len(text.text) else []
    return [*(part for part in parts if not isinstance(part, Text) or part.text), *rest, *calls[sent_calls:]]


def _place(seal: Seal | None) -> Place:
    calls, _, characters = (seal.fields.get(_FIELD, "") if seal is not None else "").partition(":")
    return (int(calls), int(characters)) if characters else (0, 0)


def _without_place(part: Reasoning) -> Reasoning:
    if part.seal is None or _FIELD not in part.seal.fields:
        return part
    fields = {name: value for name, value in part.seal.fields.items() if name != _FIELD}
    return msgspec.structs.replace(part, seal=Seal(part.seal.origin, part.seal.upstream, fields))
