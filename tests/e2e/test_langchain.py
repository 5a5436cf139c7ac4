"""LangChain's chat models against a running gateway, with upstreams of every dialect behind it."""

import pytest
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel


class Place(BaseModel):
    """A place."""

    city: str


@tool
def get_weather(city: str) -> str:
    """The weather of a city."""
    return f"rain in {city}"


@pytest.fixture(params=["anthropic", "openai", "responses"])
def chat(request, gateway, model):
    if request.param == "anthropic":
        return ChatAnthropic(model=model, base_url=gateway.url, api_key=gateway.client_key, max_retries=0, max_tokens=1000)
    responses = request.param == "responses"
    url = f"{gateway.url}/v1"
    return ChatOpenAI(model=model, base_url=url, api_key=gateway.client_key, max_retries=0, stream_usage=True, use_responses_api=responses)


def test_a_text(chat):
    answer = chat.invoke("Hello there")
    assert (answer.text, answer.usage_metadata["output_tokens"]) == ("Hello there", 3)


def test_a_stream(chat):
    assert [text for chunk in chat.stream("one two three") if (text := chunk.text)] == ["one ", "two ", "three"]


def test_a_conversation_with_a_tool(chat):
    with_tools = chat.bind_tools([get_weather])
    question = HumanMessage('get_weather {"city": "Oslo"}')
    first = with_tools.invoke([question])
    (call,) = first.tool_calls
    assert (call["name"], call["args"]) == ("get_weather", {"city": "Oslo"})
    result = ToolMessage(get_weather.invoke(call["args"]), tool_call_id=call["id"])
    assert with_tools.invoke([question, first, result]).text == "rain in Oslo"


def test_structured_output(chat):
    assert chat.with_structured_output(Place).invoke('{"city": "Oslo"}') == Place(city="Oslo")
