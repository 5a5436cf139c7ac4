"""Streams for a Chat client: the grammar, and the chunks of each event."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from proxy.translation import reasoning_seal
from proxy.translation.accumulate import accumulate, replay
from proxy.translation.canonical import (
    Citation,
    Cited,
    Event,
    Failed,
    Finish,
    Finished,
    Opaque,
    PartDelta,
    PartEnded,
    PartStarted,
    Reasoning,
    Response,
    Seal,
    Started,
    Text,
    ToolCall,
    Usage,
    UsageReported,
)
from proxy.translation.dialects.base import EncodeContext
from proxy.translation.dialects.openai_chat.dialect import DIALECT
from proxy.translation.errors import Failure
from proxy.translation.framing.sse import SSE
from proxy.translation.quirks import DEFAULT
from tests.proxy.translation.dialects.openai_chat.samples import CONTEXT, KEY, LEGACY, WITH_USAGE
from tests.support.cases import events_of
from tests.support.grammar_openai_chat import check, check_broken

SEAL = Seal("anthropic", "anthropic", {"signature": "s"})


def encoded_stream(*events: Event, context: EncodeContext = CONTEXT) -> bytes:
    encoder = DIALECT.encoder(context)
    return b"".join(SSE.write(frame) for event in events for frame in encoder.feed(event))


def encoded_deltas(*events: Event, context: EncodeContext = CONTEXT) -> list[dict[str, Any]]:
    """The deltas between the role and the finish of a correct stream."""
    events = (Started("x", "y"), *events, Finished())
    chunks = check(encoded_stream(*events, context=context), include_usage=False)
    return [chunk["choices"][0]["delta"] for chunk in chunks[1:-1]]


def part_events(index: int, part: Any, *pieces: str, seal: Seal | None = None) -> list[Event]:
    return [PartStarted(index, part), *(PartDelta(index, piece) for piece in pieces), PartEnded(index, seal)]


def test_a_whole_stream_byte_by_byte() -> None:
    head = '{"id":"chatcmpl-0123456789abcdef01234567","object":"chat.completion.chunk","created":1800000000,"model":"claude",'
    stream = encoded_stream(Started("x", "y"), *part_events(0, Text(""), "He said: ", '\u2028"ü"'), Finished())
    assert stream.decode() == (
        f'data: {head}"choices":[{{"index":0,"delta":{{"role":"assistant","content":""}},"finish_reason":null}}]}}\n\n'
        f'data: {head}"choices":[{{"index":0,"delta":{{"content":"He said: "}},"finish_reason":null}}]}}\n\n'
        f'data: {head}"choices":[{{"index":0,"delta":{{"content":"\u2028\\"ü\\""}},"finish_reason":null}}]}}\n\n'
        f'data: {head}"choices":[{{"index":0,"delta":{{}},"finish_reason":"stop"}}]}}\n\n'
        "data: [DONE]\n\n"
    )


def test_the_usage_chunk_is_sent_on_request() -> None:
    events = (Started("x", "y"), *part_events(0, Text(""), "a"), UsageReported(Usage(fresh=3, cache_read=2, output=1)), Finished())
    check(encoded_stream(*events), include_usage=False)
    stream = encoded_stream(*events, context=WITH_USAGE)
    check(stream, include_usage=True)
    assert json.loads(stream.split(b"data: ")[-2])["usage"] == {
        "prompt_tokens": 5,
        "completion_tokens": 1,
        "total_tokens": 6,
        "prompt_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }


def test_the_usage_of_the_start_is_the_last_known_where_no_other_comes() -> None:
    stream = encoded_stream(Started(usage=Usage(fresh=5, output=1)), Finished(), context=WITH_USAGE)
    check(stream, include_usage=True)
    assert json.loads(stream.split(b"data: ")[-2])["usage"]["total_tokens"] == 6


def test_an_unknown_usage_is_a_chunk_of_zeros() -> None:
    assert check(encoded_stream(Started(), Finished(), context=WITH_USAGE), include_usage=True)


def test_the_index_of_a_call_counts_calls_and_its_name_is_sent_once() -> None:
    call = ToolCall("toolu_1", "f", "")
    assert encoded_deltas(*part_events(0, Text(""), "a"), *part_events(1, call, '{"x"', ":1}")) == [
        {"content": "a"},
        {"tool_calls": [{"index": 0, "id": "toolu_1", "type": "function", "function": {"name": "f", "arguments": ""}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"x"'}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": ":1}"}}]},
    ]


def test_a_call_without_arguments_has_an_empty_object() -> None:
    assert encoded_deltas(*part_events(0, ToolCall("c", "f", "")))[-1] == {"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}


def test_calls_without_ids_get_different_ones() -> None:
    stream = encoded_deltas(*part_events(0, ToolCall("", "f", ""), "{}"), *part_events(1, ToolCall("", "f", ""), "{}"))
    events = json.loads(
        DIALECT.encode_response(
            Response(id="", model="", parts=(ToolCall("", "f", "{}"), ToolCall("", "f", "{}")), finish=Finish(reason="tool_calls")), CONTEXT
        )
    )
    ids = [call["id"] for call in events["choices"][0]["message"]["tool_calls"]]
    assert [call["id"] for delta in stream for call in delta["tool_calls"] if "id" in call] == ids


def test_interleaved_calls_go_out_as_they_come() -> None:
    events = [
        PartStarted(0, ToolCall("a", "f", "")),
        PartStarted(1, ToolCall("b", "g", "")),
        PartDelta(1, '{"y"'),
        PartDelta(0, '{"x"'),
        PartDelta(1, ":2}"),
        PartEnded(1),
        PartDelta(0, ":1}"),
        PartEnded(0),
    ]
    fragments = [(call["index"], call["function"]["arguments"]) for delta in encoded_deltas(*events) for call in delta["tool_calls"]]
    assert fragments == [(0, ""), (1, ""), (1, '{"y"'), (0, '{"x"'), (1, ":2}"), (0, ":1}")]


def test_a_custom_call_streams_its_input() -> None:
    assert encoded_deltas(*part_events(0, ToolCall("c", "p", "", "custom"), "*** ", "Begin")) == [
        {"tool_calls": [{"index": 0, "id": "c", "type": "custom", "custom": {"name": "p", "input": ""}}]},
        {"tool_calls": [{"index": 0, "custom": {"input": "*** "}}]},
        {"tool_calls": [{"index": 0, "custom": {"input": "Begin"}}]},
    ]


def test_a_client_of_legacy_functions_reads_a_function_call() -> None:
    stream = encoded_stream(Started(), *part_events(0, ToolCall("c", "f", ""), "{}"), Finished(Finish(reason="tool_calls")), context=LEGACY)
    chunks = [json.loads(line[6:]) for line in stream.split(b"\n\n")[1:-2]]
    assert [chunk["choices"][0]["delta"] for chunk in chunks] == [
        {"function_call": {"name": "f", "arguments": ""}},
        {"function_call": {"arguments": "{}"}},
        {},
    ]
    assert chunks[-1]["choices"][0]["finish_reason"] == "function_call"


def test_the_older_form_has_one_call() -> None:
    stream = encoded_stream(
        Started(), *part_events(0, ToolCall("a", "f", ""), "{}"), *part_events(1, ToolCall("b", "g", ""), "{}"), Finished(), context=LEGACY
    )
    assert stream.count(b"function_call") == 2
    assert b'"g"' not in stream


def test_parts_without_a_chat_form_are_skipped() -> None:
    block = Opaque("anthropic", "server_tool_use", msgspec.Raw(b"{}"), history=True)
    assert encoded_deltas(PartStarted(0, block), Cited(0, Citation()), PartEnded(0)) == []


def test_reasoning_streams_and_its_state_follows() -> None:
    redacted = Seal("anthropic", "anthropic", {"redacted": "r"})
    stream = encoded_deltas(
        *part_events(0, Reasoning(""), "on", "e", seal=SEAL),
        *part_events(1, Reasoning("", redacted)),
        *part_events(2, Reasoning(""), "two"),
        *part_events(3, Text(""), "x"),
    )
    assert stream == [
        {"reasoning_content": "on"},
        {"reasoning_content": "e"},
        {"reasoning_details": [{"type": "reasoning.text", "text": "one", "signature": reasoning_seal.pack(SEAL, KEY), "index": 0}]},
        {"reasoning_details": [{"type": "reasoning.encrypted", "data": reasoning_seal.pack(redacted, KEY), "index": 1}]},
        {"reasoning_content": "\n\ntwo"},
        {"content": "x"},
    ]


def test_reasoning_without_text_and_state_is_nothing() -> None:
    assert encoded_deltas(PartStarted(0, Reasoning("")), PartEnded(0, Seal("anthropic", "anthropic", {"signature": ""}))) == []


def test_the_citations_of_all_texts_come_in_one_delta() -> None:
    stream = encoded_deltas(
        *part_events(0, Text(""), "ab"),
        *[PartStarted(1, Text("")), Cited(1, Citation(url="https://a", title="A")), PartDelta(1, "cde"), PartEnded(1)],
        *[PartStarted(2, Text("")), PartDelta(2, "f"), Cited(2, Citation(url="https://b", title="B")), PartEnded(2)],
    )
    cited = [
        {"url": "https://a", "title": "A", "start_index": 2, "end_index": 5},
        {"url": "https://b", "title": "B", "start_index": 5, "end_index": 6},
    ]
    assert stream == [
        {"content": "ab"},
        {"content": "cde"},
        {"content": "f"},
        {"annotations": [{"type": "url_citation", "url_citation": citation} for citation in cited]},
    ]


def test_log_probabilities_are_in_the_chunk_of_their_delta() -> None:
    stream = encoded_stream(Started(), PartStarted(0, Text("")), PartDelta(0, "x", ({"token": "x"},)), PartEnded(0), Finished())
    chunk = check(stream, include_usage=False)[1]["choices"][0]
    assert (chunk["delta"], chunk["logprobs"]) == ({"content": "x"}, {"content": [{"token": "x"}], "refusal": None})


def test_a_refusal_streams_in_its_own_field_and_stops() -> None:
    stream = encoded_stream(Started(), *part_events(0, Text("", refusal=True), "No."), Finished(Finish(reason="refusal")))
    chunks = check(stream, include_usage=False)
    assert (chunks[1]["choices"][0]["delta"], chunks[2]["choices"][0]["finish_reason"]) == ({"refusal": "No."}, "stop")


def test_a_broken_stream_ends_in_an_error_and_nothing_else() -> None:
    failure = Failure(kind="overloaded", message="Overloaded")
    stream = encoded_stream(Started(), PartStarted(0, Text("")), PartDelta(0, "x"), Failed(failure), Finished())
    assert check_broken(stream) == {"message": "Overloaded", "type": "server_error", "param": None, "code": "overloaded"}
    assert check_broken(b"".join(SSE.write(frame) for frame in DIALECT.break_off(failure, 3)))["message"] == "Overloaded"


@pytest.mark.parametrize("context", [CONTEXT, WITH_USAGE])
def test_a_decoded_stream_equals_the_response(context: EncodeContext) -> None:
    answer = Response(
        id="chatcmpl-0123456789abcdef01234567",
        model="claude",
        parts=(Reasoning("hm", Seal("openai_chat", "")), Text("See."), ToolCall("a", "f", '{"x":1}'), ToolCall("b", "g", "{}")),
        finish=Finish(reason="tool_calls"),
        usage=Usage(fresh=3, output=2),
    )
    stream = encoded_stream(*replay(answer), context=context)
    check(stream, include_usage=context is WITH_USAGE)
    read = accumulate(events_of(DIALECT, stream, DEFAULT, size=7))
    assert read == (answer if context is WITH_USAGE else msgspec.structs.replace(answer, usage=None))
