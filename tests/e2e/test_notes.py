"""What the log row notes about a translation that dropped something."""

import uuid

from tests.e2e.test_chaos import WELL
from tests.support.fake_upstream import json_reply


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
