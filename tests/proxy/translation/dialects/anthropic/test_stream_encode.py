"""Event streams for Anthropic clients (tests/cases/anthropic covers decoding)."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from proxy.translation.accumulate import replay
from proxy.translation.canonical import (
    Citation,
    Cited,
    Event,
    Failed,
    Finish,
    Finished,
    Message,
    Opaque,
    Part,
    PartDelta,
    PartEnded,
    PartStarted,
    Reasoning,
    ReasoningSetting,
    Request,
    Response,
    Seal,
    Started,
    Text,
    ToolCall,
    Usage,
    UsageReported,
)
from proxy.translation.dialects.anthropic.dialect import DIALECT
from proxy.translation.dialects.base import EncodeContext
from proxy.translation.errors import Failure
from proxy.translation.framing.sse import Frame
from proxy.translation.quirks import DEFAULT
from proxy.translation.reasoning_seal import pack
from tests.support.grammar_anthropic import check_frames, message_of

KEY = b"a secret"
ID = "0123456789abcdef01234567"
OMITTED = ReasoningSetting(mode="adaptive", display="omitted")
CHAT = Seal("openai_chat", "")
ITEM = Seal("openai_responses", "up-1", {"encrypted_content": "enc", "id": "rs_1"})
NATIVE = Seal("anthropic", "anthropic", {"signature": "sig"})
DIRECT = {"caller": {"type": "direct"}}
FINISHED = Finished(Finish(reason="tool_calls"))


def encode_context(reasoning: ReasoningSetting | None = None) -> EncodeContext:
    request = Request(model="claude", messages=(Message("user", (Text("Hi"),)),), family="anthropic", reasoning=reasoning)
    return EncodeContext(id=ID, created=0, model="claude", request=request, seal_key=KEY, input_estimate=11)


def frames_of(*events: Event, reasoning: ReasoningSetting | None = None) -> list[Frame]:
    codec = DIALECT.encoder(encode_context(reasoning))
    return [frame for event in events for frame in codec.feed(event)]


def checked_events(*events: Event, reasoning: ReasoningSetting | None = None) -> list[dict[str, Any]]:
    return check_frames(frames_of(Started("x", "gpt"), *events, reasoning=reasoning))


def content(*events: Event, reasoning: ReasoningSetting | None = None) -> list[dict[str, Any]]:
    return message_of(checked_events(*events, reasoning=reasoning))["content"]


def test_the_bytes_of_a_whole_stream() -> None:
    usage = Usage(fresh=3, cache_read=1, output=2)
    frames = frames_of(Started(), PartStarted(0, Text("")), PartDelta(0, "Hé"), PartEnded(0), UsageReported(usage), Finished())
    assert [(frame.event, frame.data.decode()) for frame in frames] == [
        (
            "message_start",
            (
                '{"type":"message_start","message":{"id":"msg_0123456789abcdef01234567","type":"message","role":"assistant","model":"claude",'
                '"content":[],"stop_reason":null,"stop_sequence":null,"stop_details":null,"container":null,'
                '"usage":{"input_tokens":11,"output_tokens":0,'
                '"cache_creation_input_tokens":0,"cache_read_input_tokens":0,'
                '"cache_creation":null,"output_tokens_details":{"thinking_tokens":0},"inference_geo":null,'
                '"server_tool_use":null,"service_tier":null}}}'
            ),
        ),
        ("content_block_start", '{"type":"content_block_start","index":0,"content_block":{"type":"text","text":"","citations":null}}'),
        ("content_block_delta", '{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hé"}}'),
        ("content_block_stop", '{"type":"content_block_stop","index":0}'),
        (
            "message_delta",
            (
                '{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null,"stop_details":null,"container":null},'
                '"usage":{"input_tokens":3,"cache_creation_input_tokens":0,"cache_read_input_tokens":1,"output_tokens":2,'
                '"output_tokens_details":{"thinking_tokens":0},"server_tool_use":null}}'
            ),
        ),
        ("message_stop", '{"type":"message_stop"}'),
    ]


def test_message_start_has_the_input_tokens_that_the_upstream_reported() -> None:
    start = json.loads(frames_of(Started("x", "y", Usage(fresh=5, cache_write_1h=2, output=1)))[0].data)["message"]["usage"]
    assert (start["input_tokens"], start["cache_creation_input_tokens"], start["output_tokens"]) == (5, 2, 1)


def test_an_unknown_usage_does_not_overwrite_the_estimate() -> None:
    events = checked_events(Finished())
    assert (events[0]["message"]["usage"]["input_tokens"], events[-2]["usage"]) == (11, {"output_tokens": 0})


def test_the_usage_of_the_start_is_used_at_the_end_if_no_other_follows() -> None:
    events = check_frames(frames_of(Started("x", "y", Usage(fresh=5, output=1)), Finished()))
    assert events[-2]["usage"]["input_tokens"] == 5


def test_no_block_opens_for_empty_text() -> None:
    assert content(PartStarted(0, Text("")), PartEnded(0), PartStarted(1, Text("")), PartDelta(1, "a"), PartEnded(1), FINISHED) == [
        {"type": "text", "text": "a", "citations": None}
    ]


def test_a_call_without_arguments_has_an_empty_input() -> None:
    assert content(PartStarted(0, ToolCall("t", "f", "")), PartEnded(0), FINISHED) == [
        {"type": "tool_use", "id": "t", "name": "f", "input": {}, **DIRECT}
    ]


def test_interleaved_calls_are_encoded_one_after_the_other() -> None:
    events = (
        PartStarted(0, ToolCall("a", "f", "")),
        PartStarted(1, ToolCall("b", "g", "")),
        PartDelta(1, '{"x":'),
        PartDelta(0, '{"y"'),
        PartStarted(2, Text("")),
        PartDelta(2, "and so"),
        PartDelta(0, ":1}"),
        PartDelta(1, "2}"),
        PartEnded(2),
        PartEnded(1),
        PartEnded(0),
        FINISHED,
    )
    assert content(*events) == [
        {"type": "tool_use", "id": "a", "name": "f", "input": {"y": 1}, **DIRECT},
        {"type": "tool_use", "id": "b", "name": "g", "input": {"x": 2}, **DIRECT},
        {"type": "text", "text": "and so", "citations": None},
    ]


def test_a_queued_part_is_streamed_after_the_open_one_has_ended() -> None:
    codec = DIALECT.encoder(encode_context())
    for event in (Started(), PartStarted(0, Text("")), PartDelta(0, "a"), PartStarted(1, Text("")), PartDelta(1, "b")):
        codec.feed(event)
    assert [frame.event for frame in codec.feed(PartEnded(0))] == ["content_block_stop", "content_block_start", "content_block_delta"]
    assert [json.loads(frame.data)["delta"]["text"] for frame in codec.feed(PartDelta(1, "c"))] == ["c"]


def test_parts_left_open_are_closed_at_the_end() -> None:
    assert content(PartStarted(0, Text("")), PartDelta(0, "a"), PartStarted(1, Text("")), PartDelta(1, "b"), FINISHED) == [
        {"type": "text", "text": "a", "citations": None},
        {"type": "text", "text": "b", "citations": None},
    ]


def test_a_failed_stream_ends_with_an_error_event_only() -> None:
    events = checked_events(PartStarted(0, Text("")), PartDelta(0, "a"), Failed(Failure(kind="overloaded", message="Busy")))
    assert [event["type"] for event in events[-2:]] == ["content_block_delta", "error"]
    assert events[-1] == {"type": "error", "error": {"type": "overloaded_error", "message": "Busy"}}


def test_repeated_and_invalid_ids_are_replaced() -> None:
    calls = [
        event
        for index, call_id in enumerate(("a:1", "a:1", ""))
        for event in (PartStarted(index, ToolCall(call_id, "f", "")), PartEnded(index))
    ]
    ids = [block["id"] for block in content(*calls, FINISHED)]
    assert ids[:2] == ["pxid-a-3a1", "pxid-a-3a1_2"]
    assert ids[2].startswith("toolu_")


def test_a_citation_of_another_vendor_is_that_of_a_web_search_result() -> None:
    cited = Cited(0, Citation(url="https://a.example", title="A", cited_text="five", dialect="openai_chat", native=Raw(b"{}")))
    location = {"type": "web_search_result_location", "cited_text": "five", "title": "A", "url": "https://a.example"}
    events = (PartStarted(0, Text("")), PartDelta(0, "a"), cited, PartEnded(0), Finished())
    assert content(*events) == [{"type": "text", "text": "a", "citations": [{**location, "encrypted_index": "pxr1.citation"}]}]


def test_citations_without_a_page_are_encoded_only_within_the_family() -> None:
    native = Citation(url="u", dialect="anthropic", native=Raw(b'{"type":"web_search_result_location"}'))
    foreign = Citation(url="u", dialect="openai_chat", native=Raw(b"{}"))
    events = (PartStarted(0, Text("")), PartDelta(0, "a"), Cited(0, native), Cited(0, foreign), PartEnded(0), Finished())
    assert content(*events) == [{"type": "text", "text": "a", "citations": [{"type": "web_search_result_location"}]}]


def test_only_opaque_blocks_of_the_family_are_encoded() -> None:
    search = Opaque("anthropic", "server_tool_use", Raw(b'{"type":"server_tool_use","id":"s","name":"web_search","input":{"query":"q"}}'))
    search_result = Opaque("anthropic", "web_search_tool_result", Raw(b'{"type":"web_search_tool_result","tool_use_id":"s","content":[]}'))
    foreign = Opaque("openai_responses", "web_search_call", Raw(b"{}"), "words")
    events = [
        event for index, part in enumerate((search, foreign, search_result)) for event in (PartStarted(index, part), PartEnded(index))
    ]
    assert content(*events, Finished()) == [
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "q"}},
        {"type": "web_search_tool_result", "tool_use_id": "s", "content": []},
    ]


class TestThinking:
    @pytest.mark.parametrize(("seal", "signature"), [(CHAT, pack(CHAT, KEY)), (ITEM, pack(ITEM, KEY)), (NATIVE, "sig"), (None, "")])
    def test_the_signature_is_sent_once_at_the_end(self, seal: Seal | None, signature: str) -> None:
        events = (PartStarted(0, Reasoning("")), PartDelta(0, "H"), PartDelta(0, "m."), PartEnded(0, seal), Finished())
        assert content(*events) == [{"type": "thinking", "thinking": "Hm.", "signature": signature}]

    @pytest.mark.parametrize(
        ("seal", "blocks"),
        [
            (ITEM, [{"type": "redacted_thinking", "data": pack(ITEM, KEY)}]),
            (NATIVE, [{"type": "thinking", "thinking": "", "signature": "sig"}]),
            (Seal("anthropic", "anthropic", {"redacted": "xyz"}), [{"type": "redacted_thinking", "data": "xyz"}]),
            (CHAT, []),
            (None, []),
        ],
    )
    def test_a_seal_without_text(self, seal: Seal | None, blocks: list[Any]) -> None:
        assert content(PartStarted(0, Reasoning("")), PartEnded(0, seal), Finished()) == blocks
        assert content(PartStarted(0, Reasoning("", seal)), PartEnded(0), Finished()) == blocks

    @pytest.mark.parametrize("seal", [CHAT, ITEM])
    def test_withheld_text_travels_in_the_carrier(self, seal: Seal) -> None:
        events = (PartStarted(0, Reasoning("")), PartDelta(0, "H"), PartDelta(0, "m."), PartEnded(0, seal), Finished())
        carrier = pack(Seal(seal.origin, seal.upstream, {**seal.fields, "text": "Hm."}), KEY)
        assert content(*events, reasoning=OMITTED) == [{"type": "thinking", "thinking": "", "signature": carrier}]

    def test_native_thinking_keeps_the_text_that_the_upstream_sent(self) -> None:
        events = (PartStarted(0, Reasoning("")), PartDelta(0, "Hm."), PartEnded(0, NATIVE), Finished())
        assert content(*events, reasoning=OMITTED) == [{"type": "thinking", "thinking": "Hm.", "signature": "sig"}]


# --- properties ------------------------------------------------------------------------------------------------------

short_texts = st.text(min_size=1, max_size=8)
arguments = st.dictionaries(short_texts, st.integers() | short_texts, max_size=3).map(json.dumps)
parts: st.SearchStrategy[Part] = st.one_of(
    short_texts.map(Text),
    st.builds(Reasoning, short_texts, st.sampled_from([CHAT, ITEM, NATIVE])),
    st.builds(ToolCall, st.text(max_size=6), short_texts, arguments),
)


@given(st.lists(parts, max_size=5), st.booleans())
def test_a_stream_has_the_content_of_the_whole_response(response_parts: list[Part], omitted: bool) -> None:
    response = Response(id="x", model="gpt", parts=tuple(response_parts), finish=Finish(), usage=Usage(fresh=3, output=4))
    reasoning = OMITTED if omitted else None
    streamed = message_of(check_frames(frames_of(*replay(response), reasoning=reasoning)))
    message = json.loads(DIALECT.encode_response(response, encode_context(reasoning)))
    # What the last events cannot correct is unknown at the start of a stream.
    assert streamed == message | {"usage": message["usage"] | {"cache_creation": None, "service_tier": None}}


@given(st.data())
def test_any_interleaving_of_fragments_gives_complete_calls(data: st.DataObject) -> None:
    texts = data.draw(st.lists(arguments, min_size=1, max_size=4))
    queues: list[list[Event]] = []
    for index, text in enumerate(texts):
        cut = data.draw(st.integers(0, len(text)))
        pieces = [piece for piece in (text[:cut], text[cut:]) if piece]
        head = PartStarted(index, ToolCall(f"t{index}", "f", ""))
        queues.append([head, *(PartDelta(index, piece) for piece in pieces), PartEnded(index)])
    order: list[Event] = []
    while queues:
        queue = data.draw(st.sampled_from(queues))
        order.append(queue.pop(0))
        queues = [queue for queue in queues if queue]
    blocks = content(*order, FINISHED)
    assert {block["id"]: block["input"] for block in blocks} == {f"t{index}": json.loads(text) for index, text in enumerate(texts)}


@given(st.lists(parts, max_size=4), st.integers(0, 40))
def test_a_stream_that_is_cut_before_its_stop_reason_fails(response_parts: list[Part], cut: int) -> None:
    response = Response(id="x", model="gpt", parts=tuple(response_parts), finish=Finish(), usage=Usage())
    frames = frames_of(*replay(response))[: cut + 1]
    codec = DIALECT.decoder(DEFAULT)
    events = [event for frame in frames for event in codec.feed(frame)] + codec.close()
    endings = [type(event) for event in events if isinstance(event, Finished | Failed)]
    assert endings == [Finished if frames[-1].event in ("message_delta", "message_stop") else Failed]
    assert codec.feed(Frame(b'{"type":"message_stop"}')) + codec.close() == []
