"""Path prefixes: groups of models below a path of their own, and the plain proxy mode."""

import anthropic
import httpx
import openai
import pytest

from tests.support.fake_upstream import CLOSE, Reply, bytes_reply, event, json_reply, sse
from tests.support.waiting import eventually

COMPLETION = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "remote",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
}


def group(gateway, upstream, prefix, *models, remote_name="", **fields):
    """Models below a prefix that lead to one fake upstream."""
    upstream_id = gateway.add_upstream(upstream, **fields)
    for model in models:
        gateway.api("POST", "/models", json={"name": model, "upstream_id": upstream_id, "path_prefix": prefix, "remote_name": remote_name})
    return upstream_id


def error_of(response):
    return response.status_code, response.json()["error"]["type"], response.json()["error"]["message"]


def test_a_model_with_a_prefix_is_reached_only_below_it(gateway, upstream):
    group(gateway, upstream, "/team-a", "grouped")
    upstream.otherwise(json_reply(COMPLETION))
    body = {"model": "grouped", "messages": [{"role": "user", "content": "hello"}]}

    def ask(prefix):
        return gateway.http.post(f"{gateway.url}{prefix}/v1/chat/completions", headers=gateway.client_headers, json=body)

    assert [ask(prefix).status_code for prefix in ("/team-a", "", "/team", "/team-a/b")] == [200, 404, 404, 404]
    assert [request.path for request in upstream.requests] == ["/v1/chat/completions"]


def test_the_sdks_work_below_a_prefix(gateway, upstream):
    group(gateway, upstream, "/team-sdk/x", "grouped-sdk")
    upstream.otherwise(json_reply(COMPLETION))
    with openai.OpenAI(base_url=f"{gateway.url}/team-sdk/x/v1", api_key=gateway.client_key, max_retries=0) as gpt:
        completion = gpt.chat.completions.create(model="grouped-sdk", messages=[{"role": "user", "content": "hello"}])
        response = gpt.responses.create(model="grouped-sdk", input="hello")
        listed = [model.id for model in gpt.models.list()]
        retrieved_id = gpt.models.retrieve("grouped-sdk").id
    with anthropic.Anthropic(base_url=f"{gateway.url}/team-sdk/x", api_key=gateway.client_key, max_retries=0) as claude:
        message = claude.messages.create(model="grouped-sdk", max_tokens=9, messages=[{"role": "user", "content": "hello"}])
        counted = claude.messages.count_tokens(model="grouped-sdk", messages=[{"role": "user", "content": "hello"}]).input_tokens
        claudes = [model.id for model in claude.models.list()]
    assert (completion.choices[0].message.content, response.output_text, message.content[0].text) == ("hi", "hi", "hi")
    assert (listed, retrieved_id, claudes, counted > 0) == (["grouped-sdk"], "grouped-sdk", ["grouped-sdk"], True)


def test_lists_are_those_of_the_group(gateway, upstream):
    group(gateway, upstream, "/team-list", "b-list", "a-list")
    upstream_id = gateway.add_upstream(upstream, "bare-list", name="bare")
    assert upstream_id
    bearer = {"authorization": f"Bearer {gateway.client_key}"}
    below = [model["id"] for model in gateway.http.get(f"{gateway.url}/team-list/v1/models", headers=bearer).json()["data"]]
    bare = {model["id"] for model in gateway.http.get(f"{gateway.url}/v1/models", headers=bearer).json()["data"]}
    assert (below, "bare-list" in bare, {"a-list", "b-list"} & bare) == (["a-list", "b-list"], True, set())


def test_bedrocks_paths_work_below_a_prefix(gateway, upstream):
    group(gateway, upstream, "/team-aws", "grouped-aws")
    upstream.otherwise(json_reply(COMPLETION))
    body = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 9, "messages": [{"role": "user", "content": "hello"}]}
    bearer = {"authorization": f"Bearer {gateway.client_key}"}
    answer = gateway.http.post(f"{gateway.url}/team-aws/model/grouped-aws/invoke", headers=bearer, json=body)
    refusal = gateway.http.post(f"{gateway.url}/team-aws/model/nobody/invoke", headers=bearer, json=body)
    assert (answer.status_code, answer.json()["content"][0]["text"]) == (200, "hi")
    assert (refusal.status_code, refusal.headers["x-amzn-errortype"].split(":")[0]) == (404, "ResourceNotFoundException")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/team-404/v1/nothing", (404, "invalid_request_error")),
        ("/team-404/v1/messages/batches", (404, "not_found_error")),
        ("/team-404/elsewhere", (404, "invalid_request_error")),
    ],
)
def test_unknown_paths_are_refused_in_the_callers_dialect(gateway, upstream, path, expected):
    model_names = {model["name"] for model in gateway.api("GET", "/models")}
    if "grouped-404" not in model_names:
        group(gateway, upstream, "/team-404", "grouped-404")
    status, kind, message = error_of(gateway.http.post(gateway.url + path, headers=gateway.client_headers, json={"model": "grouped-404"}))
    assert ((status, kind), message) == (expected, f"Unknown path: POST {path}")


