"""The quirk `upstream_stream`: an upstream that always or never streams, for clients that request the opposite."""

import uuid

import pytest

from proxy.translation.canonical import Text
from tests.support.agents import response_of, streamed
from tests.support.fake_upstream import json_reply

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
