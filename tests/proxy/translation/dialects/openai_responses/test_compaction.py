"""Compaction: its two requests, their responses, and the summary in later requests."""

from __future__ import annotations

import json
from typing import Any

import pytest
from openai.types.responses import CompactedResponse

from proxy.translation.canonical import Finish, Part, Reasoning, Response, Text, ToolCall, Usage
from proxy.translation.dialects.openai_responses import compaction, ids
from proxy.translation.dialects.openai_responses.dialect import DIALECT
from proxy.translation.errors import UpstreamFailed
from tests.proxy.translation.dialects.openai_responses.samples import CONTEXT_ID, KEY, body, context, decoded, target


def message(*content: Any) -> dict[str, Any]:
    return {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": list(content)}


def encoded_response(*parts: Part, finish: Finish | None = None, usage: Usage | None = None, request: Any = None) -> dict[str, Any]:
    response = Response(id="x", model="up", parts=parts, finish=finish or Finish(), usage=usage)
    parsed: dict[str, Any] = json.loads(DIALECT.encode_response(response, context(request)))
    return parsed


HISTORY = [
    {"role": "developer", "content": "rules"},
    {"type": "message", "id": "msg_7", "role": "user", "content": [{"type": "input_text", "text": "do it"}]},
    {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
    {"type": "function_call_output", "call_id": "c", "output": "done"},
    {"role": "user", "content": "thanks"},
]


def test_a_compact_call_asks_for_a_summary_and_calls_no_tools() -> None:
    envelope = compaction.to_summary_request(DIALECT.open_request(body(input=HISTORY, tools=[{"type": "function", "name": "f"}])))
    request = DIALECT.decode_request(envelope, KEY)
    assert request.messages[-1].parts == (Text(compaction.SUMMARY_INSTRUCTION),)
    assert request.tool_choice is not None
    assert request.tool_choice.mode == "none"


def test_a_compact_call_is_answered_with_the_users_messages_and_the_summary() -> None:
    envelope = compaction.to_summary_request(DIALECT.open_request(body(input=HISTORY)))
    response = Response(id="x", model="up", parts=(Reasoning("hm"), Text("all done")), finish=Finish(), usage=Usage(fresh=3, output=2))
    body_of_response = json.loads(compaction.encode_compact_response(response, context(DIALECT.decode_request(envelope, KEY)), envelope))
    item = {"id": ids.item_id("cmp_", CONTEXT_ID, 0), "type": "compaction", "encrypted_content": compaction.pack_summary("all done", KEY)}
    assert body_of_response["object"] == "response.compaction"
    assert body_of_response["output"] == [
        {"id": "msg_7", "status": "completed", "type": "message", "role": "user", "content": [{"type": "input_text", "text": "do it"}]},
        {"id": ids.item_id("msg_", CONTEXT_ID, 5), "status": "completed", "role": "user", "content": "thanks", "type": "message"},
        item,
    ]
    assert CompactedResponse.construct(**body_of_response).usage.total_tokens == 5


def test_a_string_can_be_compacted_too() -> None:
    envelope = compaction.to_summary_request(DIALECT.open_request(body(input="hello")))
    assert [message.role for message in DIALECT.decode_request(envelope, KEY).messages] == ["user", "user"]


def test_a_compaction_trigger_is_answered_with_one_item() -> None:
    request = decoded(input=[*HISTORY, {"type": "compaction_trigger"}])
    response = encoded_response(Text("all "), Text("done"), request=request)
    assert response["output"] == [
        {"id": ids.item_id("cmp_", CONTEXT_ID, 0), "type": "compaction", "encrypted_content": compaction.pack_summary("all done", KEY)}
    ]


def test_a_summary_of_the_gateway_becomes_a_user_message() -> None:
    item = {"type": "compaction", "id": "cmp_1", "encrypted_content": compaction.pack_summary("all done", KEY)}
    (message,) = decoded(input=[item]).messages
    (part,) = message.parts
    assert message.role == "user"
    assert isinstance(part, Text)
    assert part.text.endswith("\n\nall done")
    envelope = DIALECT.open_request(body(input=[item]))
    sent_input = json.loads(DIALECT.patch_request(envelope, target(), KEY))["input"]
    assert sent_input == [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": part.text}]}]


def test_a_forged_compaction_is_dropped() -> None:
    item = {"type": "compaction", "id": "cmp_1", "encrypted_content": compaction.pack_summary("all done", b"another key")}
    assert decoded(input=[item, {"role": "user", "content": "hi"}]).messages == decoded(input=[{"role": "user", "content": "hi"}]).messages


def test_a_response_without_text_is_an_upstream_failure() -> None:
    request = decoded(input=[*HISTORY, {"type": "compaction_trigger"}])
    with pytest.raises(UpstreamFailed, match="no text for the summary"):
        encoded_response(ToolCall("c", "f", "{}"), request=request)
