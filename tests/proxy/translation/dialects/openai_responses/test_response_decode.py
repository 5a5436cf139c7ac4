"""Whole responses of a Responses upstream."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from proxy.translation.canonical import Citation, Finish, Opaque, Reasoning, Response, Seal, Text, ToolCall, Usage
from proxy.translation.dialects.openai_responses.dialect import DIALECT
from proxy.translation.errors import UpstreamFailed
from tests.proxy.translation.dialects.openai_responses.samples import QUIRKS

OWN = "openai_responses"
USAGE = {
    "input_tokens": 100,
    "input_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 10},
    "output_tokens": 20,
    "output_tokens_details": {"reasoning_tokens": 5},
    "total_tokens": 120,
}


def upstream(*output: Any, **fields: Any) -> bytes:
    return msgspec.json.encode(
        {"id": "resp_1", "object": "response", "model": "up", "status": "completed", "output": output, "usage": USAGE, **fields}
    )


def read(*output: Any, **fields: Any) -> Response:
    return DIALECT.decode_response(upstream(*output, **fields), QUIRKS)


def message(*content: Any) -> dict[str, Any]:
    return {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": list(content)}


def output_text(text: str, **fields: Any) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], **fields}


def call(call_id: str, arguments: str = "{}", **fields: Any) -> dict[str, Any]:
    return {"type": "function_call", "id": "fc_1", "call_id": call_id, "name": "f", "arguments": arguments, **fields}


def test_a_response_of_every_kind_of_item() -> None:
    annotation = {"type": "url_citation", "url": "https://e.com", "title": "E", "start_index": 1, "end_index": 2}
    logprob = {"token": "a", "bytes": [97], "logprob": -0.5, "top_logprobs": []}
    summary = [{"type": "summary_text", "text": "one"}, {"type": "summary_text", "text": "two"}]
    search = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
    response = read(
        {"type": "reasoning", "id": "rs_1", "summary": summary, "encrypted_content": "gAAA"},
        search,
        message(output_text("hello", annotations=[annotation], logprobs=[logprob]), output_text("")),
        call("c1", '{"a": 1}', namespace="ns"),
        {"type": "custom_tool_call", "id": "ctc_1", "call_id": "c2", "name": "patch", "input": "***"},
        service_tier="flex",
    )
    citation = Citation(url="https://e.com", title="E", start=1, end=2, dialect=OWN, native=msgspec.Raw(msgspec.json.encode(annotation)))
    assert response == Response(
        id="resp_1",
        model="up",
        parts=(
            Reasoning("one\n\ntwo", Seal(OWN, "", {"id": "rs_1", "encrypted_content": "gAAA"})),
            Opaque(OWN, "web_search_call", msgspec.Raw(msgspec.json.encode(search)), history=True),
            Text("hello", citations=(citation,), logprobs=(logprob,)),
            ToolCall("c1", "f", '{"a": 1}', namespace="ns"),
            ToolCall("c2", "patch", "***", kind="custom"),
        ),
        finish=Finish(reason="tool_calls"),
        usage=Usage(fresh=30, cache_read=60, cache_write_5m=10, output=20, reasoning=5, service_tier="flex"),
    )


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, "end"),
        ({"status": None}, "end"),
        ({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, "length"),
        ({"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}, "refusal"),
        ({"status": "incomplete", "incomplete_details": None}, "length"),
    ],
)
def test_finish_reasons(fields: dict[str, Any], reason: str) -> None:
    assert read(message(output_text("hi")), **fields).finish.reason == reason


def test_a_truncated_call_ends_with_length() -> None:
    cut = read(call("c1", '{"a'), status="incomplete", incomplete_details={"reason": "max_output_tokens"})
    assert (cut.finish.reason, cut.parts) == ("length", (ToolCall("c1", "f", '{"a'),))


def test_a_refusal_ends_with_refusal() -> None:
    refused = read(message({"type": "refusal", "refusal": "no"}))
    assert (refused.parts, refused.finish.reason) == ((Text("no", refusal=True),), "refusal")


def test_raw_reasoning_is_read_where_there_is_no_summary() -> None:
    item = {"type": "reasoning", "id": "rs_1", "summary": [], "content": [{"type": "reasoning_text", "text": "raw"}]}
    assert read(item).parts == (Reasoning("raw", Seal(OWN, "", {"id": "rs_1", "form": "content"})),)


def test_reasoning_without_text_has_its_seal() -> None:
    item = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"}
    assert read(item).parts == (Reasoning("", Seal(OWN, "", {"id": "rs_1", "encrypted_content": "gAAA"})),)


def test_reasoning_without_text_and_seal_is_skipped() -> None:
    assert read({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": None}).parts == ()


def test_repeated_call_ids_are_blanked() -> None:
    assert [part.id for part in read(call("c1"), call("c1")).parts if isinstance(part, ToolCall)] == ["c1", ""]


def test_arguments_as_an_object_are_written_out() -> None:
    assert read(call("c1", arguments={"a": 1})).parts == (ToolCall("c1", "f", '{"a":1}'),)  # type: ignore[arg-type]


def test_a_missing_usage_is_none() -> None:
    assert read(message(output_text("hi")), usage=None).usage is None


@pytest.mark.parametrize(
    ("body", "kind", "output_text"),
    [
        (b"", "bad_gateway", "not a complete response object"),
        (b"<html>", "bad_gateway", "not a complete response object"),
        (b"[]", "bad_gateway", "not a complete response object"),
        (b"{}", "bad_gateway", "not a complete response object"),
        (b'{"output":5}', "bad_gateway", "not a complete response object"),
        (b'{"output":[5]}', "bad_gateway", "not a complete response object"),
        (b'{"error":{"message":"slow down","code":"rate_limit_exceeded"}}', "rate_limit", "slow down"),
        (b'{"output":5,"error":{"message":"slow down","code":"rate_limit_exceeded"}}', "rate_limit", "slow down"),
        (b'{"error":"broken"}', "upstream_error", "broken"),
        (upstream(status="failed", error={"code": "server_error", "message": "oops"}), "upstream_error", "oops"),
        (upstream(status="failed", error={"code": "context_length_exceeded", "message": "long"}), "context_length", "long"),
        (upstream(status="failed", error=None), "upstream_error", "The upstream response has the status failed."),
        (upstream(status="cancelled"), "upstream_error", "The upstream response has the status cancelled."),
        (upstream(status="queued"), "bad_gateway", "not a complete response object"),
    ],
)
def test_unusable_responses(body: bytes, kind: str, output_text: str) -> None:
    with pytest.raises(UpstreamFailed) as caught:
        DIALECT.decode_response(body, QUIRKS)
    assert (caught.value.failure.kind, caught.value.answered) == (kind, True)
    assert output_text in caught.value.failure.message
