"""Anthropic's SDK and boto3 against a running gateway, with a provider of each dialect behind it that refuses what the real one would."""

import json

import anthropic
import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError

from tests.support.vendor_wires import SEALED, SIGNATURE, Call, Completion

PIECES = ["Grüße, ", "дом 日本", "語 👩‍👩‍👧 ", "\u2028 end", "  \n"]
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
TOOLS = [{"name": name, "description": name, "input_schema": SCHEMA} for name in ("f", "g")]
NESTED = {"a": 1, "b": {"c": [1, 2.5, None, True, 'x"y\\z\nü 👩'], "d": {}}, "e": []}
LONG = "mcp__a_very_long_server_name_of_some_company__and_a_tool_with_an_even_longer_name"
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
PICTURE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
PDF = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0xLjQK"}}
CLAUDES = ("anthropic", "bedrock")

whole_and_streamed = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


def user(content):
    return {"role": "user", "content": content}


@pytest.fixture
def ask(claude, vendor):
    """Ask, streamed or not; the final message either way."""

    def asking(*, stream=False, **arguments):
        arguments = {"model": f"claude-sonnet-4-5-at-{vendor.dialect}", "max_tokens": 1000, "messages": [user("Hi")], **arguments}
        if not stream:
            return claude.messages.create(**arguments)
        with claude.messages.stream(**arguments) as events:
            return events.get_final_message()

    return asking


@pytest.fixture(scope="module")
def runtime(gateway):
    keys = {"aws_access_key_id": gateway.client_key, "aws_secret_access_key": "not checked"}
    config = Config(retries={"total_max_attempts": 1})
    return boto3.client("bedrock-runtime", endpoint_url=gateway.url, region_name="us-east-1", config=config, **keys)


@pytest.mark.parametrize("split", [0, 1, 7])
@whole_and_streamed
def test_words_and_usage(ask, vendor, stream, split):
    vendor.split = split
    vendor.says(Completion(PIECES))
    message = ask(stream=stream)
    assert ([block.text for block in message.content], message.stop_reason) == (["".join(PIECES)], "end_turn")
    usage = message.usage
    assert (usage.input_tokens, usage.cache_read_input_tokens, usage.cache_creation_input_tokens) == (100, 30, 20)
    assert (usage.output_tokens, usage.output_tokens_details.thinking_tokens) == (50, 10)


@pytest.mark.parametrize("stop", ["length", "sequence", "refusal", "context"])
@whole_and_streamed
def test_why_it_stopped(ask, vendor, stream, stop):
    vendor.says(Completion("Hello", stop=stop))
    message = ask(stream=stream, stop_sequences=["STOP"])
    carried = vendor.dialect in CLAUDES
    reasons = {
        "length": ("max_tokens", None),
        "sequence": ("stop_sequence", "STOP") if carried else ("end_turn", None),
        "refusal": ("refusal", None),
        "context": ("model_context_window_exceeded" if carried else "max_tokens", None),
    }
    assert (message.stop_reason, message.stop_sequence) == reasons[stop]


@whole_and_streamed
def test_a_refusal_keeps_its_text(ask, vendor, stream):
    vendor.says(Completion(refusal="I cannot"))
    message = ask(stream=stream)
    assert (message.content[0].text, message.stop_reason) == ("I cannot", "refusal")


@pytest.mark.parametrize("arguments_of_calls", [['{"a": 1}'], ['{"a": 1}', '{"a": 2}'], [""], ["{}"], [json.dumps(NESTED)], ["{}"] * 9])
@pytest.mark.parametrize("text", ["", "I will."])
@whole_and_streamed
def test_calls_and_their_results_in_another_order(ask, vendor, stream, text, arguments_of_calls):
    vendor.says(
        Completion(
            text, calls=[Call(f"call_{number}", "fg"[number % 2], arguments) for number, arguments in enumerate(arguments_of_calls)]
        ),
        Completion("Done"),
    )
    message = ask(stream=stream, tools=TOOLS)
    calls = [block for block in message.content if block.type == "tool_use"]
    due = [("fg"[number % 2], json.loads(arguments or "{}")) for number, arguments in enumerate(arguments_of_calls)]
    assert ([(call.name, call.input) for call in calls], message.stop_reason) == (due, "tool_use")
    assert [block.text for block in message.content if block.type == "text"] == [text] * bool(text)
    results = [{"type": "tool_result", "tool_use_id": call.id, "content": f"<{call.id}>"} for call in reversed(calls)]
    turns = [user("Hi"), {"role": "assistant", "content": message.content}, user([*results, {"type": "text", "text": "go on"}])]
    assert ask(stream=stream, tools=TOOLS, messages=turns).content[0].text == "Done"
    sent_body = json.dumps(vendor.last)
    assert ([sent_body.count(f"<{call.id}>") for call in calls], "go on" in sent_body, vendor.refused) == ([1] * len(calls), True, [])


