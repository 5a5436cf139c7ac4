"""An upstream's stream, in all variants that servers send."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from proxy.translation.accumulate import accumulate
from proxy.translation.canonical import (
    Citation,
    Cited,
    Event,
    Failed,
    Finish,
    Finished,
    PartDelta,
    PartEnded,
    PartStarted,
    Reasoning,
    Seal,
    Started,
    Text,
    ToolCall,
    Usage,
    UsageReported,
)
from proxy.translation.dialects.openai_responses.dialect import DIALECT
from proxy.translation.framing.sse import Frame
from tests.proxy.translation.dialects.openai_responses.samples import QUIRKS

OWN = "openai_responses"
ENDS = (Finished(Finish(reason="end")),)
CREATED = {"type": "response.created", "response": {"id": "resp_1", "model": "up", "status": "in_progress", "output": []}}
STARTED = Started("resp_1", "up")


def completed(*output: Any, **fields: Any) -> dict[str, Any]:
    return {
        "type": "response.completed",
        "response": {"id": "resp_1", "model": "up", "status": "completed", "output": list(output), **fields},
    }


def read(*wire_events: Any) -> list[Event]:
    """The events of frames with these data, and of the end of the bytes."""
    decoder = DIALECT.decoder(QUIRKS)
    events: list[Event] = []
    for data in wire_events:
        raw = data if isinstance(data, bytes) else msgspec.json.encode(data)
        events += decoder.feed(Frame(raw, ""))
    return events + decoder.close()


def between(*wire_events: Any) -> list[Event]:
    """The events between the start and the end of an otherwise empty response."""
    events = read(CREATED, *wire_events, completed())
    assert events[0] == STARTED
    assert isinstance(events[-1], Finished)
    return events[1:-1]


def added(index: int, item: dict[str, Any]) -> dict[str, Any]:
    return {"type": "response.output_item.added", "output_index": index, "item": item}


def item_done(index: int, item: dict[str, Any]) -> dict[str, Any]:
    return {"type": "response.output_item.done", "output_index": index, "item": item}


def text(delta: str, index: int = 0, **fields: Any) -> dict[str, Any]:
    return {"type": "response.output_text.delta", "item_id": "msg_1", "output_index": index, "content_index": 0, "delta": delta, **fields}


MESSAGE = {"type": "message", "id": "msg_1", "role": "assistant", "status": "in_progress", "content": []}
CALL = {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "f", "arguments": ""}


def message(*content: Any) -> dict[str, Any]:
    return {**MESSAGE, "status": "completed", "content": list(content)}


def output_text(message_text: str, **fields: Any) -> dict[str, Any]:
    return {"type": "output_text", "text": message_text, "annotations": [], **fields}


def part_done(part: dict[str, Any]) -> dict[str, Any]:
    return {"type": "response.content_part.done", "output_index": 0, "content_index": 0, "part": part}


def unplaced(event: dict[str, Any]) -> dict[str, Any]:
    """The event of a server that gives no output index."""
    return {**event, "output_index": None}


# --- text ------------------------------------------------------------------------------------------------------------

HELLO = [PartStarted(0, Text("")), PartDelta(0, "hel"), PartDelta(0, "lo"), PartEnded(0)]


@pytest.mark.parametrize(
    "wire_events",
    [
        [added(0, MESSAGE), text("hel"), text("lo"), item_done(0, message(output_text("hello")))],
        [added(0, MESSAGE), text("hel"), text("lo")],
        [text("hel"), text("lo")],
        [added(0, MESSAGE), text("hel"), {"type": "response.output_text.done", "output_index": 0, "content_index": 0, "text": "hello"}],
        [added(0, MESSAGE), text("hel"), part_done(output_text("hello"))],
        [added(0, MESSAGE), text("hel"), item_done(0, message(output_text("hello")))],
        [text("hel"), text("lo"), item_done(0, message(output_text("hello"))), item_done(0, message(output_text("hello")))],
        [unplaced(text("hel")), unplaced(text("lo"))],
        [unplaced(added(0, MESSAGE)), unplaced(text("hel")), unplaced(item_done(0, message(output_text("hello"))))],
        [text("hel"), {"type": "response.telepathy", "delta": {"a": 1}}, {"type": "ping"}, text("lo"), b"[DONE]"],
    ],
)  # fmt: skip
def test_text_in_every_combination_of_events(wire_events: list[Any]) -> None:
    assert between(*wire_events) == HELLO


def test_text_that_only_the_final_response_has() -> None:
    assert read(CREATED, completed(message(output_text("hello")))) == [
        STARTED, PartStarted(0, Text("")), PartDelta(0, "hello"), PartEnded(0), *ENDS,
    ]  # fmt: skip


def test_the_rest_that_only_the_final_response_has() -> None:
    assert read(CREATED, added(0, MESSAGE), text("hel"), completed(message(output_text("hello")))) == [STARTED, *HELLO, *ENDS]


def test_the_final_response_is_not_emitted_again() -> None:
    wire_events = [added(0, MESSAGE), text("hel"), text("lo"), item_done(0, message(output_text("hello")))]
    assert read(CREATED, *wire_events, completed(message(output_text("hello")))) == [STARTED, *HELLO, *ENDS]


def test_several_parts_of_one_message() -> None:
    second = {**text("b"), "content_index": 1}
    assert between(added(0, MESSAGE), text("a"), second, item_done(0, message(output_text("a"), output_text("bc"), output_text("")))) == [
        PartStarted(0, Text("")),
        PartDelta(0, "a"),
        PartStarted(1, Text("")),
        PartDelta(1, "b"),
        PartEnded(0),
        PartDelta(1, "c"),
        PartEnded(1),
    ]


def test_refusals() -> None:
    delta = {"type": "response.refusal.delta", "output_index": 0, "content_index": 0, "delta": "n"}
    refusal_done = {"type": "response.refusal.done", "output_index": 0, "content_index": 0, "refusal": "no"}
    assert read(CREATED, added(0, MESSAGE), delta, refusal_done, completed())[1:] == [
        PartStarted(0, Text("", refusal=True)),
        PartDelta(0, "n"),
        PartDelta(0, "o"),
        PartEnded(0),
        Finished(Finish(reason="refusal")),
    ]


def test_annotations_and_log_probabilities() -> None:
    note = {"type": "url_citation", "url": "https://e.com", "title": "E", "start_index": 0, "end_index": 1}
    second_note = {**note, "url": "https://f.com"}
    logprob = {"token": "a", "logprob": -1, "top_logprobs": []}
    annotation = {
        "type": "response.output_text.annotation.added",
        "output_index": 0,
        "content_index": 0,
        "annotation_index": 0,
        "annotation": note,
    }

    def cited(url: str, native: Any) -> Cited:
        return Cited(0, Citation(url=url, title="E", start=0, end=1, dialect=OWN, native=msgspec.Raw(msgspec.json.encode(native))))

    assert between(text("a", logprobs=[logprob]), annotation, item_done(0, message(output_text("a", annotations=[note, second_note])))) == [
        PartStarted(0, Text("")),
        PartDelta(0, "a", (logprob,)),
        cited("https://e.com", note),
        cited("https://f.com", second_note),
        PartEnded(0),
    ]


# --- calls -----------------------------------------------------------------------------------------------------------


def arguments(delta: str, index: int = 0) -> dict[str, Any]:
    return {"type": "response.function_call_arguments.delta", "output_index": index, "item_id": "fc_1", "delta": delta}


@pytest.mark.parametrize(
    "wire_events",
    [
        [added(0, CALL), arguments('{"a"'), arguments(":1}"), item_done(0, {**CALL, "arguments": '{"a":1}'})],
        [added(0, CALL), arguments('{"a"'), {"type": "response.function_call_arguments.done", "output_index": 0, "arguments": '{"a":1}'}],
        [added(0, CALL), arguments('{"a"'), item_done(0, {**CALL, "arguments": '{"a":1}'})],
        [added(0, {**CALL, "arguments": '{"a"'}), item_done(0, {**CALL, "arguments": '{"a":1}'})],
    ],
)
def test_calls_in_every_combination_of_events(wire_events: list[Any]) -> None:
    assert between(*wire_events) == [PartStarted(0, ToolCall("c1", "f", "")), PartDelta(0, '{"a"'), PartDelta(0, ":1}"), PartEnded(0)]


@pytest.mark.parametrize(
    "wire_events",
    [
        [item_done(0, {**CALL, "arguments": "{}"})],
        [added(0, {**CALL, "name": None}), arguments("{}"), item_done(0, {**CALL, "arguments": "{}"})],
        [arguments("{}"), item_done(0, {**CALL, "arguments": "{}"})],
        [added(0, CALL), {"type": "response.function_call_arguments.done", "output_index": 0, "arguments": "{}", "name": "f"}],
        [completed({**CALL, "arguments": "{}"})],
        [completed({**CALL, "arguments": {}})],
    ],
)
def test_calls_whose_name_comes_late(wire_events: list[Any]) -> None:
    assert read(CREATED, *wire_events, completed()) == [
        STARTED,
        PartStarted(0, ToolCall("c1", "f", "")),
        PartDelta(0, "{}"),
        PartEnded(0),
        Finished(Finish(reason="tool_calls")),
    ]


def test_custom_calls_and_namespaces() -> None:
    item = {"type": "custom_tool_call", "id": "ctc_1", "call_id": "c1", "name": "patch", "namespace": "ns", "input": ""}
    delta = {"type": "response.custom_tool_call_input.delta", "output_index": 0, "delta": "**"}
    input_done = {"type": "response.custom_tool_call_input.done", "output_index": 0, "input": "***"}
    assert between(added(0, item), delta, input_done, item_done(0, {**item, "input": "***"})) == [
        PartStarted(0, ToolCall("c1", "patch", "", kind="custom", namespace="ns")),
        PartDelta(0, "**"),
        PartDelta(0, "*"),
        PartEnded(0),
    ]


def test_parallel_calls_and_repeated_ids() -> None:
    wire_events = [added(0, CALL), added(1, CALL), arguments("{", 1), arguments("{", 0), arguments("}", 0), arguments("}", 1)]
    assert between(*wire_events, item_done(0, {**CALL, "arguments": "{}"}), item_done(1, {**CALL, "arguments": "{}"})) == [
        PartStarted(0, ToolCall("c1", "f", "")),
        PartStarted(1, ToolCall("", "f", "")),
        PartDelta(1, "{"),
        PartDelta(0, "{"),
        PartDelta(0, "}"),
        PartDelta(1, "}"),
        PartEnded(0),
        PartEnded(1),
    ]


# --- reasoning -------------------------------------------------------------------------------------------------------

THINKING = {"type": "reasoning", "id": "rs_1", "summary": []}


def summary(delta: str, position: int = 0) -> dict[str, Any]:
    return {
        "type": "response.reasoning_summary_text.delta",
        "output_index": 0,
        "item_id": "rs_1",
        "summary_index": position,
        "delta": delta,
    }


def summaries(*message_text: str) -> list[dict[str, str]]:
    return [{"type": "summary_text", "text": text} for text in message_text]


def reasoning_of(events: list[Event]) -> Reasoning:
    (part,) = accumulate([STARTED, *events, *ENDS]).parts
    assert isinstance(part, Reasoning)
    return part


@pytest.mark.parametrize(
    "wire_events",
    [
        [summary("one"), summary("two", 1)],
        [summary("o"), summary("ne"), summary("t", 1), summary("wo", 1)],
        [
            summary("o"),
            {"type": "response.reasoning_summary_text.done", "output_index": 0, "summary_index": 0, "text": "one"},
            summary("two", 1),
        ],
        [summary("one"), {"type": "response.reasoning_summary_text.done", "output_index": 0, "summary_index": 1, "text": "two"}],
        [summary("one")],
        [],
    ],
)
def test_reasoning_in_every_combination_of_events(wire_events: list[Any]) -> None:
    """The encrypted content of the announcement may be partial: that of the finished item counts."""
    complete_item = {**THINKING, "summary": summaries("one", "two"), "encrypted_content": "gAAA"}
    events = between(added(0, {**THINKING, "encrypted_content": "partial"}), *wire_events, item_done(0, complete_item))
    assert reasoning_of(events) == Reasoning("one\n\ntwo", Seal(OWN, "", {"id": "rs_1", "encrypted_content": "gAAA"}))


def test_raw_reasoning() -> None:
    delta = {"type": "response.reasoning_text.delta", "output_index": 0, "content_index": 0, "delta": "ra"}
    text_done = {"type": "response.reasoning_text.done", "output_index": 0, "content_index": 0, "text": "raw"}
    item = {**THINKING, "content": [{"type": "reasoning_text", "text": "raw"}]}
    assert reasoning_of(between(added(0, THINKING), delta, text_done, item_done(0, item))) == Reasoning(
        "raw", Seal(OWN, "", {"id": "rs_1", "form": "content"})
    )


def test_sealed_reasoning_without_text() -> None:
    seal = Seal(OWN, "", {"id": "rs_1", "encrypted_content": "gAAA"})
    assert between(added(0, THINKING), item_done(0, {**THINKING, "encrypted_content": "gAAA"})) == [
        PartStarted(0, Reasoning("", seal)),
        PartEnded(0),
    ]


def test_reasoning_without_text_and_seal_is_skipped() -> None:
    assert between(added(0, THINKING), item_done(0, THINKING)) == []


# --- the end ---------------------------------------------------------------------------------------------------------


def test_usage_and_finish_come_from_the_terminal_event() -> None:
    usage = {"input_tokens": 10, "input_tokens_details": {"cached_tokens": 4}, "output_tokens": 5, "total_tokens": 15}
    last = completed(usage=usage, status="incomplete", incomplete_details={"reason": "max_output_tokens"}, service_tier="flex")
    assert read(CREATED, text("a"), {**last, "type": "response.incomplete"})[-2:] == [
        UsageReported(Usage(fresh=6, cache_read=4, output=5, service_tier="flex")),
        Finished(Finish(reason="length")),
    ]


@pytest.mark.parametrize(
    ("last", "kind", "message_text"),
    [
        ({"type": "response.failed", "response": {"error": {"code": "server_error", "message": "oops"}}}, "upstream_error", "oops"),
        ({"type": "response.failed", "response": {"error": {"code": "rate_limit_exceeded", "message": "slow"}}}, "rate_limit", "slow"),
        ({"type": "response.failed"}, "upstream_error", "failed"),
        ({"type": "error", "code": "server_is_overloaded", "message": "busy", "param": None}, "overloaded", "busy"),
        ({"type": "error", "error": {"type": "server_error", "message": "oops"}}, "upstream_error", "oops"),
        ({"error": {"message": "oops", "code": 429}}, "rate_limit", "oops"),
        (completed(status="failed", error={"message": "oops"}), "upstream_error", "oops"),
        ({"type": "response.output_text.delta", "delta": 5}, "bad_gateway", "cannot be decoded"),
        (b"<html>", "bad_gateway", "cannot be decoded"),
        (b'{"type":"response.output_text.delta","delta":"\xff"}', "bad_gateway", "cannot be decoded"),
    ],
)  # fmt: skip
def test_failures(last: Any, kind: str, message_text: str) -> None:
    *before, failed = read(CREATED, text("a"), last, text("b"))
    assert [type(event) for event in before] == [Started, PartStarted, PartDelta]
    assert isinstance(failed, Failed)
    assert failed.failure.kind == kind
    assert message_text in failed.failure.message


def test_a_stream_without_a_terminal_event_fails() -> None:
    events = read(CREATED, added(0, MESSAGE), text("hello"), item_done(0, message(output_text("hello"))))
    assert isinstance(events[-1], Failed)
    assert events[-1].failure.kind == "network"


def test_an_empty_stream_fails() -> None:
    (failed,) = read()
    assert isinstance(failed, Failed)


def test_nothing_follows_the_end() -> None:
    assert read(CREATED, completed(), text("late"), completed()) == [STARTED, *ENDS]


def test_a_stream_may_begin_anywhere() -> None:
    assert read(text("a"), completed())[0] == Started()
    assert read(completed())[0] == STARTED


def test_the_event_line_replaces_a_missing_type() -> None:
    decoder = DIALECT.decoder(QUIRKS)
    assert decoder.feed(Frame(b'{"delta":"a","output_index":0}', "response.output_text.delta"))[-1] == PartDelta(0, "a")
