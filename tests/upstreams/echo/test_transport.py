"""The echo upstream as the gateway's client sees it: httpx requests in, bytes out."""

import asyncio
import json
import time

import httpx
import pytest

from tests.support.waiting import PATIENCE
from upstreams.echo.transport import EchoTransport

CHAT, MESSAGES = "echo://openai/v1/chat/completions", "echo://anthropic/v1/messages"
TOOL = {"type": "object", "properties": {"city": {"type": "string"}}}
UNKNOWN = "echo: unknown directive 'nap'; known: "


@pytest.fixture
async def client():
    async with httpx.AsyncClient(transport=EchoTransport(), timeout=PATIENCE) as client:
        yield client


def chat(prompt, **fields):
    return {"model": "echo", "messages": [{"role": "user", "content": prompt}], **fields}


def messages(prompt, **fields):
    return {"model": "echo-anthropic", "max_tokens": 1000, "messages": [{"role": "user", "content": prompt}], **fields}


async def post(client, url, body):
    """The answer's JSON, with the random id and the clock's time checked and taken out."""
    answer = await client.post(url, json=body)
    value = answer.json()
    value.pop("request_id", None)
    assert answer.headers["content-type"] == "application/json"
    if "id" in value:
        assert value.pop("id").startswith("chatcmpl-" if url == CHAT else "msg_")
    if "created" in value:
        assert abs(value.pop("created") - time.time()) < 60
    return value


async def events(client, url, body):
    """The data of every event of a stream, ids and times taken out; [DONE] as the string."""
    answer = await client.post(url, json={**body, "stream": True})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    values = []
    for block in answer.text.removesuffix("\n\n").split("\n\n"):
        *head, data = block.split("\n")
        value = json.loads(data.removeprefix("data: ")) if data != "data: [DONE]" else "[DONE]"
        if url == MESSAGES:
            assert head == [f"event: {value['type']}"]
        if isinstance(value, dict):
            for name in ("id", "created", "object", "model", "request_id"):
                value.pop(name, None)
        values.append(value)
    return values


def delta(delta, finish=None, **fields):
    return {"choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}], **fields}


def usage(fresh, output, thinking=0):
    return {
        "input_tokens": fresh,
        "output_tokens": output,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
        "output_tokens_details": {"thinking_tokens": thinking},
        "inference_geo": None,
        "server_tool_use": None,
        "service_tier": "standard",
    }


CHAT_USAGE = {
    "prompt_tokens": 2,
    "completion_tokens": 2,
    "total_tokens": 4,
    "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
}


async def test_chat_answers_the_prompt(client):
    assert await post(client, CHAT, chat("hi there")) == {
        "object": "chat.completion",
        "model": "echo",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "hi there", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": CHAT_USAGE,
    }


DIRECT = {"caller": {"type": "direct"}}


async def test_messages_answers_the_prompt(client):
    assert await post(client, MESSAGES, messages("hi there")) == {
        "type": "message",
        "role": "assistant",
        "model": "echo-anthropic",
        "content": [{"type": "text", "text": "hi there", "citations": None}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "stop_details": None,
        "container": None,
        "usage": usage(2, 2),
    }


async def test_a_chat_stream(client):
    assert await events(client, CHAT, chat("hi there")) == [
        delta({"role": "assistant", "content": ""}),
        delta({"content": "hi "}),
        delta({"content": "there"}),
        delta({}, "stop"),
        "[DONE]",
    ]


async def test_a_chat_stream_with_usage_has_it_in_a_chunk_of_its_own(client):
    assert await events(client, CHAT, chat("hi there", stream_options={"include_usage": True})) == [
        delta({"role": "assistant", "content": ""}, usage=None),
        delta({"content": "hi "}, usage=None),
        delta({"content": "there"}, usage=None),
        delta({}, "stop", usage=None),
        {"choices": [], "usage": CHAT_USAGE},
        "[DONE]",
    ]


async def test_a_chat_stream_of_thinking_and_parallel_calls(client):
    tools = [{"type": "function", "function": {"name": name, "parameters": TOOL}} for name in ("weather", "clock")]
    chunks = await events(client, CHAT, chat('[echo thinking="Hm, so"] weather {"city": "Oslo"} clock {}', tools=tools))
    first, second = (chunks[at]["choices"][0]["delta"]["tool_calls"][0].pop("id") for at in (3, 6))
    assert (first[:5], second[:5], first == second) == ("call_", "call_", False)

    def call(index, function, **fields):
        return delta({"tool_calls": [{"index": index, **fields, "function": function}]})

    assert chunks == [
        delta({"role": "assistant", "content": ""}),
        delta({"reasoning_content": "Hm, "}),
        delta({"reasoning_content": "so"}),
        call(0, {"name": "weather", "arguments": ""}, type="function"),
        call(0, {"arguments": '{"city": "Os'}),
        call(0, {"arguments": 'lo"}'}),
        call(1, {"name": "clock", "arguments": ""}, type="function"),
        call(1, {"arguments": "{}"}),
        delta({}, "tool_calls"),
        "[DONE]",
    ]


async def test_a_messages_stream_of_thinking_and_parallel_calls(client):
    tools = [{"name": name, "input_schema": TOOL} for name in ("weather", "clock")]
    stream_events = await events(client, MESSAGES, messages('[echo thinking="Hm, so"] weather {"city": "Oslo"} clock {}', tools=tools))
    first, second = (stream_events[at]["content_block"].pop("id") for at in (7, 11))
    signature = stream_events[5]["delta"].pop("signature")
    assert (first[:6], second[:6], first == second, len(signature)) == ("toolu_", "toolu_", False, 44)
    stream_events[0]["message"].pop("id")
    input_tokens = stream_events[0]["message"]["usage"]["input_tokens"]
    assert stream_events == [
        {
            "type": "message_start",
            "message": {
                "type": "message",
                "role": "assistant",
                "model": "echo-anthropic",
                "stop_reason": None,
                "stop_sequence": None,
                "stop_details": None,
                "container": None,
                "content": [],
                "usage": usage(input_tokens, 1, thinking=2),
            },
        },
        {"type": "ping"},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "Hm, "}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "so"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "content_block_start", "index": 1, "content_block": {"type": "tool_use", "name": "weather", "input": {}, **DIRECT}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": '{"city": "Os'}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": 'lo"}'}},
        {"type": "content_block_stop", "index": 1},
        {"type": "content_block_start", "index": 2, "content_block": {"type": "tool_use", "name": "clock", "input": {}, **DIRECT}},
        {"type": "content_block_stop", "index": 2},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "tool_use", "stop_sequence": None, "stop_details": None, "container": None},
            "usage": usage(input_tokens, 7, thinking=2),
        },
        {"type": "message_stop"},
    ]


