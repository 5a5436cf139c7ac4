"""The official SDKs, pointed at a running gateway."""

from collections.abc import Iterator

import anthropic
import openai
import pytest

from tests.support.gateway import Gateway


@pytest.fixture(params=["echo", "echo-anthropic"])
def model(request: pytest.FixtureRequest) -> str:
    """Every test runs with an upstream of either dialect: once translated, once passed through."""
    return str(request.param)


@pytest.fixture
def claude(gateway: Gateway) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=gateway.url, api_key=gateway.client_key, max_retries=0, timeout=30) as client:
        yield client


@pytest.fixture
def gpt(gateway: Gateway) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.client_key, max_retries=0, timeout=30) as client:
        yield client


@pytest.fixture
async def async_claude(gateway: Gateway):
    async with anthropic.AsyncAnthropic(base_url=gateway.url, api_key=gateway.client_key, max_retries=0, timeout=30) as client:
        yield client


@pytest.fixture
async def async_gpt(gateway: Gateway):
    async with openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.client_key, max_retries=0, timeout=30) as client:
        yield client
