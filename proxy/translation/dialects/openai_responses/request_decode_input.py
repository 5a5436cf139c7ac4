"""The ``input`` of a request, as a conversation.

Consecutive items of the assistant's side (messages, reasoning, calls) form one message, consecutive outputs another
(wire formats, section 7.4).
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from proxy.translation import reasoning_seal
from proxy.translation.canonical import Demand, Message, Opaque, Part, Reasoning, Role, Seal, Text, ToolCall, ToolResult
from proxy.translation.dialects.openai_responses import compaction
from proxy.translation.dialects.openai_responses.request_decode_parts import content
from proxy.translation.dialects.openai_responses.wire import FAMILY, NO_JSON, SUMMARY_SEPARATOR, ContentPart, Item, raw_items, required
from proxy.translation.errors import ClientMistake

ROLES = ("user", "assistant", "system", "developer")

_ASSISTANT_SIDE = frozenset({"mcp_list_tools", "mcp_approval_request", "program", "tool_search_output", "configuration_update"})
"""Kinds without ``_call`` in their names that belong to the vendor's own machinery."""


class Conversation:
    """Reads the items one after the other.

    ``system`` is the text before the first turn, ``tools`` the ``tools`` fields of ``additional_tools`` items with their
    paths, ``demands`` what only a server with stored items can fulfil. ``wants_compaction``: the last item asks for a
    compaction of all that stands before it.
    """

    def __init__(self, raw: msgspec.Raw, seal_key: bytes) -> None:
        self.system: list[Text] = []
        self.messages: list[Message] = []
        self.tools: list[tuple[msgspec.Raw, str]] = []
        self.demands: list[Demand] = []
        self.wants_compaction = False
        self._raw = raw
        self._raws: list[msgspec.Raw] | None = None
        self._seal_key = seal_key
        self._role: Role = "user"
        self._parts: list[Part] = []
        self._step: dict[str, Callable[[Item, int], None]] = {
            "message": self._message,
            "function_call": self._function_call,
            "custom_tool_call": self._custom_call,
            "function_call_output": self._function_output,
            "custom_tool_call_output": self._custom_output,
            "reasoning": self._reasoning,
            "additional_tools": self._additional_tools,
            "compaction": self._compaction,
            "compaction_trigger": self._compaction_trigger,
            "item_reference": self._reference,
        }

    def read(self, given: str | list[Item]) -> None:
        """Take the whole input; raises :class:`ClientMistake` with the path of what cannot be understood."""
        if isinstance(given, str):
            self.messages.append(Message("user", (Text(given),) if given else ()))
            return
        step, other = self._step, self._other
        for position, item in enumerate(given):
            step.get(item.type or item.kind, other)(item, position)
        self._flush()

    # --- building messages -----------------------------------------------------------------------------------------

    def _add(self, role: Role, part: Part) -> None:
        if self._role != role:
            self._flush()
            self._role = role
        self._parts.append(part)

    def _flush(self) -> None:
        if self._parts:
            self.messages.append(Message(self._role, tuple(self._parts)))
            self._parts = []

    def _native(self, position: int) -> msgspec.Raw:
        if self._raws is None:
            self._raws = raw_items(self._raw)
        return self._raws[position]

    def _content(self, item: Item, position: int) -> tuple[Part, ...]:
        at = f"input.{position}.content"
        if item.content is None:
            if item.role == "assistant":
                return ()
            raise ClientMistake(f"{at}: the field is required", param=at)
        return content(item.content, at, lambda index: _native_part(self._native(position), "content", index))

    # --- kinds of items --------------------------------------------------------------------------------------------

    def _message(self, item: Item, position: int) -> None:
        role = item.role
        if role == "assistant":
            for part in self._content(item, position):
                self._add("assistant", part)
            return
        if role == "user":
            if self._parts:
                self._flush()
            self.messages.append(Message("user", self._content(item, position)))
        elif role in ("system", "developer"):
            self._system(self._content(item, position), position)
        else:
            check_role(role, position)

    def _system(self, parts: tuple[Part, ...], position: int) -> None:
        texts: list[Text] = []
        for index, part in enumerate(parts):
            if not isinstance(part, Text):
                at = f"input.{position}.content.{index}"
                raise ClientMistake(f"{at}: system and developer messages can hold text only", param=at)
            texts.append(part)
        self._flush()
        if self.messages:
            self.messages.append(Message("system", tuple(texts)))
        else:
            self.system += texts

    def _function_call(self, item: Item, position: int) -> None:
        if not isinstance(item.arguments, str):
            at = f"input.{position}.arguments"
            raise ClientMistake(f"{at}: a string of JSON is expected", param=at)
        self._call(item, position, item.arguments)

    def _custom_call(self, item: Item, position: int) -> None:
        text = item.input
        if text is None:
            text = required(text, "input", f"input.{position}")
        self._call(item, position, text, "custom")

    def _call(self, item: Item, position: int, arguments: str, kind: str = "function") -> None:
        call_id, name = item.call_id, item.name
        if call_id is None or name is None:
            at = f"input.{position}"
            call_id, name = required(call_id, "call_id", at), required(name, "name", at)
        self._add("assistant", ToolCall(call_id, name, arguments, "custom" if kind == "custom" else "function", item.namespace or ""))

    def _function_output(self, item: Item, position: int) -> None:
        self._add("user", ToolResult(required(item.call_id, "call_id", f"input.{position}"), self._output(item, position)))

    def _custom_output(self, item: Item, position: int) -> None:
        call_id = required(item.call_id, "call_id", f"input.{position}")
        self._add("user", ToolResult(call_id, self._output(item, position), kind="custom"))

    def _output(self, item: Item, position: int) -> tuple[Part, ...]:
        output = item.output
        if isinstance(output, str):
            return (Text(output),) if output else ()
        at = f"input.{position}.output"
        if not isinstance(output, list):
            raise ClientMistake(f"{at}: a string or a list of content parts is expected", param=at)
        return content(output, at, lambda index: _native_part(self._native(position), "output", index))

    def _reasoning(self, item: Item, position: int) -> None:
        text = _joined(item.summary, f"input.{position}.summary")
        if not text and isinstance(item.content, list):
            text = _joined(item.content, f"input.{position}.content")
        self._add("assistant", Reasoning(text, self._seal(item)))

    def _seal(self, item: Item) -> Seal | None:
        if item.encrypted_content is None:
            return Seal(FAMILY, None, {"id": item.id}) if item.id is not None else None
        if reasoning_seal.is_carrier(item.encrypted_content):
            return reasoning_seal.unpack(item.encrypted_content, self._seal_key)
        fields = {"encrypted_content": item.encrypted_content}
        return Seal(FAMILY, None, fields if item.id is None else {"id": item.id, **fields})

    def _additional_tools(self, item: Item, position: int) -> None:
        if item.tools != NO_JSON:
            self.tools.append((item.tools, f"input.{position}.tools"))

    def _compaction(self, item: Item, position: int) -> None:
        packed = required(item.encrypted_content, "encrypted_content", f"input.{position}")
        if not reasoning_seal.is_carrier(packed):
            self._add("assistant", Opaque(FAMILY, "compaction", self._native(position), history=True, at=f"input.{position}"))
            return
        summary = compaction.opened(packed, self._seal_key)
        if summary is not None:
            self._flush()
            self.messages.append(Message("user", (Text(summary),)))

    def _compaction_trigger(self, _item: Item, _position: int) -> None:
        self._flush()
        self.wants_compaction = True
        self.messages.append(Message("user", (Text(compaction.REQUEST),)))

    def _reference(self, item: Item, position: int) -> None:
        at = f"input.{position}"
        message = (
            f"{at}: the gateway keeps no item {item.id!r} that this reference (item_reference) could mean; send the item itself, or let "
            "the operator switch stored responses on by setting PXBIN_RESPONSES_STORE_SECONDS to the seconds that they are kept"
        )
        self.demands.append(Demand(field=at, message=message, carried_by=(FAMILY,)))
        self._other(item, position)

    def _other(self, item: Item, position: int) -> None:
        at, kind = f"input.{position}", item.kind
        native = self._native(position)
        if item.role == "assistant" or kind in _ASSISTANT_SIDE or kind.endswith(("_call", "_call_output")):
            self._add("assistant", Opaque(FAMILY, kind, native, _words(native), history=True, at=at))
        else:
            self._add("user", Opaque(FAMILY, kind, native, at=at))


