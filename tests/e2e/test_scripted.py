"""SDKs, the gateway and scripted upstreams: what is sent to the upstream, what the client gets, when, and what is logged."""

import json
import uuid
from datetime import UTC, datetime

import anthropic
import openai
import pytest

from tests.support.fake_upstream import CLOSE, HANG, RESET, bytes_reply, event, json_reply, sse
from tests.support.waiting import PATIENCE

USAGE = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120, "prompt_tokens_details": {"cached_tokens": 40}}
CHAT_REPLY = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
    "usage": USAGE,
}
MESSAGE_REPLY = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [{"type": "text", "text": "Hello"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 60, "output_tokens": 20, "cache_read_input_tokens": 40, "cache_creation_input_tokens": 0},
}
HELLO = [{"role": "user", "content": "Hi"}]


def chunk(delta, finish=None):
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return event({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]})


def step(kind, **fields):
    return event({"type": kind, **fields}, name=kind)


DONE = event("[DONE]")
STARTED = step("message_start", message={**MESSAGE_REPLY, "content": [], "stop_reason": None})
OPENED = step("content_block_start", index=0, content_block={"type": "text", "text": ""})


def word(text):
    return step("content_block_delta", index=0, delta={"type": "text_delta", "text": text})


@pytest.fixture
def chat_model(gateway, upstream):
    """The name of a model with a scripted Chat Completions upstream."""
    name = f"chat-{uuid.uuid4().hex[:8]}"
    gateway.add_upstream(upstream, name, name=name)
    return name


@pytest.fixture
def messages_model(gateway, upstream):
    """The name of a model with a scripted Messages upstream."""
    name = f"messages-{uuid.uuid4().hex[:8]}"
    gateway.add_upstream(upstream, name, name=name, format="anthropic")
    return name


def logged(gateway, model):
    """The one row of a model's requests, with the fields that its tests look at."""
    (row,) = gateway.logs(1, model=model)
    names = ("outcome", "status_code", "dialect", "input_tokens", "output_tokens", "cache_read_tokens")
    return {name: row[name] for name in names}


# What goes up


def test_a_request_that_passes_through_arrives_as_it_was_sent(gateway, upstream, chat_model):
    upstream.reply(json_reply(CHAT_REPLY))
    body = {"model": chat_model, "messages": HELLO, "seed": 7, "made_up": {"z": 1, "a": [1.50, None]}, "temperature": 0.2}
    headers = {"authorization": f"Bearer {gateway.client_key}", "cookie": "a=b", "referer": "http://x/", "x-forwarded-for": "10.0.0.1"}
    answer = gateway.http.post(f"{gateway.url}/v1/chat/completions", json=body, headers=headers)
    assert answer.content == json.dumps(CHAT_REPLY).encode()
    (received,) = upstream.requests
    assert (received.method, received.path, received.json()) == ("POST", "/v1/chat/completions", body)
    assert received.header("authorization") == "Bearer sk-upstream-secret"
    assert [received.header(name) for name in ("cookie", "referer", "x-forwarded-for", "x-real-ip", "x-api-key")] == [None] * 5
    assert gateway.client_key not in str(received.headers)


def test_betas_and_version_reach_an_anthropic_upstream(gateway, upstream, messages_model):
    upstream.reply(json_reply(MESSAGE_REPLY))
    body = {"model": messages_model, "max_tokens": 9, "messages": HELLO, "context_management": {"edits": []}}
    headers = {"x-api-key": gateway.client_key, "anthropic-version": "2026-10-21", "anthropic-beta": "one-2026-01-01,two"}
    answer = gateway.http.post(f"{gateway.url}/v1/messages?beta=true", json=body, headers=headers)
    assert answer.content == json.dumps(MESSAGE_REPLY).encode()
    (received,) = upstream.requests
    assert (received.path.partition("?")[0], received.json()) == ("/v1/messages", body)
    sent_headers = [received.header(name) for name in ("anthropic-version", "anthropic-beta", "x-api-key", "authorization")]
    assert sent_headers == ["2026-10-21", "one-2026-01-01,two", "sk-upstream-secret", None]


