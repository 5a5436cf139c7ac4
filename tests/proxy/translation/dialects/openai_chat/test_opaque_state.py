"""Opaque state of a Chat upstream on its way through clients of all dialects and back (docs/wire-formats.md, section 11)."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from proxy.exchange.prepare import Preparer
from proxy.exchange.stream_pipeline import StreamPipeline
from proxy.translation.dialects.base import EncodeContext, EncodeTarget
from proxy.translation.dialects.registry import REGISTRY
from proxy.translation.framing.sse import Reader
from proxy.translation.policies.stream_transforms import CallBuffer
from proxy.translation.quirks import Quirks, merged
from proxy.translation.reasoning_seal import bound_response

SEAL_KEY = b"the secret of the test cases"
SIGNATURE = {"google": {"thought_signature": "c2lnLUE="}}
DETAILS = [
    {"type": "reasoning.summary", "summary": "thinking", "format": "google-gemini-v1", "index": 0},
    {"type": "reasoning.encrypted", "data": "c2lnLUE=", "id": "call_a", "format": "google-gemini-v1", "index": 0},
]
TOOLS = {
    "anthropic": [{"name": "get_weather", "input_schema": {"type": "object"}}],
    "openai_chat": [{"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}],
    "openai_responses": [{"type": "function", "name": "get_weather", "parameters": {"type": "object"}}],
}


def call(call_id: str, arguments: str = '{"city":"Rome"}', **state: Any) -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": "get_weather", "arguments": arguments}, **state}


MESSAGES: dict[str, dict[str, Any]] = {
    "signatures of two calls": {
        "tool_calls": [
            call("function-call-1", extra_content=SIGNATURE),
            call("function-call-2"),
            call("c3", extra_content={"google": {"x": 1}}),
        ]
    },
    "signature of a call without id": {"tool_calls": [call("", extra_content=SIGNATURE)]},
    "signature of the message": {"content": "Rome?", "extra_content": SIGNATURE, "tool_calls": [call("c1")]},
    "details with text": {"reasoning": "thinking", "reasoning_details": DETAILS, "tool_calls": [call("call_a")]},
    "details that are only encrypted": {"reasoning_details": DETAILS[1:], "tool_calls": [call("call_a")]},
    "ids of the prompt": {"tool_calls": [call("functions.get_weather:0"), call("functions.get_weather:1")]},
}


def first_request(client: str, *, stream: bool) -> dict[str, Any]:
    ask = {"input": "hi"} if client == "openai_responses" else {"messages": [{"role": "user", "content": "hi"}]}
    return {"model": "m", "max_tokens": 500, **ask, "tools": TOOLS[client], "stream": stream}


def preparer(client: str, body: dict[str, Any]) -> Preparer:
    dialect = REGISTRY[client]
    fields = {name: value for name, value in body.items() if client != "openai_responses" or name != "max_tokens"}
    return Preparer(dialect, dialect.open_request(json.dumps(fields).encode()), SEAL_KEY)


def encode_context(prepared: Preparer) -> EncodeContext:
    return EncodeContext(id="0123456789abcdef01234567", created=1_800_000_000, model="m", request=prepared.request, seal_key=SEAL_KEY)


def whole_message(client: str, message: dict[str, Any]) -> Any:
    """What the client gets for a whole response with this message: its content, message or output."""
    raw = {"id": "c1", "model": "up", "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]}
    source = REGISTRY["openai_chat"]
    response = bound_response(source.decode_response(json.dumps(raw).encode(), Quirks()), "here", source.family)
    body = json.loads(REGISTRY[client].encode_response(response, encode_context(preparer(client, first_request(client, stream=False)))))
    return {
        "anthropic": lambda: body["content"],
        "openai_responses": lambda: body["output"],
        "openai_chat": lambda: body["choices"][0]["message"],
    }[client]()


def chunks(message: dict[str, Any]) -> bytes:
    """A stream of the message, every field in a chunk of its own; state of a call is with its first fragment."""
    deltas: list[dict[str, Any]] = [{name: value} for name, value in message.items() if name not in ("tool_calls", "extra_content")]
    for index, wire_call in enumerate(message["tool_calls"]):
        function = wire_call["function"]
        deltas.append({"tool_calls": [{**wire_call, "index": index, "function": {"name": function["name"], "arguments": ""}}]})
        deltas.append({"tool_calls": [{"index": index, "function": {"arguments": function["arguments"]}}]})
    if "extra_content" in message:
        deltas.append({"extra_content": message["extra_content"]})
    choices = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    choices.append({"index": 0, "delta": {}, "finish_reason": "tool_calls"})
    frames = [f"data: {json.dumps({'id': 'c1', 'model': 'up', 'choices': [choice]})}\n\n" for choice in choices]
    return "".join([*frames, "data: [DONE]\n\n"]).encode()


def streamed_message(client: str, message: dict[str, Any], *, size: int, buffered: bool) -> Any:
    """The same for a stream that is read in pieces of ``size`` bytes."""
    context = encode_context(preparer(client, first_request(client, stream=True)))
    pipeline = StreamPipeline(
        REGISTRY["openai_chat"],
        REGISTRY[client],
        quirks=Quirks(),
        context=context,
        restorer=CallBuffer() if buffered else None,
        upstream="here",
    )
    stream = chunks(message)
    out = b"".join(pipeline.feed(stream[start : start + size]) for start in range(0, len(stream), size)) + pipeline.close()
    assert pipeline.outcome == "finished"
    return client_turn(client, out)


def turn_of_deltas(client: str, *deltas: dict[str, Any]) -> Any:
    """What the client gets for a stream of these deltas."""
    choices = [{"index": 0, "delta": delta} for delta in deltas] + [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]
    stream = "".join(f"data: {json.dumps({'id': 'c', 'choices': [choice]})}\n\n" for choice in choices).encode()
    context = encode_context(preparer(client, first_request(client, stream=True)))
    pipeline = StreamPipeline(REGISTRY["openai_chat"], REGISTRY[client], quirks=Quirks(), context=context, restorer=None, upstream="here")
    return client_turn(client, pipeline.feed(stream) + pipeline.close())


def client_turn(client: str, stream: bytes) -> Any:
    reader = Reader()
    frames = [json.loads(frame.data) for frame in reader.feed(stream) + reader.close() if frame.data != b"[DONE]"]
    return {"anthropic": messages_content, "openai_responses": responses_output, "openai_chat": chat_message}[client](frames)


def messages_content(frames: list[Any]) -> list[Any]:
    blocks: list[Any] = []
    for frame in frames:
        if frame["type"] == "content_block_start":
            blocks.append(dict(frame["content_block"]))
        elif frame["type"] == "content_block_delta":
            delta, block = frame["delta"], blocks[frame["index"]]
            if delta["type"] == "input_json_delta":
                block["json"] = block.get("json", "") + delta["partial_json"]
            else:
                name = delta["type"].removesuffix("_delta")
                block[name] += delta[name]
    return [
        {name: value for name, value in block.items() if name != "json"} | ({"input": json.loads(block["json"])} if "json" in block else {})
        for block in blocks
    ]


def responses_output(frames: list[Any]) -> list[Any]:
    return list(frames[-1]["response"]["output"])


def chat_message(frames: list[Any]) -> dict[str, Any]:
    message: dict[str, Any] = {}
    for delta in (choice["delta"] for frame in frames for choice in frame["choices"]):
        for name, value in delta.items():
            if name == "tool_calls":
                for fragment in value:
                    calls = message.setdefault("tool_calls", [])
                    if fragment["index"] == len(calls):
                        calls.append({"function": {}})
                    target = calls[fragment["index"]]
                    function = fragment.pop("function", {})
                    target.update(fragment)
                    for key, text in function.items():
                        target["function"][key] = target["function"].get(key, "") + text
            elif name in message and isinstance(value, (str, list)) and name != "role":
                message[name] += value
            else:
                message[name] = value
    return message


def history(client: str, turn: Any) -> dict[str, Any]:
    """The client's next request: the turn as it got it, and a result for each call."""
    body = first_request(client, stream=False)
    if client == "openai_responses":
        ids = [item["call_id"] for item in turn if item["type"] == "function_call"]
        results = [{"type": "function_call_output", "call_id": call_id, "output": "sunny"} for call_id in ids]
        return body | {"input": [{"role": "user", "content": "hi"}, *turn, *results]}
    if client == "openai_chat":
        answers = [{"role": "tool", "tool_call_id": wire_call["id"], "content": "sunny"} for wire_call in turn["tool_calls"]]
        return body | {"messages": [*body["messages"], turn, *answers]}
    blocks = [{"type": "tool_result", "tool_use_id": block["id"], "content": "sunny"} for block in turn if block["type"] == "tool_use"]
    return body | {"messages": [*body["messages"], {"role": "assistant", "content": turn}, {"role": "user", "content": blocks}]}