async def test_omitted_thinking_keeps_its_signature(client):
    body = messages("hi", thinking={"type": "adaptive", "display": "omitted"})
    thinking_block = (await post(client, MESSAGES, messages("hi", thinking={"type": "adaptive"})))["content"][0]
    assert (await post(client, MESSAGES, body))["content"][0] == {**thinking_block, "thinking": ""}


async def test_a_tool_result_is_repeated_in_both_dialects(client):
    call = {"id": "c1", "type": "function", "function": {"name": "clock", "arguments": "{}"}}
    turns = [
        {"role": "user", "content": "clock"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "noon"},
    ]
    body = chat("", tools=[{"type": "function", "function": {"name": "clock"}}]) | {"messages": turns}
    assert (await post(client, CHAT, body))["choices"][0]["message"]["content"] == "noon"
    turns = [
        {"role": "user", "content": "clock"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "c1", "name": "clock", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": [{"type": "text", "text": "noon"}]}]},
    ]
    body = messages("", tools=[{"name": "clock", "input_schema": TOOL}]) | {"messages": turns}
    assert (await post(client, MESSAGES, body))["content"] == [{"type": "text", "text": "noon", "citations": None}]


async def test_images_are_described_in_both_dialects(client):
    parts = [{"type": "text", "text": "look"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]
    assert (await post(client, CHAT, chat(parts)))["choices"][0]["message"]["content"] == "look\n[image/png, 3 bytes]"
    source = {"type": "base64", "media_type": "image/png", "data": "AAA="}
    blocks = [{"type": "image", "source": source}, {"type": "text", "text": "look"}]
    assert (await post(client, MESSAGES, messages(blocks)))["content"] == [
        {"type": "text", "text": "look\n[image/png, 2 bytes]", "citations": None}
    ]


async def test_structured_output_in_both_dialects(client):
    format_ = {"type": "json_schema", "json_schema": {"name": "place", "schema": TOOL}}
    assert (await post(client, CHAT, chat("Oslo", response_format=format_)))["choices"][0]["message"]["content"] == '{"city": "Oslo"}'
    config = {"format": {"type": "json_schema", "schema": TOOL}}
    assert (await post(client, MESSAGES, messages("Oslo", output_config=config)))["content"][0]["text"] == '{"city": "Oslo"}'


async def test_errors_on_demand_have_the_dialects_shape(client):
    answer = await client.post(CHAT, json=chat("[echo status=429 retry_after=3]"))
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "3")
    error = {"message": "echo: error 429 on demand", "type": "rate_limit_error", "param": None, "code": "rate_limit_exceeded"}
    assert answer.json() == {"error": error}
    answer = await client.post(MESSAGES, json=messages('[echo status=529 retry_after=0.5 message="too busy"]'))
    assert (answer.status_code, answer.headers["retry-after"]) == (529, "0.5")
    error = {"type": "overloaded_error", "message": "too busy"}
    assert answer.json() == {"type": "error", "error": error, "request_id": answer.headers["request-id"]}


@pytest.mark.parametrize(
    ("url", "body", "status", "message"),
    [
        (CHAT, b"{", 400, "echo: the body is not JSON: "),
        (CHAT, b"[]", 400, "echo: the body is not a JSON object"),
        (CHAT, b"[" * 100_000, 400, "echo: the body is not JSON: "),
        (CHAT, b"{}", 400, "Missing required parameter: 'messages'."),
        (MESSAGES, b'{"max_tokens": 1}', 400, "messages: at least one message is required"),
        (MESSAGES, b'{"messages": [{"role": "user", "content": "x"}]}', 400, "max_tokens: Field required"),
        (CHAT, json.dumps(chat("[echo nap=3]")).encode(), 400, UNKNOWN),
        ("echo://openai/v1/embeddings", b"{}", 404, "echo: nothing is served at POST /v1/embeddings"),
    ],
)
async def test_a_bad_request_is_refused(client, url, body, status, message):
    answer = await client.post(url, content=body)
    assert (answer.status_code, answer.json()["error"]["message"][: len(message)]) == (status, message)


@pytest.mark.parametrize("url", [CHAT, MESSAGES])
@pytest.mark.parametrize(("directive", "pieces"), [("fail_after=1", 1), ("cut_after=2", 2), ("cut_after=0", 0), ("fail_after=9", 3)])
async def test_a_stream_can_fail_or_end_on_the_way(client, url, directive, pieces):
    make = chat if url == CHAT else messages
    complete_events = await events(client, url, make("one two three"))
    before = complete_events.index(next(event for event in complete_events if "one" in json.dumps(event)))
    broken_events = await events(client, url, make(f"one two three [echo {directive}]"))
    failed = {
        CHAT: {"error": {"message": "echo: failure on demand", "type": "server_error", "param": None, "code": "overloaded"}},
        MESSAGES: {"type": "error", "error": {"type": "overloaded_error", "message": "echo: failure on demand"}},
    }
    block_end = 1 if url == MESSAGES and pieces == 3 else 0
    expected = complete_events[: before + pieces + block_end] + ([failed[url]] if "fail" in directive else [])
    if url == MESSAGES:
        broken_events[0]["message"].pop("id")
        expected[0]["message"] = broken_events[0]["message"]
    assert broken_events == expected


async def test_the_network_can_break(client):
    with pytest.raises(httpx.ConnectError):
        await client.post(CHAT, json=chat("[echo refuse=yes]"))
    with pytest.raises(httpx.ReadError):
        await client.post(CHAT, json=chat("a b c [echo reset_after=2]", stream=True))


async def test_an_answer_that_does_not_begin_runs_into_the_read_timeout(client):
    with pytest.raises(httpx.ReadTimeout):
        await client.post(CHAT, json=chat("a b [echo hang=60]", stream=True), timeout=0.05)


async def test_a_stream_can_hang_on_the_way(client):
    async with client.stream("POST", CHAT, json=chat("one two [echo hang=60 hang_after=1]", stream=True)) as answer:
        chunks = answer.aiter_bytes()
        deltas = [json.loads((await anext(chunks)).removeprefix(b"data: "))["choices"][0]["delta"] for _ in range(2)]
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(chunks), 0.05)
    assert deltas == [{"role": "assistant", "content": ""}, {"content": "one "}]