def test_a_renamed_model_has_the_upstreams_name_above_and_the_clients_below(gateway, upstream, gpt, chat_model):
    upstream_id = next(listed["id"] for listed in gateway.api("GET", "/upstreams") if listed["name"] == chat_model)
    gateway.api("POST", "/models", json={"name": f"my-{chat_model}", "upstream_id": upstream_id, "remote_name": "m"})
    upstream.reply(json_reply(CHAT_REPLY), sse(chunk({"content": "one"}), chunk({}, "stop"), DONE))
    assert gpt.chat.completions.create(model=f"my-{chat_model}", messages=HELLO).model == f"my-{chat_model}"
    chunks = list(gpt.chat.completions.create(model=f"my-{chat_model}", messages=HELLO, stream=True))
    assert {chunk.model for chunk in chunks} == {f"my-{chat_model}"}
    assert [request.json()["model"] for request in upstream.requests] == ["m", "m"]


# What comes back, and goes up again


def test_the_reasoning_of_a_chat_upstream_returns_to_it(gateway, upstream, claude, chat_model):
    function = {"name": "look", "arguments": "{}"}
    call = {"id": "call_1", "type": "function", "function": function}
    thought = {"role": "assistant", "content": None, "reasoning_content": "I must look.", "tool_calls": [call]}
    upstream.reply(
        json_reply({**CHAT_REPLY, "choices": [{"index": 0, "message": thought, "finish_reason": "tool_calls"}]}), json_reply(CHAT_REPLY)
    )
    tools = [{"name": "look", "input_schema": {"type": "object", "properties": {}}}]
    options = {"model": chat_model, "max_tokens": 4000, "tools": tools, "thinking": {"type": "enabled", "budget_tokens": 2000}}
    first = claude.messages.create(messages=HELLO, **options)
    assert [block.type for block in first.content] == ["thinking", "tool_use"]
    assert (first.content[0].thinking, first.content[0].signature[:5]) == ("I must look.", "pxr1.")
    result = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": first.content[1].id, "content": "seen"}]}
    claude.messages.create(messages=[*HELLO, {"role": "assistant", "content": first.content}, result], **options)
    sent_message = upstream.requests[1].json()["messages"][1]
    assert (sent_message["reasoning_content"], sent_message["tool_calls"]) == ("I must look.", [call])


def test_the_thinking_of_an_anthropic_upstream_returns_to_it(gateway, upstream, gpt, messages_model):
    thought = {"type": "thinking", "thinking": "I must look.", "signature": "c2ln"}
    hidden = {"type": "redacted_thinking", "data": "b3BhcXVl"}
    use = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}
    upstream.reply(json_reply({**MESSAGE_REPLY, "content": [thought, hidden, use], "stop_reason": "tool_use"}), json_reply(MESSAGE_REPLY))
    tools = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}]
    first = gpt.chat.completions.create(model=messages_model, messages=HELLO, tools=tools, reasoning_effort="low").choices[0].message
    assert first.reasoning_content == "I must look."
    echoed = first.model_dump(exclude_none=True)
    messages = [*HELLO, echoed, {"role": "tool", "tool_call_id": "toolu_1", "content": "seen"}]
    gpt.chat.completions.create(model=messages_model, messages=messages, tools=tools, reasoning_effort="low")
    assert upstream.requests[1].json()["messages"][1] == {"role": "assistant", "content": [thought, hidden, use]}


# When it comes


def test_the_first_text_is_sent_while_the_upstream_is_still_generating(upstream, claude, chat_model):
    read = []
    opened, first, second = (chunk(delta) for delta in ({"role": "assistant", "content": ""}, {"content": "one "}, {"content": "two"}))
    upstream.reply(sse(opened, first, lambda: read, second, chunk({}, "stop"), DONE))
    with claude.messages.stream(model=chat_model, max_tokens=9, messages=HELLO) as stream:
        for text in stream.text_stream:
            read.append(text)  # noqa: PERF402  (the upstream goes on when the first one is there)
    assert read == ["one ", "two"]


