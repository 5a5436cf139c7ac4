"""Streams for a Responses client: the grammar, and the events of each part."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai import omit
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

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
from proxy.translation.dialects.openai_responses import compaction, ids
from proxy.translation.dialects.openai_responses.dialect import DIALECT
from proxy.translation.errors import Failure
from proxy.translation.framing.sse import write
from tests.proxy.translation.dialects.openai_responses.samples import CONTEXT_ID, KEY, QUIRKS, context, decoded
from tests.support.grammar_openai_responses import check, events_of

SDK_EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
SEAL = Seal("anthropic", "anthropic", {"signature": "s"})
ANSWER = Response(
    id="x",
    model="up",
    parts=(
        Reasoning("one\n\ntwo", SEAL),
        Reasoning("", Seal("anthropic", "anthropic", {"redacted": "r"})),
        Text(
            "hello",
            citations=(Citation(url="https://e.com", title="E"),),
            logprobs=({"token": "hello", "logprob": -0.5, "top_logprobs": []},),
        ),
        Text(" world"),
        ToolCall("c1", "f", '{"a":1}'),
        ToolCall("", "patch", "***", kind="custom", namespace="ns"),
        Text("no", refusal=True),
        ToolCall("c3", "g", ""),
    ),
    finish=Finish(reason="tool_calls"),
    usage=Usage(fresh=3, cache_read=2, output=7, reasoning=1),
)


def stream(events: list[Event], request: Any = None) -> bytes:
    encoder = DIALECT.encoder(context(request))
    return b"".join(write(frame) for event in events for frame in encoder.feed(event))


def encoded_response(response: Response) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(DIALECT.encode_response(response, context()))
    return parsed


def kinds(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"].removeprefix("response.") for event in events]


def test_a_stream_ends_in_the_response_that_is_given_without_one() -> None:
    events = check(stream(replay(ANSWER)))
    assert events[-1]["response"] == encoded_response(ANSWER)


def test_every_event_is_on_one_line_whatever_the_client_wrote() -> None:
    request_body = b'{"model":"m","input":"hi","tools":[\r\n {"type":"function",\n "name":"f\\n"}\n]}'
    request = DIALECT.decode_request(DIALECT.open_request(request_body), KEY)
    events = check(stream(replay(ANSWER), request))
    assert events[-1]["response"]["tools"] == [{"type": "function", "name": "f\n", "description": None, "parameters": None, "strict": True}]


def test_the_events_of_a_message() -> None:
    events = check(stream([Started(), PartStarted(0, Text("")), PartDelta(0, "a"), PartDelta(0, "b"), PartEnded(0), Finished()]))
    item_id = ids.item_id("msg_", CONTEXT_ID, 0)
    position = {"item_id": item_id, "output_index": 0, "content_index": 0}
    empty = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
    item = {"id": item_id, "type": "message", "status": "in_progress", "role": "assistant", "content": []}
    full = {**empty, "text": "ab"}
    assert events[2:-1] == [
        {"type": "response.output_item.added", "output_index": 0, "item": item, "sequence_number": 2},
        {"type": "response.content_part.added", **position, "part": empty, "sequence_number": 3},
        {"type": "response.output_text.delta", **position, "delta": "a", "logprobs": [], "sequence_number": 4},
        {"type": "response.output_text.delta", **position, "delta": "b", "logprobs": [], "sequence_number": 5},
        {"type": "response.output_text.done", **position, "text": "ab", "logprobs": [], "sequence_number": 6},
        {"type": "response.content_part.done", **position, "part": full, "sequence_number": 7},
        {
            "type": "response.output_item.done",
            "output_index": 0,
            "item": {**item, "status": "completed", "content": [full]},
            "sequence_number": 8,
        },
    ]


def test_a_run_of_texts_is_one_message() -> None:
    events = check(stream(replay(msgspec.structs.replace(ANSWER, parts=(Text("a"), Text("b"), ToolCall("c", "f", "{}"), Text("d"))))))
    assert [item["type"] for item in events[-1]["response"]["output"]] == ["message", "function_call", "message"]


def test_the_events_of_a_call_and_of_a_custom_call() -> None:
    events = check(
        stream(replay(msgspec.structs.replace(ANSWER, parts=(ToolCall("c1", "f", '{"a":1}'), ToolCall("c2", "p", "***", kind="custom")))))
    )
    assert kinds(events[2:-1]) == [
        "output_item.added", "function_call_arguments.delta", "function_call_arguments.done", "output_item.done",
        "output_item.added", "custom_tool_call_input.delta", "custom_tool_call_input.done", "output_item.done",
    ]  # fmt: skip
    assert (events[4]["name"], events[4]["arguments"]) == ("f", '{"a":1}')


def test_a_call_without_arguments_ends_with_an_empty_object() -> None:
    events = check(stream(replay(msgspec.structs.replace(ANSWER, parts=(ToolCall("c1", "f", ""),)))))
    assert [event.get("delta", event.get("arguments")) for event in events[3:5]] == ["{}", "{}"]


def test_interleaved_calls_are_open_at_once() -> None:
    events = check(
        stream(
            [
                Started(),
                PartStarted(0, ToolCall("a", "f", "")),
                PartStarted(1, ToolCall("b", "g", "")),
                PartDelta(1, '{"y"'),
                PartDelta(0, '{"x"'),
                PartDelta(1, ":2}"),
                PartDelta(0, ":1}"),
                PartEnded(1),
                PartEnded(0),
                Finished(Finish(reason="tool_calls")),
            ]
        )
    )
    assert [item["arguments"] for item in events[-1]["response"]["output"]] == ['{"x":1}', '{"y":2}']


def test_text_around_an_open_call_goes_into_messages_of_its_own() -> None:
    events = check(
        stream(
            [
                Started(),
                PartStarted(0, Text("")),
                PartDelta(0, "a"),
                PartStarted(1, ToolCall("c", "f", "")),
                PartDelta(0, "b"),
                PartStarted(2, Text("")),
                PartDelta(2, "c"),
                PartEnded(0),
                PartEnded(2),
                PartEnded(1),
                Finished(),
            ]
        )
    )
    texts = [item["content"][0]["text"] for item in events[-1]["response"]["output"] if item["type"] == "message"]
    assert texts == ["ab", "c"]


def test_empty_parts_are_skipped() -> None:
    events = check(stream([Started(), PartStarted(0, Text("")), PartEnded(0), PartStarted(1, Reasoning("")), PartEnded(1), Finished()]))
    assert kinds(events) == ["created", "in_progress", "completed"]


def test_annotations_are_sent_at_once() -> None:
    cited = Cited(0, Citation(url="https://e.com", title="E"))
    events = check(
        stream([Started(), PartStarted(0, Text("")), PartDelta(0, "abc"), cited, cited, PartDelta(0, "d"), PartEnded(0), Finished()])
    )
    annotations = [event["annotation"] for event in events if event["type"].endswith("annotation.added")]
    assert annotations == [{"type": "url_citation", "url": "https://e.com", "title": "E", "start_index": 0, "end_index": 3}] * 2


def test_items_of_hosted_tools_pass_within_their_family() -> None:
    native = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
    parts = (Opaque("openai_responses", "web_search_call", msgspec.Raw(msgspec.json.encode(native))), Text("found"))
    events = check(stream(replay(msgspec.structs.replace(ANSWER, parts=parts))))
    assert events[-1]["response"]["output"][0] == native


def test_the_usage_of_the_start_is_the_last_known_where_no_other_comes() -> None:
    events = check(stream([Started(usage=Usage(fresh=5, output=1)), Finished()]))
    assert events[-1]["response"]["usage"]["total_tokens"] == 6


@pytest.mark.parametrize(
    ("finish", "terminal"), [("length", "incomplete"), ("refusal", "incomplete"), ("end", "completed"), ("pause", "completed")]
)
def test_the_terminal_event(finish: Any, terminal: str) -> None:
    assert kinds(check(stream([Started(), Finished(Finish(reason=finish))])))[-1] == terminal


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("overloaded", "server_error"),
        ("network", "server_error"),
        ("rate_limit", "rate_limit_exceeded"),
        ("context_length", "context_length_exceeded"),
        ("quota", "insufficient_quota"),
        ("invalid_request", "invalid_prompt"),
    ],
)
def test_a_failure_fails_the_response(kind: Any, code: str) -> None:
    events = check(stream([Failed(Failure(kind=kind, message="oops"))]))
    assert kinds(events) == ["created", "in_progress", "failed"]
    assert events[-1]["response"]["error"] == {"code": code, "message": "oops"}


def test_a_failure_during_the_response_keeps_the_finished_items() -> None:
    started: list[Event] = [Started(), PartStarted(0, ToolCall("c", "f", "")), PartEnded(0), PartStarted(1, Text("")), PartDelta(1, "x")]
    events = check(stream([*started, UsageReported(Usage(output=3)), Failed(Failure(kind="network", message="gone"))]))
    assert [item["type"] for item in events[-1]["response"]["output"]] == ["function_call"]
    assert events[-1]["response"]["usage"]["output_tokens"] == 3


def test_a_compaction_is_one_item() -> None:
    request = decoded(input=[{"role": "user", "content": "hi"}, {"type": "compaction_trigger"}])
    answer = msgspec.structs.replace(ANSWER, parts=(Reasoning("hm", SEAL), Text("all done")))
    events = events_of(stream(replay(answer), request))
    item = {"id": ids.item_id("cmp_", CONTEXT_ID, 0), "type": "compaction", "encrypted_content": compaction.pack_summary("all done", KEY)}
    assert kinds(events) == ["created", "in_progress", "output_item.added", "output_item.done", "completed"]
    assert events[3]["item"] == item
    assert (events[-1]["response"]["output"], events[-1]["response"]["usage"]["output_tokens"]) == ([item], 7)


def test_a_compaction_without_a_summary_fails() -> None:
    request = decoded(input=[{"type": "compaction_trigger"}])
    assert kinds(events_of(stream([Started(), Finished()], request))) == ["created", "in_progress", "failed"]
    assert kinds(events_of(stream([Failed(Failure(kind="network", message="gone"))], request))) == ["created", "in_progress", "failed"]


# --- what the official SDK makes of it -------------------------------------------------------------------------------


def test_the_sdk_parses_every_event_strictly() -> None:
    for event in check(stream(replay(ANSWER))):
        assert SDK_EVENT.validate_python(event).type == event["type"]
    SDK_EVENT.validate_python(check(stream([Failed(Failure(kind="network", message="gone"))]))[-1])
    SDK_EVENT.validate_json(DIALECT.break_off(Failure(kind="network", message="gone"), 7)[0].data)


def test_the_sdk_accumulates_the_response() -> None:
    state: Any = ResponseStreamState(input_tools=omit, text_format=omit)
    sdk_events = [
        sdk_event for event in check(stream(replay(ANSWER))) for sdk_event in state.handle_event(SDK_EVENT.validate_python(event))
    ]
    assert sdk_events[-1].type == "response.completed"
    assert sdk_events[-1].response.output_text == "hello world"
    assert [item.type for item in sdk_events[-1].response.output] == [item["type"] for item in encoded_response(ANSWER)["output"]]


SHORT_TEXTS = st.text(min_size=1, max_size=6)
PARTS = st.one_of(
    st.builds(Text, SHORT_TEXTS, refusal=st.booleans()),
    st.builds(Reasoning, SHORT_TEXTS, st.sampled_from([None, SEAL])),
    st.builds(
        ToolCall, st.sampled_from(["c1", ""]), SHORT_TEXTS, st.sampled_from(["", '{"a":1}']), kind=st.sampled_from(["function", "custom"])
    ),
)


# --- properties ------------------------------------------------------------------------------------------------------


@given(st.lists(PARTS, max_size=6), st.data())
def test_any_interleaving_keeps_the_grammar_and_all_text(parts: list[Any], data: st.DataObject) -> None:
    queues: list[list[Event]] = [replay_of(index, part) for index, part in enumerate(parts)]
    mixed: list[Event] = [Started()]
    while waiting := [queue for queue in queues if queue]:
        mixed.append(data.draw(st.sampled_from(waiting)).pop(0))
    events = check(stream([*mixed, Finished()]))
    output = events[-1]["response"]["output"]
    calls = {(item["name"], item.get("arguments", item.get("input"))) for item in output if item["type"].endswith("call")}
    assert calls == {(part.name, part.arguments or ("" if part.kind == "custom" else "{}")) for part in parts if isinstance(part, ToolCall)}
    texts = sorted(
        element.get("text", element.get("refusal")) for item in output if item["type"] == "message" for element in item["content"]
    )
    assert texts == sorted(part.text for part in parts if isinstance(part, Text))


def replay_of(index: int, part: Any) -> list[Event]:
    return [
        msgspec.structs.replace(event, index=index)
        for event in replay(msgspec.structs.replace(ANSWER, parts=(part,)))
        if hasattr(event, "index")
    ]  # type: ignore[type-var]


@given(st.lists(PARTS, max_size=6))
def test_an_encoded_stream_is_decoded_to_the_same_events(parts: list[Any]) -> None:
    """The stream, folded by this dialect's own decoder, is the answer that comes without a stream."""
    response = msgspec.structs.replace(ANSWER, parts=tuple(parts), finish=Finish())
    decoder = DIALECT.decoder(QUIRKS)
    encoder = DIALECT.encoder(context())
    events = [event for stream in replay(response) for frame in encoder.feed(stream) for event in decoder.feed(frame)]
    assert accumulate(events) == DIALECT.decode_response(DIALECT.encode_response(response, context()), QUIRKS)