def sent_up(client: str, turn: Any, *, owner: str = "here", target: str = "openai_chat", quirks: Quirks | None = None) -> list[Any]:
    """The messages that the next request sends to an upstream."""
    prepared = preparer(client, history(client, turn))
    prepared.repairs_history = True  # encodes the body anew within one dialect, too
    destination = EncodeTarget(model="up", dialect=target, upstream=owner, quirks=quirks or Quirks())
    body = json.loads(prepared.prepare(REGISTRY[target], destination).body)
    return list(body["input"] if target == "openai_responses" else body["messages"])


def state_of(message: dict[str, Any]) -> dict[str, Any]:
    """The opaque state in a message of a Chat upstream, and the ids of its calls."""
    state = {name: message[name] for name in ("reasoning_details", "extra_content") if name in message}
    calls = [
        {"id": tool_call["id"], **({"extra_content": tool_call["extra_content"]} if "extra_content" in tool_call else {})}
        for tool_call in message["tool_calls"]
    ]
    return state | {"calls": calls}


def with_ids(message: dict[str, Any], sent_message: dict[str, Any]) -> dict[str, Any]:
    """The state that must come back. A call without an id has the one that the client got."""
    expected = state_of(message)
    for wire_call, sent_call in zip(expected["calls"], sent_message["tool_calls"], strict=True):
        wire_call["id"] = wire_call["id"] or sent_call["id"]
    return expected


