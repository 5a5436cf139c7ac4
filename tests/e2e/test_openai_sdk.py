"""OpenAI's Python SDK (Chat Completions) against a running gateway, with upstreams of every dialect behind it."""

import json

import openai
import pydantic
import pytest

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": name,
            "description": f"The {name} of a city.",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        },
    }
    for name in ("get_weather", "get_time")
]
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


class Place(pydantic.BaseModel):
    city: str
    days: int


def user(content):
    return {"role": "user", "content": content}


def ask(gpt, model, content, **options):
    return gpt.chat.completions.create(model=model, messages=[user(content)], **options)


def test_a_text(gpt, model):
    messages = [{"role": "developer", "content": "Be brief."}, user("Hello there")]
    completion = gpt.chat.completions.create(model=model, messages=messages)
    (choice,) = completion.choices
    assert (choice.message.role, choice.message.content, choice.message.tool_calls, choice.finish_reason) == (
        "assistant",
        "Hello there",
        None,
        "stop",
    )
    assert (completion.object, completion.model, completion.id[:9]) == ("chat.completion", model, "chatcmpl-")
    usage = completion.usage
    assert (usage.completion_tokens, usage.prompt_tokens > 2, usage.total_tokens - usage.prompt_tokens) == (3, True, 3)


async def test_a_text_asynchronously(async_gpt, model):
    assert (await ask(async_gpt, model, "Hello there")).choices[0].message.content == "Hello there"


