"""Decodes the field ``input`` into canonical messages (docs/wire-formats.md, section 7.4).

Consecutive items of the assistant (messages, reasoning, calls) become one message, consecutive tool outputs another.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from proxy.translation import json_wire, reasoning_seal
from proxy.translation.canonical import Demand, Message, Opaque, Part, Reasoning, Role, Seal, Text, ToolCall, ToolResult
from proxy.translation.dialects.openai_responses import compaction, response_decode_items
from proxy.translation.dialects.openai_responses.request_decode_parts import decode_content
from proxy.translation.dialects.openai_responses.wire import FAMILY, JSON_NULL, SUMMARY_SEPARATOR, ContentPart, Item, raw_items, require
from proxy.translation.errors import ClientMistake

ROLES = ("user", "assistant", "system", "developer")

_ASSISTANT_KINDS = frozenset(
    {
        "mcp_list_tools",
        "mcp_approval_request",
        "mcp_approval_response",
        "program",
        "program_output",
        "tool_search_output",
        "configuration_update",
    }
)
"""Kinds of the assistant's items that do not end in ``_call`` or ``_call_output``."""


class InputDecoder:
    """Decodes the items one after the other.

    ``system``: the texts before the first turn. ``tools``: the field ``tools`` of each ``additional_tools`` item, with its path.
    ``loaded_tools``: that of each ``tool_search_output``. ``updates``: the ``configuration_update`` items.
    ``unread``: the paths of fields that are not read.
    ``demands``: references to items that only the provider may have stored. ``wants_compaction``: the input has a
    ``compaction_trigger``.
    """

    def __init__(self, input_json: msgspec.Raw, seal_key: bytes) -> None:
        self.system: list[Text] = []
        self.messages: list[Message] = []
        self.tools: list[tuple[msgspec.Raw, str]] = []
        self.loaded_tools: list[tuple[msgspec.Raw, str]] = []
        self.updates: list[msgspec.Raw] = []
        self.demands: list[Demand] = []
        self.unread: set[str] = set()
        self.wants_compaction = False
        self._input_json = input_json
        self._raw_items: list[msgspec.Raw] | None = None
        self._seal_key = seal_key
        self._native_call_ids: set[str | None] = set()
        self._role: Role = "user"
        self._parts: list[Part] = []
        self._handlers: dict[str, Callable[[Item, int], None]] = {
            "message": self._on_message,
            "function_call": self._on_function_call,
            "custom_tool_call": self._on_custom_call,
            "function_call_output": self._on_function_output,
            "custom_tool_call_output": self._on_custom_output,
            "reasoning": self._on_reasoning,
            "additional_tools": self._on_additional_tools,
            "tool_search_output": self._on_tool_search_output,
            "configuration_update": self._on_configuration_update,
            "compaction": self._on_compaction,
            "compaction_trigger": self._on_compaction_trigger,
            "item_reference": self._on_reference,
        }

    def decode(self, items: str | list[Item]) -> None:
        """Decode the whole input; raises :class:`ClientMistake` with the path of an invalid value."""
        if isinstance(items, str):
            self.messages.append(Message("user", (Text(items),) if items else ()))
            return
        handlers, on_other_item = self._handlers, self._on_other_item
        for position, item in enumerate(items):
            handlers.get(item.type or item.kind, on_other_item)(item, position)
        self._end_message()

    # --- building messages -----------------------------------------------------------------------------------------

    def _add_part(self, role: Role, part: Part) -> None:
        if self._role != role:
            self._end_message()
            self._role = role
        self._parts.append(part)

    def _end_message(self) -> None:
        if self._parts:
            self.messages.append(Message(self._role, tuple(self._parts)))
            self._parts = []

    def _raw_item(self, position: int) -> msgspec.Raw:
        if self._raw_items is None:
            self._raw_items = raw_items(self._input_json)
        return self._raw_items[position]

    def _decode_content(self, item: Item, position: int) -> tuple[Part, ...]:
        at = f"input.{position}.content"
        self._note_labels(item)
        if item.content is None:
            if item.role == "assistant":
                return ()
            raise ClientMistake(f"{at}: the field is required", param=at)
        return decode_content(item.content, at, lambda index: _native_part(self._raw_item(position), "content", index))

    def _note_labels(self, item: Item) -> None:
        """Note the fields with which a server labels its own items."""
        for name in ("id", "status", "phase"):
            if getattr(item, name) is not None:
                self.unread.add(f"input[].{name}")

    # --- kinds of items --------------------------------------------------------------------------------------------

    def _on_message(self, item: Item, position: int) -> None:
        role = item.role
        if role == "assistant":
            for part in self._decode_content(item, position):
                self._add_part("assistant", part)
            return
        if role == "user":
            if self._parts:
                self._end_message()
            self.messages.append(Message("user", self._decode_content(item, position)))
        elif role in ("system", "developer"):
            self._add_system(self._decode_content(item, position), position)
        else:
            check_role(role, position)

    def _add_system(self, parts: tuple[Part, ...], position: int) -> None:
        texts: list[Text] = []
        for index, part in enumerate(parts):
            if not isinstance(part, Text):
                at = f"input.{position}.content.{index}"
                raise ClientMistake(f"{at}: system and developer messages can hold text only", param=at)
            texts.append(part)
        self._end_message()
        if self.messages:
            self.messages.append(Message("system", tuple(texts)))
        else:
            self.system += texts

    def _on_function_call(self, item: Item, position: int) -> None:
        if not isinstance(item.arguments, str):
            at = f"input.{position}.arguments"
            raise ClientMistake(f"{at}: must be a string of JSON", param=at)
        self._add_call(item, position, item.arguments)

    def _on_custom_call(self, item: Item, position: int) -> None:
        text = item.input
        if text is None:
            text = require(text, "input", f"input.{position}")
        self._add_call(item, position, text, "custom")

    def _add_call(self, item: Item, position: int, arguments: str, kind: str = "function") -> None:
        call_id, name = item.call_id, item.name
        self._note_labels(item)
        if call_id is None or name is None:
            at = f"input.{position}"
            call_id, name = require(call_id, "call_id", at), require(name, "name", at)
        self._add_part("assistant", ToolCall(call_id, name, arguments, "custom" if kind == "custom" else "function", item.namespace or ""))

    def _on_function_output(self, item: Item, position: int) -> None:
        if item.call_id is not None and item.call_id in self._native_call_ids:
            self._on_other_item(item, position)  # the output of a hosted tool that the client ran, such as a tool search
            return
        self._add_part("user", ToolResult(require(item.call_id, "call_id", f"input.{position}"), self._decode_output(item, position)))

    def _on_custom_output(self, item: Item, position: int) -> None:
        call_id = require(item.call_id, "call_id", f"input.{position}")
        self._add_part("user", ToolResult(call_id, self._decode_output(item, position), kind="custom"))

    def _decode_output(self, item: Item, position: int) -> tuple[Part, ...]:
        output = item.output
        self._note_labels(item)
        if isinstance(output, str):
            return (Text(output),) if output else ()
        at = f"input.{position}.output"
        if not isinstance(output, list):
            raise ClientMistake(f"{at}: must be a string or a list of content parts", param=at)
        return decode_content(output, at, lambda index: _native_part(self._raw_item(position), "output", index))

    def _on_reasoning(self, item: Item, position: int) -> None:
        if item.status is not None:
            self.unread.add("input[].status")
        text = _join_summary(item.summary, f"input.{position}.summary")
        if not text and isinstance(item.content, list):
            text = _join_summary(item.content, f"input.{position}.content")
        self._add_part("assistant", Reasoning(text, self._decode_seal(item)))

    def _decode_seal(self, item: Item) -> Seal | None:
        if item.encrypted_content is not None and reasoning_seal.is_carrier(item.encrypted_content):
            return reasoning_seal.unpack(item.encrypted_content, self._seal_key)
        seal = response_decode_items.reasoning_seal(item, None)
        return Seal(FAMILY, None, {"id": item.id}) if seal is None and item.id is not None else seal

    def _on_additional_tools(self, item: Item, position: int) -> None:
        self._note_labels(item)
        if item.tools != JSON_NULL:
            self.tools.append((item.tools, f"input.{position}.tools"))

    def _on_tool_search_output(self, item: Item, position: int) -> None:
        """Tools that a search has loaded: other targets get them with the tools of the request."""
        if item.tools != JSON_NULL:
            self.loaded_tools.append((item.tools, f"input.{position}.tools"))
        self._on_other_item(item, position)

    def _on_configuration_update(self, item: Item, position: int) -> None:
        """Settings for the rest of the conversation: the last ones count."""
        self.updates.append(self._raw_item(position))
        self._on_other_item(item, position)

    def _on_compaction(self, item: Item, position: int) -> None:
        encrypted_content = require(item.encrypted_content, "encrypted_content", f"input.{position}")
        if not reasoning_seal.is_carrier(encrypted_content):
            # It stands for all of the earlier conversation, and only its vendor can read it: other targets refuse it.
            self._add_part("user", Opaque(FAMILY, "compaction", self._raw_item(position), at=f"input.{position}"))
            return
        summary = compaction.unpack_summary(encrypted_content, self._seal_key)
        if summary is not None:
            self._end_message()
            self.messages.append(Message("user", (Text(summary),)))

    def _on_compaction_trigger(self, item: Item, _position: int) -> None:
        self._note_labels(item)
        self._end_message()
        self.wants_compaction = True
        self.messages.append(Message("user", (Text(compaction.SUMMARY_INSTRUCTION),)))

    def _on_reference(self, item: Item, position: int) -> None:
        at = f"input.{position}"
        message = (
            f"{at}: the gateway has no stored item {item.id!r} for this item_reference; send the item itself. The operator enables "
            "stored responses with PXBIN_RESPONSES_STORE_SECONDS, the number of seconds for which they are stored"
        )
        self.demands.append(Demand(field=at, message=message, carried_by=(FAMILY,)))
        self._on_other_item(item, position)

    def _on_other_item(self, item: Item, position: int) -> None:
        at, kind = f"input.{position}", item.kind
        raw_item = self._raw_item(position)
        if kind.endswith("_call"):
            self._native_call_ids.add(json_wire.decode(raw_item, _CALL_ID_DECODER, at=at).call_id)
        if item.role == "assistant" or kind in _ASSISTANT_KINDS or kind.endswith(("_call", "_call_output")):
            self._add_part("assistant", Opaque(FAMILY, kind, raw_item, _output_text(raw_item), history=True, at=at))
        else:
            self._add_part("user", Opaque(FAMILY, kind, raw_item, at=at))