def test_a_client_that_leaves_closes_the_upstream_connection(gateway, upstream, gpt, messages_model):
    upstream.reply(sse(STARTED, OPENED, word("one "), HANG))
    stream = gpt.chat.completions.create(model=messages_model, messages=HELLO, stream=True)
    assert next(chunk.choices[0].delta.content for chunk in stream if chunk.choices[0].delta.content) == "one "
    stream.close()
    assert upstream.requests[0].left_early.wait(PATIENCE)
    row = logged(gateway, messages_model)
    assert (row["outcome"], row["input_tokens"], row["cache_read_tokens"]) == ("cancelled", 60, 40)


# What is logged


def test_a_finished_request_is_logged_with_its_tokens_and_cost(gateway, upstream, claude, chat_model):
    model_id = next(model["id"] for model in gateway.api("GET", "/models") if model["name"] == chat_model)
    gateway.api("PATCH", f"/models/{model_id}", json={"input_cost_per_million": 1.0, "output_cost_per_million": 10.0})
    upstream.reply(json_reply(CHAT_REPLY))
    before = datetime.now(UTC)
    headers = {"x-request-id": f"logged-{chat_model}"}
    claude.messages.create(model=chat_model, max_tokens=9, messages=HELLO, extra_headers=headers)
    (row,) = gateway.logs(1, model=chat_model)
    assert logged(gateway, chat_model) == {
        "outcome": "finished",
        "status_code": 200,
        "dialect": "anthropic",
        "input_tokens": 60,
        "output_tokens": 20,
        "cache_read_tokens": 40,
    }
    assert (row["request_id"], row["input_format"], row["path"]) == (f"logged-{chat_model}", "anthropic", "/v1/messages")
    assert abs((datetime.fromisoformat(row["timestamp"]) - before).total_seconds()) < 10


def test_a_refused_request_is_logged(gateway, claude):
    name = f"nothing-{uuid.uuid4().hex[:8]}"
    with pytest.raises(anthropic.NotFoundError):
        claude.messages.create(model=name, max_tokens=9, messages=HELLO)
    row = logged(gateway, name)
    assert (row["outcome"], row["status_code"]) == ("rejected", 404)


# What fails


@pytest.mark.parametrize(
    "reply",
    [
        bytes_reply(b"<html>oops</html>", headers={"content-type": "text/html"}),
        json_reply({"error": {"message": "so it goes", "type": "server_error"}}),
        bytes_reply(b'{"id": "chatcmpl-1", "choi', headers={"content-type": "application/json"}),
        bytes_reply(b""),
    ],
    ids=["html", "error body", "half a body", "nothing"],
)
def test_a_200_without_a_valid_response_is_a_bad_gateway(gateway, upstream, claude, chat_model, reply):
    upstream.otherwise(reply)
    with pytest.raises(anthropic.InternalServerError) as raised:
        claude.messages.create(model=chat_model, max_tokens=9, messages=HELLO)
    assert (raised.value.status_code, raised.value.body["error"]["type"]) == (502, "api_error")
    row = logged(gateway, chat_model)
    assert (row["outcome"], row["status_code"]) == ("failed", 502)


def test_an_upstream_that_is_not_there_is_a_bad_gateway(gateway, upstream, gpt, messages_model):
    upstream.stop()
    with pytest.raises(openai.InternalServerError) as raised:
        gpt.chat.completions.create(model=messages_model, messages=HELLO)
    assert (raised.value.status_code, raised.value.body["type"]) == (502, "server_error")
    assert str(upstream.port) not in raised.value.response.text


