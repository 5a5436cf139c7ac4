"""Schemas whose keywords have values of the wrong type: translated or refused by name, never an error of our own."""

from __future__ import annotations

import json
from typing import Any

import pytest

from proxy.exchange.prepare import Preparer
from proxy.translation.dialects.base import EncodeTarget
from proxy.translation.dialects.openai_strict_schema import is_strict
from proxy.translation.dialects.registry import REGISTRY
from proxy.translation.errors import ClientMistake

VALUES = [1, 1.5, "x", [1], [[]], [{"a": 1}], {"a": 1}, {"a": [1]}, None, True]
KEYWORDS = ["type", "properties", "required", "anyOf", "oneOf", "allOf", "items", "enum", "const", "$defs", "definitions", "format"]
KEYWORDS += ["minItems", "additionalProperties", "description", "$ref"]
CLOSED = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}
HELLO = [{"role": "user", "content": "Hi"}]


def request_with(client: str, schema: Any) -> dict[str, Any]:
    """A client's request with the schema in a strict tool and in its output format."""
    named = {"name": "x", "strict": True, "schema": schema}
    if client == "openai_chat":
        tool = {"type": "function", "function": {"name": "f", "strict": True, "parameters": schema}}
        return {"model": "m", "messages": HELLO, "tools": [tool], "response_format": {"type": "json_schema", "json_schema": named}}
    if client == "openai_responses":
        tool = {"type": "function", "name": "f", "strict": True, "parameters": schema}
        return {"model": "m", "input": "Hi", "tools": [tool], "text": {"format": {"type": "json_schema", **named}}}
    tool = {"name": "f", "strict": True, "input_schema": schema}
    form = {"type": "json_schema", "schema": schema}
    return {"model": "m", "max_tokens": 9, "messages": HELLO, "tools": [tool], "output_config": {"format": form}}


@pytest.mark.parametrize("target", REGISTRY)
@pytest.mark.parametrize("client", ["anthropic", "openai_chat", "openai_responses"])
def test_a_value_of_the_wrong_type_is_no_error_of_ours(client: str, target: str) -> None:
    kinds = set()
    for keyword in KEYWORDS:
        for value in VALUES:
            inner = CLOSED | {keyword: value}
            for schema in (inner, CLOSED | {"properties": {"a": inner}}):
                body = json.dumps(request_with(client, schema)).encode()
                try:
                    preparer = Preparer(REGISTRY[client], REGISTRY[client].open_request(body), b"k")
                    preparer.prepare(REGISTRY[target], EncodeTarget(model="up", dialect=target))
                    kinds.add("sent")
                except ClientMistake as mistake:
                    kinds.add(mistake.failure.kind)
    assert "sent" in kinds
    assert kinds <= {"sent", "invalid_request"}


@pytest.mark.parametrize("keyword", ["properties", "required", "anyOf", "$defs", "definitions"])
def test_a_malformed_schema_is_not_strict_at_openai(keyword: str) -> None:
    values = [1, "x", [[]], True]
    verdicts = [is_strict(json.dumps(CLOSED | {keyword: value}).encode()) for value in values]  # type: ignore[arg-type]
    assert verdicts == [False] * len(values)
    assert is_strict(json.dumps(CLOSED).encode()) is True  # type: ignore[arg-type]
