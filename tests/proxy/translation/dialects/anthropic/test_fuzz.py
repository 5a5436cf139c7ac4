"""The codec raises nothing but its declared failures, for any input."""

import contextlib
import copy
import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.translation.adaptation.adapt import adapt
from proxy.translation.canonical import Failed, Finished, Response
from proxy.translation.dialects.anthropic.dialect import DIALECT
from proxy.translation.dialects.base import EncodeTarget
from proxy.translation.dialects.registry import REGISTRY
from proxy.translation.errors import ClientMistake, UpstreamFailed
from proxy.translation.framing.sse import Frame
from proxy.translation.quirks import DEFAULT
from tests.support.cases import ROOT

KEY = b"a secret"
FOLDER: Path = ROOT / "anthropic"
FIELD_NAMES = [
    "type",
    "role",
    "content",
    "text",
    "user",
    "assistant",
    "system",
    "tool_use",
    "tool_result",
    "thinking",
    "redacted_thinking",
    "image",
    "document",
    "source",
    "base64",
    "url",
    "input",
    "id",
    "name",
    "tool_use_id",
    "signature",
    "data",
    "messages",
    "model",
    "tools",
    "citations",
    "cache_control",
    "server_tool_use",
    "content_block_start",
    "content_block_delta",
    "content_block_stop",
    "message_start",
    "message_delta",
    "message_stop",
    "delta",
    "index",
    "usage",
    "text_delta",
    "input_json_delta",
    "partial_json",
    "error",
    "content_block",
    "pxr1.",
]
names = st.sampled_from(FIELD_NAMES) | st.text(max_size=4)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5000) | st.floats(allow_nan=False, allow_infinity=False) | names,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=6),
    max_leaves=25,
)
NASTY: list[Any] = [None, True, 0, -1, 1.5, "", "x", [], {}, [None], {"type": "text"}, [[]], {"": None}, "\ud800", "pxr1.x", 10**30]


def recorded(name: str) -> list[Any]:
    return [json.loads(file.read_bytes()) for file in sorted(FOLDER.glob(f"*/{name}")) if not file.parent.name.startswith("refusal-")]


def events_in(stream: str) -> list[Any]:
    return [
        json.loads(line[5:]) for line in stream.splitlines() if line.startswith("data: {") and line.endswith("}") and "\\ud83d" not in line
    ]


REQUESTS, ANSWERS = recorded("request.json"), recorded("response.json")
STREAMS = [events_in(file.read_text()) for file in sorted(FOLDER.glob("*/stream.sse"))]


def mutated(value: Any, dice: random.Random) -> Any:
    """``value`` with one of its items replaced, removed or duplicated."""
    value = copy.deepcopy(value)
    places: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        for key in list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ():
            places.append((node, key))
            walk(node[key])

    walk(value)
    if places:
        node, key = dice.choice(places)
        node[key] = dice.choice([*NASTY, *(copy.deepcopy(donor[at]) for donor, at in (dice.choice(places),))])
        if dice.random() < 0.2:
            node.pop(key)
    return value


def expect_translated_or_refused(body: bytes) -> None:
    """Every upstream dialect gets a JSON object, or ``ClientMistake`` is raised."""
    try:
        envelope = DIALECT.open_request(body)
    except ClientMistake:
        return
    for dialect in REGISTRY.values():
        destination = EncodeTarget(model="m", dialect=dialect.name)
        try:
            if dialect is DIALECT:
                DIALECT.patch_request(envelope, destination, KEY)
            adapted = adapt(DIALECT.decode_request(envelope, KEY), destination, family=dialect.family, traits=dialect.traits)
            assert isinstance(json.loads(dialect.encode_request(adapted.request, destination)), dict)
        except ClientMistake:
            continue


@given(st.fixed_dictionaries({"model": names}, optional=dict.fromkeys(("messages", "tools", "system", "thinking", "tool_choice"), values)))
def test_any_request(body: dict[str, Any]) -> None:
    expect_translated_or_refused(json.dumps(body).encode())


@given(st.lists(st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant", "system"]), "content": values}), max_size=4))
def test_any_messages(messages: list[Any]) -> None:
    expect_translated_or_refused(json.dumps({"model": "m", "max_tokens": 5, "messages": messages}).encode())


@pytest.mark.parametrize("seed", range(400))
def test_recorded_requests_with_a_fault(seed: int) -> None:
    dice = random.Random(seed)
    expect_translated_or_refused(json.dumps(mutated(mutated(dice.choice(REQUESTS), dice), dice)).encode())


@given(st.binary(max_size=40))
def test_any_bytes(body: bytes) -> None:
    expect_translated_or_refused(body)
    expect_decoded_or_failed(body)
    expect_one_end([body])
    DIALECT.decode_error(500, {}, body)


def expect_decoded_or_failed(body: bytes) -> None:
    """The response is decoded, or ``UpstreamFailed`` is raised."""
    with contextlib.suppress(UpstreamFailed):
        assert isinstance(DIALECT.decode_response(body, DEFAULT), Response)
    assert isinstance(DIALECT.patch_response(body, "m"), bytes)


@given(values)
def test_any_response(value: Any) -> None:
    body = json.dumps(value).encode()
    expect_decoded_or_failed(body)
    DIALECT.decode_error(400, {}, body)


@pytest.mark.parametrize("seed", range(200))
def test_recorded_responses_with_a_fault(seed: int) -> None:
    dice = random.Random(seed)
    expect_decoded_or_failed(json.dumps(mutated(dice.choice(ANSWERS), dice)).encode())


def expect_one_end(events: list[bytes]) -> None:
    """The stream finishes or fails exactly once, with its last event."""
    machine, relay = DIALECT.decoder(DEFAULT), DIALECT.relay("m", False)
    events_of_stream = []
    for data in events:
        frame = Frame(data)
        events_of_stream += machine.feed(frame)
        assert relay(frame) is not None
    events_of_stream += machine.close()
    assert [type(event) in (Finished, Failed) for event in events_of_stream] == [False] * (len(events_of_stream) - 1) + [True]


@given(st.lists(values, max_size=6))
def test_any_stream(events: list[Any]) -> None:
    expect_one_end([json.dumps(event).encode() for event in events])


@pytest.mark.parametrize("seed", range(300))
def test_recorded_streams_with_a_fault(seed: int) -> None:
    dice = random.Random(seed)
    events = dice.choice(STREAMS)
    expect_one_end([json.dumps(mutated(event, dice) if dice.random() < 0.4 else event).encode() for event in events])


@pytest.mark.parametrize("depth", [100, 5000, 200_000])
def test_deep_nesting(depth: int) -> None:
    deep = b"[" * depth + b"]" * depth
    expect_translated_or_refused(
        b'{"model":"m","max_tokens":1,"messages":[{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"b","input":{"a":'
        + deep
        + b"}}]}]}"
    )
    expect_translated_or_refused(
        b'{"model":"m","max_tokens":1,"messages":[{"role":"user","content":[{"type":"hologram","text":' + deep + b"}]}]}"
    )
    expect_translated_or_refused(
        b'{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"a"}],"tools":[{"name":"f","input_schema":{"a":' + deep + b"}}]}"
    )
    expect_decoded_or_failed(b'{"content":[{"type":"hologram","text":' + deep + b"}]}")
    expect_one_end(
        [
            b'{"type":"content_block_start","index":0,"content_block":{"type":"hologram","text":' + deep + b"}}",
            b'{"type":"content_block_stop","index":0}',
        ]
    )
