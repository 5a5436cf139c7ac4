"""Any input is decoded or raises one of the project's own errors."""

from __future__ import annotations

import contextlib
import copy
import json
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.translation.canonical import Failed, Finished, Request, Response
from proxy.translation.dialects.openai_responses.dialect import DIALECT
from proxy.translation.errors import ClientMistake, Failure, UpstreamFailed
from proxy.translation.framing.sse import Frame
from tests.proxy.translation.dialects.openai_responses.samples import KEY, QUIRKS, target
from tests.support.sizes import examples

SCALARS: Any = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
    st.sampled_from(
        ["message", "user", "assistant", "function", "custom", "input_text", "data:image/png;base64,AAAA", "pxr1.e30", "\ud800"]
    ),
)
JSON_VALUES: Any = st.recursive(
    SCALARS, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=6), inner, max_size=3)), max_leaves=6
)
REQUEST: Any = {
    "model": "m",
    "instructions": "be brief",
    "max_output_tokens": 100,
    "temperature": 0.5,
    "stream": True,
    "store": False,
    "include": ["reasoning.encrypted_content"],
    "metadata": {"a": "b"},
    "reasoning": {"effort": "high", "summary": "auto"},
    "text": {"format": {"type": "json_schema", "name": "x", "schema": {"type": "object"}, "strict": True}, "verbosity": "low"},
    "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]},
    "tools": [
        {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": False},
        {"type": "custom", "name": "p", "format": {"type": "grammar", "syntax": "lark", "definition": "start: x"}},
        {"type": "namespace", "name": "ns", "description": "d", "tools": [{"type": "function", "name": "h"}]},
        {"type": "web_search"},
    ],
    "client_metadata": {"session_id": "s"},
    "input": [
        {"type": "additional_tools", "role": "developer", "tools": [{"type": "function", "name": "late"}]},
        {"type": "message", "role": "developer", "content": "rules"},
        {
            "type": "message",
            "role": "user",
            "content": [
                {"type": "input_text", "text": "hi"},
                {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "low"},
                {"type": "input_file", "filename": "a", "file_data": "data:text/plain;base64,aGk="},
                {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
            ],
        },
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}], "encrypted_content": "pxr1.AAAA"},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "ok", "annotations": []}]},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
        {"type": "custom_tool_call", "call_id": "c2", "name": "p", "input": "x"},
        {"type": "function_call_output", "call_id": "c1", "output": [{"type": "input_text", "text": "1"}]},
        {"type": "custom_tool_call_output", "call_id": "c2", "output": "2"},
        {"type": "shell_call_output", "call_id": "c3", "output": [{"stdout": "a"}]},
        {"type": "compaction", "encrypted_content": "pxr1.AAAA"},
        {"type": "item_reference", "id": "x"},
    ],
}
RESPONSE: Any = {
    "id": "resp_1",
    "model": "m",
    "status": "completed",
    "error": None,
    "incomplete_details": {"reason": "max_output_tokens"},
    "output": [
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}], "encrypted_content": "gAAA"},
        {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "content": [
                {"type": "output_text", "text": "ok", "annotations": [{"type": "url_citation", "url": "u"}], "logprobs": [{"token": "a"}]}
            ],
        },
        {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "f", "arguments": "{}"},
    ],
    "usage": {
        "input_tokens": 1,
        "input_tokens_details": {"cached_tokens": 1},
        "output_tokens": 2,
        "output_tokens_details": {"reasoning_tokens": 1},
    },
}
EVENTS: Any = [
    {"type": "response.created", "response": {**RESPONSE, "status": "in_progress", "output": []}},
    {"type": "response.output_item.added", "output_index": 0, "item": {**RESPONSE["output"][0], "summary": []}},
    {"type": "response.reasoning_summary_text.delta", "output_index": 0, "item_id": "rs_1", "summary_index": 0, "delta": "h"},
    {"type": "response.output_item.done", "output_index": 0, "item": RESPONSE["output"][0]},
    {"type": "response.output_text.delta", "output_index": 1, "item_id": "msg_1", "content_index": 0, "delta": "ok", "logprobs": []},
    {"type": "response.output_text.annotation.added", "output_index": 1, "content_index": 0, "annotation": {"type": "url_citation"}},
    {"type": "response.content_part.done", "output_index": 1, "content_index": 0, "part": RESPONSE["output"][1]["content"][0]},
    {"type": "response.function_call_arguments.delta", "output_index": 2, "item_id": "fc_1", "delta": "{"},
    {"type": "response.output_item.done", "output_index": 2, "item": RESPONSE["output"][2]},
    {"type": "response.completed", "response": RESPONSE},
]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of everything inside ``value``."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(inner_place for key, element in inside for inner_place in places(element, (*path, key)))]