@pytest.mark.parametrize("name", [LONG, "x" * 128])
@whole_and_streamed
def test_long_tool_names_come_back_whole(ask, vendor, stream, name):
    tools = [{**TOOLS[0], "name": name}, TOOLS[1]]
    ask(tools=tools, tool_choice={"type": "tool", "name": name})
    (offered, _) = [tool.get("function", tool)["name"] for tool in vendor.last["tools"]]
    vendor.says(Completion(calls=[Call("call_1", offered, '{"a": 1}')]))
    message = ask(stream=stream, tools=tools)
    assert message.content[0].name == name
    ask(tools=tools, messages=[user("Hi"), {"role": "assistant", "content": message.content}, user([result(message.content[0].id)])])
    assert vendor.refused == []


def result(call_id, **fields):
    return {"type": "tool_result", "tool_use_id": call_id, **fields}


@pytest.mark.parametrize(
    "content", ["words", [{"type": "text", "text": "words"}, {"type": "text", "text": "more"}], [PICTURE], [PDF], None]
)
@pytest.mark.parametrize("is_error", [False, True])
def test_every_kind_of_result(ask, vendor, content, is_error):
    calls = [{"type": "tool_use", "id": f"toolu_{number}", "name": "f", "input": {"a": number}} for number in range(2)]
    fields = {"is_error": True} if is_error else {}
    results = [result(f"toolu_{number}", **fields, **({} if content is None else {"content": content})) for number in (1, 0)]
    ask(tools=TOOLS, messages=[user("Hi"), {"role": "assistant", "content": calls}, user(results)])
    sent_body = json.dumps(vendor.last)
    assert vendor.refused == []
    assert {sent_body.count(mark) for mark in ("words", PIXEL, "JVBERi0xLjQK") if mark in json.dumps(content)} <= {2}
    assert sent_body.count("Error") == (2 if is_error and vendor.dialect not in CLAUDES else 0)


@whole_and_streamed
def test_thinking_goes_back_sealed_amid_a_tool_loop(ask, vendor, stream):
    thinking = {"max_tokens": 4000, "thinking": {"type": "enabled", "budget_tokens": 2048}, "tools": TOOLS}
    turns = [user("Hi")]
    for number in range(3):
        vendor.says(Completion("", calls=[Call(f"call_{number}", "f", '{"a": 1}')], thinking=["thought ", f"{number}"]))
        message = ask(stream=stream, messages=turns, **thinking)
        assert [block.type for block in message.content] == ["thinking", "tool_use"]
        assert (message.content[0].thinking, bool(message.content[0].signature)) == (f"thought {number}", True)
        turns += [{"role": "assistant", "content": message.content}, user([result(message.content[1].id, content="r")])]
        assert vendor.refused == []
    sent_body = json.dumps(vendor.last)
    seal = {"openai_responses": SEALED, "openai_chat": "thought"}.get(vendor.dialect, SIGNATURE)
    assert ([sent_body.count(f"thought {number}") for number in range(3)], sent_body.count(seal), "pxr1." in sent_body) == (
        [1, 1, 0],
        2,
        False,
    )


def test_thinking_of_another_provider_is_left_out(claude, vendor, vendors):
    thinking = {"max_tokens": 4000, "thinking": {"type": "enabled", "budget_tokens": 2048}, "tools": TOOLS}
    for first in vendors.values():
        first.says(Completion("", calls=[Call("call_1", "f", '{"a": 1}')], thinking="hmm"))
        message = claude.messages.create(model=f"claude-sonnet-4-5-at-{first.dialect}", messages=[user("Hi")], **thinking)
        call = next(block for block in message.content if block.type == "tool_use")
        vendor.says(Completion("Done"))
        turns = [user("Hi"), {"role": "assistant", "content": message.content}, user([result(call.id)])]
        claude.messages.create(model=f"claude-sonnet-4-5-at-{vendor.dialect}", messages=turns, **thinking)
        sent_body = json.dumps(vendor.last)
        same_provider = first.dialect == vendor.dialect or {first.dialect, vendor.dialect} == set(CLAUDES)
        assert (vendor.refused, "pxr1." in sent_body, "hmm" in sent_body) == ([], False, same_provider)


