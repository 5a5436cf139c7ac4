"""OpenAI's SDK, both wires, against a running gateway, with a provider of each dialect behind it that refuses what the real one would."""

import json

import openai
import pydantic
import pytest

from tests.support.vendor_wires import SEALED, SIGNATURE, Call, Completion

PIECES = ["Grüße, ", "дом 日本", "語 👩‍👩‍👧 ", "\u2028 end", "  \n"]
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
NAMES = ("f", "g")
CHAT_TOOLS = [{"type": "function", "function": {"name": name, "description": name, "parameters": SCHEMA}} for name in NAMES]
TOOLS = [{"type": "function", "name": name, "description": name, "parameters": SCHEMA, "strict": False} for name in NAMES]
NESTED = {"a": 1, "b": {"c": [1, 2.5, None, True, 'x"y\\z\nü 👩'], "d": {}}, "e": []}
ARGUMENTS = [['{"a": 1}'], ['{"a": 1}', '{"a": 2}'], ["{}"], [json.dumps(NESTED)], ["{}"] * 9]
ODD_NAMES = ["mcp__a_very_long_server_name_of_some_company__and_a_tool_with_an_even_longer_name", "with.dots", "a/b:c", "x" * 128]
CLAUDES = ("anthropic", "bedrock")

whole_and_streamed = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


class Place(pydantic.BaseModel):
    city: str
    days: int


def user(content):
    return {"role": "user", "content": content}


@pytest.fixture
def chat(gpt, vendor):
    """A chat completion, streamed or not."""

    def asking(*, stream=False, **arguments):
        arguments = {"model": f"gpt-5-at-{vendor.dialect}", "messages": [user("Hi")], **arguments}
        if not stream:
            return gpt.chat.completions.create(**arguments)
        with gpt.chat.completions.stream(stream_options={"include_usage": True}, **arguments) as events:
            return events.get_final_completion()

    return asking


@pytest.fixture
def respond(gpt, vendor):
    """A response, streamed or not."""

    def asking(*, stream=False, **arguments):
        arguments = {"model": f"gpt-5-at-{vendor.dialect}", "input": "Hi", **arguments}
        if not stream:
            return gpt.responses.create(**arguments)
        with gpt.responses.stream(**arguments) as events:
            return events.get_final_response()

    return asking


def back(response):
    """A response's items, as the next request's input."""
    items = [item.model_dump(exclude_none=True, exclude={"parsed_arguments"}) for item in response.output]
    for item in items:
        for part in item.get("content") or ():
            part.pop("parsed", None)
    return items


@pytest.mark.parametrize("split", [0, 1, 7])
@whole_and_streamed
def test_words_and_usage(chat, respond, vendor, stream, split):
    vendor.split = split
    vendor.says(Completion(PIECES))
    completion = chat(stream=stream)
    choice, usage = completion.choices[0], completion.usage
    assert (choice.message.content, choice.finish_reason, choice.message.tool_calls) == ("".join(PIECES), "stop", None)
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (150, 50, 200)
    assert (usage.prompt_tokens_details.cached_tokens, usage.completion_tokens_details.reasoning_tokens) == (30, 10)
    response = respond(stream=stream)
    assert (response.output_text, response.status, response.output[0].status) == ("".join(PIECES), "completed", "completed")
    assert (response.usage.input_tokens, response.usage.output_tokens, response.usage.total_tokens) == (150, 50, 200)
    assert (response.usage.input_tokens_details.cached_tokens, response.usage.output_tokens_details.reasoning_tokens) == (30, 10)


@pytest.mark.parametrize(
    ("stop", "finish", "status", "reason"),
    [
        ("length", "length", "incomplete", "max_output_tokens"),
        ("sequence", "stop", "completed", None),
        ("refusal", "content_filter", "incomplete", "content_filter"),
        ("context", "length", "incomplete", "max_output_tokens"),
    ],
)
def test_why_it_stopped(gpt, chat, respond, vendor, stop, finish, status, reason):
    vendor.says(Completion("Hello", stop=stop))
    (choice,) = chat(stop=["STOP"]).choices
    assert (choice.message.content, choice.finish_reason) == ("Hello", finish)
    arguments = {"model": f"gpt-5-at-{vendor.dialect}", "stream": True}
    chunks = list(gpt.chat.completions.create(messages=[user("Hi")], **arguments))
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices[0].finish_reason] == [finish]
    for response in (respond(), list(gpt.responses.create(input="Hi", **arguments))[-1].response):
        assert (response.output_text, response.status) == ("Hello", status)
        assert (response.incomplete_details and response.incomplete_details.reason) == reason