@pytest.mark.parametrize(("rest", "suggested_path"), [("/v1/v1/messages", "/v1/messages"), ("/chat/completions", "/v1/chat/completions")])
def test_a_base_url_with_too_little_or_too_much_is_explained_below_a_prefix_too(gateway, upstream, rest, suggested_path):
    if "grouped-hint" not in {model["name"] for model in gateway.api("GET", "/models")}:
        group(gateway, upstream, "/team-hint", "grouped-hint")
    answer = gateway.http.post(f"{gateway.url}/team-hint{rest}", headers=gateway.client_headers, json={})
    message = f"Unknown path: POST /team-hint{rest}; /team-hint{suggested_path} may be meant: look at the client's base URL"
    assert (answer.status_code, answer.json()["error"]["message"], "type" in answer.json()) == (404, message, "messages" in rest)


def test_a_wrong_method_is_refused_and_the_prefix_itself_answers(gateway, upstream):
    group(gateway, upstream, "/team-405", "grouped-405")
    refused = gateway.http.get(f"{gateway.url}/team-405/v1/messages", headers=gateway.client_headers)
    assert (refused.status_code, refused.headers["allow"]) == (405, "POST")
    assert [httpx.head(f"{gateway.url}/team-405{rest}").status_code for rest in ("", "/")] == [200, 200]


# Plain proxy mode.


def plain(gateway, upstream, prefix, *models, **fields):
    return group(gateway, upstream, prefix, *models, format="passthrough", **fields)


MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "their-name",
    "content": [{"type": "text", "text": "hi"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 3, "output_tokens": 1},
}


def test_known_paths_go_up_as_they_came_too(gateway, upstream):
    plain(gateway, upstream, "/plain-known", "p-known", remote_name="their-name")
    upstream.reply(json_reply(MESSAGE, status=202), json_reply({"their": "teapot"}, status=418))
    request_body = {"model": "p-known", "max_tokens": 5, "messages": [], "their_own": [1]}
    headers = gateway.client_headers | {"x-custom": "kept"}
    messages_response = gateway.http.post(f"{gateway.url}/plain-known/v1/messages?beta=true", headers=headers, json=request_body)
    assert (messages_response.status_code, messages_response.json()) == (202, MESSAGE)
    first = upstream.requests[0]
    assert (first.path, first.json(), first.header("x-custom"), first.header("authorization"), first.header("x-api-key")) == (
        "/v1/messages?beta=true",
        {**request_body, "model": "their-name"},
        "kept",
        "Bearer sk-upstream-secret",
        None,
    )
    (row,) = gateway.logs(1, model="p-known")
    assert (row["dialect"], row["input_tokens"], row["output_tokens"]) == ("anthropic", 3, 1)
    chat_response = gateway.http.post(f"{gateway.url}/plain-known/v1/chat/completions", headers=headers, json=request_body)
    assert (chat_response.status_code, chat_response.json(), upstream.requests[1].path) == (
        418,
        {"their": "teapot"},
        "/v1/chat/completions",
    )
    listed = gateway.http.get(f"{gateway.url}/plain-known/v1/models", headers=gateway.client_headers).json()
    assert [model["id"] for model in listed["data"]] == ["p-known"]


def test_a_stream_on_a_known_path_passes_byte_for_byte_and_is_counted(gateway, upstream):
    plain(gateway, upstream, "/plain-told", "p-told")
    usage = {"input_tokens": 7, "cache_read_input_tokens": 2, "output_tokens": 1}
    started = event({"type": "message_start", "message": {**MESSAGE, "content": [], "usage": usage}}, name="message_start")
    last_event = event({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 5}}, name="message_delta")
    upstream.reply(sse(started, b": theirs\n\n", last_event))
    request_body = {"model": "p-told", "stream": True, "max_tokens": 5, "messages": []}
    response = gateway.http.post(f"{gateway.url}/plain-told/v1/messages", headers=gateway.client_headers, json=request_body)
    assert (response.headers["content-type"], response.content) == ("text/event-stream", started + b": theirs\n\n" + last_event)
    (row,) = gateway.logs(1, model="p-told")
    assert (row["stream"], row["input_tokens"], row["cache_read_tokens"], row["output_tokens"]) == (True, 7, 2, 5)


