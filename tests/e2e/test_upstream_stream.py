"""The quirk `upstream_stream`: an upstream that always or never streams, for clients that request the opposite."""

import uuid

import pytest

from proxy.translation.canonical import Text
from tests.support.agents import response_of, streamed
from tests.support.fake_upstream import event, json_reply, sse

HELLO = [{"role": "user", "content": "Hi"}]
ANSWER = response_of(Text("Hello"), finish="end")
COMPLETION = {
    "id": "c",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
}


@pytest.fixture
def model(gateway, upstream):
    """Makes a model whose upstream has the quirk."""

    def make(value):
        name = f"quirk-{uuid.uuid4().hex[:8]}"
        gateway.add_upstream(upstream, name, name=name, quirks={"upstream_stream": value})
        return name

    return make


def test_an_upstream_that_never_streams_is_called_without_streaming(upstream, gpt, claude, model):
    name = model("never")
    upstream.otherwise(json_reply(COMPLETION))
    with claude.messages.stream(model=name, max_tokens=9, messages=HELLO) as stream:
        assert "".join(stream.text_stream) == "Hello"
    chunks = list(gpt.chat.completions.create(model=name, messages=HELLO, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "Hello"
    assert [request.json().get("stream", False) for request in upstream.requests] == [False, False]


def test_the_stream_of_an_upstream_that_always_streams_becomes_one_response(upstream, gpt, claude, model):
    name = model("always")
    upstream.otherwise(streamed("openai_chat", ANSWER))
    assert claude.messages.create(model=name, max_tokens=9, messages=HELLO).content[0].text == "Hello"
    assert gpt.chat.completions.create(model=name, messages=HELLO).choices[0].message.content == "Hello"
    assert [request.json()["stream"] for request in upstream.requests] == [True, True]


# --- a forwarded request, answered in the other form than asked for ---------------------------------------------------------


def test_the_usage_that_the_client_asked_for_is_in_the_stream_of_a_whole_answer(gateway, upstream, gpt):
    gateway.add_upstream(upstream, "whole-chat", name="whole-chat")
    upstream.otherwise(json_reply(COMPLETION))
    usages = {}
    for options in ({"include_usage": True}, {"include_usage": False}):
        chunks = list(gpt.chat.completions.create(model="whole-chat", messages=HELLO, stream=True, stream_options=options))
        usages[options["include_usage"]] = [chunk.usage.total_tokens for chunk in chunks if chunk.usage]
    assert usages == {True: [15], False: []}


def test_both_choices_arrive_whichever_form_they_come_in(gateway, upstream, gpt):
    gateway.add_upstream(upstream, "two-choices", name="two-choices")
    second = {"index": 1, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
    upstream.reply(json_reply(COMPLETION | {"choices": [*COMPLETION["choices"], second]}))
    texts = {0: "", 1: ""}
    for chunk in gpt.chat.completions.create(model="two-choices", messages=HELLO, stream=True, n=2):
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
    assert texts == {0: "Hello", 1: "Hi"}
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    deltas = [{"index": index, "delta": {"content": text}, "finish_reason": "stop"} for index, text in ((1, "Hi"), (0, "Hello"))]
    upstream.reply(sse(*(event(chunk | {"choices": [delta]}) for delta in deltas), b"data: [DONE]\n\n"))
    answer = gpt.chat.completions.create(model="two-choices", messages=HELLO, n=2)
    assert [(choice.index, choice.message.content) for choice in answer.choices] == [(0, "Hello"), (1, "Hi")]
    rows = gateway.logs(2, model="two-choices")
    assert [(row["outcome"], row["attempts"]) for row in rows] == [("finished", 1)] * 2


def test_the_older_form_of_calls_stays_in_the_stream_of_a_whole_answer(gateway, upstream, gpt):
    gateway.add_upstream(upstream, "older-calls", name="older-calls")
    called = {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}}
    upstream.reply(json_reply(COMPLETION | {"choices": [{"index": 0, "message": called, "finish_reason": "function_call"}]}))
    functions = [{"name": "f", "parameters": {"type": "object"}}]
    chunks = list(gpt.chat.completions.create(model="older-calls", messages=HELLO, stream=True, functions=functions))
    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    assert [delta.function_call.name for delta in deltas if delta.function_call and delta.function_call.name] == ["f"]
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "function_call"


def test_a_response_repeats_the_clients_own_fields_in_the_stream_of_a_whole_answer(gateway, upstream, gpt):
    gateway.add_upstream(upstream, "whole-responses", name="whole-responses", format="openai_responses")
    message = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed"}
    output = [message | {"content": [{"type": "output_text", "text": "Hello", "annotations": []}]}]
    upstream.reply(json_reply({"id": "resp_1", "object": "response", "status": "completed", "model": "m", "output": output}))
    settings = {
        "instructions": "Be terse.",
        "temperature": 0.5,
        "tools": [{"type": "function", "name": "f", "parameters": {}, "strict": False}],
    }
    events = list(gpt.responses.create(model="whole-responses", input="Hi", stream=True, **settings))
    for repeated in (events[0].response, events[-1].response):
        assert (repeated.instructions, repeated.temperature, [tool.name for tool in repeated.tools]) == ("Be terse.", 0.5, ["f"])
    assert events[-1].response.output_text == "Hello"
