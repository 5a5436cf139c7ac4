"""Anthropic's and OpenAI's SDKs against Gemini and Converse behind a gateway; their providers refuse what the real ones would."""

import json

import anthropic
import openai
import pytest

from tests.e2e.conftest import CLOUDS, reset
from tests.support.vendor_wires import SIGNATURE, Call, Completion
from tests.support.vendor_wires_clouds import CALL_SIGNATURE

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
LOOKS = Completion("Let me look.", calls=[Call("call_1", "f", '{"a":1}'), Call("call_2", "f", '{"a":2}')], thinking=["I think ", "hard"])
SEALED = {"gemini": CALL_SIGNATURE, "bedrock_converse": SIGNATURE}
"""What each provider must get back with its calls."""

whole_and_streamed = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


@pytest.fixture(params=list(CLOUDS))
def cloud(request, vendors):
    return reset(vendors[request.param])


def name_of(cloud):
    return f"claude-sonnet-4-5-at-{cloud.dialect}"


@whole_and_streamed
def test_a_messages_client_runs_a_tool_loop(claude, cloud, stream):
    cloud.says(LOOKS, Completion(["Do", "ne"]))
    tools = [{"name": "f", "description": "f", "input_schema": SCHEMA}]
    thinking = {"type": "enabled", "budget_tokens": 2000}
    arguments = {"model": name_of(cloud), "max_tokens": 9000, "tools": tools, "thinking": thinking}

    def ask(messages):
        if not stream:
            return claude.messages.create(messages=messages, **arguments)
        with claude.messages.stream(messages=messages, **arguments) as events:
            return events.get_final_message()

    first = ask([{"role": "user", "content": "Hi"}])
    assert (first.content[0].thinking, first.stop_reason) == ("I think hard", "tool_use")
    calls = [block for block in first.content if block.type == "tool_use"]
    assert [call.input for call in calls] == [{"a": 1}, {"a": 2}]
    results = [{"type": "tool_result", "tool_use_id": call.id, "content": "seen"} for call in calls]
    messages = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": first.content}, {"role": "user", "content": results}]
    last = ask(messages)
    assert ([block.text for block in last.content], last.stop_reason, cloud.refused) == (["Done"], "end_turn", [])
    usage = last.usage
    assert (usage.input_tokens + usage.cache_creation_input_tokens, usage.cache_read_input_tokens, usage.output_tokens) == (120, 30, 50)
    sent = json.dumps(cloud.last)
    assert SEALED[cloud.dialect] in sent
    assert "I think hard" in sent


@whole_and_streamed
def test_a_chat_client_runs_a_tool_loop(gpt, cloud, stream):
    cloud.says(LOOKS, Completion(["Do", "ne"]))
    tools = [{"type": "function", "function": {"name": "f", "parameters": SCHEMA}}]
    arguments = {"model": name_of(cloud), "tools": tools, "reasoning_effort": "low"}
    first = gpt.chat.completions.create(messages=[{"role": "user", "content": "Hi"}], **arguments).choices[0]
    assert (first.message.reasoning_content, first.finish_reason) == ("I think hard", "tool_calls")
    results = [{"role": "tool", "tool_call_id": call.id, "content": "seen"} for call in first.message.tool_calls]
    messages = [{"role": "user", "content": "Hi"}, first.message.model_dump(exclude_none=True), *results]
    answer = gpt.chat.completions.create(messages=messages, stream=stream, **arguments)
    text = (
        "".join(chunk.choices[0].delta.content or "" for chunk in answer if chunk.choices) if stream else answer.choices[0].message.content
    )
    assert (text, cloud.refused) == ("Done", [])
    assert SEALED[cloud.dialect] in json.dumps(cloud.last)


@whole_and_streamed
def test_a_responses_client_runs_a_tool_loop(gpt, cloud, stream):
    cloud.says(LOOKS, Completion(["Do", "ne"]))
    tools = [{"type": "function", "name": "f", "parameters": SCHEMA, "strict": False}]
    arguments = {"model": name_of(cloud), "tools": tools, "reasoning": {"effort": "low", "summary": "auto"}, "store": False}

    def ask(items):
        if not stream:
            return gpt.responses.create(input=items, **arguments)
        with gpt.responses.stream(input=items, **arguments) as events:
            return events.get_final_response()

    first = ask([{"role": "user", "content": "Hi"}])
    calls = [item for item in first.output if item.type == "function_call"]
    assert [json.loads(call.arguments) for call in calls] == [{"a": 1}, {"a": 2}]
    items = [item.model_dump(exclude_none=True, exclude={"parsed_arguments"}) for item in first.output]
    for item in items:
        for part in item.get("content") or ():
            part.pop("parsed", None)
    results = [{"type": "function_call_output", "call_id": call.call_id, "output": "seen"} for call in calls]
    last = ask([{"role": "user", "content": "Hi"}, *items, *results])
    assert (last.output_text, cloud.refused) == ("Done", [])
    assert SEALED[cloud.dialect] in json.dumps(cloud.last)


@whole_and_streamed
def test_errors_keep_their_words(claude, cloud, stream):
    cloud.fails(429, "not so fast")
    with pytest.raises(anthropic.RateLimitError, match="not so fast"):
        claude.messages.create(model=name_of(cloud), max_tokens=9, messages=[{"role": "user", "content": "Hi"}], stream=stream)


@pytest.mark.parametrize("breaks", ["error", "close"])
def test_a_broken_stream_raises(gpt, cloud, breaks):
    cloud.says(Completion(["Hello ", "there"], breaks=breaks))
    with pytest.raises(openai.APIError):
        list(gpt.chat.completions.create(model=name_of(cloud), messages=[{"role": "user", "content": "Hi"}], stream=True))