def test_a_stream_has_one_chunk_for_each_piece_of_text(gpt, model):
    chunks = list(ask(gpt, model, "one two three", stream=True, stream_options={"include_usage": True}))
    texts = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]
    assert texts == ["one ", "two ", "three"]
    assert (chunks[0].choices[0].delta.role, chunks[-2].choices[0].finish_reason, chunks[-1].choices) == ("assistant", "stop", [])
    assert [chunk.usage is not None for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert (chunks[-1].usage.completion_tokens, len({(chunk.id, chunk.created, chunk.model) for chunk in chunks})) == (4, 1)


def test_no_usage_chunk_comes_to_those_who_did_not_ask(gpt, model):
    chunks = list(ask(gpt, model, "one two", stream=True))
    assert [chunk for chunk in chunks if not chunk.choices or chunk.usage] == []


async def test_the_stream_helper(async_gpt, model):
    async with async_gpt.chat.completions.stream(model=model, messages=[user("one two")]) as stream:
        deltas = [event.delta async for event in stream if event.type == "content.delta" and event.delta]
        final = await stream.get_final_completion()
    assert (deltas, final.choices[0].message.content, final.choices[0].finish_reason) == (["one ", "two"], "one two", "stop")


def test_a_conversation_with_a_tool(gpt, model):
    question = user('get_weather {"city": "Oslo"}')
    first = gpt.chat.completions.create(model=model, messages=[question], tools=TOOLS).choices[0]
    (call,) = first.message.tool_calls
    assert (call.function.name, json.loads(call.function.arguments), first.finish_reason) == ("get_weather", {"city": "Oslo"}, "tool_calls")
    messages = [question, first.message, {"role": "tool", "tool_call_id": call.id, "content": "21 degrees"}]
    second = gpt.chat.completions.create(model=model, messages=messages, tools=TOOLS).choices[0]
    assert (second.message.content, second.finish_reason) == ("21 degrees", "stop")


def test_parallel_tools_in_a_stream(gpt, model):
    question = user('get_weather {"city": "Oslo"} and get_time {"city": "Rome"}')
    with gpt.chat.completions.stream(model=model, messages=[question], tools=TOOLS) as stream:
        first = stream.get_final_completion().choices[0]
    calls = [(call.function.name, json.loads(call.function.arguments)) for call in first.message.tool_calls]
    assert calls == [("get_weather", {"city": "Oslo"}), ("get_time", {"city": "Rome"})]
    results = [
        {"role": "tool", "tool_call_id": call.id, "content": content}
        for call, content in zip(first.message.tool_calls, ["21 degrees", "noon"], strict=True)
    ]
    calls = [call.model_dump(include={"id", "type", "function"}) for call in first.message.tool_calls]
    for call in calls:
        call["function"].pop("parsed_arguments", None)
    messages = [question, {"role": "assistant", "content": None, "tool_calls": calls}, *results]
    assert gpt.chat.completions.create(model=model, messages=messages, tools=TOOLS).choices[0].message.content == "21 degrees\nnoon"


def test_a_forced_tool_and_no_parallel_calls(gpt, model):
    def names(content, **options):
        return [call.function.name for call in ask(gpt, model, content, tools=TOOLS, **options).choices[0].message.tool_calls or []]

    assert names("hello", tool_choice={"type": "function", "function": {"name": "get_time"}}) == ["get_time"]
    assert names("hello", tool_choice="required") == ["get_weather"]
    assert names("get_weather get_time", parallel_tool_calls=False) == ["get_weather"]
    assert names("get_weather", tool_choice="none") == []


def test_an_image_and_a_file_are_sent_to_the_model(gpt, model):
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}", "detail": "low"}}
    file = {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0xLjQK"}}
    content = ask(gpt, model, [image, file, {"type": "text", "text": "look"}]).choices[0].message.content
    assert content == "look\n[image/png, 70 bytes]\n[application/pdf, 9 bytes]"


def test_reasoning(gpt, model):
    message = ask(gpt, model, "hi there", reasoning_effort="low").choices[0].message
    assert (message.content, message.reasoning_content) == ("hi there", "The prompt has 2 words. I will repeat what I was told.")
    chunks = list(ask(gpt, model, "hi there", reasoning_effort="low", stream=True))
    reasoning = "".join(getattr(chunk.choices[0].delta, "reasoning_content", None) or "" for chunk in chunks)
    assert reasoning == "The prompt has 2 words. I will repeat what I was told."


def test_structured_output(gpt, model):
    parsed = gpt.chat.completions.parse(model=model, messages=[user("Oslo")], response_format=Place)
    assert parsed.choices[0].message.parsed == Place(city="Oslo", days=1)
    with gpt.chat.completions.stream(model=model, messages=[user("Oslo")], response_format=Place) as stream:
        assert stream.get_final_completion().choices[0].message.parsed == Place(city="Oslo", days=1)


def test_limits_and_stop_sequences(gpt, model):
    numbers = [f"{number:03} " for number in range(20)]
    cut = ask(gpt, model, "".join(numbers), max_completion_tokens=16).choices[0]  # Responses knows no limit below 16
    assert (cut.message.content, cut.finish_reason) == ("".join(numbers[:16]), "length")
    stopped = ask(gpt, model, "one two three", stop=["two"]).choices[0]
    expected = "one two three" if model == "echo-responses" else "one "  # Responses has no stop sequences
    assert (stopped.message.content, stopped.finish_reason) == (expected, "stop")


def test_a_refusal(gpt, model):
    assert ask(gpt, model, "[echo stop=refusal] no").choices[0].finish_reason == "content_filter"


@pytest.mark.parametrize(
    ("status", "exception", "client_status"),
    [
        (400, openai.BadRequestError, 400),
        (401, openai.InternalServerError, 502),
        (403, openai.PermissionDeniedError, 403),
        (404, openai.NotFoundError, 404),
        (413, openai.APIStatusError, 413),
        (422, openai.BadRequestError, 400),
        (429, openai.RateLimitError, 429),
        (500, openai.InternalServerError, 500),
        (503, openai.InternalServerError, 503),
        (504, openai.InternalServerError, 504),
        (529, openai.InternalServerError, 503),
    ],
)
def test_an_upstreams_error_has_the_class_that_the_sdk_knows(gpt, model, status, exception, client_status):
    with pytest.raises(openai.APIStatusError) as raised:
        ask(gpt, model, f'[echo status={status} message="so it goes"]')
    error = raised.value
    assert (type(error), error.status_code, set(error.body)) == (exception, client_status, {"message", "type", "param", "code"})
    assert error.request_id
    if status != 401:
        assert "so it goes" in error.body["message"]


def test_a_rate_limit_says_when_to_come_back(gpt, model):
    with pytest.raises(openai.RateLimitError) as raised:
        ask(gpt, model, "[echo status=429 retry_after=7]")
    assert raised.value.response.headers["retry-after"] == "7"


def test_a_bad_key_is_an_authentication_error(gpt, model):
    stranger = gpt.with_options(api_key="pxb_" + "0" * 40)
    with pytest.raises(openai.AuthenticationError) as raised:
        ask(stranger, model, "hello")
    assert (raised.value.code, raised.value.body["message"]) == ("invalid_api_key", "Invalid API key")


def test_an_unknown_model_is_not_found(gpt):
    with pytest.raises(openai.NotFoundError) as raised:
        ask(gpt, "no-such-model", "hello")
    assert raised.value.code == "model_not_found"


def test_a_malformed_request_is_refused(gpt, model):
    with pytest.raises(openai.BadRequestError) as raised:
        gpt.chat.completions.create(model=model, messages="hello")
    assert raised.value.type == "invalid_request_error"


@pytest.mark.parametrize("order", ["fail_after=2", "reset_after=2", "cut_after=2"])
def test_a_stream_that_fails_on_the_way_raises(gpt, model, order):
    texts = []
    with pytest.raises(openai.APIError):
        texts.extend(chunk.choices[0].delta.content for chunk in ask(gpt, model, f"one two three [echo {order}]", stream=True))
    assert [word for word in texts if word] == ["one ", "two "]


def test_models_are_listed_in_openais_shape(gpt):
    listed = {model.id: model for model in gpt.models.list()}
    assert {"echo", "echo-anthropic"} <= set(listed)
    assert (listed["echo"].object, listed["echo"].created > 0) == ("model", True)
    assert gpt.models.retrieve("echo").id == "echo"