CLIENTS = ("anthropic", "openai_responses", "openai_chat")
ALL = pytest.mark.parametrize("name", MESSAGES)


@ALL
@pytest.mark.parametrize("client", CLIENTS)
def test_state_of_a_whole_response_comes_back(client: str, name: str) -> None:
    messages = sent_up(client, whole_message(client, MESSAGES[name]))
    assert state_of(messages[1]) == with_ids(MESSAGES[name], messages[1])
    assert [result["tool_call_id"] for result in messages[2:]] == [wire_call["id"] for wire_call in messages[1]["tool_calls"]]


@ALL
@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("size", [1, 7, 1_000_000])
@pytest.mark.parametrize("buffered", [False, True])
def test_state_of_a_stream_comes_back(client: str, name: str, size: int, buffered: bool) -> None:
    messages = sent_up(client, streamed_message(client, MESSAGES[name], size=size, buffered=buffered))
    assert state_of(messages[1]) == with_ids(MESSAGES[name], messages[1])


@ALL
@pytest.mark.parametrize("client", ["anthropic", "openai_responses"])
def test_state_does_not_reach_another_upstream_of_the_dialect(client: str, name: str) -> None:
    messages = sent_up(client, whole_message(client, MESSAGES[name]), owner="elsewhere")
    assert [key for key in ("reasoning_details", "extra_content") if key in messages[1]] == []
    assert all(set(wire_call) == {"id", "type", "function"} for wire_call in messages[1]["tool_calls"])