@pytest.mark.parametrize("arguments_of_calls", ARGUMENTS)
@pytest.mark.parametrize("text", ["", "I will."])
@whole_and_streamed
def test_calls_of_chat_and_their_results(chat, vendor, stream, text, arguments_of_calls):
    vendor.says(Completion(text, calls=calls_with(arguments_of_calls)), Completion("Done"))
    choice = chat(stream=stream, tools=CHAT_TOOLS).choices[0]
    calls = choice.message.tool_calls
    assert [(call.function.name, json.loads(call.function.arguments)) for call in calls] == names_and_values(arguments_of_calls)
    assert (choice.message.content or "", choice.finish_reason) == (text, "tool_calls")
    tool_calls = [
        {"id": call.id, "type": "function", "function": {"name": call.function.name, "arguments": call.function.arguments}}
        for call in calls
    ]
    results = [{"role": "tool", "tool_call_id": call.id, "content": f"<{call.id}>"} for call in reversed(calls)]
    turns = [user("Hi"), {"role": "assistant", "content": choice.message.content, "tool_calls": tool_calls}, *results, user("go on")]
    assert chat(stream=stream, tools=CHAT_TOOLS, messages=turns).choices[0].message.content == "Done"
    sent_body = json.dumps(vendor.last)
    assert ([sent_body.count(f"<{call.id}>") for call in calls], vendor.refused) == ([1] * len(calls), [])


@pytest.mark.parametrize("arguments_of_calls", ARGUMENTS)
@pytest.mark.parametrize("text", ["", "I will."])
@whole_and_streamed
def test_calls_of_responses_and_their_outputs(respond, vendor, stream, text, arguments_of_calls):
    vendor.says(Completion(text, calls=calls_with(arguments_of_calls)), Completion("Done"))
    response = respond(stream=stream, tools=TOOLS)
    calls = [item for item in response.output if item.type == "function_call"]
    assert [(call.name, json.loads(call.arguments)) for call in calls] == names_and_values(arguments_of_calls)
    assert (response.output_text, response.status) == (text, "completed")
    outputs = [{"type": "function_call_output", "call_id": call.call_id, "output": f"<{call.call_id}>"} for call in reversed(calls)]
    assert respond(stream=stream, tools=TOOLS, input=[user("Hi"), *back(response), *outputs]).output_text == "Done"
    sent_body = json.dumps(vendor.last)
    assert ([sent_body.count(f"<{call.call_id}>") for call in calls], vendor.refused) == ([1] * len(calls), [])


def calls_with(arguments_of_calls):
    return [Call(f"call_{number}", NAMES[number % 2], arguments) for number, arguments in enumerate(arguments_of_calls)]


def names_and_values(arguments_of_calls):
    return [(NAMES[number % 2], json.loads(arguments)) for number, arguments in enumerate(arguments_of_calls)]


@pytest.mark.parametrize("name", ODD_NAMES)
@whole_and_streamed
def test_odd_tool_names_come_back_as_they_were(chat, respond, vendor, stream, name):
    if vendor.dialect != "openai_chat":
        tools = [{"type": "function", "function": {**CHAT_TOOLS[0]["function"], "name": name}}, CHAT_TOOLS[1]]
        chat(tools=tools, tool_choice={"type": "function", "function": {"name": name}})
        vendor.says(Completion(calls=[Call("call_1", offered(vendor), '{"a": 1}')]))
        call = chat(stream=stream, tools=tools).choices[0].message.tool_calls[0]
        assert (call.function.name, vendor.refused) == (name, [])
        tool_call = {"id": call.id, "type": "function", "function": {"name": name, "arguments": "{}"}}
        result = {"role": "tool", "tool_call_id": call.id, "content": ""}
        chat(tools=tools, messages=[user("Hi"), {"role": "assistant", "content": None, "tool_calls": [tool_call]}, result])
    if vendor.dialect != "openai_responses":
        tools = [{**TOOLS[0], "name": name}, TOOLS[1]]
        vendor.says(Completion("Hello"))
        respond(tools=tools, tool_choice={"type": "function", "name": name})
        vendor.says(Completion(calls=[Call("call_1", offered(vendor), '{"a": 1}')]))
        response = respond(stream=stream, tools=tools)
        assert (response.output[0].name, vendor.refused) == (name, [])
        respond(tools=tools, input=[user("Hi"), *back(response), {"type": "function_call_output", "call_id": "call_1", "output": ""}])
    assert vendor.refused == []


