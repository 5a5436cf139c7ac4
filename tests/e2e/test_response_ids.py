"""The id of a response, as the client got it, is in the log row of the request."""

import pytest


@pytest.mark.parametrize("model", ["echo", "echo-anthropic"])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("path", "prefix"), [("messages", "msg_"), ("chat/completions", "chatcmpl-"), ("responses", "resp_")])
def test_the_row_has_the_id_that_the_client_got(gateway, path, prefix, stream, model):
    body = {"model": model, "stream": stream, "max_tokens": 20}
    body |= {"input": "Hello"} if path == "responses" else {"messages": [{"role": "user", "content": "Hello"}]}
    if path == "responses":
        del body["max_tokens"]
    answer = gateway.http.post(f"{gateway.url}/v1/{path}", headers=gateway.client_headers, json=body)
    assert answer.status_code == 200, answer.text
    (row, *_) = gateway.logs(1, request_id=answer.headers["x-request-id"])
    assert row["response_id"].startswith(prefix)
    assert f'"{row["response_id"]}"' in answer.text
