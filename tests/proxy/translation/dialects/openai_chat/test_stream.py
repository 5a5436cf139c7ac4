"""Streams for chat clients: the grammar, what every event becomes, and relaying within the dialect."""

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
    Message,
    Opaque,
    PartDelta,
    PartEnded,
    PartStarted,
    Reasoning,
    Request,
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
from proxy.translation.framing.sse import SSE, Frame
from proxy.translation.quirks import DEFAULT
from tests.support.cases import events_of
from tests.support.grammar_openai_chat import check, check_broken

KEY = b"a secret"
REQUEST = Request(model="m", messages=(Message("user", (Text("Hi"),)),), family="openai_chat")
REPLY = EncodeContext(id="0123456789abcdef01234567", created=1_800_000_000, model="claude", request=REQUEST, seal_key=KEY)
WITH_USAGE = msgspec.structs.replace(REPLY, request=msgspec.structs.replace(REQUEST, include_usage=True))
LEGACY = msgspec.structs.replace(REPLY, request=msgspec.structs.replace(REQUEST, extra={"functions": msgspec.Raw(b"[]")}))
SEAL = Seal("anthropic", "anthropic", {"signature": "s"})


def stream_of(*events: Event, reply: EncodeContext = REPLY) -> bytes:
    encoder = DIALECT.encoder(reply)
    return b"".join(SSE.write(frame) for event in events for frame in encoder.feed(event))


def deltas_of(*events: Event, reply: EncodeContext = REPLY) -> list[dict[str, Any]]:
    """The deltas between the role and the finish of a correct stream."""
    whole = (Started("x", "y"), *events, Finished())
    chunks = check(stream_of(*whole, reply=reply), include_usage=False)
    return [chunk["choices"][0]["delta"] for chunk in chunks[1:-1]]


def words(index: int, part: Any, *pieces: str, seal: Seal | None = None) -> list[Event]:
    return [PartStarted(index, part), *(PartDelta(index, piece) for piece in pieces), PartEnded(index, seal)]


def test_a_whole_stream_byte_by_byte() -> None:
    head = '{"id":"chatcmpl-0123456789abcdef01234567","object":"chat.completion.chunk","created":1800000000,"model":"claude",'
    told = stream_of(Started("x", "y"), *words(0, Text(""), "He said: ", '\u2028"ü"'), Finished())
    assert told.decode() == (
        f'data: {head}"choices":[{{"index":0,"delta":{{"role":"assistant","content":""}},"finish_reason":null}}]}}\n\n'
        f'data: {head}"choices":[{{"index":0,"delta":{{"content":"He said: "}},"finish_reason":null}}]}}\n\n'
        f'data: {head}"choices":[{{"index":0,"delta":{{"content":"\u2028\\"ü\\""}},"finish_reason":null}}]}}\n\n'
        f'data: {head}"choices":[{{"index":0,"delta":{{}},"finish_reason":"stop"}}]}}\n\n'
        "data: [DONE]\n\n"
    )


