"""Models with policies behind a running gateway: what is sent to the upstream, what the client gets, and what is logged.

Each policy is seen with a pair of dialects that is translated, and within one dialect, where the client's own body is passed on.
"""

import json
import uuid

import pytest

from tests.support.fake_upstream import event, json_reply, sse

TOOLS = [{"name": "Bash", "input_schema": {"type": "object"}}]
SESSION = [
    {"role": "user", "content": "Fix it"},
    {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "Bash", "input": {"command": "cd /srv/app && ls"}}]},
    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "a.py"}]},
]
INTERRUPTED = [*SESSION[:2], {"role": "user", "content": "Go on"}]
PROGRESS = (
    "<session_progress>\nCompleted operations: 1 (Bash 1)\nLatest:\n- Bash: cd /srv/app && ls\n"
    "Working directory: /srv/app\nCurrent task: Fix it\n</session_progress>"
)
FLAG = '{"tool_loop": "completed"}'
NEITHER = "it had neither a tool call nor the termination flag"


def chat_reply(text, *, call=None):
    message = {"role": "assistant", "content": text}
    if call:
        message["tool_calls"] = [{"id": call, "type": "function", "function": {"name": "Bash", "arguments": "{}"}}]
    return json_reply(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": "r",
            "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls" if call else "stop"}],
            "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
        }
    )


def message_reply(text, *, call=None):
    blocks = [{"type": "text", "text": text}] if text else []
    if call:
        blocks.append({"type": "tool_use", "id": call, "name": "Bash", "input": {}})
    return json_reply(
        {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "r",
            "content": blocks,
            "stop_reason": "tool_use" if call else "end_turn",
            "stop_sequence": None,
            "usage": {"input_tokens": 5, "output_tokens": 2},
        }
    )


REPLIES = {"openai_chat": chat_reply, "anthropic": message_reply}
FORMATS = {"openai_chat": "openai", "anthropic": "anthropic"}


@pytest.fixture(params=["openai_chat", "anthropic"])
def dialect(request):
    """The upstream's: Messages clients are translated to the first and passed on to the second."""
    return request.param


@pytest.fixture
def reply(dialect):
    return REPLIES[dialect]


@pytest.fixture
def model(gateway, upstream, dialect):
    """Makes a model of the given fields and returns its name."""

    def make(**fields):
        name = f"policy-{uuid.uuid4().hex[:8]}"
        upstream_id = gateway.add_upstream(upstream, name=name, format=FORMATS[dialect])
        gateway.api("POST", "/models", json={"name": name, "upstream_id": upstream_id, "remote_name": "r", **fields})
        return name

    return make


@pytest.fixture
def ask(gateway):
    def send(model, messages=SESSION, *, query="", headers=None, **fields):
        body = {"model": model, "max_tokens": 1000, "messages": messages, **fields}
        return gateway.http.post(f"{gateway.url}/v1/messages{query}", headers=gateway.client_headers | (headers or {}), json=body)

    return send


def text_of(response):
    """The text of an answer, whole or streamed."""
    if "event-stream" not in response.headers["content-type"]:
        return "".join(block["text"] for block in response.json()["content"] if block["type"] == "text")
    return "".join(deltas(response))


def deltas(response):
    frames = [json.loads(line[6:]) for line in response.text.splitlines() if line.startswith("data: ")]
    return [frame["delta"]["text"] for frame in frames if frame.get("delta", {}).get("type") == "text_delta"]


def row_of(gateway, model):
    (row,) = gateway.logs(1, model=model)
    return row


# --- the request -----------------------------------------------------------------------------------------------------


