"""The Messages request: read into the canonical form, written from it, and patched for an upstream of its own kind."""

from __future__ import annotations

import hashlib
from typing import Any

from msgspec import Raw

from proxy.translation import json_wire
from proxy.translation.canonical import JSON_OBJECT_SENTENCE, Request, Text, Tool
from proxy.translation.dialects.anthropic.cache_marks import Marks
from proxy.translation.dialects.anthropic.envelope import EXTRA
from proxy.translation.dialects.anthropic.request_encode_turns import TurnWriter, shortened
from proxy.translation.dialects.anthropic.thinking import plan
from proxy.translation.dialects.anthropic.tools import encode_choice, encode_tool
from proxy.translation.dialects.anthropic.wire import FAMILY, EncodedTurn
from proxy.translation.dialects.base import EncodeTarget
from proxy.translation.errors import ClientMistake

MAX_USER_ID = 256


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


def _check_turns(turns: list[EncodedTurn], *, no_prefill: bool) -> None:
    if not turns:
        raise ClientMistake("messages: at least one message with content is required", param="messages")
    if no_prefill and turns[-1]["role"] == "assistant":
        raise ClientMistake("messages: this model does not continue a partial assistant message; end with a user message", param="messages")


def _json_sentence(request: Request) -> tuple[Text, ...]:
    return (Text(JSON_OBJECT_SENTENCE),) if request.output is not None and request.output.kind == "json_object" else ()


def _settings(request: Request, destination: EncodeTarget, *, turns: list[EncodedTurn]) -> dict[str, Any]:
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


def _lost_thinking(turns: list[EncodedTurn]) -> bool:
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