def changed(data: st.DataObject, sound: Any) -> Any:
    """``sound`` with one to three of its inner values replaced, dropped or renamed."""
    value = copy.deepcopy(sound)
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from(places(value)))
        if not path:
            return data.draw(JSON_VALUES)
        inside = value
        for key in path[:-1]:
            inside = inside[key]
        if isinstance(inside, dict) and data.draw(st.booleans()):
            del inside[path[-1]]
        else:
            inside[path[-1]] = data.draw(JSON_VALUES)
    return value


def as_bytes(value: Any) -> bytes:
    """JSON as clients write it, lone surrogates included."""
    return json.dumps(value).encode()


def expect_carried_or_refused(body: bytes) -> None:
    """Everything that a request goes through within this dialect gives JSON objects, or an error about the client's mistake."""
    with contextlib.suppress(ClientMistake):
        envelope = DIALECT.open_request(body)
        assert isinstance(json.loads(DIALECT.patch_request(envelope, target(), KEY)), dict)
        request = DIALECT.decode_request(envelope, KEY)
        assert isinstance(request, Request)
        assert isinstance(json.loads(DIALECT.encode_request(request, target(stream=True))), dict)
        foreign = msgspec.structs.replace(request, family="openai_chat", tool_choice=None)
        assert isinstance(json.loads(DIALECT.encode_request(foreign, target())), dict)


@settings(max_examples=examples(400))
@given(st.data())
def test_requests_with_one_wrong_value(data: st.DataObject) -> None:
    expect_carried_or_refused(as_bytes(changed(data, REQUEST)))


@given(JSON_VALUES)
def test_requests_of_arbitrary_json(value: Any) -> None:
    expect_carried_or_refused(as_bytes(value))
    expect_carried_or_refused(as_bytes({"model": "m", "input": value}))


@given(st.binary(max_size=60))
def test_requests_that_are_no_json(body: bytes) -> None:
    expect_carried_or_refused(body)


@given(st.integers(0, len(as_bytes(REQUEST))))
def test_requests_that_break_off(length: int) -> None:
    expect_carried_or_refused(as_bytes(REQUEST)[:length])


@settings(max_examples=examples(300))
@given(st.data())
def test_responses_with_one_wrong_value(data: st.DataObject) -> None:
    body = as_bytes(changed(data, RESPONSE))
    with contextlib.suppress(UpstreamFailed):
        assert isinstance(DIALECT.decode_response(body, QUIRKS), Response)
    assert isinstance(DIALECT.patch_response(body, "m"), bytes)


@given(st.one_of(st.binary(max_size=60), JSON_VALUES.map(as_bytes)))
def test_responses_of_arbitrary_json(body: bytes) -> None:
    with contextlib.suppress(UpstreamFailed):
        assert isinstance(DIALECT.decode_response(body, QUIRKS), Response)
    assert isinstance(DIALECT.patch_response(body, "m"), bytes)
    assert isinstance(DIALECT.decode_error(400, {}, body), Failure)


@settings(max_examples=examples(400))
@given(st.data())
def test_streams_with_one_wrong_value(data: st.DataObject) -> None:
    wire_events = changed(data, EVENTS)
    events = wire_events if isinstance(wire_events, list) else [wire_events]
    decoder, relay = DIALECT.decoder(QUIRKS), DIALECT.relay("m", False)
    frames = [Frame(as_bytes(event), "") for event in events]
    decoded = [event for frame in frames for event in decoder.feed(frame)] + decoder.close()
    assert [event for event in decoded if isinstance(event, Failed | Finished)] == [decoded[-1]]
    assert all(isinstance(relay(frame), Frame) for frame in frames)


@given(st.lists(st.one_of(st.binary(max_size=40), JSON_VALUES.map(as_bytes)), max_size=4))
def test_streams_of_arbitrary_bytes_and_json(wire_events: list[bytes]) -> None:
    decoder = DIALECT.decoder(QUIRKS)
    decoded = [event for data in wire_events for event in decoder.feed(Frame(data, ""))] + decoder.close()
    assert [event for event in decoded if isinstance(event, Failed | Finished)] == [decoded[-1]]
