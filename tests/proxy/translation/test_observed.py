"""What coding agents really send, for every kind of upstream: recorded bodies, judged by the rules of each API."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from proxy.exchange.prepare import Preparer
from proxy.translation.canonical import Tool
from proxy.translation.dialects.registry import REGISTRY
from proxy.translation.errors import ClientMistake
from tests.proxy.translation.test_pairs import KEY, RULES, destination, encoded

ROOT = Path(__file__).parent.parent.parent / "cases" / "observed"
DIALECT_OF = {"/v1/messages": "anthropic", "/v1/responses": "openai_responses"}
RECORDED = [(file.stem, number) for file in sorted(ROOT.glob("*.json")) for number in range(len(json.loads(file.read_bytes())))]
THREADS = "sdk-anthropic-python-tool-runner-threads"
AGENTS = [recorded for recorded in RECORDED if recorded[0] != THREADS]


def recorded(name: str, number: int) -> tuple[str, dict[str, Any]]:
    """The dialect and the body of one request."""
    request = json.loads((ROOT / f"{name}.json").read_bytes())[number]
    return DIALECT_OF[request["path"]], request["body"]


@pytest.mark.parametrize("target", REGISTRY)
@pytest.mark.parametrize(("name", "number"), AGENTS)
def test_a_recorded_request_keeps_the_targets_rules(name: str, number: int, target: str) -> None:
    client, body = recorded(name, number)
    sink = REGISTRY[client]
    preparer = Preparer(sink, sink.open_request(json.dumps(body).encode()), KEY)
    prepared = preparer.prepare(REGISTRY[target], destination(target, stream=bool(body.get("stream"))))
    if target == client:
        assert json.loads(prepared.body) == {**body, "model": "upstream-model"}
    else:
        RULES[target](json.loads(prepared.body))


def offered(body: dict[str, Any]) -> list[Any]:
    """The tools in a body of any dialect."""
    if "tools" in body.get("toolConfig", {}):
        return [tool for tool in body["toolConfig"]["tools"] if "toolSpec" in tool]
    groups = [tool.get("functionDeclarations", [tool]) for tool in body.get("tools", [])]
    return [tool for group in groups for tool in group]


@pytest.mark.parametrize("target", [target for target in REGISTRY if target != "openai_responses"])
@pytest.mark.parametrize(("name", "number"), AGENTS)
def test_every_tool_of_the_client_is_offered(name: str, number: int, target: str) -> None:
    client, body = recorded(name, number)
    sink = REGISTRY[client]
    request = sink.decode_request(sink.open_request(json.dumps(body).encode()), KEY)
    sent_body = json.loads(encoded(request, REGISTRY[target]))
    assert len(offered(sent_body)) == len([tool for tool in request.tools if isinstance(tool, Tool)])


@pytest.mark.parametrize("target", [target for target in REGISTRY if target != "anthropic"])
@pytest.mark.parametrize("number", [0, 1])
def test_a_thread_is_refused_with_the_error_that_the_sdk_expects(number: int, target: str) -> None:
    _, body = recorded(THREADS, number)
    sink = REGISTRY["anthropic"]
    preparer = Preparer(sink, sink.open_request(json.dumps(body).encode()), KEY)
    with pytest.raises(ClientMistake) as caught:
        preparer.prepare(REGISTRY[target], destination(target, stream=False))
    assert caught.value.failure.details == {"error_code": "thread_unsupported_request"}
    assert caught.value.failure.param == "thread"