def offered(vendor):
    """The name under which the provider has the first tool."""
    tool = vendor.last["tools"][0]
    return tool.get("function", tool)["name"]


@pytest.mark.parametrize("choice", ["auto", "none", "required", "g"])
@pytest.mark.parametrize("parallel", [None, False])
def test_the_choice_of_a_tool(chat, respond, vendor, choice, parallel):
    fields = {} if parallel is None else {"parallel_tool_calls": parallel}
    named = choice == "g"
    chat(tools=CHAT_TOOLS, tool_choice={"type": "function", "function": {"name": "g"}} if named else choice, **fields)
    first = chosen(vendor)
    respond(tools=TOOLS, tool_choice={"type": "function", "name": "g"} if named else choice, **fields)
    one_at_most = parallel is False and not (choice == "none" and vendor.dialect in CLAUDES)
    assert (first, chosen(vendor), vendor.refused) == ((choice, one_at_most), (choice, one_at_most), [])


def chosen(vendor):
    """The tool choice that was sent to the provider, and whether it excludes parallel calls."""
    choice = vendor.last["tool_choice"]
    if vendor.dialect in CLAUDES:
        openai_words = {"any": "required", "tool": choice.get("name")}
        return openai_words.get(choice["type"], choice["type"]), choice.get("disable_parallel_tool_use") is True
    if isinstance(choice, dict):
        choice = choice.get("function", choice)["name"]
    return choice, vendor.last.get("parallel_tool_calls") is False


@whole_and_streamed
def test_reasoning_of_responses_goes_back_sealed(respond, vendor, stream):
    arguments = {
        "tools": TOOLS,
        "reasoning": {"effort": "high", "summary": "auto"},
        "store": False,
        "include": ["reasoning.encrypted_content"],
    }
    vendor.says(Completion("I go.", calls=calls_with(['{"a": 1}']), thinking=["Let me ", "think."]), Completion("Done"))
    response = respond(stream=stream, **arguments)
    assert [item.type for item in response.output] == ["reasoning", "message", "function_call"]
    assert response.output[0].summary[0].text == "Let me think."
    output = {"type": "function_call_output", "call_id": response.output[2].call_id, "output": "r"}
    assert respond(stream=stream, input=[user("Hi"), *back(response), output], **arguments).output_text == "Done"
    sent_body = json.dumps(vendor.last)
    seal = {"openai_responses": SEALED, "openai_chat": "reasoning_content"}.get(vendor.dialect, SIGNATURE)
    assert (sent_body.count("Let me think."), sent_body.count(seal), "pxr1." in sent_body, vendor.refused) == (1, 1, False, [])


def test_reasoning_of_chat_goes_back_sealed(chat, vendor):
    vendor.says(Completion("I go.", calls=calls_with(['{"a": 1}']), thinking=["Let me ", "think."]), Completion("Done"))
    message = chat(tools=CHAT_TOOLS, reasoning_effort="high").choices[0].message
    assert (message.reasoning_content, message.content) == ("Let me think.", "I go.")
    assistant_message = message.model_dump(exclude_none=True, exclude={"annotations"})
    chat(
        tools=CHAT_TOOLS,
        messages=[user("Hi"), assistant_message, {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "r"}],
    )
    sent_body = json.dumps(vendor.last)
    seal = {"openai_responses": SEALED, "openai_chat": "reasoning_content"}.get(vendor.dialect, SIGNATURE)
    assert (sent_body.count("Let me think."), sent_body.count(seal), "pxr1." in sent_body, vendor.refused) == (1, 1, False, [])


