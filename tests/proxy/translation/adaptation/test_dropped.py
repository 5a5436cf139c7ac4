"""The list of what a translation leaves out of a request."""

from __future__ import annotations

import json
from typing import Any

import pytest

from proxy.exchange.prepare import Preparer
from proxy.translation.adaptation.dropped import shortened
from proxy.translation.dialects.base import EncodeTarget
from proxy.translation.dialects.registry import REGISTRY
from proxy.translation.quirks import Quirks

KEY = b"the secret of the test"
HI = {"role": "user", "content": "Hi"}
MARK = {"type": "ephemeral"}
FUNCTION = {"type": "function", "name": "f", "parameters": {"type": "object"}}


def dropped(client: str, target: str, body: dict[str, Any], **quirks: Any) -> list[str]:
    dialect = REGISTRY[client]
    envelope = dialect.open_for_model(json.dumps(body).encode(), "m")
    destination = EncodeTarget(model="up", dialect=target, upstream="up-1", quirks=Quirks(**quirks))
    return list(Preparer(dialect, envelope, KEY).prepare(REGISTRY[target], destination).dropped)


def messages(*content: Any, **fields: Any) -> dict[str, Any]:
    return {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": list(content)}], **fields}


def chat(**fields: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [HI], **fields}


def responses(*items: Any, **fields: Any) -> dict[str, Any]:
    return {"model": "m", "input": [*items, HI], **fields}


TEXT = {"type": "text", "text": "Hi"}


@pytest.mark.parametrize(
    ("body", "paths"),
    [
        (messages(TEXT), []),
        (messages({**TEXT, "cache_control": MARK}), ["messages[].content[].cache_control"]),
        (
            messages({**TEXT, "cache_control": MARK}, {**TEXT, "shade": 1}),
            ["messages[].content[].cache_control", "messages[].content[].shade"],
        ),
        (messages(TEXT, system=[{**TEXT, "cache_control": MARK}]), ["system[].cache_control"]),
        (messages(TEXT, tools=[{"name": "f", "input_schema": {"type": "object"}, "cache_control": MARK}]), ["tools[].cache_control"]),
        (messages(TEXT, tools=[{"name": "f", "input_schema": {"type": "object"}, "strict": True}]), ["tools[].strict"]),
        (
            messages(TEXT, top_k=5, mood="good", thinking={"type": "enabled", "budget_tokens": 1024, "display": "omitted"}),
            ["mood", "thinking.display", "top_k"],
        ),
        (messages(TEXT, stop_sequences=list("abcde")), ["stop_sequences[]"]),
        (
            messages(TEXT, context_management={"edits": [{"type": "clear_thinking_20251015"}]}, metadata=None, container=None),
            ["context_management"],
        ),
        (messages(TEXT, tools=[{"type": "web_search_20250305", "name": "web_search"}]), ["tools[]"]),
        (
            messages(
                {"type": "document", "source": {"type": "text", "data": "x", "media_type": "text/plain"}, "citations": {"enabled": True}}
            ),
            ["messages[].content[].citations"],
        ),
    ],
)
def test_what_a_chat_upstream_does_not_get_of_a_messages_request(body: dict[str, Any], paths: list[str]) -> None:
    assert dropped("anthropic", "openai_chat", body) == paths


def test_the_history_of_a_messages_request_is_named_part_by_part() -> None:
    call = {"type": "tool_use", "id": "a", "name": "f", "input": {}, "caller": {"type": "direct"}}
    turn = [
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
        call,
    ]
    result = {"type": "tool_result", "tool_use_id": "a", "content": [{**TEXT, "cache_control": MARK}]}
    body = {"model": "m", "max_tokens": 9, "messages": [HI, {"role": "assistant", "content": turn}, {"role": "user", "content": [result]}]}
    assert [dropped("anthropic", target, body) for target in ("openai_responses", "bedrock")] == [["messages[].content[]"], []]


@pytest.mark.parametrize(
    ("body", "target", "paths"),
    [
        (
            chat(seed=7, logit_bias={"1": 2}, n=1, response_format={"type": "text"}, parallel_tool_calls=True),
            "anthropic",
            ["logit_bias", "seed"],
        ),
        (
            chat(stream=True, stream_options={"include_usage": True, "include_obfuscation": False}),
            "anthropic",
            ["stream_options.include_obfuscation"],
        ),
        (chat(response_format={"type": "json_object"}), "anthropic", []),
        (
            chat(response_format={"type": "json_schema", "json_schema": {"name": "n", "strict": True, "schema": {"type": "object"}}}),
            "anthropic",
            ["response_format.json_schema.name", "response_format.json_schema.strict"],
        ),
        (chat(store=True, stop="x"), "openai_responses", ["stop", "store"]),
        ({"model": "m", "messages": [{**HI, "name": "ann"}]}, "openai_responses", ["messages[].name"]),
        (
            {"model": "m", "messages": [HI, {"role": "assistant", "content": "Yes", "reasoning_content": "hm"}, HI]},
            "anthropic",
            ["messages[].reasoning_content"],
        ),
    ],
)
def test_what_is_left_out_of_a_chat_request(body: dict[str, Any], target: str, paths: list[str]) -> None:
    assert dropped("openai_chat", target, body) == paths


@pytest.mark.parametrize(
    ("body", "target", "paths"),
    [
        (
            responses(store=False, include=["file_search_call.results"], text={"verbosity": "low", "format": {"type": "text"}}),
            "anthropic",
            ["include", "text.verbosity"],
        ),
        (
            responses(
                {
                    "type": "message",
                    "role": "assistant",
                    "id": "m",
                    "status": "completed",
                    "content": [{"type": "output_text", "text": "Yes", "annotations": []}],
                }
            ),
            "openai_chat",
            ["input[].id", "input[].status"],
        ),
        (
            responses({"type": "reasoning", "id": "r", "summary": [], "encrypted_content": "x"}, {"type": "web_search_call", "id": "w"}),
            "anthropic",
            ["input[]"],
        ),
        (
            responses({"type": "additional_tools", "role": "developer", "tools": [{**FUNCTION, "defer_loading": True}]}),
            "openai_chat",
            ["input[].tools[].defer_loading"],
        ),
        (
            responses(
                tools=[
                    {"type": "namespace", "name": "ns", "description": "d", "tools": [{**FUNCTION, "output_schema": {"type": "object"}}]}
                ]
            ),
            "openai_chat",
            ["tools[].description", "tools[].tools[].output_schema"],
        ),
    ],
)
def test_what_is_left_out_of_a_responses_request(body: dict[str, Any], target: str, paths: list[str]) -> None:
    assert dropped("openai_responses", target, body) == paths


@pytest.mark.parametrize(
    ("quirks", "paths"),
    [
        ({}, ["messages[].content[].cache_control", "top_k"]),
        ({"top_k": True, "cache_markers": "passthrough"}, []),
        ({"cache_markers": "openai_breakpoints"}, ["messages[].content[].cache_control.ttl", "top_k"]),
        ({"no_sampling": True, "no_stop": True}, ["messages[].content[].cache_control", "stop_sequences", "temperature", "top_k"]),
    ],
)
def test_the_list_follows_the_quirks_of_the_upstream(quirks: dict[str, Any], paths: list[str]) -> None:
    body = messages({**TEXT, "cache_control": {**MARK, "ttl": "1h"}}, top_k=5, temperature=0.5, stop_sequences=["x"])
    assert dropped("anthropic", "openai_chat", body, **quirks) == paths


@pytest.mark.parametrize(
    ("client", "body"), [("anthropic", messages(TEXT, mood=1)), ("openai_chat", chat(mood=1)), ("openai_responses", responses(mood=1))]
)
def test_within_one_dialect_nothing_is_left_out(client: str, body: dict[str, Any]) -> None:
    assert dropped(client, client, body) == []


def test_a_long_list_ends_with_the_number_of_its_other_paths() -> None:
    paths = tuple(f"field_{number:03}" for number in range(53))
    assert (shortened(paths), shortened(paths[:50])) == ([*paths[:50], "and 3 more"], list(paths[:50]))


@pytest.mark.parametrize(
    ("betas", "paths"),
    [
        ([], ["context_management", "messages[].content[].cache_control.scope", "tools[].defer_loading"]),
        (
            ["context-management-2025-06-27", "tool-search-tool-2025-10-19", "prompt-caching-scope-1"],
            ["messages[].content[].cache_control.scope"],
        ),
    ],
)
def test_the_list_follows_the_betas_that_bedrock_gets(betas: list[str], paths: list[str]) -> None:
    mark = {**MARK, "scope": "global", "ttl": "1h"}
    tools = [{"name": "f", "input_schema": {"type": "object"}, "defer_loading": True}]
    body = messages({**TEXT, "cache_control": mark}, tools=tools, cache_control=MARK, context_management={"edits": [{"type": "x"}]})
    dialect = REGISTRY["anthropic"]
    preparer = Preparer(dialect, dialect.open_request(json.dumps(body).encode()), KEY, betas=",".join(betas))
    assert list(preparer.prepare(REGISTRY["bedrock"], EncodeTarget(model="up", dialect="bedrock")).dropped) == paths