def test_the_usage_chunk_comes_for_those_who_asked() -> None:
    events = (Started("x", "y"), *words(0, Text(""), "a"), UsageReported(Usage(fresh=3, cache_read=2, output=1)), Finished())
    check(stream_of(*events), include_usage=False)
    told = stream_of(*events, reply=WITH_USAGE)
    check(told, include_usage=True)
    assert json.loads(told.split(b"data: ")[-2])["usage"] == {
        "prompt_tokens": 5,
        "completion_tokens": 1,
        "total_tokens": 6,
        "prompt_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }


def test_the_usage_of_the_start_is_the_last_known_where_no_other_comes() -> None:
    told = stream_of(Started(usage=Usage(fresh=5, output=1)), Finished(), reply=WITH_USAGE)
    check(told, include_usage=True)
    assert json.loads(told.split(b"data: ")[-2])["usage"]["total_tokens"] == 6


def test_an_unknown_usage_is_a_chunk_of_zeros() -> None:
    assert check(stream_of(Started(), Finished(), reply=WITH_USAGE), include_usage=True)


def test_a_call_counts_among_calls_and_says_its_name_once() -> None:
    call = ToolCall("toolu_1", "f", "")
    assert deltas_of(*words(0, Text(""), "a"), *words(1, call, '{"x"', ":1}")) == [
        {"content": "a"},
        {"tool_calls": [{"index": 0, "id": "toolu_1", "type": "function", "function": {"name": "f", "arguments": ""}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"x"'}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": ":1}"}}]},
    ]


def test_a_call_without_arguments_says_so() -> None:
    assert deltas_of(*words(0, ToolCall("c", "f", "")))[-1] == {"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}


def test_calls_without_ids_get_different_ones() -> None:
    told = deltas_of(*words(0, ToolCall("", "f", ""), "{}"), *words(1, ToolCall("", "f", ""), "{}"))
    whole = json.loads(
        DIALECT.encode_response(
            Response(id="", model="", parts=(ToolCall("", "f", "{}"), ToolCall("", "f", "{}")), finish=Finish(reason="tool_calls")), REPLY
        )
    )
    ids = [call["id"] for call in whole["choices"][0]["message"]["tool_calls"]]
    assert [call["id"] for delta in told for call in delta["tool_calls"] if "id" in call] == ids


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
    fragments = [(call["index"], call["function"]["arguments"]) for delta in deltas_of(*events) for call in delta["tool_calls"]]
    assert fragments == [(0, ""), (1, ""), (1, '{"y"'), (0, '{"x"'), (1, ":2}"), (0, ":1}")]


def test_a_custom_call_streams_its_input() -> None:
    assert deltas_of(*words(0, ToolCall("c", "p", "", "custom"), "*** ", "Begin")) == [
        {"tool_calls": [{"index": 0, "id": "c", "type": "custom", "custom": {"name": "p", "input": ""}}]},
        {"tool_calls": [{"index": 0, "custom": {"input": "*** "}}]},
        {"tool_calls": [{"index": 0, "custom": {"input": "Begin"}}]},
    ]


def test_a_client_of_legacy_functions_reads_a_function_call() -> None:
    told = stream_of(Started(), *words(0, ToolCall("c", "f", ""), "{}"), Finished(Finish(reason="tool_calls")), reply=LEGACY)
    chunks = [json.loads(line[6:]) for line in told.split(b"\n\n")[1:-2]]
    assert [chunk["choices"][0]["delta"] for chunk in chunks] == [
        {"function_call": {"name": "f", "arguments": ""}},
        {"function_call": {"arguments": "{}"}},
        {},
    ]
    assert chunks[-1]["choices"][0]["finish_reason"] == "function_call"


def test_the_legacy_form_has_room_for_one_call() -> None:
    told = stream_of(Started(), *words(0, ToolCall("a", "f", ""), "{}"), *words(1, ToolCall("b", "g", ""), "{}"), Finished(), reply=LEGACY)
    assert told.count(b"function_call") == 2
    assert b'"g"' not in told


def test_blocks_that_chat_does_not_have_say_nothing() -> None:
    block = Opaque("anthropic", "server_tool_use", msgspec.Raw(b"{}"), history=True)
    assert deltas_of(PartStarted(0, block), Cited(0, Citation()), PartEnded(0)) == []


def test_reasoning_streams_and_its_state_follows() -> None:
    redacted = Seal("anthropic", "anthropic", {"redacted": "r"})
    told = deltas_of(
        *words(0, Reasoning(""), "on", "e", seal=SEAL),
        *words(1, Reasoning("", redacted)),
        *words(2, Reasoning(""), "two"),
        *words(3, Text(""), "x"),
    )
    assert told == [
        {"reasoning_content": "on"},
        {"reasoning_content": "e"},
        {"reasoning_details": [{"type": "reasoning.text", "text": "one", "signature": reasoning_seal.pack(SEAL, KEY), "index": 0}]},
        {"reasoning_details": [{"type": "reasoning.encrypted", "data": reasoning_seal.pack(redacted, KEY), "index": 1}]},
        {"reasoning_content": "\n\ntwo"},
        {"content": "x"},
    ]


def test_reasoning_without_text_and_state_is_nothing() -> None:
    assert deltas_of(PartStarted(0, Reasoning("")), PartEnded(0, Seal("anthropic", "anthropic", {"signature": ""}))) == []


def test_the_citations_of_all_texts_come_in_one_delta() -> None:
    told = deltas_of(
        *words(0, Text(""), "ab"),
        *[PartStarted(1, Text("")), Cited(1, Citation(url="https://a", title="A")), PartDelta(1, "cde"), PartEnded(1)],
        *[PartStarted(2, Text("")), PartDelta(2, "f"), Cited(2, Citation(url="https://b", title="B")), PartEnded(2)],
    )
    cited = [
        {"url": "https://a", "title": "A", "start_index": 2, "end_index": 5},
        {"url": "https://b", "title": "B", "start_index": 5, "end_index": 6},
    ]
    assert told == [
        {"content": "ab"},
        {"content": "cde"},
        {"content": "f"},
        {"annotations": [{"type": "url_citation", "url_citation": each} for each in cited]},
    ]


def test_log_probabilities_stand_beside_their_delta() -> None:
    told = stream_of(Started(), PartStarted(0, Text("")), PartDelta(0, "x", ({"token": "x"},)), PartEnded(0), Finished())
    chunk = check(told, include_usage=False)[1]["choices"][0]
    assert (chunk["delta"], chunk["logprobs"]) == ({"content": "x"}, {"content": [{"token": "x"}], "refusal": None})


def test_a_refusal_streams_in_its_own_field_and_stops() -> None:
    told = stream_of(Started(), *words(0, Text("", refusal=True), "No."), Finished(Finish(reason="refusal")))
    chunks = check(told, include_usage=False)
    assert (chunks[1]["choices"][0]["delta"], chunks[2]["choices"][0]["finish_reason"]) == ({"refusal": "No."}, "stop")


def test_a_broken_stream_ends_in_an_error_and_nothing_else() -> None:
    failure = Failure(kind="overloaded", message="Overloaded")
    told = stream_of(Started(), PartStarted(0, Text("")), PartDelta(0, "x"), Failed(failure), Finished())
    assert check_broken(told) == {"message": "Overloaded", "type": "server_error", "param": None, "code": "overloaded"}
    assert check_broken(b"".join(SSE.write(frame) for frame in DIALECT.break_off(failure, 3)))["message"] == "Overloaded"


@pytest.mark.parametrize("reply", [REPLY, WITH_USAGE])
def test_what_a_client_reads_of_a_stream_is_the_answer(reply: EncodeContext) -> None:
    answer = Response(
        id="chatcmpl-0123456789abcdef01234567",
        model="claude",
        parts=(Reasoning("hm", Seal("openai_chat", "")), Text("See."), ToolCall("a", "f", '{"x":1}'), ToolCall("b", "g", "{}")),
        finish=Finish(reason="tool_calls"),
        usage=Usage(fresh=3, output=2),
    )
    told = stream_of(*replay(answer), reply=reply)
    check(told, include_usage=reply is WITH_USAGE)
    read = accumulate(events_of(DIALECT, told, DEFAULT, size=7))
    assert read == (answer if reply is WITH_USAGE else msgspec.structs.replace(answer, usage=None))


# --- decoding beyond the cases ---------------------------------------------------------------------------------------


def test_nothing_follows_the_end() -> None:
    decoder = DIALECT.decoder(DEFAULT)
    assert [type(event) for event in decoder.feed(Frame(b"[DONE]"))] == [Started, Finished]
    assert decoder.feed(Frame(b'{"choices":[{"delta":{"content":"x"}}]}')) == []
    assert decoder.close() == []


@pytest.mark.parametrize("nothing", ["null", "{}", '""', "false"])
def test_an_empty_error_is_none(nothing: str) -> None:
    decoder = DIALECT.decoder(DEFAULT)
    assert decoder.feed(Frame(b'{"error":%b,"choices":[{"delta":{"content":"x"}}]}' % nothing.encode()))[-1] == PartDelta(0, "x")


def test_half_an_emoji_in_a_chunk_is_replaced() -> None:
    decoder = DIALECT.decoder(DEFAULT)
    events = decoder.feed(Frame(b'{"id":"a","model":"m","choices":[{"delta":{"content":"\\ud83d"}}]}'))
    assert events[-1] == PartDelta(0, "\N{REPLACEMENT CHARACTER}")


# --- within the dialect ----------------------------------------------------------------------------------------------

CHUNK = b'{"id":"x","model":"up","choices":[{"index":0,"delta":{"content":"the \\"model\\": \\"up\\""}}],"usage":null}'
USAGE = b'{"id":"x","model":"up","choices":[],"usage":{"prompt_tokens":1}}'
PRELUDE = b'{"id":"","model":"up","choices":[],"prompt_filter_results":[]}'


def test_a_relayed_chunk_is_renamed_and_otherwise_untouched() -> None:
    relay = DIALECT.relay("mine", False)
    assert relay(Frame(CHUNK)) == Frame(CHUNK.replace(b'"model":"up"', b'"model":"mine"'))
    assert relay(Frame(USAGE)) == Frame(USAGE.replace(b'"up"', b'"mine"'))
    assert relay(Frame(b"[DONE]")) == Frame(b"[DONE]")
    assert relay(Frame(b'{"error":{"message":"x"}}', "error")) == Frame(b'{"error":{"message":"x"}}', "error")


def test_nothing_is_changed_where_the_name_is_the_same() -> None:
    frame = Frame(CHUNK)
    assert DIALECT.relay(None, False)(frame) is frame


def test_only_the_usage_chunk_that_nobody_asked_for_is_left_out() -> None:
    relay = DIALECT.relay(None, True)
    assert relay(Frame(USAGE)) is None
    assert [relay(Frame(data)) for data in (CHUNK, PRELUDE, b"[DONE]")] == [Frame(CHUNK), Frame(PRELUDE), Frame(b"[DONE]")]
    both = b'{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":1}}'
    assert relay(Frame(both)) == Frame(both)
