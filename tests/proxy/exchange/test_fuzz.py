"""Hostile request bodies on the way from the client to the call of an upstream, in every pair of dialects."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.keys import Key
from billing.request_log.entry import Meter
from proxy.exchange.admission import check_named_models
from proxy.exchange.attempt import TranslatedAttempt
from proxy.exchange.http_request import HttpRequest
from proxy.exchange.request_context import RequestContext
from proxy.exchange.requirements import collect_requirements
from proxy.exchange.tool_call_enforcement import enforcement_for
from proxy.translation.dialects.openai_responses import history
from proxy.translation.dialects.registry import REGISTRY
from proxy.translation.errors import ClientMistake
from proxy.translation.quirks import DEFAULT
from proxy.translation.token_estimate import estimate_input_tokens
from proxy.translation.untranslated.bodies import open_any, open_json
from tests.support.cases import ROOT
from tests.support.hostile_json import hostile_bodies, strict_json
from tests.support.sizes import fuzzed
from upstreams.catalog.entries import ModelEntry, RouteEntry, UpstreamEntry
from upstreams.catalog.snapshot import ResolvedModel
from upstreams.routing.plan import Target

REQUESTS = {name: [path.read_bytes() for path in sorted((ROOT / name).glob("*/request.json"))] for name in REGISTRY}
MODEL_IN_PATH = ("bedrock", "bedrock_converse", "gemini")
METER = {"id": "i", "timestamp": 0, "started": 0, "request_id": "r", "method": "POST", "path": "/", "dialect": "openai_chat"}
KEY = Key(id="1", name="one", allowed_models=("m",))


def is_object(body: bytes) -> bool:
    with suppress(ValueError):
        return isinstance(strict_json(body), dict)
    return False


REQUESTS = {name: [body for body in bodies if is_object(body)] for name, bodies in REQUESTS.items()}
BODIES_OF_MESSAGES = [json.loads(body) for body in REQUESTS["anthropic"]]
REQUESTS["bedrock"] = [json.dumps({name: body[name] for name in body if name != "model"}).encode() for body in BODIES_OF_MESSAGES]


@pytest.mark.parametrize("client", sorted(REGISTRY))
@given(data=st.data(), upstream=st.sampled_from(sorted(REGISTRY)))
@fuzzed()
def test_what_goes_up_is_json_and_names_the_model_that_was_checked(client: str, data: st.DataObject, upstream: str) -> None:
    body = data.draw(hostile_bodies(REQUESTS[client]))
    dialect = REGISTRY[client]
    route = RouteEntry(id="r", upstream=UpstreamEntry(id="u", name="u", base_url="http://x", dialect=upstream), remote_name="remote")
    model = ModelEntry(id="m", name="m", routes=(route, route))
    target = Target(model=model, route=route, upstream=route.upstream, remote_name="remote", credential=None, quirks=DEFAULT)
    with suppress(ClientMistake):
        http = HttpRequest(method="POST", path="/", body=body)
        envelope = dialect.open_for_model(body, "m")
        with suppress(ClientMistake):
            asyncio.run(check_named_models(KEY, envelope, ""))
        history.item_references(envelope)
        enforcement = enforcement_for(http, envelope, model)
        context = RequestContext(http, dialect, envelope, identity="0" * 24, created=0, seal_key=b"k" * 32, enforcement=enforcement)
        collect_requirements(context, ResolvedModel(model, "m"), meter=Meter(**METER))
        context.preparer.find_unanswered_calls()
        prepared = asyncio.run(TranslatedAttempt(context, target).prepare())
        assert models_of(prepared.body) == ([] if upstream in MODEL_IN_PATH else ["remote"])
        with suppress(ClientMistake):
            assert estimate_input_tokens(context.preparer.request) >= 0


@given(body=hostile_bodies(REQUESTS["openai_chat"]))
@fuzzed()
def test_untranslated_json_names_the_model_that_was_checked(body: bytes) -> None:
    with suppress(ClientMistake):
        assert models_of(open_json(body, default="usual").with_model("remote")) == ["remote"]
    with suppress(ClientMistake):
        opened = open_any(body, {"content-type": "application/json"}, default="usual")
        sent_body = opened.with_model("remote")
        if is_object(sent_body):
            assert [model for model in models_of(sent_body) if isinstance(model, str)] in (["remote"], [])


def models_of(body: bytes) -> list[object]:
    """What any parser may take for the model of a body."""
    return [value for name, value in strict_json(body).items() if name.strip().casefold() == "model"]
