"""What the log row notes about a translation that dropped something."""

import uuid

import pytest

from tests.e2e.test_chaos import WELL
from tests.support.fake_upstream import event, json_reply, sse


def test_what_the_upstream_does_not_get_stands_in_the_log(gateway, upstream):
    name = f"notes-{uuid.uuid4().hex[:8]}"
    gateway.add_upstream(upstream, name, name=name)
    upstream.reply(json_reply(WELL))
    tools = [{"name": "f", "input_schema": {"type": "object"}}, {"type": "web_search_20250305", "name": "web_search"}]
    text = {"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}}
    body = {"model": name, "max_tokens": 9, "top_k": 5, "mood": 1, "tools": tools, "messages": [{"role": "user", "content": [text]}]}
    answer = gateway.http.post(f"{gateway.url}/v1/messages", headers=gateway.client_headers, json=body)
    (row,) = gateway.logs(1, model=name)
    sent = upstream.requests[0].json()
    assert (answer.status_code, [tool["function"]["name"] for tool in sent["tools"]], "mood" in sent) == (200, ["f"], False)
    assert gateway.api("GET", f"/logs/{row['id']}")["request_metadata"] == {
        "dropped": ["messages[].content[].cache_control", "mood", "tools[]", "top_k"],
        "dropped_details": ["tool web_search_20250305"],
    }


CITATION = {"type": "char_location", "cited_text": "x", "document_index": 0, "start_char_index": 0, "end_char_index": 1}
RESULT = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []}
USAGE = {"input_tokens": 3, "output_tokens": 2}


def message(**fields):
    return {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "stop_reason": "end_turn", "usage": USAGE, **fields}


def streamed():
    """The response as a stream."""
    yield {"type": "message_start", "message": message(content=[], stop_reason=None)}
    yield {"type": "content_block_start", "index": 0, "content_block": RESULT}
    yield {"type": "content_block_stop", "index": 0}
    yield {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}}
    yield {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "Found."}}
    yield {"type": "content_block_delta", "index": 1, "delta": {"type": "citations_delta", "citation": CITATION}}
    yield {"type": "content_block_stop", "index": 1}
    yield {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": USAGE}
    yield {"type": "message_stop"}


@pytest.mark.parametrize("stream", [False, True])
def test_what_the_client_does_not_get_of_the_response_stands_in_the_log(gateway, upstream, stream):
    name = f"notes-{uuid.uuid4().hex[:8]}"
    gateway.add_upstream(upstream, name, name=name, format="anthropic")
    whole = json_reply(message(content=[RESULT, {"type": "text", "text": "Found.", "citations": [CITATION]}]))
    upstream.reply(sse(*(event(value, name=value["type"]) for value in streamed())) if stream else whole)
    body = {"model": name, "stream": stream, "messages": [{"role": "user", "content": "Hi"}]}
    answer = gateway.http.post(f"{gateway.url}/v1/chat/completions", headers=gateway.client_headers, json=body)
    (row,) = gateway.logs(1, model=name)
    assert (answer.status_code, "Found." in answer.text) == (200, True)
    assert gateway.api("GET", f"/logs/{row['id']}")["request_metadata"] == {
        "dropped_details": ["part web_search_tool_result"],
        "dropped_response": ["content[]", "content[].citations[]"],
    }