def test_prompt_limits_and_fields_of_the_body(upstream, model, ask, dialect, reply):
    name = model(
        system_replacements={"Claude": "Pixie"},
        system_append="Be terse.",
        inject_progress=True,
        temperature=0.25,
        max_tokens_cap=100,
        body_defaults={"seed": 7, "temperature": 1},
        body_extensions={"provider": {"order": ["a"]}},
    )
    upstream.otherwise(reply("Done."))
    response = ask(name, system="You are Claude.", provider={"sort": "price"})
    assert (response.status_code, text_of(response)) == (200, "Done.")
    (sent_body,) = [request.json() for request in upstream.requests]
    common = {"model": "r", "temperature": 0.25, "seed": 7}
    if dialect == "anthropic":
        assert sent_body == common | {
            "max_tokens": 100,
            "system": "You are Pixie.\n\nBe terse.",
            "messages": [*SESSION[:2], {"role": "user", "content": [*SESSION[2]["content"], {"type": "text", "text": PROGRESS}]}],
            "provider": {"sort": "price", "order": ["a"]},
        }
    else:
        call = {"id": "t1", "type": "function", "function": {"name": "Bash", "arguments": '{"command":"cd /srv/app && ls"}'}}
        assert sent_body == common | {
            "max_completion_tokens": 100,
            "messages": [
                {"role": "system", "content": "You are Pixie.\n\nBe terse."},
                {"role": "user", "content": "Fix it"},
                {"role": "assistant", "content": None, "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "t1", "content": "a.py"},
                {"role": "user", "content": PROGRESS},
            ],
            "provider": {"order": ["a"]},
        }


def test_the_same_conversation_goes_up_in_the_same_bytes(upstream, model, ask, reply):
    name = model(system_append="Be terse.", inject_progress=True, body_extensions={"a": {"b": 1}})
    upstream.otherwise(reply("Done."))
    assert [ask(name).status_code for _ in range(3)] == [200, 200, 200]
    first_body, *later_bodies = [request.body for request in upstream.requests]
    assert later_bodies == [first_body, first_body]


def test_calls_without_results_get_a_result(gateway, upstream, model, ask, dialect, reply):
    """Before a translation always; within one dialect when the upstream has refused them."""
    refusal = "messages.1: `tool_use` ids were found without `tool_result` blocks immediately after: t1."
    name = model()
    if dialect == "anthropic":
        upstream.reply(json_reply({"type": "error", "error": {"type": "invalid_request_error", "message": refusal}}, status=400))
    upstream.otherwise(reply("Done."))
    response = ask(name, INTERRUPTED)
    assert (response.status_code, text_of(response)) == (200, "Done.")
    sent_messages = upstream.requests[-1].json()["messages"]
    missing = {"type": "tool_result", "tool_use_id": "t1", "content": "(no result)", "is_error": True}
    if dialect == "anthropic":
        assert [request.json()["messages"] for request in upstream.requests[:-1]] == [INTERRUPTED]
        assert sent_messages == [*SESSION[:2], {"role": "user", "content": [missing, {"type": "text", "text": "Go on"}]}]
    else:
        assert [message["role"] for message in sent_messages] == ["user", "assistant", "tool", "user"]
        assert "(no result)" in sent_messages[2]["content"]
    row = row_of(gateway, name)
    assert (row["outcome"], row["attempts"]) == ("finished", len(upstream.requests))


def test_without_history_repair_a_history_is_sent_unchanged_and_a_refusal_is_returned(upstream, model, ask, dialect):
    name = model(repair_tool_history=False)
    refusal = {"type": "invalid_request_error", "message": "the tool call t1 has no result"}
    upstream.otherwise(json_reply({"type": "error", "error": refusal}, status=400))
    response = ask(name, INTERRUPTED)
    assert (response.status_code, response.json()["error"]) == (400, refusal)
    (sent_messages,) = [request.json()["messages"] for request in upstream.requests]
    assert [message["role"] for message in sent_messages] == ["user", "assistant", "user"]


# --- enforcement -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
def test_the_model_is_asked_again_until_it_says_that_it_is_done(gateway, upstream, model, ask, dialect, reply, stream):
    name = model(tool_enforcement={"enabled": True, "max_retries": 5, "stream_chunk_delay_ms": 1})
    upstream.reply(reply("I will do it."), reply(""), reply(f"All of it is done now, and every test passes. {FLAG}"))
    response = ask(name, system="You help.", tools=TOOLS, stream=stream)
    assert (response.status_code, text_of(response)) == (200, "All of it is done now, and every test passes.")
    assert len(deltas(response)) == (2 if stream else 0)
    bodies = [request.json() for request in upstream.requests]
    assert [body.get("stream", False) for body in bodies] == [False, False, False]
    prompts = [body["system"] if dialect == "anthropic" else body["messages"][0]["content"] for body in bodies]
    assert all(prompt.startswith("You help.\n\nWork through the tools.") and FLAG in prompt for prompt in prompts)
    notes = [json.dumps(body["messages"]).count("The previous answer was not accepted") for body in bodies]
    assert (notes, NEITHER in json.dumps(bodies[1]), "it was empty" in json.dumps(bodies[2])) == ([0, 1, 1], True, True)
    row = row_of(gateway, name)
    assert (row["outcome"], row["attempts"], row["input_tokens"], row["output_tokens"]) == ("finished", 3, 15, 6)


def test_a_tool_call_is_good_at_once(upstream, model, ask, reply):
    name = model(tool_enforcement={"enabled": True})
    upstream.reply(reply("Let me see.", call="t2"))
    response = ask(name, tools=TOOLS)
    assert [block["type"] for block in response.json()["content"]] == ["text", "tool_use"]
    assert (response.json()["stop_reason"], len(upstream.requests)) == ("tool_use", 1)


@pytest.mark.parametrize("stream", [False, True])
def test_after_the_last_retry_the_error_says_what_was_wrong(gateway, upstream, model, ask, reply, stream):
    name = model(tool_enforcement={"enabled": True, "max_retries": 2})
    upstream.otherwise(reply("I will."))
    response = ask(name, tools=TOOLS, stream=stream)
    message = f"The model gave no tool call and no termination flag in 3 attempts; of the last answer: {NEITHER}"
    assert (response.status_code, response.json()["error"]["message"]) == (502, message)
    row = row_of(gateway, name)
    assert (row["outcome"], row["attempts"], row["error_message"]) == ("failed", 3, message)
    upstream_id = row["upstream_id"]
    upstream.otherwise(reply("Hello."))
    assert text_of(ask(name)) == "Hello.", f"upstream {upstream_id} did nothing wrong"


def test_the_header_wins_over_the_query_and_that_over_the_model(upstream, model, ask, reply):
    name = model(tool_enforcement={"enabled": True, "max_retries": 1})
    upstream.otherwise(reply("Hello."))
    cases = [
        ({}, "", 502),
        ({}, "?enforce_tool_call=no", 200),
        ({"X-Enforce-Tool-Call": "off"}, "?enforce_tool_call=yes", 200),
        ({"X-Enforce-Tool-Call": "1"}, "?enforce_tool_call=no", 502),
        ({"X-Enforce-Tool-Call": "perhaps"}, "", 400),
    ]
    answers = [ask(name, headers=headers, query=query, tools=TOOLS).status_code for headers, query, _ in cases]
    assert answers == [status for *_, status in cases]


def test_requests_without_tools_are_not_held_to_a_models_rules(upstream, model, ask, reply):
    name = model(tool_enforcement={"enabled": True, "max_retries": 1})
    upstream.otherwise(reply("A title"))
    assert text_of(ask(name)) == "A title"
    assert [request.json()["messages"][-1]["role"] for request in upstream.requests][-1] != "system"


# --- the stream ------------------------------------------------------------------------------------------------------

LONG = "one two three four five six seven eight nine ten eleven twelve"


def chat_stream():
    def chunk(delta, finish=None):
        return event({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "r", "choices": [
            {"index": 0, "delta": delta, "finish_reason": finish}
        ]})  # fmt: skip

    call = {"index": 0, "id": "t2", "type": "function", "function": {"name": "Bash", "arguments": ""}}
    fragments = [chunk({"tool_calls": [{"index": 0, "function": {"arguments": text}}]}) for text in ('{"comm', 'and":', '"ls"}')]
    return sse(
        chunk({"role": "assistant", "content": LONG}), chunk({"tool_calls": [call]}), *fragments, chunk({}, "tool_calls"), event("[DONE]")
    )


def message_stream():
    def step(kind, **fields):
        return event({"type": kind, **fields}, name=kind)

    message = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "r",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
    }
    fragments = ('{"comm', 'and":', '"ls"}')
    return sse(
        step("message_start", message={**message, "usage": {"input_tokens": 5, "output_tokens": 1}}),
        step("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        step("content_block_delta", index=0, delta={"type": "text_delta", "text": LONG}),
        step("content_block_stop", index=0),
        step("content_block_start", index=1, content_block={"type": "tool_use", "id": "t2", "name": "Bash", "input": {}}),
        *(step("content_block_delta", index=1, delta={"type": "input_json_delta", "partial_json": text}) for text in fragments),
        step("content_block_stop", index=1),
        step("message_delta", delta={"stop_reason": "tool_use", "stop_sequence": None}, usage={"output_tokens": 9}),
        step("message_stop"),
    )


STREAMS = {"openai_chat": chat_stream, "anthropic": message_stream}


@pytest.mark.parametrize(
    ("fields", "texts", "fragments"),
    [
        ({}, 1, 3),
        ({"smooth_streaming": True}, 3, 3),
        ({"buffer_tool_calls": True}, 1, 1),
        ({"smooth_streaming": True, "buffer_tool_calls": True}, 3, 1),
    ],
)
def test_texts_in_small_pieces_and_calls_in_one(upstream, model, ask, dialect, fields, texts, fragments):
    upstream.reply(STREAMS[dialect]())
    response = ask(model(**fields), tools=TOOLS, stream=True)
    arguments = [
        frame["delta"]["partial_json"]
        for frame in (json.loads(line[6:]) for line in response.text.splitlines() if line.startswith("data: "))
        if frame.get("delta", {}).get("type") == "input_json_delta" and frame["delta"]["partial_json"]
    ]
    assert (deltas(response) != [], "".join(deltas(response)), "".join(arguments)) == (True, LONG, '{"command":"ls"}')
    assert (len(deltas(response)), len(arguments)) == (texts, fragments)
    assert upstream.requests[0].json()["stream"] is True


def test_a_validated_stream_keeps_its_pace(gateway, upstream, model, ask, reply):
    """A client that leaves after the first piece has left early: the others were still held back."""
    name = model(tool_enforcement={"enabled": True, "stream_chunk_delay_ms": 60})
    upstream.reply(reply(f"{LONG} {FLAG}"))
    response = ask(name, tools=TOOLS, stream=True)
    assert (len(deltas(response)), text_of(response)) == (3, LONG)

    name = model(tool_enforcement={"enabled": True, "stream_chunk_delay_ms": 10_000})
    upstream.reply(reply(f"{LONG} {FLAG}"))
    body = {"model": name, "max_tokens": 9, "stream": True, "tools": TOOLS, "messages": [{"role": "user", "content": "Hi"}]}
    with gateway.http.stream("POST", f"{gateway.url}/v1/messages", headers=gateway.client_headers, json=body) as answer:
        assert any("text_delta" in line for line in answer.iter_lines())
    assert gateway.row_of(answer.headers["x-request-id"])["outcome"] == "cancelled"


# --- what the management API refuses -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"tool_enforcement": {"max_retries": 51}}, "tool_enforcement: max_retries: must be an integer of at most 50."),
        ({"body_extensions": {"model": "x"}}, "body_extensions: model: the gateway sets this itself."),
    ],
)
def test_policies_that_make_no_sense_are_refused(gateway, fields, message):
    body = {"name": f"policy-{uuid.uuid4().hex[:8]}", **fields}
    response = gateway.http.post(f"{gateway.url}/api/v1/models", headers=gateway.management_headers, json=body)
    assert (response.status_code, response.json()["error"]["message"]) == (400, message)
