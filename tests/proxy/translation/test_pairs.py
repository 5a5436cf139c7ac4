"""All pairs: what a client sends arrives at every kind of upstream, as far as its dialect can express it.

Nothing here knows a pair. A client's body is what an upstream of its own dialect would get; it is read as a client's body and
made ready for each target, and what the target reads is compared with what was said.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.exchange.prepare import Preparer
from proxy.translation.adaptation.adapt import adapt
from proxy.translation.canonical import Request
from proxy.translation.dialects.base import Dialect, EncodeTarget
from proxy.translation.dialects.registry import REGISTRY
from proxy.translation.json_wire import Envelope
from proxy.translation.quirks import Quirks
from tests.support import rules_anthropic, rules_converse, rules_gemini, rules_openai_chat, rules_openai_responses
from tests.support.conversations import requests, with_inline_images
from tests.support.meaning import carried, meaning
from tests.support.sizes import examples

KEY = b"the secret of the pairs"
INLINE_ONLY = {"bedrock_converse"}
"""Dialects without images by URL."""
PAIRS = [(client, target) for client in REGISTRY for target in REGISTRY]


def _check_bedrock(body: dict[str, Any]) -> None:
    assert body.pop("anthropic_version") == "bedrock-2023-05-31"
    assert not {"model", "stream"} & set(body)
    rules_anthropic.check_request(body)


RULES: dict[str, Callable[[dict[str, Any]], None]] = {
    "anthropic": rules_anthropic.check_request,
    "bedrock": _check_bedrock,
    "bedrock_converse": rules_converse.check_request,
    "gemini": rules_gemini.check_request,
    "openai_chat": rules_openai_chat.check_request,
    "openai_responses": rules_openai_responses.check_request,
}


def opened(dialect: Dialect, body: bytes, *, stream: bool) -> Envelope:
    """A client's body, opened at its door: some have the model in the path."""
    return msgspec.structs.replace(dialect.open_for_model(body, "client-model"), stream=stream)


def destination(target: str, *, stream: bool) -> EncodeTarget:
    """An upstream that takes images by URL, also where its dialect's upstreams seldom do."""
    return EncodeTarget(model="upstream-model", dialect=target, upstream="up-1", stream=stream, quirks=Quirks(image_urls=True))


def encoded(request: Request, target: Dialect) -> bytes:
    """The body that an upstream of ``target`` gets for a canonical request."""
    encode_target = destination(target.name, stream=request.stream)
    adapted = adapt(request, encode_target, family=target.family, traits=target.traits)
    return target.encode_request(adapted.request, encode_target)


def read(body: bytes, dialect: Dialect, *, stream: bool) -> Request:
    return dialect.decode_request(opened(dialect, body, stream=stream), KEY)


def compared(client_request: Request, arrived: Request, target: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What should have arrived, and what did."""
    thinks = arrived.reasoning is not None and arrived.reasoning.mode in ("budget", "adaptive")
    due, actual = carried(meaning(client_request), target, thinks=thinks), meaning(arrived)
    actual |= {name: "any" for name, value in due.items() if value == "any"}
    return due, actual


@pytest.mark.parametrize(("client", "target"), PAIRS)
@given(data=st.data())
@settings(max_examples=examples(40), suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_a_conversation_survives_what_the_target_can_carry(client: str, target: str, data: st.DataObject) -> None:
    sink, source = REGISTRY[client], REGISTRY[target]
    original = data.draw(requests(sink.family))
    if INLINE_ONLY & {client, target}:
        original = with_inline_images(original)
    body = encoded(original, sink)
    RULES[client](json.loads(body))
    client_request = read(body, sink, stream=original.stream)
    due, actual = compared(original, client_request, client)
    assert actual == due

    arrived_body = encoded(client_request, source)
    RULES[target](json.loads(arrived_body))
    due, actual = compared(client_request, read(arrived_body, source, stream=original.stream), target)
    assert actual == due


@pytest.mark.parametrize(("client", "target"), PAIRS)
@given(data=st.data())
@settings(max_examples=examples(15), suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_the_same_conversation_gives_the_same_bytes(client: str, target: str, data: st.DataObject) -> None:
    sink = REGISTRY[client]
    original = data.draw(requests(sink.family))
    if INLINE_ONLY & {client, target}:
        original = with_inline_images(original)
    body, encode_target = encoded(original, sink), destination(target, stream=original.stream)
    twice = [
        Preparer(sink, opened(sink, body, stream=original.stream), KEY).prepare(REGISTRY[target], encode_target).body for _ in range(2)
    ]
    assert twice[0] == twice[1]
