"""pydantic-ai's agents against a running gateway, with a provider of each dialect behind it."""

import base64
import json

import anthropic
import openai
import pytest
from pydantic import BaseModel
from pydantic_ai import Agent, BinaryContent, NativeOutput, PromptedOutput, ToolOutput
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.messages import ThinkingPart
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider

from tests.support.vendor_wires import SEALED, SIGNATURE, Call, Completion

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
OSLO = '{"city": "Oslo", "days": 2}'


class Place(BaseModel):
    city: str
    days: int


@pytest.fixture(params=["anthropic", "chat", "responses", "bedrock"])
async def model(request, gateway, vendor):
    """Each of its models; Bedrock's is InvokeModel by Anthropic's SDK."""
    claude, gpt = f"claude-sonnet-4-5-at-{vendor.dialect}", f"gpt-5-at-{vendor.dialect}"
    if request.param == "anthropic":
        client = anthropic.AsyncAnthropic(base_url=gateway.url, api_key=gateway.client_key, max_retries=0)
    elif request.param == "bedrock":
        keys = {"aws_access_key": gateway.client_key, "aws_secret_key": "not checked", "aws_region": "us-east-1"}
        client = anthropic.AsyncAnthropicBedrock(base_url=gateway.url, max_retries=0, **keys)
    else:
        client = openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.client_key, max_retries=0)
    async with client:
        if request.param in ("anthropic", "bedrock"):
            yield AnthropicModel(claude, provider=AnthropicProvider(anthropic_client=client))
        elif request.param == "chat":
            yield OpenAIChatModel(gpt, provider=OpenAIProvider(openai_client=client))
        else:
            yield OpenAIResponsesModel(gpt, provider=OpenAIProvider(openai_client=client))


def spent(run):
    return run.usage.input_tokens, run.usage.output_tokens, run.usage.cache_read_tokens


async def test_a_text(model, vendor):
    vendor.says(Completion(["Grü", "ße"]))
    run = await Agent(model, system_prompt="Be brief.", instructions="Be kind.").run("Hi")
    assert (run.output, spent(run), run.all_messages()[-1].finish_reason) == ("Grüße", (150, 50, 30), "stop")
    sent_body = json.dumps(vendor.last)
    assert ("Be brief." in sent_body, "Be kind." in sent_body, vendor.refused) == (True, True, [])


async def test_a_stream(model, vendor):
    vendor.says(Completion(["Grü", "ße"]))
    async with Agent(model).run_stream("Hi") as run:
        assert [text async for text in run.stream_text(delta=True, debounce_by=None)] == ["Grü", "ße"]
        assert spent(run) == (150, 50, 30)


async def test_a_conversation_with_tools(model, vendor):
    agent = Agent(model)

    @agent.tool_plain
    def get_weather(city: str) -> str:
        return f"rain in {city}"

    @agent.tool_plain
    def look() -> list:
        return ["see", BinaryContent(base64.b64decode(PIXEL), media_type="image/png")]

    calls = [
        Call("call_1", "get_weather", '{"city": "Oslo"}'),
        Call("call_2", "get_weather", '{"city": "Rome"}'),
        Call("call_3", "look", ""),
    ]
    vendor.says(Completion("Let me see.", calls=calls, thinking=["hm", "m"]), Completion("It rains."))
    run = await agent.run("How is it outside?")
    assert (run.output, vendor.refused) == ("It rains.", [])
    sent_body = json.dumps(vendor.last)
    assert [sent_body.count(text) for text in ("rain in Oslo", "rain in Rome", PIXEL, "pxr1.")] == [1, 1, 1, 0]
    thoughts = [part.content for message in run.all_messages() for part in message.parts if isinstance(part, ThinkingPart)]
    assert thoughts == ["hmm"]


@pytest.mark.parametrize("asks", [True, False])
async def test_thinking_is_sent_back_to_its_provider(model, vendor, asks):
    settings = {"openai_reasoning_effort": "low", "openai_reasoning_summary": "auto"}
    if isinstance(model, AnthropicModel):
        settings = {"anthropic_thinking": {"type": "enabled", "budget_tokens": 2000}, "max_tokens": 4000}
    vendor.says(Completion("One.", thinking="well"), Completion("Two."))
    agent = Agent(model, model_settings=settings if asks else {})
    first = await agent.run("a")
    assert [part.part_kind for part in first.all_messages()[-1].parts] == ["thinking", "text"]
    second = await agent.run("b", message_history=first.all_messages())
    assert (second.output, vendor.refused) == ("Two.", [])
    sent_body = json.dumps(vendor.last)
    assert "pxr1." not in sent_body
    if not isinstance(model, OpenAIChatModel):  # which keeps thinking to itself
        sealed = {"anthropic": SIGNATURE, "bedrock": SIGNATURE, "openai_responses": SEALED, "openai_chat": "well"}[vendor.dialect]
        assert sent_body.count(sealed) == 1


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("output_mode", [ToolOutput, NativeOutput, PromptedOutput])
async def test_structured_output(model, vendor, output_mode, stream):
    vendor.says(
        Completion(calls=[Call("call_1", "final_result", OSLO)]) if output_mode is ToolOutput else Completion([OSLO[:12], OSLO[12:]])
    )
    agent = Agent(model, output_type=output_mode(Place))
    if stream:
        async with agent.run_stream("x") as run:
            output = await run.get_output()
    else:
        output = (await agent.run("x")).output
    assert (output, vendor.refused) == (Place(city="Oslo", days=2), [])


async def test_pictures_and_documents(model, vendor):
    picture = BinaryContent(base64.b64decode(PIXEL), media_type="image/png")
    run = await Agent(model).run(["look", picture, BinaryContent(b"%PDF-1.4\n", media_type="application/pdf")])
    sent_body = json.dumps(vendor.last)
    assert (run.output, PIXEL in sent_body, "JVBERi0xLjQK" in sent_body, vendor.refused) == ("Hello", True, True, [])


async def test_an_answer_that_was_cut(model, vendor):
    vendor.says(Completion("Cut", stop="length"))
    run = await Agent(model).run("a")
    assert (run.output, run.all_messages()[-1].finish_reason) == ("Cut", "length")


@pytest.mark.filterwarnings("ignore")  # the client says itself what it leaves out for its model
async def test_settings_that_not_every_provider_knows(model, vendor):
    settings = {"max_tokens": 50, "temperature": 0.3, "stop_sequences": ["x"], "seed": 4, "parallel_tool_calls": False}
    run = await Agent(model).run("x", model_settings=settings)
    assert (run.output, vendor.refused) == ("Hello", [])


@pytest.mark.parametrize(("status", "client_status"), [(429, 429), (500, 500), (401, 502)])
async def test_errors(model, vendor, status, client_status):
    vendor.fails(status, "so it goes")
    with pytest.raises(ModelHTTPError) as raised:
        await Agent(model).run("x")
    bedrocks = {502: 424}
    is_bedrock = isinstance(getattr(model, "client", None), anthropic.AsyncAnthropicBedrock)
    assert raised.value.status_code == (bedrocks.get(client_status, client_status) if is_bedrock else client_status)
