"""Edits of a client's own fields: system prompt, last user turn, temperature and limit of output tokens.

Only changed fields are encoded again; every other field, message and block keeps its bytes. A dialect's :class:`PromptShape`
names the fields, so that a policy gives the same prompt in every dialect of the client and of the upstream.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from proxy.translation import json_wire
from proxy.translation.json_wire import Envelope
from proxy.translation.policies.model_policies import Policies
from proxy.translation.policies.prompt_shape import PromptShape
from proxy.translation.quirks import Quirks
from proxy.translation.thinking_budgets import MIN_BUDGET

SEPARATOR = "\n\n"

_LIST = msgspec.json.Decoder(list[Raw])
_FIELDS = msgspec.json.Decoder(dict[str, Raw])
_TEXT = msgspec.json.Decoder(str)
_NUMBER = msgspec.json.Decoder(int | None)

Fields = dict[str, Raw]


class _Head(msgspec.Struct):
    """The fields of a turn that say whose turn it is."""

    role: Any = None
    type: Any = None

    @property
    def is_system(self) -> bool:
        return self.role in ("system", "developer")

    @property
    def is_user(self) -> bool:
        return bool(self.role == "user")

    @property
    def is_result(self) -> bool:
        """Whether the item is a tool result that is a turn of its own."""
        return self.role in ("tool", "function") or (isinstance(self.type, str) and self.type.endswith("_output"))


_HEAD = msgspec.json.Decoder(_Head)


class Additions(msgspec.Struct, frozen=True):
    """Texts added to the end of the system prompt and of the last user turn; empty ones are left out."""

    system: tuple[str, ...] = ()
    turn: tuple[str, ...] = ()


def edit_request(
    envelope: Envelope,
    shape: PromptShape,
    policies: Policies,
    additions: Additions,
    *,
    quirks: Quirks,
    relayed: bool,
    sampling: bool = True,
) -> Envelope:
    """The envelope with a model's policies applied, then with ``additions``.

    ``relayed``: the fields go to an upstream of the same dialect without a translation, so they must obey its rules here.
    ``sampling``: the API and the model of the upstream accept a temperature.
    Raises :class:`~proxy.translation.errors.ClientMistake` for fields that cannot be read.
    """
    fields = dict(envelope.fields)
    if policies.replacements:
        _replace(fields, shape, policies.replacements)
    for text in (policies.append, *additions.system):
        if text:
            _append_to_system(fields, shape, text)
    for text in additions.turn:
        if text:
            _append_to_turn(fields, shape, text)
    settings = _settings(fields, shape)
    _limit(settings, shape, policies, quirks)
    if policies.temperature is not None and sampling and not (relayed and quirks.no_sampling):
        _set_temperature(settings, shape, policies.temperature, relayed=relayed)
    if shape.settings and settings:
        fields[shape.settings] = Raw(json_wire.encode(settings))
    if relayed and shape.thinking_budget and fields.get("max_tokens") is not envelope.fields.get("max_tokens"):
        _fit_thinking(fields)
    return msgspec.structs.replace(envelope, fields=fields)


# --- the system prompt -----------------------------------------------------------------------------------------------


def _replace(fields: Fields, shape: PromptShape, replacements: tuple[tuple[str, str], ...]) -> None:
    if shape.prompt and _is_present(fields, shape.prompt):
        _set_prompt(fields, shape, _with_replacements(_prompt(fields, shape), replacements))
    turns = _turns(fields, shape)
    if turns is None:
        return
    changed = False
    for place, turn in enumerate(turns):
        if _head(turn).is_system:
            item = _open_object(turn)
            content = item.get(shape.turn_content, Raw(b"null"))
            new = _with_replacements(content, replacements)
            if new is not content:
                turns[place] = Raw(json_wire.encode(item | {shape.turn_content: new}))
                changed = True
    if changed:
        fields[shape.turns] = Raw(json_wire.encode(turns))


def _with_replacements(content: Raw, replacements: tuple[tuple[str, str], ...]) -> Raw:
    """Content with the texts replaced; the same object where none of them occurs."""
    kind = _kind(content)
    if kind == b'"':
        text = json_wire.decode(content, _TEXT)
        new = _substitute(text, replacements)
        return content if new == text else Raw(json_wire.encode(new))
    if kind != b"[":
        return content
    blocks = json_wire.decode(content, _LIST)
    changed = False
    for place, block in enumerate(blocks):
        item = _open_object(block) if _kind(block) == b"{" else {}
        if "text" in item:
            new_text = _with_replacements(item["text"], replacements)
            if new_text is not item["text"]:
                blocks[place] = Raw(json_wire.encode(item | {"text": new_text}))
                changed = True
    return Raw(json_wire.encode(blocks)) if changed else content


def _substitute(text: str, replacements: tuple[tuple[str, str], ...]) -> str:
    for old, new in replacements:
        text = text.replace(old, new)
    return text


def _append_to_system(fields: Fields, shape: PromptShape, text: str) -> None:
    """Append to the prompt field where the dialect has one, else to the last system message before the first turn."""
    if shape.prompt_blocks or (shape.prompt and _is_present(fields, shape.prompt)):
        text_type = shape.text_type if shape.prompt_blocks else "text"
        _set_prompt(fields, shape, _with_appended(_prompt(fields, shape), text, text_type, joins=not shape.is_untyped))
        return
    turns = _turns(fields, shape)
    leading = 0
    while turns is not None and leading < len(turns) and _head(turns[leading]).is_system:
        leading += 1
    if turns is not None and leading:
        turns[leading - 1] = _with_text(turns[leading - 1], text, shape, joins=True)
        fields[shape.turns] = Raw(json_wire.encode(turns))
    elif shape.prompt:
        fields[shape.prompt] = Raw(json_wire.encode(text))
    elif turns is not None:
        fields[shape.turns] = Raw(json_wire.encode([{"role": "system", "content": text}, *turns]))


# --- the last user turn ----------------------------------------------------------------------------------------------


def _append_to_turn(fields: Fields, shape: PromptShape, text: str) -> None:
    """Append to the last user turn. After tool results that are turns of their own, add a user message."""
    turns = _turns(fields, shape)
    if turns is None:  # Responses: the whole input is one text
        message_item = {"type": "message", "role": "user", "content": fields.get(shape.turns, Raw(b'""'))}
        turns = [Raw(json_wire.encode(message_item))]
    place = next((index for index in range(len(turns) - 1, -1, -1) if (head := _head(turns[index])).is_user or head.is_result), None)
    if place is not None and _head(turns[place]).is_user:
        turns[place] = _with_text(turns[place], text, shape, joins=shape.joins_strings)
    else:
        content = text if shape.joins_strings else [_text_block(text, shape.text_type)]
        message: dict[str, Any] = {"role": "user", shape.turn_content: content}
        if shape.turn_type:
            message = {"type": shape.turn_type, **message}
        turns.insert(len(turns) if place is None else place + 1, Raw(json_wire.encode(message)))
    fields[shape.turns] = Raw(json_wire.encode(turns))


def _with_text(turn: Raw, text: str, shape: PromptShape, *, joins: bool) -> Raw:
    item = _open_object(turn)
    content = _with_appended(item.get(shape.turn_content, Raw(b"null")), text, shape.text_type, joins=joins)
    return Raw(json_wire.encode(item | {shape.turn_content: content}))


def _prompt(fields: Fields, shape: PromptShape) -> Raw:
    """The text or the blocks of the system prompt."""
    raw = fields.get(shape.prompt, Raw(b"null"))
    if not shape.prompt_content or _kind(raw) != b"{":
        return raw
    return _open_object(raw).get(shape.prompt_content, Raw(b"null"))


def _set_prompt(fields: Fields, shape: PromptShape, content: Raw) -> None:
    raw = fields.get(shape.prompt, Raw(b"null"))
    if shape.prompt_content and _kind(content) == b"[":
        opened = _open_object(raw) if _kind(raw) == b"{" else {}
        content = Raw(json_wire.encode(opened | {shape.prompt_content: content}))
    fields[shape.prompt] = content


def _text_block(text: str, text_type: str) -> dict[str, str]:
    return {"type": text_type, "text": text} if text_type else {"text": text}


def _with_appended(content: Raw, text: str, text_type: str, *, joins: bool) -> Raw:
    """Content with one more text at its end; ``joins``: plain text stays plain text."""
    kind = _kind(content)
    if kind == b"[":
        return Raw(json_wire.encode([*json_wire.decode(content, _LIST), _text_block(text, text_type)]))
    own_text = json_wire.decode(content, _TEXT) if kind == b'"' else ""
    if joins:
        return Raw(json_wire.encode(own_text + SEPARATOR + text if own_text else text))
    return Raw(json_wire.encode([_text_block(paragraph, text_type) for paragraph in (own_text, text) if paragraph]))


# --- settings --------------------------------------------------------------------------------------------------------


def _settings(fields: Fields, shape: PromptShape) -> Fields:
    """The fields with the limits and the temperature: those of the body, or a copy of those in an object of it."""
    if not shape.settings:
        return fields
    return _open_object(fields[shape.settings]) if _is_present(fields, shape.settings) else {}


def _limit(fields: Fields, shape: PromptShape, policies: Policies, quirks: Quirks) -> None:
    if policies.max_tokens_cap is None and policies.max_tokens_default is None:
        return
    given = {name: number for name in shape.limits if (number := _number(fields, name)) is not None}
    for name, number in given.items():
        wanted = policies.limit(number)
        if wanted != number:
            fields[name] = Raw(json_wire.encode(wanted))
    if not given:
        name = quirks.max_tokens_field if len(shape.limits) > 1 else shape.limits[0]
        fields[name] = Raw(json_wire.encode(policies.limit(None)))


def _set_temperature(fields: Fields, shape: PromptShape, temperature: float, *, relayed: bool) -> None:
    """The model's own temperature. Left out where an upstream of the same dialect would refuse it beside thinking."""
    if relayed and shape.thinking_budget:
        if _thinking(fields).get("type") in ("enabled", "adaptive"):
            return  # thinking goes with the temperature 1 only
        fields.pop("top_p", None)  # newer models take one of the two
    fields["temperature"] = Raw(json_wire.encode(min(temperature, shape.max_temperature) if relayed else temperature))