@pytest.mark.parametrize("ending", [RESET, CLOSE], ids=["reset", "close"])
def test_a_stream_that_breaks_off_is_an_error_and_never_an_answer(gateway, upstream, claude, chat_model, ending):
    upstream.reply(sse(chunk({"role": "assistant", "content": "one "}), 0.5, ending))
    options = {"model": chat_model, "max_tokens": 9, "messages": HELLO}
    with pytest.raises(anthropic.APIStatusError) as raised, claude.messages.stream(**options) as stream:
        list(stream)
    assert raised.value.body["error"]["type"] == "api_error"
    assert logged(gateway, chat_model)["outcome"] == "failed"


def test_a_stream_with_a_finish_reason_but_without_its_last_line_is_complete(upstream, claude, chat_model):
    upstream.reply(sse(chunk({"role": "assistant", "content": "one"}), chunk({}, "stop")))
    with claude.messages.stream(model=chat_model, max_tokens=9, messages=HELLO) as stream:
        assert stream.get_final_message().stop_reason == "end_turn"


def test_the_upstreams_refusal_before_a_stream_is_an_http_error(upstream, gpt, messages_model):
    error = {"type": "error", "error": {"type": "rate_limit_error", "message": "slow down"}}
    upstream.otherwise(json_reply(error, status=429, headers={"retry-after": "9", "anthropic-ratelimit-requests-remaining": "0"}))
    with pytest.raises(openai.RateLimitError) as raised:
        gpt.chat.completions.create(model=messages_model, messages=HELLO, stream=True)
    assert (raised.value.body["message"], raised.value.response.headers["retry-after"]) == ("slow down", "9")


def test_lone_surrogates_and_four_megabytes_are_accepted(gateway, upstream, chat_model):
    upstream.reply(json_reply(CHAT_REPLY))
    text = "x" * 4_000_000
    body = f'{{"model": "{chat_model}", "max_tokens": 9, "messages": [{{"role": "user", "content": "\\ud83d {text}"}}]}}'
    headers = {**gateway.client_headers, "content-type": "application/json"}
    answer = gateway.http.post(f"{gateway.url}/v1/messages", content=body.encode(), headers=headers)
    assert answer.json()["content"] == [{"type": "text", "text": "Hello", "citations": None}]
    assert json.loads(upstream.requests[0].body)["messages"][0]["content"] == f"\ufffd {text}"


# What an upstream says of our key


UPSTREAM_ERROR = {"message": "bad key sk-upstream-secret", "type": "api_error"}
ERROR = {"type": "error", "error": UPSTREAM_ERROR}
TELLINGS = [
    json_reply(ERROR, status=500),
    json_reply(ERROR, status=429),
    json_reply(ERROR, status=400),
    json_reply(ERROR),
    sse(event(ERROR, name="error")),
    sse(chunk({"content": "Hi"}), STARTED, OPENED, word("Hi"), 0.05, event(ERROR, name="error")),
]


@pytest.mark.parametrize(
    ("said_by", "path"),
    [
        ("chat_model", "/v1/chat/completions"),
        ("chat_model", "/v1/messages"),
        ("chat_model", "/v1/embeddings"),
        ("messages_model", "/v1/messages"),
    ],
)
def test_a_credential_that_an_upstream_repeats_is_redacted(request, gateway, upstream, said_by, path):
    model = request.getfixturevalue(said_by)
    upstream.reply(*TELLINGS)
    output = ""
    for telling in TELLINGS:
        request_body = {"model": model, "input": "Hi", "max_tokens": 9, "messages": HELLO, "stream": telling in TELLINGS[-2:]}
        output += gateway.http.post(gateway.url + path, headers=gateway.client_headers, json=request_body).text
    output += "".join(json.dumps(gateway.api("GET", f"/logs/{row['id']}")) for row in gateway.logs(len(TELLINGS), model=model))
    assert (len(upstream.requests), output.count("bad key ***") > len(TELLINGS), "sk-upstream-secret" in output) == (
        len(TELLINGS),
        True,
        False,
    )
