"""Canonical requests as Converse bodies: thinking by model, cache points, tools of a history."""

import json

import pytest

from proxy.translation.canonical import CacheMark, Message, ReasoningSetting, Request, Text, Tool, ToolCall, ToolChoice, ToolResult
from proxy.translation.dialects.base import EncodeTarget
from proxy.translation.dialects.registry import REGISTRY
from tests.support.rules_converse import check_request

CONVERSE = REGISTRY["bedrock_converse"]
HI = Message("user", (Text("Hi"),))
CLAUDE, NOVA, LLAMA = "us.anthropic.claude-sonnet-4-5-20250929-v1:0", "amazon.nova-pro-v1:0", "meta.llama4-v1:0"


def encoded(model=LLAMA, **fields):
    request = Request(**{"model": "m", "messages": (HI,), "family": "openai_chat", **fields})
    body = json.loads(CONVERSE.encode_request(request, EncodeTarget(model=model, dialect="bedrock_converse")))
    check_request(body)
    return body


@pytest.mark.parametrize(
    ("model", "settings"),
    [
        (
            CLAUDE,
            {
                "inferenceConfig": {"maxTokens": 20000},
                "additionalModelRequestFields": {"thinking": {"type": "enabled", "budget_tokens": 16384}},
                "outputConfig": {},
            },
        ),
        (NOVA, {"inferenceConfig": {"maxTokens": 20000}, "additionalModelRequestFields": {}, "outputConfig": {"effort": "high"}}),
    ],
)
def test_an_effort_is_what_the_model_understands(model, settings):
    body = encoded(model, max_tokens=20000, reasoning=ReasoningSetting(mode="effort", effort="high"))
    assert {name: body.get(name, {}) for name in settings} == settings


def test_only_the_last_four_cache_points_are_sent_and_only_to_models_that_know_them():
    marked = tuple(Message(role, (Text(f"{number}", CacheMark()),)) for number, role in enumerate(["user", "assistant"] * 2 + ["user"]))
    system = (Text("Be brief.", CacheMark()),)
    points = [
        sum("cachePoint" in block for block in message["content"]) for message in encoded(NOVA, messages=marked, system=system)["messages"]
    ]
    assert points == [0, 1, 1, 1, 1]
    assert "cachePoint" not in json.dumps(encoded(LLAMA, messages=marked, system=system))


def test_a_history_with_calls_declares_its_tools():
    loop = (HI, Message("assistant", (ToolCall("a", "look", "{}"),)), Message("user", (ToolResult("a", (Text("ok"),)),)))
    tool = {"toolSpec": {"name": "look", "inputSchema": {"json": {"type": "object", "properties": {}}}}}
    assert encoded(messages=loop)["toolConfig"] == {"tools": [tool]}


def test_the_choice_none_leaves_the_tools_out():
    assert "toolConfig" not in encoded(tools=(Tool(name="look"),), tool_choice=ToolChoice(mode="none"))


def test_the_model_in_the_path_keeps_its_colons():
    arn = "arn:aws:bedrock:eu-central-1:1:inference-profile/eu.anthropic.claude-v1:0"
    target = EncodeTarget(model=arn, dialect="bedrock_converse", stream=True)
    assert CONVERSE.path(target) == "/model/arn:aws:bedrock:eu-central-1:1:inference-profile%2Feu.anthropic.claude-v1:0/converse-stream"
