"""The official SDKs, pointed at a running gateway."""

from collections.abc import Iterator

import anthropic
import openai
import pytest

from tests.support.fake_upstream import Loop
from tests.support.gateway import Gateway
from tests.support.vendor_wires import Completion
from tests.support.vendors import Vendor

FORMATS = {"openai_chat": "openai", "anthropic": "anthropic", "openai_responses": "openai_responses", "bedrock": "bedrock"}
CLOUDS = {"bedrock_converse": "bedrock_converse", "gemini": "gemini"}
"""Formats whose providers the tests of OpenAI's and Anthropic's wires leave out: ``test_clouds.py`` has them."""


ECHOES = {"openai_chat": "echo", "anthropic": "echo-anthropic", "openai_responses": "echo-responses", "bedrock": "echo-bedrock"}


@pytest.fixture(scope="session")
def echoes(gateway: Gateway) -> dict[str, str]:
    """A model of each dialect that repeats its prompt; two of them reach the gateway itself again, in another dialect."""
    for dialect in ("openai_responses", "bedrock"):
        fields = {"base_url": gateway.url, "api_key": gateway.client_key, "format": dialect, "region": "us-east-1"}
        upstream = gateway.api("POST", "/upstreams", json={"name": ECHOES[dialect], **fields})
        gateway.api("POST", "/models", json={"name": ECHOES[dialect], "upstream_id": upstream["id"], "remote_name": "echo-anthropic"})
    return ECHOES


@pytest.fixture(params=list(ECHOES.values()))
def model(request: pytest.FixtureRequest, echoes: dict[str, str]) -> str:
    """Every test runs with an upstream of each dialect: once passed through where the client speaks it, else translated."""
    return str(request.param)


@pytest.fixture(scope="session")
def claude(gateway: Gateway) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=gateway.url, api_key=gateway.client_key, max_retries=0, timeout=60) as client:
        yield client


@pytest.fixture(scope="session")
def gpt(gateway: Gateway) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.client_key, max_retries=0, timeout=60) as client:
        yield client


@pytest.fixture
async def async_claude(gateway: Gateway):
    async with anthropic.AsyncAnthropic(base_url=gateway.url, api_key=gateway.client_key, max_retries=0, timeout=60) as client:
        yield client


@pytest.fixture
async def async_gpt(gateway: Gateway):
    async with openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.client_key, max_retries=0, timeout=60) as client:
        yield client


@pytest.fixture(scope="session")
def vendors(gateway: Gateway, fake_loop: Loop) -> Iterator[dict[str, Vendor]]:
    """A provider of each dialect, behind models named ``gpt-5-at-<dialect>`` and ``claude-sonnet-4-5-at-<dialect>``.

    Clients go by a model's name where they choose what to send.
    """
    formats = FORMATS | CLOUDS
    vendors_by_dialect = {dialect: Vendor(dialect, fake_loop) for dialect in formats}
    for dialect, vendor in vendors_by_dialect.items():
        models = [f"gpt-5-at-{dialect}", f"claude-sonnet-4-5-at-{dialect}"]
        gateway.add_upstream(vendor.fake, *models, name=f"vendor-{dialect}", format=formats[dialect], region="us-east-1")
    yield vendors_by_dialect
    for vendor in vendors_by_dialect.values():
        vendor.fake.stop()


@pytest.fixture(params=list(FORMATS))
def vendor(request: pytest.FixtureRequest, vendors: dict[str, Vendor]) -> Vendor:
    """Every test runs with a provider of each dialect of ``FORMATS``."""
    return reset(vendors[request.param])


@pytest.fixture(params=[*FORMATS, *CLOUDS])
def any_vendor(request: pytest.FixtureRequest, vendors: dict[str, Vendor]) -> Vendor:
    """Every test runs with a provider of each dialect."""
    return reset(vendors[request.param])


def reset(chosen: Vendor) -> Vendor:
    chosen.split = 0
    chosen.takes_own_clients = False
    chosen.says(Completion("Hello"))
    return chosen
