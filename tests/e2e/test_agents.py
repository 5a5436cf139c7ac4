"""Whole tool loops of recorded coding agents through a running gateway, with a scripted model of every dialect behind it."""

import json
import uuid
from pathlib import Path

import pytest

from proxy.translation.canonical import Tool
from proxy.translation.dialects.registry import REGISTRY
from tests.proxy.translation.test_pairs import RULES
from tests.support.agents import LAST_WORDS, ROOT, THOUGHT, Agent, model_of

FORMATS = {"openai": "openai_chat", "anthropic": "anthropic", "openai_responses": "openai_responses", "bedrock": "bedrock"}
RECORDED = sorted(file.stem for file in Path(ROOT).glob("c*.json"))


@pytest.mark.parametrize("word", FORMATS)
@pytest.mark.parametrize("name", RECORDED)
def test_an_agent_gets_tool_calls_sends_results_and_gets_an_answer(gateway, upstream, name, word):
    dialect, model = FORMATS[word], f"agent-{uuid.uuid4().hex[:8]}"
    gateway.add_upstream(upstream, model, name=model, format=word, region="us-east-1")
    upstream.otherwise(model_of(dialect))
    agent = Agent(name, gateway, model)
    tools = tools_of(agent)

    agent.turn()
    assert agent.thoughts == ("" if hides_thoughts(agent) and dialect in ("openai_chat", "openai_responses") else THOUGHT)
    assert len(agent.calls) == 2
    for _, tool_name, namespace, arguments in agent.calls:
        kind = tools[namespace, tool_name]
        assert arguments == "free text\n*** End" if kind == "custom" else isinstance(arguments, dict)
    calls = agent.calls

    agent.turn()
    assert (agent.text, agent.calls) == (LAST_WORDS, [])
    second = upstream.requests[1].json()
    if dialect != agent.dialect:
        RULES[dialect](second)
    sent_body = json.dumps(second)
    assert [sent_body.count(f"result of {call_id}") for call_id, *_ in calls] == [1, 1]
    assert sent_body.count(THOUGHT) == 1
    assert "pxr1." not in sent_body


def hides_thoughts(agent: Agent) -> bool:
    """Claude Code asks for sealed thinking without its text."""
    return agent.body.get("thinking", {}).get("display") == "omitted"


def tools_of(agent: Agent) -> dict[tuple[str, str], str]:
    """The kinds of the agent's own tools, by namespace and name; ``functions`` is the namespace that calls need not name."""
    dialect = REGISTRY[agent.dialect]
    request = dialect.decode_request(dialect.open_request(json.dumps(agent.body).encode()), b"a secret")
    return {(tool.namespace.removeprefix("functions"), tool.name): tool.kind for tool in request.tools if isinstance(tool, Tool)}