@ALL
@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("target", ["anthropic", "openai_responses", "bedrock"])
def test_state_is_dropped_for_another_family(client: str, name: str, target: str) -> None:
    sent_text = json.dumps(sent_up(client, whole_message(client, MESSAGES[name]), target=target))
    assert [trace for trace in ("c2lnLUE", "pxr1.", "pxid-", "reasoning_details", "extra_content") if trace in sent_text] == []


@pytest.mark.parametrize("client", CLIENTS)
def test_state_after_the_arguments_of_its_call_comes_back(client: str) -> None:
    late_state = {"extra_content": {"google": {"late": 1}}}
    messages = sent_up(
        client,
        turn_of_deltas(
            client,
            {"tool_calls": [{"index": 0, **call("c1")}]},
            {"tool_calls": [{"index": 1, **call("c2")}]},
            {"tool_calls": [{"index": 0, "function": {"arguments": ""}, **late_state}]},
            {"tool_calls": [{"index": 1, "function": {"arguments": ""}, **late_state}]},
        ),
    )
    assert [wire_call.get("extra_content") for wire_call in messages[1]["tool_calls"]] == [late_state["extra_content"]] * 2


@pytest.mark.parametrize("client", ["anthropic", "openai_responses"])
def test_pieces_of_reasoning_details_are_joined(client: str) -> None:
    pieces = [
        {"reasoning_details": [{"type": "reasoning.text", "text": "Let ", "index": 0, "signature": None}]},
        {"reasoning_details": [{"type": "reasoning.text", "text": "me.", "index": 0, "signature": "sig"}]},
        {"reasoning_details": [{"type": "reasoning.encrypted", "data": "x", "index": 1}]},
        {"tool_calls": [{"index": 0, **call("c1")}]},
    ]
    turn = turn_of_deltas(client, *pieces)
    message = sent_up(client, turn)[1]
    assert message["reasoning_details"] == [
        {"type": "reasoning.text", "text": "Let me.", "index": 0, "signature": "sig"},
        {"type": "reasoning.encrypted", "data": "x", "index": 1},
    ]
    assert "reasoning_content" not in message


@pytest.mark.parametrize("client", CLIENTS)
def test_an_upstream_that_refuses_reasoning_gets_none(client: str) -> None:
    turn = whole_message(client, {"reasoning_content": "think", "tool_calls": [call("c1")]})
    message = sent_up(client, turn, quirks=merged({"reasoning_history": "omit"}))[1]
    assert set(message) == {"role", "content", "tool_calls"}


@pytest.mark.parametrize("client", CLIENTS)
def test_ids_of_nine_characters_are_the_same_at_call_and_result_in_every_turn(client: str) -> None:
    quirks = merged({"call_ids": "nine_characters"})
    turn = whole_message(client, {"tool_calls": [call("functions.get_weather:0"), call("abc123DEF")]})
    bodies = [sent_up(client, turn, quirks=quirks) for _ in range(2)]
    ids = [wire_call["id"] for wire_call in bodies[0][1]["tool_calls"]]
    assert bodies[0] == bodies[1]
    assert [result["tool_call_id"] for result in bodies[0][2:]] == ids
    assert ids[1] == "abc123DEF"
    assert len(ids[0]) == 9
    assert ids[0].isalnum()


def test_the_ids_that_an_anthropic_client_gets_are_legal() -> None:
    content = whole_message("anthropic", MESSAGES["ids of the prompt"])
    assert [block["id"] for block in content] == ["pxid-functions-2eget_weather-3a0", "pxid-functions-2eget_weather-3a1"]


def test_seals_without_state_are_not_bound() -> None:
    raw = msgspec.json.encode({"choices": [{"message": {"reasoning_content": "hm", "content": "ok"}}]})
    response = REGISTRY["openai_chat"].decode_response(raw, Quirks())
    assert bound_response(response, "here", "openai_chat") == response
