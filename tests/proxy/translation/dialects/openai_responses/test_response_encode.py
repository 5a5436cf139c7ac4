"""Whole responses for a Responses client."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from openai.types.responses import Response as SdkResponse

from proxy.translation import reasoning_seal
from proxy.translation.canonical import Citation, Finish, Opaque, Part, Reasoning, Response, Seal, Text, ToolCall, Usage
from proxy.translation.dialects.openai_responses import ids
from proxy.translation.dialects.openai_responses.dialect import DIALECT
from tests.proxy.translation.dialects.openai_responses.samples import CONTEXT_ID, KEY, context, decoded

USAGE = {
    "input_tokens": 100,
    "input_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 10},
    "output_tokens": 20,
    "output_tokens_details": {"reasoning_tokens": 5},
    "total_tokens": 120,
}


def message(*content: Any) -> dict[str, Any]:
    return {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": list(content)}


def encoded_response(*parts: Part, finish: Finish | None = None, usage: Usage | None = None, request: Any = None) -> dict[str, Any]:
    response = Response(id="x", model="up", parts=parts, finish=finish or Finish(), usage=usage)
    parsed: dict[str, Any] = json.loads(DIALECT.encode_response(response, context(request)))
    return parsed


SEAL = Seal("anthropic", "anthropic", {"signature": "s"})
ANNOTATION = {"type": "url_citation", "url": "https://e.com", "title": "E", "start_index": 0, "end_index": 1}
OUTPUT = [
    {
        "id": ids.item_id("rs_", CONTEXT_ID, 0),
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": "hm"}],
        "encrypted_content": reasoning_seal.pack(SEAL, KEY),
    },
    {
        "id": ids.item_id("msg_", CONTEXT_ID, 1),
        "type": "message",
        "status": "completed",
        "role": "assistant",
        "content": [
            {"type": "output_text", "text": "a", "annotations": [ANNOTATION], "logprobs": []},
            {"type": "output_text", "text": "b", "annotations": [], "logprobs": []},
        ],
    },
    {
        "id": ids.item_id("fc_", CONTEXT_ID, 2),
        "type": "function_call",
        "status": "completed",
        "call_id": "toolu_1",
        "name": "f",
        "arguments": '{"x": 1}',
    },
    {
        "id": ids.item_id("ctc_", CONTEXT_ID, 3),
        "type": "custom_tool_call",
        "status": "completed",
        "call_id": ids.item_id("call_", CONTEXT_ID, 3),
        "name": "patch",
        "input": "***",
        "namespace": "ns",
    },
    {
        "id": ids.item_id("ctc_", CONTEXT_ID, 4),
        "type": "custom_tool_call",
        "status": "completed",
        "call_id": "c3",
        "name": "exec",
        "input": "ls",
    },
    {
        "id": ids.item_id("msg_", CONTEXT_ID, 5),
        "type": "message",
        "status": "completed",
        "role": "assistant",
        "content": [{"type": "refusal", "refusal": "no"}],
    },
]
"""The items of the response in the next test."""


def test_a_response_for_a_client() -> None:
    encoded = encoded_response(
        Reasoning("hm", SEAL),
        Text("a", citations=(Citation(url="https://e.com", title="E", cited_text="x"), Citation(cited_text="no url"))),
        Text("b"),
        ToolCall("toolu_1", "f", '{"x": 1}'),
        ToolCall("", "patch", "***", kind="custom", namespace="ns"),
        ToolCall("c3", "exec", "ls", kind="custom", namespace="functions"),
        Text("no", refusal=True),
        finish=Finish(reason="tool_calls"),
        usage=Usage(fresh=30, cache_read=60, cache_write_1h=10, output=20, reasoning=5, service_tier="flex"),
    )
    assert encoded["output"] == OUTPUT
    assert (encoded["id"], encoded["model"], encoded["created_at"]) == ("resp_" + CONTEXT_ID, "m", 1_800_000_000)
    assert (encoded["usage"], encoded["service_tier"]) == (USAGE, "flex")
    SdkResponse.model_validate(encoded, strict=True)


def test_the_request_is_echoed_in_the_clients_own_json() -> None:
    request_fields = {
        "instructions": "be brief",
        "max_output_tokens": 1000,
        "max_tool_calls": 3,
        "metadata": {"a": "b"},
        "parallel_tool_calls": False,
        "prompt_cache_key": "k",
        "reasoning": {"effort": "high", "summary": "auto"},
        "safety_identifier": "s",
        "temperature": 0.5,
        "text": {"format": {"type": "text"}, "verbosity": "low"},
        "tool_choice": {"type": "function", "name": "f"},
        "tools": [
            {"type": "function", "name": "f", "description": None, "parameters": {"type": "object"}, "strict": False},
            {"type": "namespace", "name": "ns", "description": "d", "tools": [{"type": "custom", "name": "x"}]},
        ],
        "top_logprobs": 2,
        "top_p": 0.9,
        "truncation": "auto",
        "user": "u",
    }
    encoded = encoded_response(Text("hi"), request=decoded(**request_fields, store=True, background=True, service_tier="auto"))
    assert {name: encoded[name] for name in request_fields} == request_fields
    assert (encoded["store"], encoded["background"], encoded["service_tier"], encoded["previous_response_id"]) == (
        False,
        False,
        "default",
        None,
    )


def test_members_that_responses_must_have_are_added_to_what_the_client_left_out() -> None:
    tools = [{"type": "function", "name": "f"}, {"type": "custom", "name": "x"}]
    request_fields = {
        "tools": tools,
        "reasoning": {"effort": "low"},
        "text": {"verbosity": "low"},
        "temperature": None,
        "top_p": None,
        "metadata": None,
    }
    encoded = encoded_response(Text("hi"), request=decoded(**request_fields))
    assert {name: encoded[name] for name in (*request_fields, "presence_penalty", "frequency_penalty")} == {
        "tools": [{"type": "function", "name": "f", "description": None, "parameters": None, "strict": True}, tools[1]],
        "reasoning": {"effort": "low", "summary": None},
        "text": {"format": {"type": "text"}, "verbosity": "low"},
        "temperature": 1.0,
        "top_p": 1.0,
        "metadata": {},
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
    }


def test_what_the_request_left_out_has_its_default() -> None:
    encoded = encoded_response(Text("hi"))
    echoed = {name: encoded[name] for name in ("tools", "tool_choice", "parallel_tool_calls", "text", "metadata", "instructions", "error")}
    assert echoed == {
        "tools": [],
        "tool_choice": "auto",
        "parallel_tool_calls": True,
        "text": {"format": {"type": "text"}},
        "metadata": {},
        "instructions": None,
        "error": None,
    }


@pytest.mark.parametrize(
    ("finish", "status", "details"),
    [
        ("end", "completed", None),
        ("stop_sequence", "completed", None),
        ("tool_calls", "completed", None),
        ("pause", "completed", None),
        ("compaction", "completed", None),
        ("length", "incomplete", {"reason": "max_output_tokens"}),
        ("context_window", "incomplete", {"reason": "max_output_tokens"}),
        ("refusal", "incomplete", {"reason": "content_filter"}),
    ],
)
def test_the_status(finish: Any, status: str, details: Any) -> None:
    encoded = encoded_response(Text("hi"), finish=Finish(reason=finish))
    assert (encoded["status"], encoded["incomplete_details"]) == (status, details)


def test_a_refusal_that_the_client_can_read_completes_the_response() -> None:
    assert encoded_response(Text("no", refusal=True), finish=Finish(reason="refusal"))["status"] == "completed"


def test_parts_without_a_responses_form_are_skipped() -> None:
    encoded = encoded_response(Text(""), Reasoning("", None), Opaque("anthropic", "server_tool_use", msgspec.Raw(b"{}")))
    assert encoded["output"] == []
    assert encoded["usage"]["total_tokens"] == 0


def test_no_arguments_are_an_empty_object() -> None:
    assert encoded_response(ToolCall("c", "f", ""))["output"][0]["arguments"] == "{}"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [("{bad", '{"_raw_arguments":"{bad"}'), ('{"a":"\\ud800"}', '{"a":"\\ud800"}'), ("[1]", "[1]"), (" {} ", " {} ")],
)
def test_invalid_arguments_are_kept_in_an_object(arguments: str, expected: str) -> None:
    encoded = Response(id="", model="", parts=(ToolCall("c", "f", arguments),), finish=Finish(reason="tool_calls"))
    assert json.loads(DIALECT.encode_response(encoded, context()))["output"][0]["arguments"] == expected


def test_redacted_reasoning_has_an_empty_summary() -> None:
    (item,) = encoded_response(Reasoning("", Seal("anthropic", "anthropic", {"redacted": "r"})))["output"]
    assert item["summary"] == []
    assert reasoning_seal.unpack(item["encrypted_content"], KEY) == Seal("anthropic", "anthropic", {"redacted": "r"})
