"""Canonical requests to Messages requests (docs/wire-formats.md, sections 1.2 and 7)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from msgspec import Raw

from proxy.translation.canonical import Request, Text, Tool
from proxy.translation.dialects.anthropic.cache_marks import CacheMarks
from proxy.translation.dialects.anthropic.envelope import FAMILY_FIELDS, NESTED_FIELDS
from proxy.translation.dialects.anthropic.request_encode_turns import TurnEncoder, string_if_plain_text
from proxy.translation.dialects.anthropic.strict_schema import strict_schema
from proxy.translation.dialects.anthropic.thinking import plan_thinking
from proxy.translation.dialects.anthropic.tools import encode_choice, encode_tool
from proxy.translation.dialects.anthropic.wire import FAMILY, EncodedTurn
from proxy.translation.dialects.base import JSON_OBJECT_SENTENCE, EncodeTarget
from proxy.translation.errors import ClientMistake

MAX_USER_ID = 256
"""Characters of ``metadata.user_id``; longer values are replaced by their SHA-256."""

_NESTED_PATHS = frozenset(f"{field}.{name}" for field, names in NESTED_FIELDS.items() for name in names)

NO_MESSAGE = "(no message)"
"""The user's turn before a conversation that begins with the assistant's, which the API refuses."""


def encode_fields(request: Request, target: EncodeTarget) -> dict[str, Any]:
    """Raises :class:`ClientMistake` for content that this dialect cannot express."""
    # A client of this family knows whether its model accepts system messages between turns: they stay where they are.
    keeps_system = request.family == FAMILY or target.quirks.late_system_native
    body = {"model": target.model, **encode_body(request, target, late_system_native=keeps_system)}
    if target.stream:
        body["stream"] = True
    return body


def encode_body(
    request: Request, target: EncodeTarget, *, late_system_native: bool, mark: Callable[[Raw], Raw] | None = None
) -> dict[str, Any]:
    """The body without ``model`` and ``stream``, which Bedrock has in its path.

    ``late_system_native``: the model accepts system messages between turns. ``mark``: see :class:`CacheMarks`.
    """
    native = request.family == FAMILY
    extra = {name: raw for name, raw in request.extra.items() if name in FAMILY_FIELDS} if native else {}
    marks = CacheMarks(native=native, automatic="cache_control" in extra, mark=mark)
    tools = [_encode_tool(tool, marks, native=native) for tool in request.tools]
    encoder = TurnEncoder(native=native, keeps_system=late_system_native, unsigned=target.quirks.unsigned_thinking, marks=marks)
    turns = encoder.encode(request.messages)
    _check_turns(turns, no_prefill=target.quirks.no_prefill)
    if not native and turns[0]["role"] == "assistant":
        turns.insert(0, {"role": "user", "content": [{"type": "text", "text": NO_MESSAGE}]})
    system = encoder.encode_texts((*request.system, *encoder.late_system, *_json_sentence(request)))
    marks.drop_excess([block for block in (*tools, *system) if isinstance(block, dict)])
    if target.quirks.automatic_cache and not marks.any:
        extra["cache_control"] = Raw(b'{"type":"ephemeral"}')
    for turn in turns:
        turn["content"] = string_if_plain_text(turn["content"])
    body: dict[str, Any] = {"max_tokens": 0}
    if system:
        body["system"] = string_if_plain_text(system)
    body["messages"] = turns
    if tools:
        body["tools"] = tools
    return body | _settings(request, target, turns=turns) | extra


def _encode_tool(tool: Any, marks: CacheMarks, *, native: bool) -> dict[str, Any] | Raw:
    encoded = encode_tool(tool, native=native)
    if isinstance(encoded, Raw):
        marks.count_native(encoded)
        return encoded
    return marks.set(encoded, tool.cache if isinstance(tool, Tool) else None)


def _check_turns(turns: list[EncodedTurn], *, no_prefill: bool) -> None:
    if not turns:
        raise ClientMistake("messages: at least one message with content is required", param="messages")
    if no_prefill and turns[-1]["role"] == "assistant":
        raise ClientMistake("messages: this model cannot continue an assistant message; end with a user message", param="messages")


def _json_sentence(request: Request) -> tuple[Text, ...]:
    return (Text(JSON_OBJECT_SENTENCE),) if request.output is not None and request.output.kind == "json_object" else ()


def _settings(request: Request, target: EncodeTarget, *, turns: list[EncodedTurn]) -> dict[str, Any]:
    fields = plan_thinking(request, target, native=request.family == FAMILY, loop_broken=_lost_thinking(turns))
    settings: dict[str, Any] = {"max_tokens": fields.max_tokens}
    stop = [text for text in request.stop if text and not text.isspace()]
    optional = {
        "tool_choice": encode_choice(request),
        "stop_sequences": stop or None,
        "temperature": fields.temperature,
        "top_p": fields.top_p,
        "top_k": fields.top_k,
        "thinking": fields.thinking,
        "output_config": _output_config(request, fields.effort),
        "metadata": {"user_id": _user_id(request.end_user)} if request.end_user else None,
        "service_tier": _service_tier(request),
    }
    settings |= {name: value for name, value in optional.items() if value is not None}
    return _with_nested_settings(settings, request)


def _with_nested_settings(settings: dict[str, Any], request: Request) -> dict[str, Any]:
    """The settings with those of a client of this family inside them; one inside ``thinking`` needs the setting itself."""
    if request.family == FAMILY:
        for path in request.extra.keys() & _NESTED_PATHS:
            field, _, name = path.partition(".")
            if field == "output_config":
                settings.setdefault(field, {})
            if field in settings:
                settings[field][name] = request.extra[path]
    return settings


def _lost_thinking(turns: list[EncodedTurn]) -> bool:
    """Whether the last assistant turn lacks a thinking block that the API requires: in a tool loop and in a prefill."""
    last = next((index for index in range(len(turns) - 1, -1, -1) if turns[index]["role"] == "assistant"), None)
    if last is None:
        return False
    after = turns[last + 1 :]
    in_loop = not after or any(_first_type(turn["content"]) == "tool_result" for turn in after)
    return in_loop and _first_type(turns[last]["content"]) not in ("thinking", "redacted_thinking")


def _first_type(content: Any) -> str:
    return str(content[0].get("type", "")) if content and isinstance(content, list) else "text"


def _output_config(request: Request, effort: str | None) -> dict[str, Any] | None:
    config: dict[str, Any] = {"effort": effort} if effort else {}
    if request.output is not None and request.output.kind == "json_schema":
        schema = request.output.schema or Raw(b'{"type":"object"}')
        if request.family != FAMILY:
            schema = strict_schema(schema, at="schema of the output format")
        config["format"] = {"type": "json_schema", "schema": schema}
    return config or None


def _user_id(user: str) -> str:
    return user if len(user) <= MAX_USER_ID else hashlib.sha256(user.encode(errors="replace")).hexdigest()


def _service_tier(request: Request) -> Any:
    if request.family == FAMILY and "service_tier" in request.extra:
        return request.extra["service_tier"]
    return "standard_only" if request.service_tier == "default" else None


# --- patch -----------------------------------------------------------------------------------------------------------
