"""Numbers that no float can hold (`1e999`), and `NaN`, which is no JSON, in tool schemas, output schemas and stream options.

`1e999` is JSON: it is forwarded as written where nobody reads the schema, and refused by name where it must be read.
"""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from proxy.exchange.prepare import Preparer
from proxy.translation.dialects.base import EncodeTarget
from proxy.translation.dialects.registry import REGISTRY
from proxy.translation.errors import ClientMistake
from proxy.translation.quirks import merged

SCHEMA = '{"type":"object","properties":{"a":{"type":"number","maximum":%s}},"required":["a"],"additionalProperties":false}'
HELLO = '"messages":[{"role":"user","content":"Hi"}]'
TOOLS = {
    "anthropic": '{"model":"m","max_tokens":9,' + HELLO + ',"tools":[{"name":"f","strict":true,"input_schema":' + SCHEMA + "}]}",
    "bedrock": '{"max_tokens":9,' + HELLO + ',"tools":[{"name":"f","strict":true,"input_schema":' + SCHEMA + "}]}",
    "openai_chat": '{"model":"m",'
    + HELLO
    + ',"tools":[{"type":"function","function":{"name":"f","strict":true,"parameters":'
    + SCHEMA
    + "}}]}",
    "openai_responses": '{"model":"m","input":"Hi","tools":[{"type":"function","name":"f","strict":true,"parameters":' + SCHEMA + "}]}",
}
OUTPUTS = {
    "anthropic": '{"model":"m","max_tokens":9,' + HELLO + ',"output_config":{"format":{"type":"json_schema","schema":' + SCHEMA + "}}}",
    "openai_chat": '{"model":"m",'
    + HELLO
    + ',"response_format":{"type":"json_schema","json_schema":{"name":"x","strict":true,"schema":'
    + SCHEMA
    + "}}}",
    "openai_responses": '{"model":"m","input":"Hi","text":{"format":{"type":"json_schema","name":"x","strict":true,"schema":'
    + SCHEMA
    + "}}}",
}
CLAUDE = ("anthropic", "bedrock")
OPENAI = ("openai_chat", "openai_responses")
REFUSED_KEYWORDS = {"schema_keywords_refused": ["pattern"]}


def sent(client: str, target: str, body: str, quirks: dict[str, Any] | None = None) -> bytes:
    dialect = REGISTRY[client]
    envelope = dialect.open_for_model(body.encode(), "m")
    destination = EncodeTarget(model="up", dialect=target, upstream="u", quirks=merged(quirks or {}), stream=envelope.stream)
    return Preparer(dialect, envelope, b"k").prepare(REGISTRY[target], destination).body


def refusal(client: str, target: str, body: str, quirks: dict[str, Any] | None = None) -> tuple[str, str | None, str]:
    with pytest.raises(ClientMistake) as caught:
        sent(client, target, body, quirks)
    failure = caught.value.failure
    return failure.kind, failure.param, failure.message


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
@pytest.mark.parametrize("client", TOOLS)
def test_what_is_no_json_is_refused_at_the_door(client: str, number: str) -> None:
    kind, _, message = refusal(client, client, TOOLS[client] % number)
    assert (kind, message.startswith("The request body is not valid JSON: invalid at byte ")) == ("invalid_request", True)


@pytest.mark.parametrize(("client", "target"), list(itertools.product(TOOLS, TOOLS)))
def test_a_tool_schema_that_nobody_reads_is_sent_as_written(client: str, target: str) -> None:
    body = (TOOLS[client] % "1e999").replace('"strict":true,', "")
    assert b'"maximum":1e999' in sent(client, target, body)


@pytest.mark.parametrize(("client", "target"), list(itertools.product(OPENAI, CLAUDE)))
def test_a_strict_schema_for_claude_is_refused_by_the_tools_name(client: str, target: str) -> None:
    assert refusal(client, target, TOOLS[client] % "1e999") == ("invalid_request", "tool f", "tool f: the number is too large")
    shown = ("invalid_request", "schema of the output format", "schema of the output format: the number is too large")
    assert refusal(client, target, OUTPUTS[client] % "-1e999") == shown


@pytest.mark.parametrize(("client", "target"), list(itertools.product(CLAUDE, OPENAI)))
def test_a_schema_that_cannot_be_checked_is_not_strict_at_openai(client: str, target: str) -> None:
    body = sent(client, target, TOOLS[client] % "1e999")
    assert (b'"strict":false' in body, b'"maximum":1e999' in body) == (True, True)


@pytest.mark.parametrize(("client", "target"), [pair for pair in itertools.product(TOOLS, TOOLS) if pair[0] != pair[1]])
def test_a_schema_whose_keywords_must_be_removed_is_refused(client: str, target: str) -> None:
    assert refusal(client, target, TOOLS[client] % "1e999", REFUSED_KEYWORDS) == (
        "invalid_request",
        "tools",
        "tools: the number is too large",
    )


@pytest.mark.parametrize("target", TOOLS)
@pytest.mark.parametrize(
    ("options", "param", "message"),
    [
        ("1e999", "stream_options", "stream_options: the number is too large"),
        ('{"include_usage":1e999}', "stream_options.include_usage", "stream_options.include_usage: the number is too large"),
        ("[1e999]", "stream_options", "stream_options: must be an object, not an array"),
    ],
)
def test_stream_options_of_a_chat_client_are_refused_by_name(target: str, options: str, param: str, message: str) -> None:
    body = '{"model":"m",' + HELLO + ',"stream":true,"stream_options":' + options + "}"
    assert refusal("openai_chat", target, body) == ("invalid_request", param, message)


@pytest.mark.parametrize("client", OPENAI)
def test_other_stream_options_are_forwarded_as_written(client: str) -> None:
    turns = HELLO if client == "openai_chat" else '"input":"Hi"'
    body = sent(client, client, '{"model":"m",' + turns + ',"stream":true,"stream_options":{"x":1e999}}')
    assert b'"x":1e999' in body