def test_errors_of_ours_on_a_known_path_keep_its_dialect(gateway, upstream):
    plain(gateway, upstream, "/plain-errors", "p-errors")
    refused = gateway.http.post(f"{gateway.url}/plain-errors/v1/messages", json={"model": "p-errors"})
    assert (refused.status_code, refused.json()["type"], refused.json()["error"]["type"]) == (401, "error", "authentication_error")


def test_a_model_with_another_upstream_too_keeps_the_clients_dialect(gateway, upstream):
    """An unchanged body would not be valid for the other upstream."""
    plain(gateway, upstream, "/plain-mixed", "p-mixed", remote_name="their-name")
    (model,) = [row for row in gateway.api("GET", "/models") if row["name"] == "p-mixed"]
    second_id = gateway.api("POST", "/upstreams", json={"name": "p-mixed-2", "base_url": upstream.url, "api_key": "x"})["id"]
    gateway.api("POST", "/routes", json={"model_id": model["id"], "upstream_id": second_id, "priority": 9})
    upstream.reply(json_reply(MESSAGE))
    request_body = {"model": "p-mixed", "max_tokens": 5, "messages": [{"role": "user", "content": "hello"}]}
    response = gateway.http.post(f"{gateway.url}/plain-mixed/v1/messages", headers=gateway.client_headers, json=request_body)
    assert (response.status_code, response.json()) == (200, {**MESSAGE, "model": "p-mixed"})


def test_the_headers_of_a_passthrough_upstreams_key_can_be_chosen(gateway, upstream):
    plain(gateway, upstream, "/plain-auth", "p-auth", auth_header="X-Their-Key")
    upstream.otherwise(json_reply(COMPLETION))
    request_body = {"model": "p-auth", "messages": [{"role": "user", "content": "hello"}]}
    gateway.http.post(f"{gateway.url}/plain-auth/v1/chat/completions", headers=gateway.client_headers, json=request_body)
    (request,) = upstream.requests
    assert (request.header("x-their-key"), request.header("authorization")) == ("sk-upstream-secret", None)


def test_any_other_path_goes_up_with_only_the_model_and_the_key_changed(gateway, upstream):
    plain(gateway, upstream, "/plain-any", "p-any", remote_name="their-name")
    upstream.reply(
        bytes_reply(b'{ "ok" :1 }', status=201, headers={"content-type": "application/json", "x-their-own": "y", "set-cookie": "a=b"})
    )
    body = '{ "inner": {"model": "p-any"},\n  "model" : "p-any", "text": "gr\\u00fc\\u00df" }'
    answer = gateway.http.put(
        f"{gateway.url}/plain-any/their/path%2Fx?a=1&b=%20two",
        headers={
            "authorization": f"Bearer {gateway.client_key}",
            "content-type": "application/json",
            "x-custom": "kept",
            "cookie": "session=1",
            "x-forwarded-for": "10.1.2.3",
            "x-their-api-key": gateway.client_key,
        },
        content=body,
    )
    assert (answer.status_code, answer.content, answer.headers["x-their-own"], "set-cookie" in answer.headers) == (
        201,
        b'{ "ok" :1 }',
        "y",
        False,
    )
    (request,) = upstream.requests
    assert (request.method, request.path) == ("PUT", "/their/path%2Fx?a=1&b=%20two")
    assert request.body.decode() == body.replace('"model" : "p-any"', '"model" : "their-name"')
    sent_headers = {name.lower(): value for name, value in request.headers}
    assert {
        name: sent_headers.get(name)
        for name in ("authorization", "x-custom", "content-type", "cookie", "x-forwarded-for", "x-their-api-key")
    } == {
        "authorization": "Bearer sk-upstream-secret",
        "x-custom": "kept",
        "content-type": "application/json",
        "cookie": None,
        "x-forwarded-for": None,
        "x-their-api-key": None,
    }


def test_a_key_of_ours_goes_up_in_no_query_and_no_path(gateway, upstream):
    plain(gateway, upstream, "/plain-leak", "p-leak")
    upstream.otherwise(json_reply({}))
    key = gateway.client_key
    query = f"a=1&key={key}&k={key.replace('_', '%5F')}&p=%70{key[1:].upper()}&b=%20x"
    assert gateway.http.get(f"{gateway.url}/plain-leak/things?{query}", headers=gateway.client_headers).status_code == 200
    assert [request.path for request in upstream.requests] == ["/things?a=1&b=%20x"]
    for path in (key, f"%70{key[1:]}"):
        refused = gateway.http.get(f"{gateway.url}/plain-leak/keys/{path}", headers=gateway.client_headers)
        assert (refused.status_code, key in refused.text) == (400, False)
    assert len(upstream.requests) == 1


