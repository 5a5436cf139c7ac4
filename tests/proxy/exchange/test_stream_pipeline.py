"""A stream from an upstream to a client: translated or relayed, complete or broken, and opened before its first content."""

from __future__ import annotations

import json

from proxy.exchange.stream_pipeline import StreamPipeline
from proxy.translation.canonical import Request, Started, Usage
from proxy.translation.dialects.base import EncodeContext
from proxy.translation.dialects.registry import REGISTRY
from proxy.translation.errors import Failure
from proxy.translation.framing.sse import Reader
from proxy.translation.quirks import Quirks

CHAT, ANTHROPIC = REGISTRY["openai_chat"], REGISTRY["anthropic"]
REPLY = EncodeContext(
    id="0" * 24, created=1, model="mine", request=Request(model="mine", messages=(), family="x", stream=True), seal_key=b"k"
)


def chunk(delta: dict[str, object], finish: str | None = None) -> bytes:
    body = {
        "id": "c",
        "object": "chat.completion.chunk",
        "model": "theirs",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }
    return b"data: " + json.dumps(body, separators=(",", ":")).encode() + b"\n\n"


ROLE, TEXT, STOP, DONE = chunk({"role": "assistant", "content": ""}), chunk({"content": "Hi"}), chunk({}, "stop"), b"data: [DONE]\n\n"
USAGE = b'data: {"id":"c","model":"theirs","choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2}}\n\n'


def translated() -> StreamPipeline:
    return StreamPipeline(CHAT, ANTHROPIC, quirks=Quirks(), context=REPLY, restorer=None)


def relayed(*, hide_usage: bool = True) -> StreamPipeline:
    return StreamPipeline.passing_through(CHAT, quirks=Quirks(), context=REPLY, rename="mine", hide_usage=hide_usage)


def names(stream: bytes) -> list[str]:
    reader = Reader()
    return [frame.event or frame.data.decode()[:6] for frame in reader.feed(stream) + reader.close()]


def test_a_translated_stream_reports_outcome_and_usage() -> None:
    pipe = translated()
    stream_bytes = pipe.feed(ROLE)
    assert (pipe.has_content, names(stream_bytes)) == (False, ["message_start"])
    stream_bytes = pipe.feed(TEXT)
    assert (pipe.has_content, pipe.output_chars) == (True, 2)
    assert names(stream_bytes) == ["content_block_start", "content_block_delta"]
    stream_bytes = pipe.feed(STOP + USAGE + DONE)
    assert names(stream_bytes) == ["content_block_stop", "message_delta", "message_stop"]
    assert (pipe.outcome, pipe.usage, pipe.failure) == ("finished", Usage(fresh=5, output=2), None)
    assert pipe.feed(TEXT) + pipe.close() + pipe.fail(Failure(kind="network", message="x")) == b""


def test_a_relayed_stream_keeps_its_frames_but_for_the_model_and_the_usage_chunk() -> None:
    pipe = relayed()
    stream_bytes = pipe.feed(ROLE + TEXT + STOP + USAGE + DONE)
    assert stream_bytes == (ROLE + TEXT + STOP + DONE).replace(b'"theirs"', b'"mine"')
    assert (pipe.outcome, pipe.usage) == ("finished", Usage(fresh=5, output=2))


def test_a_client_that_asked_for_usage_gets_the_chunk() -> None:
    stream_bytes = relayed(hide_usage=False).feed(ROLE + TEXT + STOP + USAGE + DONE)
    assert stream_bytes == (ROLE + TEXT + STOP + USAGE + DONE).replace(b'"theirs"', b'"mine"')


def test_bytes_that_end_too_early_become_one_error_event() -> None:
    for pipe, event in ((translated(), "error"), (relayed(), '{"erro')):
        pipe.feed(ROLE + TEXT)
        assert names(pipe.close()) == [event]
        assert (pipe.outcome, pipe.close()) == ("failed", b"")


def test_a_broken_connection_is_an_error_event_of_the_clients_dialect() -> None:
    pipe = translated()
    pipe.feed(ROLE + TEXT)
    error_event = pipe.fail(Failure(kind="timeout", message="too slow"))
    assert error_event == b'event: error\ndata: {"type":"error","error":{"type":"timeout_error","message":"too slow"}}\n\n'
    assert pipe.failure == Failure(kind="timeout", message="too slow")


def test_an_empty_answer_that_is_complete_is_a_success() -> None:
    pipe = translated()
    pipe.feed(ROLE)
    assert names(pipe.feed(STOP + DONE)) == ["message_delta", "message_stop"]
    assert (pipe.outcome, pipe.has_content) == ("finished", False)


def test_a_stream_that_was_opened_early_is_not_opened_twice() -> None:
    for pipe in (translated(), StreamPipeline.passing_through(ANTHROPIC, quirks=Quirks(), context=REPLY, rename=None, hide_usage=False)):
        encoder = ANTHROPIC.encoder(REPLY)
        opening = b"".join(ANTHROPIC.framing.write(frame) for frame in encoder.feed(Started()))
        start = b'event: message_start\ndata: {"type":"message_start","message":{"id":"m","model":"t","usage":{"input_tokens":1}}}\n\n'
        block = b'event: content_block_start\ndata: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}\n\n'
        text = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hi"}}\n\n'
        before, content = (ROLE, TEXT) if pipe._source is CHAT else (start + block, text)
        pipe.feed(before)
        pipe.take_over(encoder)
        assert names(opening + pipe.feed(content)) == ["message_start", "content_block_start", "content_block_delta"]


def test_a_relayed_chat_stream_without_its_last_line_gets_it() -> None:
    pipe = relayed()
    stream_bytes = pipe.feed(ROLE + TEXT + STOP) + pipe.close()
    assert stream_bytes == (ROLE + TEXT + STOP).replace(b'"theirs"', b'"mine"') + DONE
    assert pipe.outcome == "finished"
