"""llm-comply: responses and streams against the vendors' published schemas, from upstreams of every dialect."""

from importlib.resources import files

import pytest
from llm_comply import runner
from llm_comply.config import ComplianceConfig
from llm_comply.schema import SpecLoader
from llm_comply.tests import get_tests

SPECS = {"openai-chat": "openai_chat", "anthropic": "anthropic", "open-responses": "openresponses"}
AUTH = {"anthropic": {"auth_header": "x-api-key", "use_bearer_prefix": False}}
NAMES = {"openai-chat": "gpt-5", "anthropic": "claude-sonnet-4", "open-responses": "gpt-5"}
"""Parts of model names for which the checks of reasoning run; for other names they are skipped."""


@pytest.mark.filterwarnings("ignore:jsonschema.RefResolver is deprecated:DeprecationWarning")  # used by llm-comply
@pytest.mark.parametrize("api_format", list(SPECS))
def test_every_check_passes_without_an_error(gateway, model, api_format):
    alias = f"{NAMES[api_format]}-{api_format}-at-{model}"
    (row,) = [row for row in gateway.api("GET", "/models", params={"per_page": "1000"}) if row["name"] == model]
    gateway.api("PATCH", f"/models/{row['id']}", json={"aliases": [*row["aliases"], alias]})
    config = ComplianceConfig(base_url=f"{gateway.url}/v1", api_key=gateway.client_key, model=alias, **AUTH.get(api_format, {}))
    checks = get_tests(api_format)
    results = (
        runner.TestRunner(config, checks, SpecLoader(str(files("llm_comply") / "specs" / f"{SPECS[api_format]}.json"))).run_all().results
    )
    assert {result.id: (result.status.value, result.errors) for result in results} == {check.id: ("passed", []) for check in checks}


def test_every_check_of_gemini_passes(gateway, model):
    """No schema of this format is published: its checks look at the fields themselves."""
    alias = f"gemini-3-at-{model}"
    (row,) = [row for row in gateway.api("GET", "/models", params={"per_page": "1000"}) if row["name"] == model]
    gateway.api("PATCH", f"/models/{row['id']}", json={"aliases": [*row["aliases"], alias]})
    auth = {"auth_header": "x-goog-api-key", "use_bearer_prefix": False}
    config = ComplianceConfig(base_url=gateway.url, api_key=gateway.client_key, model=alias, **auth)
    checks = get_tests("google-genai")
    results = runner.TestRunner(config, checks, SpecLoader()).run_all().results
    assert {result.id: (result.status.value, result.errors) for result in results} == {check.id: ("passed", []) for check in checks}