def check_role(role: str | None, position: int) -> None:
    """Raise :class:`ClientMistake` for a message with a role that does not exist."""
    if role not in ROLES:
        at = f"input.{position}.role"
        said = "the field is required" if role is None else f"{role!r} is not a role; expected one of {', '.join(ROLES)}"
        raise ClientMistake(f"{at}: {said}", param=at)


def _joined(parts: list[ContentPart] | None, at: str) -> str:
    if not parts:
        return ""
    if len(parts) == 1 and parts[0].text is not None:
        return parts[0].text
    return SUMMARY_SEPARATOR.join(required(part.text, "text", f"{at}.{index}") for index, part in enumerate(parts))


class _PartsOf(msgspec.Struct):
    content: list[msgspec.Raw] | str | None = None
    output: list[msgspec.Raw] | str | None = None


_PARTS_DECODER = msgspec.json.Decoder(_PartsOf)


def _native_part(item: msgspec.Raw, field: str, index: int) -> msgspec.Raw:
    given = _PARTS_DECODER.decode(item)
    parts = given.content if field == "content" else given.output
    assert isinstance(parts, list), "only lists have parts"
    return parts[index]


class _Worded(msgspec.Struct):
    text: str = ""
    stdout: str = ""
    stderr: str = ""
    logs: str = ""


class _WordedItem(msgspec.Struct):
    output: str | list[_Worded] | None = None


_WORDS_DECODER = msgspec.json.Decoder(_WordedItem)


def _words(native: msgspec.Raw) -> str:
    """What a hosted tool's item holds as plain words: the output of MCP calls, shells and the like."""
    try:
        output = _WORDS_DECODER.decode(native).output
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
    if isinstance(output, str):
        return output
    return "\n".join(words for each in output or () for words in (each.text, each.stdout, each.stderr, each.logs) if words)