def test_what_only_claude_knows_is_left_out(ask, vendor):
    mark = {"cache_control": {"type": "ephemeral"}}
    ask(
        system=[{"type": "text", "text": "System", **mark}],
        messages=[user([{"type": "text", "text": "Hi", **mark}])],
        tools=[{**TOOLS[0], **mark}],
        metadata={"user_id": "u" * 250},
        service_tier="auto",
        stop_sequences=["a", "b", "c", "d", "e"],
        extra_body={"temperature": 0.5, "top_k": 3},
        extra_headers={"anthropic-beta": "foo-2026-01-01"},
    )
    assert vendor.refused == []


@pytest.mark.parametrize(
    ("status", "exception", "kind", "code"),
    [
        (400, anthropic.BadRequestError, "invalid_request_error", "ValidationException"),
        (401, anthropic.InternalServerError, "api_error", "ModelErrorException"),
        (403, anthropic.PermissionDeniedError, "permission_error", "AccessDeniedException"),
        (404, anthropic.NotFoundError, "not_found_error", "ResourceNotFoundException"),
        (429, anthropic.RateLimitError, "rate_limit_error", "ThrottlingException"),
        (500, anthropic.InternalServerError, "api_error", "InternalServerException"),
        (503, anthropic.OverloadedError, "overloaded_error", "ServiceUnavailableException"),
    ],
)
@whole_and_streamed
def test_errors_have_the_class_that_the_sdks_know(ask, runtime, vendor, stream, status, exception, kind, code):
    vendor.fails(status, "so it goes", **{"retry-after": "7"})
    with pytest.raises(anthropic.APIStatusError) as raised:
        ask(stream=stream)
    error = raised.value
    assert (type(error), error.type, error.body["request_id"]) == (exception, kind, error.request_id)
    assert ("so it goes" in error.message) == (status != 401)
    assert status not in (429, 503) or error.response.headers["retry-after"] == "7"
    invoke = runtime.invoke_model_with_response_stream if stream else runtime.invoke_model
    with pytest.raises(ClientError) as caught:
        invoke(modelId=f"claude-sonnet-4-5-at-{vendor.dialect}", body=json.dumps(BEDROCKS))
    assert caught.value.response["Error"]["Code"] == code


BEDROCKS = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 50, "messages": [user("Hi")]}


@whole_and_streamed
def test_boto3_gets_text_and_usage(runtime, vendor, stream):
    vendor.says(Completion(PIECES, calls=[Call("call_1", "f", '{"a": 1}')]))
    model, body = f"claude-sonnet-4-5-at-{vendor.dialect}", json.dumps({**BEDROCKS, "tools": TOOLS})
    if stream:
        chunks = runtime.invoke_model_with_response_stream(modelId=model, body=body)["body"]
        events = [json.loads(piece["chunk"]["bytes"]) for piece in chunks]
        deltas = [event["delta"] for event in events if event["type"] == "content_block_delta"]
        text, arguments = "".join(piece.get("text", "") for piece in deltas), "".join(piece.get("partial_json", "") for piece in deltas)
        usage = {**events[0]["message"]["usage"], **events[-2]["usage"]}
        stop = events[-2]["delta"]["stop_reason"]
    else:
        message = json.loads(runtime.invoke_model(modelId=model, body=body)["body"].read())
        text, arguments = message["content"][0]["text"], json.dumps(message["content"][1]["input"])
        usage, stop = message["usage"], message["stop_reason"]
    assert (text, json.loads(arguments), stop, vendor.refused) == ("".join(PIECES), {"a": 1}, "tool_use", [])
    assert (usage["input_tokens"], usage["cache_read_input_tokens"], usage["output_tokens"]) == (100, 30, 50)


@pytest.mark.parametrize("ending", ["error", "close"])
def test_a_stream_that_breaks_off_raises(claude, runtime, vendor, ending):
    vendor.says(Completion(["one ", "two "], breaks=ending))
    model, texts = f"claude-sonnet-4-5-at-{vendor.dialect}", []
    arguments = {"model": model, "max_tokens": 99, "messages": [user("x")]}
    with pytest.raises(anthropic.APIStatusError) as raised, claude.messages.stream(**arguments) as stream:
        texts.extend(stream.text_stream)
    assert (texts, raised.value.body["type"]) == (["one ", "two "], "error")
    events = runtime.invoke_model_with_response_stream(modelId=model, body=json.dumps(BEDROCKS))["body"]
    with pytest.raises(EventStreamError):
        list(events)
    events.close()
