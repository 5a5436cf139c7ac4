"""Anthropic's Python SDK against a running gateway, with upstreams of every dialect behind it."""

import anthropic
import pydantic
import pytest

TOOLS = [
    {
        "name": name,
        "description": f"The {name} of a city.",
        "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    }
    for name in ("get_weather", "get_time")
]
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


class Place(pydantic.BaseModel):
    city: str
    days: int


def user(content):
    return {"role": "user", "content": content}


def ask(claude, model, content, **options):
    return claude.messages.create(model=model, max_tokens=4000, messages=[user(content)], **options)


def test_a_text(claude, model):
    message = ask(claude, model, "Hello there", system="Be brief.")
    assert [block.model_dump(exclude_none=True) for block in message.content] == [{"type": "text", "text": "Hello there"}]
    assert (message.type, message.role, message.model, message.stop_reason, message.stop_sequence) == (
        "message",
        "assistant",
        model,
        "end_turn",
        None,
    )
    assert (message.usage.output_tokens, message.usage.input_tokens > 2, message.id[:4]) == (3, True, "msg_")


async def test_a_text_asynchronously(async_claude, model):
    message = await ask(async_claude, model, "Hello there")
    assert message.content[0].text == "Hello there"


def test_a_stream_has_one_event_for_each_piece_of_text(claude, model):
    with claude.messages.stream(model=model, max_tokens=100, messages=[user("one two three")]) as stream:
        assert list(stream.text_stream) == ["one ", "two ", "three"]
        final = stream.get_final_message()
    assert (final.content[0].text, final.stop_reason, final.usage.output_tokens, final.model) == ("one two three", "end_turn", 4, model)


async def test_the_events_of_a_stream_in_order(async_claude, model):
    async with async_claude.messages.stream(model=model, max_tokens=100, messages=[user("one two")]) as stream:
        kinds = [event.type async for event in stream if event.type not in ("ping", "text", "thinking", "signature")]
    assert kinds == [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]


def test_a_conversation_with_a_tool(claude, model):
    question = user('get_weather {"city": "Oslo"}')
    first = claude.messages.create(model=model, max_tokens=1000, messages=[question], tools=TOOLS)
    (call,) = first.content
    assert (call.type, call.name, call.input, first.stop_reason) == ("tool_use", "get_weather", {"city": "Oslo"}, "tool_use")
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "21 degrees"}
    messages = [question, {"role": "assistant", "content": first.content}, user([result])]
    second = claude.messages.create(model=model, max_tokens=1000, messages=messages, tools=TOOLS)
    assert (second.content[0].text, second.stop_reason) == ("21 degrees", "end_turn")


def test_parallel_tools_with_results_that_hold_images(claude, model):
    question = user('get_weather {"city": "Oslo"} and get_time {"city": "Rome"}')
    with claude.messages.stream(model=model, max_tokens=1000, messages=[question], tools=TOOLS) as stream:
        first = stream.get_final_message()
    assert [(call.name, call.input) for call in first.content] == [("get_weather", {"city": "Oslo"}), ("get_time", {"city": "Rome"})]
    assert len({call.id for call in first.content}) == 2
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
    contents = ["21 degrees", [{"type": "text", "text": "noon"}, image]]
    results = [
        {"type": "tool_result", "tool_use_id": call.id, "content": content} for call, content in zip(first.content, contents, strict=True)
    ]
    messages = [question, {"role": "assistant", "content": first.content}, user(results)]
    second = claude.messages.create(model=model, max_tokens=1000, messages=messages, tools=TOOLS)
    assert second.content[0].text.startswith("21 degrees\nnoon")


def test_a_forced_tool_and_no_parallel_calls(claude, model):
    forced = ask(claude, model, "hello", tools=TOOLS, tool_choice={"type": "tool", "name": "get_time"})
    assert [(call.name, call.input) for call in forced.content] == [("get_time", {"city": "city"})]
    single = {"type": "auto", "disable_parallel_tool_use": True}
    assert [call.name for call in ask(claude, model, "get_weather get_time", tools=TOOLS, tool_choice=single).content] == ["get_weather"]
    assert ask(claude, model, "get_weather", tools=TOOLS, tool_choice={"type": "none"}).content[0].type == "text"


def test_an_image_and_a_document_reach_the_model(claude, model):
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
    document = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0xLjQK"}}
    message = ask(claude, model, [image, document, {"type": "text", "text": "look"}])
    assert message.content[0].text == "look\n[image/png, 70 bytes]\n[application/pdf, 9 bytes]"


def test_thinking_comes_first_and_goes_back(claude, model):
    thinking = {"type": "enabled", "budget_tokens": 2048}
    question = user('get_weather {"city": "Oslo"}')
    first = claude.messages.create(model=model, max_tokens=4000, messages=[question], tools=TOOLS, thinking=thinking)
    assert [block.type for block in first.content] == ["thinking", "tool_use"]
    assert first.content[0].thinking.startswith("The prompt has ")
    assert first.content[0].signature
    result = {"type": "tool_result", "tool_use_id": first.content[1].id, "content": "21 degrees"}
    messages = [question, {"role": "assistant", "content": first.content}, user([result])]
    second = claude.messages.create(model=model, max_tokens=4000, messages=messages, tools=TOOLS, thinking=thinking)
    assert [block.type for block in second.content] == ["thinking", "text"]


