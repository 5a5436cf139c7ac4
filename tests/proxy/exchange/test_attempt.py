"""What an attempt sends to a target, read from attempts that are prepared and never sent."""

import asyncio
import json
from typing import Any

import pytest

from proxy.exchange.attempt import TranslatedAttempt
from proxy.exchange.http_request import HttpRequest
from proxy.exchange.request_context import RequestContext
from proxy.translation.dialects.registry import REGISTRY
from proxy.translation.policies.model_policies import Policies
from tests.support.settings import with_config
from upstreams.catalog.entries import ModelEntry, RouteEntry, UpstreamEntry
from upstreams.routing.plan import Target


def attempt(
    body_fields: dict[str, Any], *, client: str = "openai_chat", upstream: str = "anthropic", version: str = "", **model: Any
) -> TranslatedAttempt:
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "Hi"}], **body_fields}).encode()
    dialect = REGISTRY[client]
    headers = ((b"anthropic-version", version.encode()),) if version else ()
    http = HttpRequest(method="POST", path="/", raw_headers=headers, body=body)
    call = RequestContext(http, dialect, dialect.open_request(body), identity="0" * 24, created=0, seal_key=b"k")
    upstream_entry = UpstreamEntry(id="u", name="u", base_url="http://x", dialect=upstream)
    route = RouteEntry(id="r", upstream=upstream_entry)
    entry = ModelEntry(id="m", name="m", routes=(route,), **model)
    return TranslatedAttempt(
        call, Target(model=entry, route=route, upstream=upstream_entry, credential=None, remote_name="up", quirks=upstream_entry.quirks)
    )


@pytest.mark.parametrize(
    ("body_fields", "model", "limit"), [({}, {}, 5000), ({"max_tokens": 7}, {}, 7), ({}, {"max_output_tokens": 64_000}, 64_000)]
)
def test_the_default_limit_of_the_settings_goes_up_where_nobody_gave_one(body_fields, model, limit):
    with with_config(default_max_output_tokens=5000):
        assert json.loads(asyncio.run(attempt(body_fields, **model).prepare()).body)["max_tokens"] == limit


@pytest.mark.parametrize(
    ("client", "version", "sent"), [("anthropic", "2023-06-01", 0.2), ("anthropic", "2026-10-21", None), ("anthropic", "", 0.2)]
)
def test_a_policys_temperature_goes_up_only_under_a_version_that_has_it(client, version, sent):
    tried = attempt({"max_tokens": 9}, client=client, version=version, policies=Policies(temperature=0.2))
    assert json.loads(asyncio.run(tried.prepare()).body).get("temperature") == sent


def test_hosted_tools_that_the_target_lacks_are_noted_for_the_log():
    own = {"name": "f", "input_schema": {"type": "object"}}
    search = {"type": "web_search_20250305", "name": "web_search"}
    notes = []
    for tools in ([own, search], [own]):
        tried = attempt({"max_tokens": 9, "tools": tools}, client="anthropic", upstream="openai_chat")
        asyncio.run(tried.prepare())
        notes.append(tried.request_metadata)
    assert notes == [{"dropped": ["tools[]"], "dropped_details": ["tool web_search_20250305"]}, {}]


def test_names_that_a_client_invents_are_stored_as_valid_and_bounded_texts():
    tried = attempt({"max_tokens": 9, "a\0b": 1, "pxb_" + "0" * 40: 1, "z" * 500: 1}, client="anthropic", upstream="openai_chat")
    asyncio.run(tried.prepare())
    assert tried.request_metadata == {"dropped": ["ab", "pxb_***", "z" * 200]}


def test_at_most_fifty_paths_are_stored_with_the_number_of_the_others():
    tried = attempt({"max_tokens": 9, **{f"field_{number:03}": 1 for number in range(60)}}, client="anthropic", upstream="openai_chat")
    asyncio.run(tried.prepare())
    assert tried.request_metadata == {"dropped": [*(f"field_{number:03}" for number in range(50)), "and 10 more"]}


def test_what_an_upstream_of_the_same_dialect_gets_has_no_list():
    tried = attempt({"seed": 7, "mood": 1}, client="openai_chat", upstream="openai_chat")
    asyncio.run(tried.prepare())
    assert tried.request_metadata == {}