def check_role(role: str | None, position: int) -> None:
    """Raise :class:`ClientMistake` for a message with an unknown role."""
    if role not in ROLES:
        at = f"input.{position}.role"
        problem = "the field is required" if role is None else f"{role!r} is not a role; expected one of {', '.join(ROLES)}"
        raise ClientMistake(f"{at}: {problem}", param=at)


def _join_summary(parts: list[ContentPart] | None, at: str) -> str:
    if not parts:
        return ""
    if len(parts) == 1 and parts[0].text is not None:
        return parts[0].text
    return SUMMARY_SEPARATOR.join(require(part.text, "text", f"{at}.{index}") for index, part in enumerate(parts))


class _CallId(msgspec.Struct):
    call_id: str | None = None


_CALL_ID_DECODER = msgspec.json.Decoder(_CallId)


class _PartLists(msgspec.Struct):
    content: list[msgspec.Raw] | str | None = None
    output: list[msgspec.Raw] | str | None = None


_PARTS_DECODER = msgspec.json.Decoder(_PartLists)


def _native_part(raw_item: msgspec.Raw, field: str, index: int) -> msgspec.Raw:
    part_lists = _PARTS_DECODER.decode(raw_item)
    parts = part_lists.content if field == "content" else part_lists.output
    assert isinstance(parts, list), "only lists have parts"
    return parts[index]


class _ToolOutput(msgspec.Struct):
    text: str = ""
    stdout: str = ""
    stderr: str = ""
    logs: str = ""


class _SearchResult(msgspec.Struct):
    filename: str = ""
    text: str = ""


class _ItemWithOutput(msgspec.Struct):
    output: str | list[_ToolOutput] | None = None
    outputs: list[_ToolOutput] | None = None
    results: list[_SearchResult] | None = None


_OUTPUT_DECODER = msgspec.json.Decoder(_ItemWithOutput)


def _output_text(raw_item: msgspec.Raw) -> str:
    """The plain text in a hosted tool's item: the output of MCP calls, shells, code interpreters and file searches."""
    try:
        item = _OUTPUT_DECODER.decode(raw_item)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
    if isinstance(item.output, str):
        return item.output
    entries = [*(item.output or ()), *(item.outputs or ())]
    texts = [text for entry in entries for text in (entry.text, entry.stdout, entry.stderr, entry.logs)]
    texts += [text for result in item.results or () for text in (result.filename, result.text)]
    return "\n".join(filter(None, texts))