def test_thinking_in_a_stream(claude, model):
    thinking = {"type": "enabled", "budget_tokens": 2048}
    with claude.messages.stream(model=model, max_tokens=4000, messages=[user("hi there")], thinking=thinking) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_message()
    assert kinds.index("thinking") < kinds.index("text")
    assert [block.type for block in final.content] == ["thinking", "text"]
    assert final.content[0].signature


def test_structured_output(claude, model):
    parsed = claude.messages.parse(model=model, max_tokens=100, messages=[user("Oslo")], output_format=Place)
    assert parsed.parsed_output == Place(city="Oslo", days=1)


def test_limits_and_stop_sequences(claude, model):
    numbers = [f"{number:03} " for number in range(20)]
    cut = claude.messages.create(model=model, max_tokens=16, messages=[user("".join(numbers))])  # Responses knows no limit below 16
    assert (cut.content[0].text, cut.stop_reason) == ("".join(numbers[:16]), "max_tokens")
    stopped = ask(claude, model, "one two three", stop_sequences=["two"])
    # Chat Completions never says that a stop sequence ended the answer, or which one; Responses has none.
    claudes = ("one ", "stop_sequence", "two")
    expected_by_model = {"echo": ("one ", "end_turn", None), "echo-responses": ("one two three", "end_turn", None)}
    assert (stopped.content[0].text, stopped.stop_reason, stopped.stop_sequence) == expected_by_model.get(model, claudes)


def test_a_refusal(claude, model):
    assert ask(claude, model, "[echo stop=refusal] no").stop_reason == "refusal"


@pytest.mark.parametrize(
    ("status", "exception", "client_status", "kind"),
    [
        (400, anthropic.BadRequestError, 400, "invalid_request_error"),
        (401, anthropic.InternalServerError, 502, "api_error"),
        (403, anthropic.PermissionDeniedError, 403, "permission_error"),
        (404, anthropic.NotFoundError, 404, "not_found_error"),
        (413, anthropic.RequestTooLargeError, 413, "request_too_large"),
        (422, anthropic.BadRequestError, 400, "invalid_request_error"),
        (429, anthropic.RateLimitError, 429, "rate_limit_error"),
        (500, anthropic.InternalServerError, 500, "api_error"),
        (502, anthropic.InternalServerError, 502, "api_error"),
        (503, anthropic.OverloadedError, 529, "overloaded_error"),
        (504, anthropic.DeadlineExceededError, 504, "timeout_error"),
        (529, anthropic.OverloadedError, 529, "overloaded_error"),
    ],
)
def test_an_upstreams_error_has_the_class_that_the_sdk_knows(claude, model, status, exception, client_status, kind):
    with pytest.raises(anthropic.APIStatusError) as raised:
        ask(claude, model, f'[echo status={status} message="so it goes"]')
    error = raised.value
    assert (type(error), error.status_code, error.body["type"], error.body["error"]["type"]) == (exception, client_status, "error", kind)
    assert error.request_id
    if status != 401:
        assert "so it goes" in error.body["error"]["message"]


def test_a_rate_limit_says_when_to_come_back(claude, model):
    with pytest.raises(anthropic.RateLimitError) as raised:
        ask(claude, model, "[echo status=429 retry_after=7]")
    assert raised.value.response.headers["retry-after"] == "7"


def test_a_bad_key_is_an_authentication_error(claude, model):
    stranger = claude.with_options(api_key="pxb_" + "0" * 40)
    with pytest.raises(anthropic.AuthenticationError) as raised:
        ask(stranger, model, "hello")
    assert raised.value.body["error"] == {"type": "authentication_error", "message": "Invalid API key"}


def test_an_unknown_model_is_not_found(claude):
    with pytest.raises(anthropic.NotFoundError) as raised:
        ask(claude, "no-such-model", "hello")
    assert raised.value.body["error"]["type"] == "not_found_error"


def test_a_malformed_request_is_refused(claude, model):
    with pytest.raises(anthropic.BadRequestError) as raised:
        claude.messages.create(model=model, max_tokens=100, messages="hello")
    assert raised.value.body["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize("order", ["fail_after=2", "reset_after=2", "cut_after=2"])
def test_a_stream_that_fails_on_the_way_raises(claude, model, order):
    texts = []
    options = {"model": model, "max_tokens": 100, "messages": [user(f"one two three [echo {order}]")]}
    with pytest.raises(anthropic.APIStatusError) as raised, claude.messages.stream(**options) as stream:
        texts.extend(stream.text_stream)
    assert texts == ["one ", "two "]
    assert raised.value.body["type"] == "error"


def test_models_are_listed_in_anthropics_shape(claude):
    listed = {model.id: model for model in claude.models.list(limit=1000)}
    assert {"echo", "echo-anthropic"} <= set(listed)
    assert (listed["echo"].type, listed["echo"].created_at.year >= 2020) == ("model", True)
    assert claude.models.retrieve("echo").id == "echo"


def test_the_request_id_can_be_read(claude, model):
    answer = claude.messages.with_raw_response.create(
        model=model, max_tokens=10, messages=[user("hi")], extra_headers={"x-request-id": "mine-1"}
    )
    assert (answer.headers["x-request-id"], answer.headers["request-id"]) == ("mine-1", "mine-1")