def test_methods_without_a_body_go_to_the_groups_model(gateway, upstream):
    plain(gateway, upstream, "/plain-get", "p-get")
    upstream.reply(
        json_reply({"data": []}), bytes_reply(b"", status=204), bytes_reply(b"\x00\xffbytes", headers={"content-type": "image/png"})
    )
    named = gateway.client_headers | {"x-request-id": "plain-get-files"}
    listing = gateway.http.get(f"{gateway.url}/plain-get/v1/files?limit=2", headers=named)
    deletion = gateway.http.delete(f"{gateway.url}/plain-get/v1/files/f-1", headers=gateway.client_headers)
    image = gateway.http.get(f"{gateway.url}/plain-get/picture", headers=gateway.client_headers)
    assert (listing.json(), deletion.status_code, deletion.content) == ({"data": []}, 204, b"")
    assert (image.content, image.headers["content-type"]) == (b"\x00\xffbytes", "image/png")
    assert [(request.method, request.path, request.body) for request in upstream.requests] == [
        ("GET", "/v1/files?limit=2", b""),
        ("DELETE", "/v1/files/f-1", b""),
        ("GET", "/picture", b""),
    ]
    (row,) = gateway.logs(1, request_id="plain-get-files")
    assert (row["outcome"], row["status_code"]) == ("finished", 200)


def test_an_upstreams_own_errors_pass_but_not_those_about_our_key(gateway, upstream):
    plain(gateway, upstream, "/plain-bad", "p-bad")
    answers = [
        json_reply({"theirs": "not here"}, status=404),
        json_reply({"theirs": "down"}, status=503, headers={"retry-after": "0"}),
        json_reply({"error": "key sk-upstream-secret is bad"}, status=401),
    ]
    upstream.reply(*answers)
    responses = [gateway.http.post(f"{gateway.url}/plain-bad/do", headers=gateway.client_headers, json={"model": "p-bad"}) for _ in answers]
    assert [(answer.status_code, answer.json()) for answer in responses[:2]] == [(404, {"theirs": "not here"}), (503, {"theirs": "down"})]
    assert (responses[2].status_code, "sk-upstream-secret" in responses[2].text) == (502, False)


def test_plain_streams_pass_as_they_come_and_are_cut_where_the_upstream_cuts(gateway, upstream):
    plain(gateway, upstream, "/plain-stream", "p-stream")
    events = [b'data: {"a"', b":1}\n\n", b"data: [DONE]\n\n"]
    upstream.reply(sse(*events), Reply(200, {"content-type": "application/octet-stream"}, (b"one", 0.1, CLOSE)))
    with gateway.http.stream(
        "POST", f"{gateway.url}/plain-stream/run", headers=gateway.client_headers, json={"model": "p-stream"}
    ) as answer:
        assert (answer.headers["content-type"], b"".join(answer.iter_raw())) == ("text/event-stream", b"".join(events))
    with (
        pytest.raises(httpx.RemoteProtocolError),
        gateway.http.stream(
            "POST", f"{gateway.url}/plain-stream/run", headers=gateway.client_headers, json={"model": "p-stream"}
        ) as answer,
    ):
        b"".join(answer.iter_raw())
    assert eventually(lambda: "A response was cut off: POST /plain-stream/run: The connection to the upstream broke" in gateway.output)
    assert "The application failed: POST /plain-stream/run" not in gateway.output


def test_requests_without_a_key_and_unknown_models_are_refused(gateway, upstream):
    plain(gateway, upstream, "/plain-closed", "p-closed")
    url = f"{gateway.url}/plain-closed/do"
    assert gateway.http.post(url, json={"model": "p-closed"}).status_code == 401
    assert gateway.http.post(url, headers=gateway.client_headers, json={"model": "other"}).status_code == 404
    assert gateway.http.get(f"{gateway.url}/plain-closed/%2e%2e/admin", headers=gateway.client_headers).status_code == 404
    assert upstream.requests == []


def test_pages_of_other_origins_may_ask_below_a_prefix(upstream):
    from tests.support.gateway import Gateway

    with Gateway.started(PXBIN_CORS_ORIGINS="*", PXBIN_CELERY="false") as gateway:
        plain(gateway, upstream, "/plain-cors", "p-cors")
        headers = {"origin": "https://app.example", "access-control-request-method": "POST"}
        answer = httpx.options(f"{gateway.url}/plain-cors/v1/chat/completions", headers=headers)
        refused = gateway.http.post(f"{gateway.url}/plain-cors/v1/nothing", headers={"origin": "https://app.example"}, json={})
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (204, "*")
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, "*")