def _fit_thinking(fields: Fields) -> None:
    """A thinking budget stays below ``max_tokens``, which the cap may have lowered; where none fits there is no thinking."""
    thinking, limit = _thinking(fields), _number(fields, "max_tokens")
    budget = thinking.get("budget_tokens")
    if not isinstance(budget, int) or limit is None or budget < limit:
        return
    if limit <= MIN_BUDGET:
        del fields["thinking"]
    else:
        fields["thinking"] = Raw(json_wire.encode(thinking | {"budget_tokens": limit - 1}))


def _thinking(fields: Fields) -> dict[str, Any]:
    value = json_wire.decode_value(fields["thinking"], at="thinking") if _is_present(fields, "thinking") else {}
    return value if isinstance(value, dict) else {}


# --- reading ---------------------------------------------------------------------------------------------------------


def _number(fields: Fields, name: str) -> int | None:
    return json_wire.decode(fields[name], _NUMBER, at=name) if name in fields else None


def _is_present(fields: Fields, name: str) -> bool:
    return bytes(fields.get(name, b"")).strip() not in (b"", b"null")


def _kind(raw: Raw) -> bytes:
    """The first byte of a JSON value."""
    return bytes(raw).lstrip()[:1]


def _turns(fields: Fields, shape: PromptShape) -> list[Raw] | None:
    """The list of turns; ``None`` where the field is a string or missing."""
    raw = fields.get(shape.turns, Raw(b"null"))
    return json_wire.decode(raw, _LIST, at=shape.turns) if _kind(raw) == b"[" else None


def _head(turn: Raw) -> _Head:
    return json_wire.decode(turn, _HEAD) if _kind(turn) == b"{" else _Head()


def _open_object(raw: Raw) -> dict[str, Raw]:
    return json_wire.decode(raw, _FIELDS)
