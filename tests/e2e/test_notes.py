"""What the log row says of a translation that lost something."""

import uuid

from tests.e2e.test_chaos import WELL
from tests.support.fake_upstream import json_reply


def test_a_hosted_tool_that_the_upstream_does_not_have_stands_in_the_log(gateway, upstream):
    name = f"notes-{uuid.uuid4().hex[:8]}"
    gateway.add_upstream(upstream, name, name=name)
    upstream.reply(json_reply(WELL))
    tools = [{"name": "f", "input_schema": {"type": "object"}}, {"type": "web_search_20250305", "name": "web_search"}]
    body = {"model": name, "max_tokens": 9, "tools": tools, "messages": [{"role": "user", "content": "Hi"}]}
    answer = gateway.http.post(f"{gateway.url}/v1/messages", headers=gateway.client_headers, json=body)
    (row,) = gateway.logs(1, model=name)
    sent = [tool["function"]["name"] for tool in upstream.requests[0].json()["tools"]]
    assert (answer.status_code, sent, gateway.api("GET", f"/logs/{row['id']}")["request_metadata"]) == (
        200,
        ["f"],
        {"dropped": ["tools[]"], "dropped_details": ["tool web_search_20250305"]},
    )
