"""Whole answers, read from an upstream and written for a client."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from openai.types.responses import CompactedResponse
from openai.types.responses import Response as SdkResponse

from proxy.translation import reasoning_seal
from proxy.translation.canonical import Citation, Finish, Opaque, Part, Reasoning, Response, Seal, Text, ToolCall, Usage
from proxy.translation.dialects.openai_responses import compaction, ids
from proxy.translation.dialects.openai_responses.dialect import DIALECT
from proxy.translation.errors import UpstreamFailed
from tests.proxy.translation.dialects.openai_responses.samples import KEY, QUIRKS, REPLY_ID, body, decoded, destination, reply

OWN = "openai_responses"
USAGE = {
    "input_tokens": 100,
    "input_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 10},
    "output_tokens": 20,
    "output_tokens_details": {"reasoning_tokens": 5},
    "total_tokens": 120,
}


def upstream(*output: Any, **fields: Any) -> bytes:
    return msgspec.json.encode(
        {"id": "resp_1", "object": "response", "model": "up", "status": "completed", "output": output, "usage": USAGE, **fields}
    )


def read(*output: Any, **fields: Any) -> Response:
    return DIALECT.decode_response(upstream(*output, **fields), QUIRKS)


def message(*content: Any) -> dict[str, Any]:
    return {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": list(content)}


def words(text: str, **fields: Any) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], **fields}


def call(call_id: str, arguments: str = "{}", **fields: Any) -> dict[str, Any]:
    return {"type": "function_call", "id": "fc_1", "call_id": call_id, "name": "f", "arguments": arguments, **fields}


def shown(*parts: Part, finish: Finish | None = None, usage: Usage | None = None, request: Any = None) -> dict[str, Any]:
    response = Response(id="x", model="up", parts=parts, finish=finish or Finish(), usage=usage)
    parsed: dict[str, Any] = json.loads(DIALECT.encode_response(response, reply(request)))
    return parsed


# --- decode ----------------------------------------------------------------------------------------------------------


def test_an_answer_of_every_kind_of_item() -> None:
    annotation = {"type": "url_citation", "url": "https://e.com", "title": "E", "start_index": 1, "end_index": 2}
    logprob = {"token": "a", "bytes": [97], "logprob": -0.5, "top_logprobs": []}
    summary = [{"type": "summary_text", "text": "one"}, {"type": "summary_text", "text": "two"}]
    response = read(
        {"type": "reasoning", "id": "rs_1", "summary": summary, "encrypted_content": "gAAA"},
        {"type": "web_search_call", "id": "ws_1", "status": "completed"},
        message(words("hello", annotations=[annotation], logprobs=[logprob]), words("")),
        call("c1", '{"a": 1}', namespace="ns"),
        {"type": "custom_tool_call", "id": "ctc_1", "call_id": "c2", "name": "patch", "input": "***"},
        service_tier="flex",
    )
    citation = Citation(url="https://e.com", title="E", start=1, end=2, dialect=OWN, native=msgspec.Raw(msgspec.json.encode(annotation)))
    assert response == Response(
        id="resp_1",
        model="up",
        parts=(
            Reasoning("one\n\ntwo", Seal(OWN, "", {"id": "rs_1", "encrypted_content": "gAAA"})),
            Text("hello", citations=(citation,), logprobs=(logprob,)),
            ToolCall("c1", "f", '{"a": 1}', namespace="ns"),
            ToolCall("c2", "patch", "***", kind="custom"),
        ),
        finish=Finish(reason="tool_calls"),
        usage=Usage(fresh=30, cache_read=60, cache_write_5m=10, output=20, reasoning=5, service_tier="flex"),
    )


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, "end"),
        ({"status": None}, "end"),
        ({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, "length"),
        ({"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}, "refusal"),
        ({"status": "incomplete", "incomplete_details": None}, "length"),
    ],
)
def test_how_an_answer_ends(fields: dict[str, Any], reason: str) -> None:
    assert read(message(words("hi")), **fields).finish.reason == reason


def test_a_cut_off_call_is_a_matter_of_length() -> None:
    cut = read(call("c1", '{"a'), status="incomplete", incomplete_details={"reason": "max_output_tokens"})
    assert (cut.finish.reason, cut.parts) == ("length", (ToolCall("c1", "f", '{"a'),))


def test_a_refusal_ends_as_one() -> None:
    refused = read(message({"type": "refusal", "refusal": "no"}))
    assert (refused.parts, refused.finish.reason) == ((Text("no", refusal=True),), "refusal")


def test_raw_reasoning_is_read_where_there_is_no_summary() -> None:
    item = {"type": "reasoning", "id": "rs_1", "summary": [], "content": [{"type": "reasoning_text", "text": "raw"}]}
    assert read(item).parts == (Reasoning("raw", None),)


def test_reasoning_without_words_is_its_seal() -> None:
    item = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"}
    assert read(item).parts == (Reasoning("", Seal(OWN, "", {"id": "rs_1", "encrypted_content": "gAAA"})),)


def test_reasoning_of_which_nothing_is_told_is_nothing() -> None:
    assert read({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": None}).parts == ()


def test_repeated_call_ids_are_blanked() -> None:
    assert [part.id for part in read(call("c1"), call("c1")).parts if isinstance(part, ToolCall)] == ["c1", ""]


def test_arguments_as_an_object_are_written_out() -> None:
    assert read(call("c1", arguments={"a": 1})).parts == (ToolCall("c1", "f", '{"a":1}'),)  # type: ignore[arg-type]


def test_no_usage_is_no_usage() -> None:
    assert read(message(words("hi")), usage=None).usage is None


@pytest.mark.parametrize(
    ("given", "kind", "words"),
    [
        (b"", "bad_gateway", "not a complete response object"),
        (b"<html>", "bad_gateway", "not a complete response object"),
        (b"[]", "bad_gateway", "not a complete response object"),
        (b"{}", "bad_gateway", "not a complete response object"),
        (b'{"output":5}', "bad_gateway", "not a complete response object"),
        (b'{"output":[5]}', "bad_gateway", "not a complete response object"),
        (b'{"error":{"message":"slow down","code":"rate_limit_exceeded"}}', "rate_limit", "slow down"),
        (b'{"output":5,"error":{"message":"slow down","code":"rate_limit_exceeded"}}', "rate_limit", "slow down"),
        (b'{"error":"broken"}', "upstream_error", "broken"),
        (upstream(status="failed", error={"code": "server_error", "message": "oops"}), "upstream_error", "oops"),
        (upstream(status="failed", error={"code": "context_length_exceeded", "message": "long"}), "context_length", "long"),
        (upstream(status="failed", error=None), "upstream_error", "The upstream response has the status failed."),
        (upstream(status="cancelled"), "upstream_error", "The upstream response has the status cancelled."),
        (upstream(status="queued"), "bad_gateway", "not a complete response object"),
    ],
)
def test_what_is_no_answer(given: bytes, kind: str, words: str) -> None:
    with pytest.raises(UpstreamFailed) as caught:
        DIALECT.decode_response(given, QUIRKS)
    assert (caught.value.failure.kind, caught.value.answered) == (kind, True)
    assert words in caught.value.failure.message


def test_the_clients_model_name_is_all_that_changes_within_the_dialect() -> None:
    given = b'{"id":"resp_1", "model":"up","output":[ ],"x":1.0}'
    assert DIALECT.patch_response(given, "m") == b'{"id":"resp_1","model":"m","output":[ ],"x":1.0}'
    assert DIALECT.patch_response(b"<html>", "m") == b"<html>"
    assert DIALECT.patch_response(b"[1]", "m") == b"[1]"


# --- encode ----------------------------------------------------------------------------------------------------------


def test_an_answer_for_a_client() -> None:
    seal = Seal("anthropic", "anthropic", {"signature": "s"})
    answer = shown(
        Reasoning("hm", seal),
        Text("a", citations=(Citation(url="https://e.com", title="E", cited_text="x"), Citation(cited_text="no url"))),
        Text("b"),
        ToolCall("toolu_1", "f", '{"x": 1}'),
        ToolCall("", "patch", "***", kind="custom", namespace="ns"),
        ToolCall("c3", "exec", "ls", kind="custom", namespace="functions"),
        Text("no", refusal=True),
        finish=Finish(reason="tool_calls"),
        usage=Usage(fresh=30, cache_read=60, cache_write_1h=10, output=20, reasoning=5, service_tier="flex"),
    )
    annotation = {"type": "url_citation", "url": "https://e.com", "title": "E", "start_index": 0, "end_index": 1}
    assert answer["output"] == [
        {
            "id": ids.item_id("rs_", REPLY_ID, 0),
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": "hm"}],
            "encrypted_content": reasoning_seal.pack(seal, KEY),
        },
        {
            "id": ids.item_id("msg_", REPLY_ID, 1),
            "type": "message",
            "status": "completed",
            "role": "assistant",
            "content": [
                {"type": "output_text", "text": "a", "annotations": [annotation], "logprobs": []},
                {"type": "output_text", "text": "b", "annotations": [], "logprobs": []},
            ],
        },
        {
            "id": ids.item_id("fc_", REPLY_ID, 2),
            "type": "function_call",
            "status": "completed",
            "call_id": "toolu_1",
            "name": "f",
            "arguments": '{"x": 1}',
        },
        {
            "id": ids.item_id("ctc_", REPLY_ID, 3),
            "type": "custom_tool_call",
            "status": "completed",
            "call_id": ids.item_id("call_", REPLY_ID, 3),
            "name": "patch",
            "input": "***",
            "namespace": "ns",
        },
        {
            "id": ids.item_id("ctc_", REPLY_ID, 4),
            "type": "custom_tool_call",
            "status": "completed",
            "call_id": "c3",
            "name": "exec",
            "input": "ls",
        },
        {
            "id": ids.item_id("msg_", REPLY_ID, 5),
            "type": "message",
            "status": "completed",
            "role": "assistant",
            "content": [{"type": "refusal", "refusal": "no"}],
        },
    ]
    assert (answer["id"], answer["model"], answer["created_at"]) == ("resp_" + REPLY_ID, "m", 1_800_000_000)
    assert (answer["usage"], answer["service_tier"]) == (USAGE, "flex")
    SdkResponse.model_validate(answer, strict=True)


def test_the_request_is_echoed_in_the_clients_own_json() -> None:
    asked = {
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
            {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": False},
            {"type": "namespace", "name": "ns", "description": "d", "tools": [{"type": "custom", "name": "x"}]},
        ],
        "top_logprobs": 2,
        "top_p": 0.9,
        "truncation": "auto",
        "user": "u",
    }
    answer = shown(Text("hi"), request=decoded(**asked, store=True, background=True, service_tier="auto"))
    assert {name: answer[name] for name in asked} == asked
    assert (answer["store"], answer["background"], answer["service_tier"], answer["previous_response_id"]) == (
        False,
        False,
        "default",
        None,
    )


def test_what_the_request_left_out_has_its_default() -> None:
    answer = shown(Text("hi"))
    told = {name: answer[name] for name in ("tools", "tool_choice", "parallel_tool_calls", "text", "metadata", "instructions", "error")}
    assert told == {
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
    answer = shown(Text("hi"), finish=Finish(reason=finish))
    assert (answer["status"], answer["incomplete_details"]) == (status, details)


def test_a_refusal_that_the_client_can_read_completes_the_response() -> None:
    assert shown(Text("no", refusal=True), finish=Finish(reason="refusal"))["status"] == "completed"


def test_nothing_at_all_is_an_empty_output() -> None:
    answer = shown(Text(""), Reasoning("", None), Opaque("anthropic", "server_tool_use", msgspec.Raw(b"{}")))
    assert answer["output"] == []
    assert answer["usage"]["total_tokens"] == 0


def test_no_arguments_are_an_empty_object() -> None:
    assert shown(ToolCall("c", "f", ""))["output"][0]["arguments"] == "{}"


@pytest.mark.parametrize(
    ("written", "told"), [("{bad", '{"_raw_arguments":"{bad"}'), ('{"a":"\\ud800"}', '{"a":"\\ud800"}'), ("[1]", "[1]"), (" {} ", " {} ")]
)
def test_arguments_that_are_no_json_are_kept_in_an_object(written: str, told: str) -> None:
    answer = Response(id="", model="", parts=(ToolCall("c", "f", written),), finish=Finish(reason="tool_calls"))
    assert json.loads(DIALECT.encode_response(answer, reply()))["output"][0]["arguments"] == told


def test_redacted_reasoning_has_an_empty_summary() -> None:
    (item,) = shown(Reasoning("", Seal("anthropic", "anthropic", {"redacted": "r"})))["output"]
    assert item["summary"] == []
    assert reasoning_seal.unpack(item["encrypted_content"], KEY) == Seal("anthropic", "anthropic", {"redacted": "r"})


# --- the other endpoints ---------------------------------------------------------------------------------------------


def test_counted_tokens() -> None:
    assert json.loads(DIALECT.encode_count(12)) == {"object": "response.input_tokens", "input_tokens": 12}


HISTORY = [
    {"role": "developer", "content": "rules"},
    {"type": "message", "id": "msg_7", "role": "user", "content": [{"type": "input_text", "text": "do it"}]},
    {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
    {"type": "function_call_output", "call_id": "c", "output": "done"},
    {"role": "user", "content": "thanks"},
]


def test_a_compact_call_asks_for_a_summary_and_calls_no_tools() -> None:
    envelope = compaction.to_summary_request(DIALECT.open_request(body(input=HISTORY, tools=[{"type": "function", "name": "f"}])))
    request = DIALECT.decode_request(envelope, KEY)
    assert request.messages[-1].parts == (Text(compaction.SUMMARY_INSTRUCTION),)
    assert request.tool_choice is not None
    assert request.tool_choice.mode == "none"


def test_a_compact_call_is_answered_with_the_users_messages_and_the_summary() -> None:
    envelope = compaction.to_summary_request(DIALECT.open_request(body(input=HISTORY)))
    answer = Response(id="x", model="up", parts=(Reasoning("hm"), Text("all done")), finish=Finish(), usage=Usage(fresh=3, output=2))
    told = json.loads(compaction.encode_compact_response(answer, reply(DIALECT.decode_request(envelope, KEY)), envelope))
    item = {"id": ids.item_id("cmp_", REPLY_ID, 0), "type": "compaction", "encrypted_content": compaction.pack_summary("all done", KEY)}
    assert told["object"] == "response.compaction"
    assert told["output"] == [
        {"id": "msg_7", "status": "completed", "type": "message", "role": "user", "content": [{"type": "input_text", "text": "do it"}]},
        {"id": ids.item_id("msg_", REPLY_ID, 5), "status": "completed", "role": "user", "content": "thanks", "type": "message"},
        item,
    ]
    assert CompactedResponse.construct(**told).usage.total_tokens == 5


def test_a_string_can_be_compacted_too() -> None:
    envelope = compaction.to_summary_request(DIALECT.open_request(body(input="hello")))
    assert [message.role for message in DIALECT.decode_request(envelope, KEY).messages] == ["user", "user"]


def test_a_compaction_trigger_is_answered_with_one_item() -> None:
    request = decoded(input=[*HISTORY, {"type": "compaction_trigger"}])
    answer = shown(Text("all "), Text("done"), request=request)
    assert answer["output"] == [
        {"id": ids.item_id("cmp_", REPLY_ID, 0), "type": "compaction", "encrypted_content": compaction.pack_summary("all done", KEY)}
    ]


def test_our_own_compaction_comes_back_as_words() -> None:
    item = {"type": "compaction", "id": "cmp_1", "encrypted_content": compaction.pack_summary("all done", KEY)}
    (message,) = decoded(input=[item]).messages
    (part,) = message.parts
    assert message.role == "user"
    assert isinstance(part, Text)
    assert part.text.endswith("\n\nall done")
    envelope = DIALECT.open_request(body(input=[item]))
    sent = json.loads(DIALECT.patch_request(envelope, destination(), KEY))["input"]
    assert sent == [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": part.text}]}]


def test_a_forged_compaction_is_dropped() -> None:
    item = {"type": "compaction", "id": "cmp_1", "encrypted_content": compaction.pack_summary("all done", b"another key")}
    assert decoded(input=[item, {"role": "user", "content": "hi"}]).messages == decoded(input=[{"role": "user", "content": "hi"}]).messages


def test_no_summary_is_the_upstreams_failure() -> None:
    request = decoded(input=[*HISTORY, {"type": "compaction_trigger"}])
    with pytest.raises(UpstreamFailed, match="no text for the summary"):
        shown(ToolCall("c", "f", "{}"), request=request)
