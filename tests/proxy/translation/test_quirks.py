"""Every quirk does something: one case for each switch, and no switch without its case.

A case is what a canonical request becomes at an upstream of a dialect, as it is and with the quirk; only what the quirk is about
is looked at. Quirks of answers and of the call itself have their cases further down.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from proxy.translation import call_ids
from proxy.translation.accumulate import accumulate
from proxy.translation.adaptation.adapt import adapt
from proxy.translation.canonical import (
    CacheMark,
    Image,
    Message,
    OutputFormat,
    Reasoning,
    ReasoningSetting,
    Request,
    Seal,
    Source,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from proxy.translation.dialects.base import EncodeTarget
from proxy.translation.dialects.registry import REGISTRY
from proxy.translation.errors import ClientMistake
from proxy.translation.quirks import DEFAULT, Quirks, merged
from tests.support.cases import events_of

HI = Message("user", (Text("Hi"),))
SCHEMA = msgspec.Raw(b'{"type":"object","properties":{"a":{"type":"string","format":"date"}}}')
LOOK = Tool(name="look_around", schema=SCHEMA)
CALL = ToolCall("call_1", "look_around", "{}")
UNANSWERED = (HI, Message("assistant", (CALL,)))
LOOP = (*UNANSWERED, Message("user", (ToolResult("call_1", (Text("seen"),)),)))
PICTURE = Image(Source("base64", "AAAA", "image/png"), at="messages.0.content.0")
LINKED = Image(Source("url", "https://example.com/a.png"), at="messages.0.content.0")
LATE = (HI, Message("system", (Text("Late."),)), Message("assistant", (Text("Yes"),)), HI)
THOUGHT = Message("assistant", (Reasoning("hm", Seal("anthropic", "anthropic", {"signature": ""})), Text("Yes")))
REASONED = (HI, Message("assistant", (Reasoning("hm", Seal("openai_chat", "")), Text("Yes"))), HI)
NINE = call_ids.nine_characters("call_1")
CHAT, MESSAGES, RESPONSES, BEDROCK = "openai_chat", "anthropic", "openai_responses", "bedrock"


def body(dialect: str, quirks: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """The body that an upstream with these quirks gets."""
    request = Request(**{"model": "m", "messages": (HI,), "family": RESPONSES, **fields})
    encode_target = EncodeTarget(model="up", dialect=dialect, quirks=merged(quirks), stream=request.stream)
    target = REGISTRY[dialect]
    sent_body: dict[str, Any] = json.loads(
        target.encode_request(adapt(request, encode_target, family=target.family, traits=target.traits).request, encode_target)
    )
    return sent_body


def refused(dialect: str, quirks: dict[str, Any], **fields: Any) -> str:
    """The message with which a request is refused; empty if it is accepted."""
    try:
        body(dialect, quirks, **fields)
    except ClientMistake as mistake:
        return mistake.failure.message
    return ""


def path(dialect: str, quirks: dict[str, Any]) -> str:
    return REGISTRY[dialect].path(EncodeTarget(model="up", dialect=dialect, quirks=merged(quirks)))


def roles(sent_body: dict[str, Any]) -> list[str]:
    return [message["role"] for message in sent_body["messages"]]


Case = tuple[str, Any, Callable[[dict[str, Any]], Any], Any, Any]
EFFORT = ReasoningSetting(mode="effort", effort="xhigh")
OFF = ReasoningSetting(mode="disabled")
ANSWER = OutputFormat(kind="json_schema", name="n", schema=SCHEMA)

CASES: list[Case] = [
    # quirk, value, what is looked at, as it is, with the quirk
    (
        "max_tokens_field",
        "max_tokens",
        lambda q: {*body(CHAT, q, max_tokens=9)} - {"model", "messages"},
        {"max_completion_tokens"},
        {"max_tokens"},
    ),
    ("supports_developer", True, lambda q: roles(body(CHAT, q, system=(Text("S"),))), ["system", "user"], ["developer", "user"]),
    (
        "supports_custom_tools",
        True,
        lambda q: body(CHAT, q, tools=(Tool(name="t", kind="custom"),))["tools"][0]["type"],
        "function",
        "custom",
    ),
    (
        "tool_image_parts",
        True,
        lambda q: roles(body(CHAT, q, messages=(*UNANSWERED, Message("user", (ToolResult("call_1", (PICTURE,)),))))),
        ["user", "assistant", "tool", "user"],
        ["user", "assistant", "tool"],
    ),
    (
        "late_system",
        "hoist",
        lambda q: roles(body(CHAT, q, messages=LATE)),
        ["user", "system", "assistant", "user"],
        ["system", "user", "assistant", "user"],
    ),
    (
        "late_system_native",
        True,
        lambda q: roles(body(MESSAGES, q, messages=LATE)),
        ["user", "assistant", "user"],
        ["user", "system", "assistant", "user"],
    ),
    ("stream_usage", False, lambda q: "stream_options" in body(CHAT, q, stream=True), True, False),
    ("parallel_tool_calls", False, lambda q: body(CHAT, q, tools=(LOOK,), parallel_calls=False).get("parallel_tool_calls"), False, None),
    (
        "tool_choice",
        "auto_only",
        lambda q: body(CHAT, q, tools=(LOOK,), tool_choice=ToolChoice(mode="required")).get("tool_choice"),
        "required",
        None,
    ),
    ("tool_choice", "none", lambda q: body(CHAT, q, tools=(LOOK,), tool_choice=ToolChoice(mode="auto")).get("tool_choice"), "auto", None),
    ("reasoning_effort", False, lambda q: body(CHAT, q, reasoning=EFFORT).get("reasoning_effort"), "high", None),
    ("efforts", ["low", "xhigh"], lambda q: body(CHAT, q, reasoning=EFFORT).get("reasoning_effort"), "high", "xhigh"),
    ("reasoning_off", True, lambda q: body(CHAT, q, reasoning=OFF).get("reasoning_effort"), None, "none"),
    ("reasoning_off", True, lambda q: body(RESPONSES, q, reasoning=OFF, family=MESSAGES).get("reasoning"), None, {"effort": "none"}),
    (
        "thinking_style",
        "adaptive",
        lambda q: body(MESSAGES, q, reasoning=ReasoningSetting(mode="effort", effort="low")).get("thinking"),
        {"type": "enabled", "budget_tokens": 2048},
        {"type": "adaptive"},
    ),
    ("reasoning_history", "omit", lambda q: body(CHAT, q, messages=REASONED)["messages"][1].get("reasoning_content"), "hm", None),
    ("call_ids", "nine_characters", lambda q: body(CHAT, q, messages=LOOP)["messages"][2]["tool_call_id"], "call_1", NINE),
    ("requires_reasoning_content", True, lambda q: body(CHAT, q, messages=LOOP)["messages"][1].get("reasoning_content"), None, ""),
    (
        "cache_markers",
        "passthrough",
        lambda q: "cache_control" in json.dumps(body(CHAT, q, messages=(Message("user", (Text("Hi", CacheMark()),)),))),
        False,
        True,
    ),
    (
        "cache_markers",
        "openai_breakpoints",
        lambda q: (
            "prompt_cache_breakpoint" in json.dumps(body(CHAT, q, messages=(Message("user", (Text("Hi", CacheMark()),)),), family=MESSAGES))
        ),
        False,
        True,
    ),
    ("automatic_cache", True, lambda q: body(MESSAGES, q).get("cache_control"), None, {"type": "ephemeral"}),
    ("no_sampling", True, lambda q: body(CHAT, q, temperature=0.5, top_p=0.5).get("temperature"), 0.5, None),
    ("no_stop", True, lambda q: body(CHAT, q, stop=("x",)).get("stop"), ["x"], None),
    ("no_prefill", True, lambda q: bool(refused(CHAT, q, messages=(HI, Message("assistant", (Text("Well"),))))), False, True),
    (
        "images",
        False,
        lambda q: refused(CHAT, q, messages=(Message("user", (PICTURE,)),)),
        "",
        "messages.0.content.0: this model does not accept images",
    ),
    (
        "image_urls",
        False,
        lambda q: refused(CHAT, q, messages=(Message("user", (LINKED,)),)).partition(";")[0],
        "",
        "messages.0.content.0: this model does not accept image URLs",
    ),
    (
        "structured_output",
        False,
        lambda q: [tool["name"] for tool in body(MESSAGES, q, output=ANSWER).get("tools", ())],
        [],
        ["json_output"],
    ),
    ("json_object", False, lambda q: "response_format" in body(CHAT, q, output=OutputFormat(kind="json_object")), True, False),
    (
        "schema_keywords_refused",
        ["format"],
        lambda q: body(CHAT, q, tools=(LOOK,))["tools"][0]["function"]["parameters"]["properties"]["a"],
        {"type": "string", "format": "date"},
        {"type": "string"},
    ),
    ("empty_assistant_content", "empty", lambda q: body(CHAT, q, messages=LOOP)["messages"][1]["content"], None, ""),
    ("tool_name_limit", 10, lambda q: len(body(CHAT, q, tools=(LOOK,))["tools"][0]["function"]["name"]), 11, 10),
    ("unanswered_calls", "refuse", lambda q: bool(refused(CHAT, q, messages=UNANSWERED)), False, True),
    ("user_field", "safety_identifier", lambda q: body(CHAT, q, end_user="u").get("safety_identifier"), None, "u"),
    ("user_field", "none", lambda q: body(CHAT, q, end_user="u").get("user"), "u", None),
    ("top_k", True, lambda q: body(CHAT, q, top_k=4, family=MESSAGES).get("top_k"), None, 4),
    ("settings_refused", ["prompt_cache_key"], lambda q: body(CHAT, q, prompt_cache_key="k").get("prompt_cache_key"), "k", None),
    (
        "settings_refused",
        ["metadata", "service_tier"],
        lambda q: {*body(RESPONSES, q, metadata={"a": "b"}, service_tier="flex")} & {"metadata", "service_tier"},
        {"metadata", "service_tier"},
        set(),
    ),
    ("too_many_stops", "refuse", lambda q: bool(refused(CHAT, q, stop=tuple("abcde"))), False, True),
    ("unsigned_thinking", True, lambda q: json.dumps(body(MESSAGES, q, messages=(HI, THOUGHT, HI))).count('"thinking"'), 0, 2),
    (
        "beta_allow_list",
        ["b"],
        lambda q: body(BEDROCK, q, family=MESSAGES, extra={"anthropic_beta": msgspec.Raw(b'["a","b"]')}).get("anthropic_beta"),
        None,
        ["b"],
    ),
    ("api_path", "/x/y", lambda q: path(RESPONSES, q), "/v1/responses", "/x/y"),
    ("api_path", "/x/y", lambda q: path(BEDROCK, q), "/model/up/invoke", "/x/y"),
]
ELSEWHERE = {
    "split_think_tags": "below",
    "names_in_pieces": "below",
    "upstream_stream": "tests/e2e/test_upstream_stream.py",
}
"""Quirks of the answer and of the call, and where they are shown."""


@pytest.mark.parametrize(("name", "value", "look", "plain", "quirky"), CASES, ids=[f"{case[0]}-{case[1]}" for case in CASES])
def test_a_quirk_shapes_the_request(name: str, value: Any, look: Callable[[dict[str, Any]], Any], plain: Any, quirky: Any) -> None:
    assert look({}) == plain
    assert look({name: value}) == quirky


def chunks(*deltas: dict[str, Any]) -> bytes:
    chunk_values = [{"id": "c", "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    chunk_values.append({"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    return b"".join(b"data: " + json.dumps(chunk_value).encode() + b"\n\n" for chunk_value in chunk_values) + b"data: [DONE]\n\n"


def streamed(stream: bytes, quirks: Quirks) -> Any:
    return accumulate(events_of(REGISTRY[CHAT], stream, quirks, size=len(stream))).parts


def test_thinking_in_tags_is_split_off_where_the_quirk_says_so() -> None:
    stream = chunks({"content": "<think>hm</think>Yes"})
    assert streamed(stream, DEFAULT) == (Text("<think>hm</think>Yes"),)
    assert streamed(stream, Quirks(split_think_tags=True)) == (Reasoning("hm", Seal(CHAT, "")), Text("Yes"))


def test_names_in_pieces_are_joined_where_the_quirk_says_so() -> None:
    pieces = [{"index": 0, "id": "c1", "function": {"name": "look"}}, {"index": 0, "function": {"name": "_up", "arguments": "{}"}}]
    stream = chunks(*({"tool_calls": [piece]} for piece in pieces))
    assert [part.name for part in streamed(stream, DEFAULT)] == ["look"]
    assert [part.name for part in streamed(stream, Quirks(names_in_pieces=True))] == ["look_up"]


def test_every_quirk_is_shown() -> None:
    assert sorted({case[0] for case in CASES} | set(ELSEWHERE)) == sorted(field.name for field in msgspec.structs.fields(Quirks))


def test_a_grammar_is_encoded_in_the_shape_of_chat() -> None:
    patch = Tool(name="patch", kind="custom", format=msgspec.Raw(b'{"type":"grammar","syntax":"lark","definition":"start: A"}'))
    custom_tool = body(CHAT, {"supports_custom_tools": True}, tools=(patch,))["tools"][0]["custom"]
    assert custom_tool == {"name": "patch", "format": {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: A"}}}