@whole_and_streamed
def test_parsed_answers(gpt, vendor, stream):
    vendor.says(Completion(['{"city": "Os', 'lo", "days": 3}']))
    model = f"gpt-5-at-{vendor.dialect}"
    if stream:
        with gpt.chat.completions.stream(model=model, messages=[user("x")], response_format=Place) as events:
            parsed = events.get_final_completion().choices[0].message.parsed
        with gpt.responses.stream(model=model, input="x", text_format=Place) as events:
            output = events.get_final_response().output_parsed
    else:
        parsed = gpt.chat.completions.parse(model=model, messages=[user("x")], response_format=Place).choices[0].message.parsed
        output = gpt.responses.parse(model=model, input="x", text_format=Place).output_parsed
    assert (parsed, output, vendor.refused) == (Place(city="Oslo", days=3), Place(city="Oslo", days=3), [])


def test_system_text_at_any_position_is_sent_once(chat, respond, vendor):
    system = [{"role": "developer", "content": "<one>"}, {"role": "system", "content": "<two>"}]
    chat(messages=[*system, user("a"), {"role": "assistant", "content": "b"}, {"role": "system", "content": "<three>"}, user("c")])
    sent_body = json.dumps(vendor.last)
    assert ([sent_body.count(mark) for mark in ("<one>", "<two>", "<three>")], vendor.refused) == ([1, 1, 1], [])
    respond(instructions="<zero>", input=[*system, user("a"), {"role": "assistant", "content": "b"}, system[0], user("c")])
    sent_body = json.dumps(vendor.last)
    assert ([sent_body.count(mark) for mark in ("<zero>", "<one>", "<two>")], vendor.refused) == ([1, 2, 1], [])


def test_a_response_says_what_was_asked(respond):
    arguments = {
        "temperature": 0.5,
        "instructions": "Be brief",
        "metadata": {"a": "b"},
        "max_output_tokens": 99,
        "parallel_tool_calls": False,
    }
    response = respond(**arguments, tools=TOOLS)
    if response.id != "resp_upstream1":  # the provider's own answer says it, or does not
        assert response.model_dump(include={*arguments}) == arguments
        assert [tool.name for tool in response.tools] == ["f", "g"]


@pytest.mark.parametrize(
    ("status", "exception", "code"),
    [
        (400, openai.BadRequestError, None),
        (401, openai.InternalServerError, None),
        (403, openai.PermissionDeniedError, None),
        (404, openai.NotFoundError, "model_not_found"),
        (429, openai.RateLimitError, "rate_limit_exceeded"),
        (500, openai.InternalServerError, None),
        (503, openai.InternalServerError, "overloaded"),
    ],
)
@whole_and_streamed
def test_errors_have_the_class_that_the_sdk_knows(chat, respond, vendor, stream, status, exception, code):
    vendor.fails(status, "so it goes", **{"retry-after": "7"})
    for ask in (chat, respond):
        with pytest.raises(openai.APIStatusError) as raised:
            ask(stream=stream)
        error = raised.value
        assert (type(error), set(error.body), bool(error.request_id)) == (exception, {"message", "type", "param", "code"}, True)
        assert ("so it goes" in error.message) == (status != 401)
        assert code in (None, error.code)
        assert status not in (429, 503) or error.response.headers["retry-after"] == "7"


@pytest.mark.parametrize("ending", ["error", "close"])
def test_a_stream_that_breaks_off_is_no_answer(gpt, vendor, ending):
    vendor.says(Completion(["one ", "two "], breaks=ending))
    arguments, texts = {"model": f"gpt-5-at-{vendor.dialect}", "stream": True}, []
    with pytest.raises(openai.APIError) as raised, gpt.chat.completions.create(messages=[user("x")], **arguments) as chunks:
        texts.extend(chunk.choices[0].delta.content for chunk in chunks)
    assert ([word for word in texts if word], bool(raised.value.message)) == (["one ", "two "], True)
    events = list(gpt.responses.create(input="x", **arguments))
    assert [event.delta for event in events if event.type == "response.output_text.delta"] == ["one ", "two "]
    assert events[-1].type in ("response.failed", "error")
