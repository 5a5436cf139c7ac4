"""The Messages request: read into the canonical form, written from it, and patched for an upstream of its own kind."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
from msgspec import Raw

from proxy.translation import json_wire
from proxy.translation.canonical import JSON_OBJECT_SENTENCE, Message, OutputFormat, Request, Text, Tool
from proxy.translation.dialects.anthropic.blocks import NOTHING, Block, present, read_messages
from proxy.translation.dialects.anthropic.carriers import TRACE, without_carriers
from proxy.translation.dialects.anthropic.envelope import EXTRA, demands, messages_of, open_request, plain_settings
from proxy.translation.dialects.anthropic.parts import FAMILY, PartReader, cache_mark, citations
from proxy.translation.dialects.anthropic.thinking import decode_output_config, decode_thinking, plan
from proxy.translation.dialects.anthropic.tools import decode_choice, decode_tools, encode_choice, encode_tool
from proxy.translation.dialects.anthropic.turns import Marks, Turn, TurnWriter, shortened
from proxy.translation.dialects.base import EncodeTarget
from proxy.translation.errors import ClientMistake
from proxy.translation.json_wire import Envelope

__all__ = ["decode_request", "encode_body", "encode_request", "open_request", "patch_fields", "patch_request"]

MAX_USER_ID = 256


class _Metadata(msgspec.Struct):
    user_id: str | None = None


class _Format(msgspec.Struct):
    type: str
    schema: Raw = NOTHING


class _Kind(msgspec.Struct):
    type: Any = None


_SYSTEM = msgspec.json.Decoder(str | list[Block])
_METADATA = msgspec.json.Decoder(_Metadata)
_FORMAT = msgspec.json.Decoder(_Format)
_OBJECT = msgspec.json.Decoder(dict[str, Raw])
_KIND = msgspec.json.Decoder(_Kind)


# --- decode ----------------------------------------------------------------------------------------------------------


def decode_request(envelope: Envelope, seal_key: bytes) -> Request:
    """Raises :class:`ClientMistake` with the path of what is wrong."""
    fields = envelope.fields
    settings = plain_settings(fields)
    messages, leading = _messages(messages_of(fields), seal_key)
    choice, parallel = decode_choice(fields["tool_choice"]) if _given(fields, "tool_choice") else (None, None)
    effort, output = decode_output_config(fields.get("output_config", NOTHING))
    user = json_wire.decode(fields["metadata"], _METADATA, at="metadata").user_id if _given(fields, "metadata") else None
    extra = {name: raw for name, raw in fields.items() if name in EXTRA and present(raw)}
    if settings.service_tier == "auto":
        extra["service_tier"] = fields["service_tier"]
    return Request(
        model=envelope.model,
        messages=messages,
        family=FAMILY,
        system=_system(fields) + leading,
        tools=decode_tools(fields["tools"]) if _given(fields, "tools") else (),
        tool_choice=choice,
        parallel_calls=parallel,
        max_tokens=settings.max_tokens,
        stop=tuple(settings.stop_sequences or ()),
        temperature=settings.temperature,
        top_p=settings.top_p,
        top_k=settings.top_k,
        reasoning=decode_thinking(fields.get("thinking", NOTHING), effort),
        output=_output(output, "output_config.format") or _output(fields.get("output_format", NOTHING), "output_format"),
        end_user=user or None,
        service_tier="default" if settings.service_tier == "standard_only" else None,
        stream=envelope.stream,
        demands=demands(fields, settings),
        extra=extra,
    )


def _given(fields: dict[str, Raw], name: str) -> bool:
    return name in fields and present(fields[name])


def _messages(raw: Raw, seal_key: bytes) -> tuple[tuple[Message, ...], tuple[Text, ...]]:
    """The messages, and the text of system messages that stand before the first turn."""
    reader = PartReader(raw, seal_key)
    messages = [reader.message(index, turn) for index, turn in enumerate(read_messages(raw))]
    first = next((index for index, message in enumerate(messages) if message.role != "system"), len(messages))
    leading = tuple(part for message in messages[:first] for part in message.parts if isinstance(part, Text))
    return tuple(messages[first:]), leading


def _system(fields: dict[str, Raw]) -> tuple[Text, ...]:
    if not _given(fields, "system"):
        return ()
    system = json_wire.decode(fields["system"], _SYSTEM, at="system")
    if isinstance(system, str):
        return (Text(system),) if system else ()
    return tuple(_system_text(block, f"system.{index}") for index, block in enumerate(system))


def _system_text(block: Block, at: str) -> Text:
    if block.type != "text":
        raise ClientMistake(f"{at}.type: system blocks are of type text", param=f"{at}.type")
    if block.text is None:
        raise ClientMistake(f"{at}.text: Field required", param=f"{at}.text")
    return Text(block.text, cache_mark(block.cache_control), citations(block.citations, at=f"{at}.citations"))


def _output(raw: Raw, at: str) -> OutputFormat | None:
    if not present(raw):
        return None
    form = json_wire.decode(raw, _FORMAT, at=at)
    if form.type != "json_schema":
        raise ClientMistake(f"{at}.type: json_schema is expected", param=f"{at}.type")
    if not present(form.schema):
        raise ClientMistake(f"{at}.schema: Field required", param=f"{at}.schema")
    json_wire.decode(form.schema, _OBJECT, at=f"{at}.schema")
    return OutputFormat(kind="json_schema", schema=form.schema)


# --- encode ----------------------------------------------------------------------------------------------------------


def encode_request(request: Request, destination: EncodeTarget) -> bytes:
    """Raises :class:`ClientMistake` for content that this wire cannot carry."""
    # A client of this dialect knows whether its model takes late system messages: what it wrote stays where it is.
    keeps_system = request.family == FAMILY or destination.quirks.late_system_native
    body = {"model": destination.model, **encode_body(request, destination, late_system_native=keeps_system)}
    if destination.stream:
        body["stream"] = True
    return json_wire.encode(body)


def encode_body(request: Request, destination: EncodeTarget, *, late_system_native: bool) -> dict[str, Any]:
    """The body but for what Bedrock keeps elsewhere: the model and whether to stream.

    ``late_system_native``: the model takes system messages inside the conversation.
    """
    native = request.family == FAMILY
    extra = {name: raw for name, raw in request.extra.items() if name in EXTRA} if native else {}
    marks = Marks(native=native, automatic="cache_control" in extra)
    tools = [_marked_tool(tool, marks) for tool in request.tools]
    writer = TurnWriter(native=native, keeps_system=late_system_native, unsigned=destination.quirks.unsigned_thinking, marks=marks)
    turns = writer.write(request.messages)
    _check_turns(turns, no_prefill=destination.quirks.no_prefill)
    system = writer.texts((*request.system, *writer.late_system, *_json_sentence(request)))
    marks.settle([block for block in (*tools, *system) if isinstance(block, dict)])
    if destination.quirks.automatic_cache and not marks.any:
        extra["cache_control"] = Raw(b'{"type":"ephemeral"}')
    for turn in turns:
        turn["content"] = shortened(turn["content"])
    body: dict[str, Any] = {"max_tokens": 0}
    if system:
        body["system"] = shortened(system)
    body["messages"] = turns
    if tools:
        body["tools"] = tools
    return body | _settings(request, destination, turns=turns) | extra


def _marked_tool(tool: Any, marks: Marks) -> dict[str, Any] | Raw:
    encoded = encode_tool(tool)
    if isinstance(encoded, Raw):
        marks.count_native(encoded)
        return encoded
    return marks.set(encoded, tool.cache if isinstance(tool, Tool) else None)


def _check_turns(turns: list[Turn], *, no_prefill: bool) -> None:
    if not turns:
        raise ClientMistake("messages: at least one message with content is required", param="messages")
    if no_prefill and turns[-1]["role"] == "assistant":
        raise ClientMistake("messages: this model does not continue a partial assistant message; end with a user message", param="messages")


def _json_sentence(request: Request) -> tuple[Text, ...]:
    return (Text(JSON_OBJECT_SENTENCE),) if request.output is not None and request.output.kind == "json_object" else ()


def _settings(request: Request, destination: EncodeTarget, *, turns: list[Turn]) -> dict[str, Any]:
    chosen = plan(request, destination, native=request.family == FAMILY, loop_broken=_lost_thinking(turns))
    settings: dict[str, Any] = {"max_tokens": chosen.max_tokens}
    choice = encode_choice(request)
    stop = [text for text in request.stop if text and not text.isspace()]
    optional = {
        "tool_choice": choice,
        "stop_sequences": stop or None,
        "temperature": chosen.temperature,
        "top_p": chosen.top_p,
        "top_k": chosen.top_k,
        "thinking": chosen.thinking,
        "output_config": _output_config(request, chosen.effort),
        "metadata": {"user_id": _user_id(request.end_user)} if request.end_user else None,
        "service_tier": _service_tier(request),
    }
    return settings | {name: value for name, value in optional.items() if value is not None}


def _lost_thinking(turns: list[Turn]) -> bool:
    """Whether the API expects a thinking block where the last assistant turn has none: in a tool loop, or in a prefill."""
    last = next((index for index in range(len(turns) - 1, -1, -1) if turns[index]["role"] == "assistant"), None)
    if last is None:
        return False
    after = turns[last + 1 :]
    in_loop = not after or any(_kind_of(turn["content"]) == "tool_result" for turn in after)
    return in_loop and _kind_of(turns[last]["content"]) not in ("thinking", "redacted_thinking")


def _kind_of(content: Any) -> str:
    return str(content[0].get("type", "")) if content and isinstance(content, list) else "text"


def _output_config(request: Request, effort: str | None) -> dict[str, Any] | None:
    config: dict[str, Any] = {"effort": effort} if effort else {}
    if request.output is not None and request.output.kind == "json_schema":
        config["format"] = {"type": "json_schema", "schema": request.output.schema or Raw(b'{"type":"object"}')}
    return config or None


def _user_id(user: str) -> str:
    return user if len(user) <= MAX_USER_ID else hashlib.sha256(user.encode(errors="replace")).hexdigest()


def _service_tier(request: Request) -> Any:
    if request.family == FAMILY and "service_tier" in request.extra:
        return request.extra["service_tier"]
    return "standard_only" if request.service_tier == "default" else None


# --- patch -----------------------------------------------------------------------------------------------------------


def patch_request(envelope: Envelope, destination: EncodeTarget, seal_key: bytes) -> bytes:
    """The client's body for an Anthropic upstream: its model name, the streaming switch, our carriers gone."""
    fields = patch_fields(envelope.fields, seal_key)
    if destination.model != envelope.model:
        fields["model"] = Raw(json_wire.encode(destination.model))
    if destination.stream != envelope.stream:
        fields["stream"] = Raw(b"true" if destination.stream else b"false")
    return json_wire.encode(fields)


def patch_fields(fields: dict[str, Raw], seal_key: bytes) -> dict[str, Raw]:
    """A copy of the fields without our carriers; manual thinking goes too where the API would miss a dropped block."""
    patched = dict(fields)
    if TRACE not in bytes(fields["messages"]):
        return patched
    patched["messages"], loop_broken = without_carriers(fields["messages"], seal_key)
    if loop_broken and _given(fields, "thinking") and _KIND.decode(fields["thinking"]).type == "enabled":
        del patched["thinking"]
    return patched
