"""Requests that make no sense are refused with the place of the mistake."""

from __future__ import annotations

import msgspec
import pytest

from proxy.translation.canonical import Message, Text
from proxy.translation.dialects.openai_responses.dialect import DIALECT
from proxy.translation.errors import ClientMistake
from tests.proxy.translation.dialects.openai_responses.samples import KEY, body

PNG = "data:image/png;base64,iVBORw0KGgo="


def mistake(request_body: bytes) -> tuple[str | None, str]:
    with pytest.raises(ClientMistake) as caught:
        DIALECT.decode_request(DIALECT.open_request(request_body), KEY)
    return caught.value.failure.param, caught.value.failure.message


@pytest.mark.parametrize(
    ("request_body", "param", "message"),
    [
        (b"", None, "empty"),
        (b"[]", None, "must be a JSON object"),
        (b"{", None, "not valid JSON"),
        (b'{"input":"hi"}', "model", "model: the field is required"),
        (b'{"model":5,"input":"hi"}', "model", "model: must be a string, not an integer"),
        (b'{"model":"m"}', "input", "input: the field is required"),
        (b'{"model":"m","input":[]}', "input", "input: the field is required"),
        (b'{"model":"m","input":5}', "input", "input: must be a string or an array, not an integer"),
        (b'{"model":"m","messages":[]}', "messages", "/v1/chat/completions"),
        (body(stream="yes"), "stream", "stream: must be true or false"),
        (body(temperature="hot"), "temperature", "temperature: must be a number"),
        (body(max_output_tokens=1.5), "max_output_tokens", "max_output_tokens: must be an integer"),
        (body(tools={}), "tools", "tools: must be an array"),
        (body(tools=[5]), "tools.0", "tools.0: must be an object"),
        (body(tools=[{"name": "f"}]), "tools.0.type", "tools.0.type: the field is required"),
        (body(tools=[{"type": "function"}]), "tools.0.name", "tools.0.name: the field is required"),
        (body(tools=[{"type": "function", "name": 5}]), "tools.0.name", "tools.0.name: must be a string"),
        (body(tools=[{"type": "namespace", "name": "n"}]), "tools.0.tools", "tools.0.tools: must be a list"),
        (body(tools=[{"type": "namespace", "name": "n", "tools": [{"type": "function"}]}]), "tools.0.tools.0.name", "required"),
        (body(tool_choice="any"), "tool_choice", "tool_choice: 'any' is not one of none, auto, required"),
        (body(tool_choice={"type": "function"}), "tool_choice.name", "required"),
        (body(tool_choice={"type": "allowed_tools", "mode": "none"}), "tool_choice.mode", "'none' is not one of auto, required"),
        (body(text={"format": {"type": "json_schema", "name": "x"}}), "text.format.schema", "required"),
        (body(text={"format": {"type": "json_schema", "schema": {}}}), "text.format.name", "required"),
        (body(text={"format": {"type": "yaml"}}), "text.format.type", "'yaml' is not one of"),
        (body(reasoning={"effort": "lots"}), "reasoning.effort", "'lots' is not one of none, minimal"),
        (body(metadata={"a": 1}), "metadata", "must be a string"),
        (body(include="x"), "include", "must be an array"),
        (body(input=[5]), "input.0", "input.0: must be an object"),
        (body(input=[{"role": "tool", "content": "x"}]), "input.0.role", "'tool' is not a role"),
        (body(input=[{"type": "message", "content": "x"}]), "input.0.role", "the field is required"),
        (body(input=[{"role": "user"}]), "input.0.content", "required"),
        (body(input=[{"role": "user", "content": 5}]), "input.0.content", "must be a string or an array"),
        (body(input=[{"role": "user", "content": [{"text": "x"}]}]), "input.0.content.0.type", "required"),
        (body(input=[{"role": "user", "content": [{"type": "input_text"}]}]), "input.0.content.0.text", "required"),
        (body(input=[{"role": "user", "content": [{"type": "input_image"}]}]), "input.0.content.0", "image_url or file_id"),
        (
            body(input=[{"role": "user", "content": [{"type": "input_image", "image_url": {"url": PNG}}]}]),
            "input.0.content.0.image_url",
            "must be a string",
        ),
        (
            body(input=[{"role": "user", "content": [{"type": "input_image", "image_url": "data:oops"}]}]),
            "input.0.content.0.image_url",
            "not a valid base64 data URL",
        ),
        (body(input=[{"role": "user", "content": [{"type": "input_file"}]}]), "input.0.content.0", "file_data, file_url or file_id"),
        (body(input=[{"role": "user", "content": [{"type": "input_audio"}]}]), "input.0.content.0.input_audio", "required"),
        (
            body(input=[{"role": "user", "content": [{"type": "input_file", "file_data": "data:text/plain;base64,/w=="}]}]),
            "input.0.content.0.file_data",
            "not valid UTF-8",
        ),
        (
            body(input=[{"role": "developer", "content": [{"type": "input_image", "image_url": PNG}]}]),
            "input.0.content.0",
            "can hold text only",
        ),
        (body(input=[{"type": "function_call", "name": "f", "arguments": "{}"}]), "input.0.call_id", "required"),
        (body(input=[{"type": "function_call", "call_id": "c", "arguments": "{}"}]), "input.0.name", "required"),
        (body(input=[{"type": "function_call", "call_id": "c", "name": "f", "arguments": {}}]), "input.0.arguments", "string of JSON"),
        (body(input=[{"type": "custom_tool_call", "call_id": "c", "name": "f"}]), "input.0.input", "required"),
        (body(input=[{"type": "function_call_output", "output": "x"}]), "input.0.call_id", "required"),
        (body(input=[{"type": "function_call_output", "call_id": "c"}]), "input.0.output", "string or a list"),
        (body(input=[{"type": "function_call_output", "call_id": "c", "output": {"a": 1}}]), "input.0.output", "string or a list"),
        (body(input=[{"type": "compaction"}]), "input.0.encrypted_content", "required"),
        (body(input=[{"type": "reasoning", "summary": [{"type": "summary_text"}]}]), "input.0.summary.0.text", "required"),
    ],
)
def test_mistakes_have_a_path(request_body: bytes, param: str | None, message: str) -> None:
    actual_param, actual_message = mistake(request_body)
    assert actual_param == param
    assert message in actual_message


def test_what_is_stored_elsewhere_may_replace_the_input() -> None:
    request = DIALECT.open_request(b'{"model":"m","previous_response_id":"resp_1"}')
    assert DIALECT.decode_request(request, KEY).messages == ()


def test_unknown_roles_are_refused_before_anything_is_decoded() -> None:
    with pytest.raises(ClientMistake, match="'tool' is not a role"):
        DIALECT.open_request(body(input=[{"role": "tool", "content": "x"}]))


def test_a_deep_nesting_is_refused() -> None:
    param, message = mistake(b'{"model":"m","input":' + b"[" * 100_000 + b"]" * 100_000 + b"}")
    assert (param, message) == (None, "The request is nested too deeply")


def test_input_that_replaced_the_opened_input_is_decoded() -> None:
    envelope = DIALECT.open_request(body(input="first"))
    changed = msgspec.structs.replace(envelope, fields={**envelope.fields, "input": msgspec.Raw(b'"second"')})
    assert DIALECT.decode_request(changed, KEY).messages == (Message("user", (Text("second"),)),)