async def test_the_pace_is_kept_between_pieces(client, monkeypatch):
    pauses, pause = [], asyncio.sleep

    async def record_pause(seconds):
        pauses.append(seconds)
        await pause(0)

    monkeypatch.setattr("upstreams.echo.transport.asyncio.sleep", record_pause)
    await client.post(CHAT, json=chat("[echo chunks=5 pace_ms=25] x", stream=True))
    assert [seconds for seconds in pauses if seconds] == [0.025] * 4


async def test_models_are_listed_in_the_shape_of_the_caller(client):
    assert (await client.get("echo://openai/v1/models")).json() == {
        "object": "list",
        "data": [{"id": "echo", "object": "model", "created": 1767225600, "owned_by": "pxbin"}],
    }
    model = {"type": "model", "id": "echo-anthropic", "display_name": "Echo", "created_at": "2026-01-01T00:00:00Z"}
    answer = await client.get("echo://anthropic/v1/models", headers={"anthropic-version": "2023-06-01"})
    assert answer.json() == {"data": [model], "has_more": False, "first_id": "echo-anthropic", "last_id": "echo-anthropic"}


async def test_tokens_are_counted(client):
    answer = await client.post(f"{MESSAGES}/count_tokens", json={"messages": [{"role": "user", "content": "12345678"}]})
    assert answer.json() == {"input_tokens": 2}


async def test_lone_surrogates_do_not_break_the_answer(client):
    answer = await client.post(CHAT, content=rb'{"messages": [{"role": "user", "content": "a\ud83d b"}]}')
    assert answer.json()["choices"][0]["message"]["content"] == "a\ufffd b"
