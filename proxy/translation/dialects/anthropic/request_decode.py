"""Messages requests to canonical requests (docs/wire-formats.md, sections 1.2 and 7)."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from proxy.translation import json_wire
from proxy.translation.canonical import Effort, Message, OutputFormat, Request, Text
from proxy.translation.dialects.anthropic.citations import decode_citations
from proxy.translation.dialects.anthropic.envelope import FAMILY_FIELDS, decode_settings, find_demands, messages_field, nested_settings
from proxy.translation.dialects.anthropic.request_decode_parts import MessageDecoder, cache_mark
from proxy.translation.dialects.anthropic.thinking import decode_effort, decode_output_config, decode_thinking
from proxy.translation.dialects.anthropic.tools import decode_choice, decode_tools
from proxy.translation.dialects.anthropic.wire import ABSENT, FAMILY, OBJECT, Block, WireMessage, has_field, is_present, read_messages
from proxy.translation.errors import ClientMistake
from proxy.translation.json_wire import Envelope
from proxy.translation.unread import NotingDecoder


class _Metadata(msgspec.Struct):
    user_id: str | None = None


class _Format(msgspec.Struct):
    type: str
    schema: Raw = ABSENT


_SYSTEM: NotingDecoder[str | list[Block]] = NotingDecoder(str | list[Block])
_METADATA = msgspec.json.Decoder(_Metadata)
_FORMAT = msgspec.json.Decoder(_Format)


def decode_request(envelope: Envelope, seal_key: bytes) -> Request:
    """Raises :class:`ClientMistake` with the path of the first invalid field. ``seal_key`` verifies reasoning carriers."""
    fields = envelope.fields
    settings = decode_settings(fields)
    unread: set[str] = set()
    wire_messages = read_messages(messages_field(fields), unread)
    messages, leading = _decode_messages(wire_messages, MessageDecoder(messages_field(fields), seal_key, unread))
    choice, parallel = decode_choice(fields["tool_choice"]) if has_field(fields, "tool_choice") else (None, None)
    effort, output = decode_output_config(fields.get("output_config", ABSENT))
    effort = _effort_of_turn(wire_messages) or effort
    user = json_wire.decode(fields["metadata"], _METADATA, at="metadata").user_id if has_field(fields, "metadata") else None
    extra = {name: raw for name, raw in fields.items() if name in FAMILY_FIELDS and is_present(raw)}
    extra |= nested_settings(fields)
    if settings.service_tier == "auto":
        extra["service_tier"] = fields["service_tier"]
    return Request(
        model=envelope.model,
        messages=messages,
        family=FAMILY,
        system=_decode_system(fields, unread) + leading,
        tools=decode_tools(fields["tools"], unread) if has_field(fields, "tools") else (),
        tool_choice=choice,
        parallel_calls=parallel,
        max_tokens=settings.max_tokens,
        stop=tuple(settings.stop_sequences or ()),
        temperature=settings.temperature,
        top_p=settings.top_p,
        top_k=settings.top_k,
        reasoning=decode_thinking(fields.get("thinking", ABSENT), effort),
        output=_decode_output(output, "output_config.format") or _decode_output(fields.get("output_format", ABSENT), "output_format"),
        end_user=user or None,
        service_tier="default" if settings.service_tier == "standard_only" else None,
        stream=envelope.stream,
        demands=find_demands(fields, settings),
        extra=extra,
        unread=tuple(sorted(unread)),
    )


def _effort_of_turn(messages: list[WireMessage]) -> Effort | None:
    """The effort that a system message after the last assistant message sets for the turn to be made."""
    for index in range(len(messages) - 1, -1, -1):
        message = messages[index]
        if message.role == "assistant":
            return None
        if message.role == "system" and message.output_config is not None and message.output_config.effort is not None:
            return decode_effort(message.output_config.effort, at=f"messages.{index}.output_config.effort")
    return None


def _decode_messages(messages_in: list[WireMessage], decoder: MessageDecoder) -> tuple[tuple[Message, ...], tuple[Text, ...]]:
    """The messages from the first user or assistant message on, and the text of the system messages before it.

    A system message with ``clear_at: next_user_message`` is left out once a later user message exists.
    """
    last_user = max((index for index, message in enumerate(messages_in) if message.role == "user"), default=-1)
    messages = [
        decoder.decode(index, message)
        for index, message in enumerate(messages_in)
        if index > last_user or message.clear_at != "next_user_message"
    ]
    first = next((index for index, message in enumerate(messages) if message.role != "system"), len(messages))
    leading = tuple(part for message in messages[:first] for part in message.parts if isinstance(part, Text))
    return tuple(messages[first:]), leading


def _decode_system(fields: dict[str, Raw], unread: set[str]) -> tuple[Text, ...]:
    if not has_field(fields, "system"):
        return ()
    system = _SYSTEM.decode(fields["system"], unread, at="system")
    if isinstance(system, str):
        return (Text(system),) if system else ()
    return tuple(_decode_system_text(block, f"system.{index}") for index, block in enumerate(system))


def _decode_system_text(block: Block, at: str) -> Text:
    if block.type != "text":
        raise ClientMistake(f"{at}.type: only blocks of type text are allowed in system", param=f"{at}.type")
    if block.text is None:
        raise ClientMistake(f"{at}.text: Field required", param=f"{at}.text")
    return Text(block.text, cache_mark(block.cache_control), decode_citations(block.citations, at=f"{at}.citations"))


def _decode_output(raw: Raw, at: str) -> OutputFormat | None:
    if not is_present(raw):
        return None
    form = json_wire.decode(raw, _FORMAT, at=at)
    if form.type != "json_schema":
        raise ClientMistake(f"{at}.type: json_schema is expected", param=f"{at}.type")
    if not is_present(form.schema):
        raise ClientMistake(f"{at}.schema: Field required", param=f"{at}.schema")
    json_wire.decode(form.schema, OBJECT, at=f"{at}.schema")
    return OutputFormat(kind="json_schema", schema=form.schema)
