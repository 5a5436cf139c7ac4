"""Responses, conversations, containers, files and threads at a provider: requests follow them to where they were made."""

import json
import uuid
from concurrent.futures import ThreadPoolExecutor

import anthropic
import openai
import pytest
import redis

from tests.support.fake_upstream import FakeUpstream, bytes_reply, event, json_reply, sse
from tests.support.gateway import Gateway
from tests.support.waiting import eventually


@pytest.fixture(scope="module")
def gateway():
    with Gateway.started() as running:
        yield running


@pytest.fixture(scope="module")
def places(gateway, fake_loop):
    """The fake upstreams ``a`` and ``b`` in two dialects; models: ``both-…`` prefers a, ``at-b-…`` and ``at-a-…`` lead to one alone."""
    made = {}
    for form in ("openai_responses", "anthropic"):
        a, b = FakeUpstream(fake_loop), FakeUpstream(fake_loop)
        gateway.add_upstream(a, f"both-{form}", f"at-a-{form}", name=f"a-{form}", format=form, api_key="sk-at-a")
        b_id = gateway.add_upstream(b, f"at-b-{form}", name=f"b-{form}", format=form, api_key="sk-at-b")
        route = {"model_id": gateway.id_of("/models", f"both-{form}"), "upstream_id": b_id, "remote_name": f"both-{form}", "priority": 5}
        gateway.api("POST", "/routes", json=route)
        made[form] = (a, b)
    yield made
    for pair in made.values():
        for fake in pair:
            fake.stop()


@pytest.fixture
def responses(places):
    """The upstreams a and b of the Responses API, with nothing received yet."""
    for fake in places["openai_responses"]:
        fake.requests.clear()
        fake.otherwise(answer)
    return places["openai_responses"]


@pytest.fixture
def messages(places):
    for fake in places["anthropic"]:
        fake.requests.clear()
        fake.otherwise(message())
    return places["anthropic"]


def client_of(gateway, key=""):
    return openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=key or gateway.client_key, max_retries=0, timeout=60)


@pytest.fixture
def gpt(gateway):
    with client_of(gateway) as client:
        yield client


@pytest.fixture
def stranger(gateway):
    """The client of another key."""
    with client_of(gateway, gateway.api("POST", "/keys", json={"name": uuid.uuid4().hex})["key"]) as client:
        yield client


@pytest.fixture
def claude(gateway):
    with anthropic.Anthropic(base_url=gateway.url, api_key=gateway.client_key, max_retries=0, timeout=60) as client:
        yield client


def response(**fields):
    part = {"type": "output_text", "text": "well", "annotations": []}
    output = [{"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [part]}]
    usage = {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7}
    head = {"id": f"resp_{uuid.uuid4().hex}", "object": "response", "created_at": 1, "status": "completed", "model": "m", "error": None}
    rest = {"tools": [], "parallel_tool_calls": True, "tool_choice": "auto"}
    return {**head, "output": output, "usage": usage, **rest, **fields}


def answer(request):
    """What OpenAI answers to each kind of request."""
    if request.method == "DELETE":
        return json_reply({"id": request.path.rpartition("/")[2], "object": "response", "deleted": True})
    if "/input_items" in request.path:
        return json_reply({"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False})
    if request.path.endswith("/content"):
        return bytes_reply(b"\x00\x01", headers={"content-type": "application/octet-stream"})
    for kind, prefix in (("conversations", "conv"), ("containers", "cntr"), ("files", "file")):
        if f"/{kind}" in request.path:
            _, _, named = request.path.partition(f"/{kind}/")
            return json_reply({"id": named.split("/")[0] or f"{prefix}_{uuid.uuid4().hex}", "object": kind})
    if request.method == "GET" or request.path.endswith("/cancel"):
        return json_reply(response(id=request.path.split("/")[3].partition("?")[0]))
    return json_reply(response())


def message(**fields):
    head = {"id": f"msg_{uuid.uuid4().hex}", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn"}
    rest = {"stop_sequence": None, "content": [{"type": "text", "text": "well"}], "usage": {"input_tokens": 5, "output_tokens": 2}}
    return json_reply({**head, **rest, **fields})


def received(fake):
    """What an upstream was sent, and with which credential."""
    credential = [(request.header("authorization") or request.header("x-api-key")).removeprefix("Bearer ") for request in fake.requests]
    return [(request.method, request.path, key) for request, key in zip(fake.requests, credential, strict=True)]


def turn(gpt, model, **fields):
    return gpt.responses.create(model=f"{model}-openai_responses", input="hi", **fields)


def test_a_conversation_goes_on_where_it_was_begun_also_after_a_restart(gateway, gpt, responses):
    a, b = responses
    assert turn(gpt, "both").id
    assert (len(a.requests), len(b.requests)) == (1, 0)
    first = turn(gpt, "at-b")
    second = turn(gpt, "both", previous_response_id=first.id)
    gateway.stop()
    gateway.restart()
    third = turn(gpt, "both", previous_response_id=second.id)
    gateway.kill()
    gateway.restart()
    turn(gpt, "both", previous_response_id=third.id)
    assert [request.json().get("previous_response_id") for request in b.requests] == [None, first.id, second.id, third.id]
    assert received(b) == [("POST", "/v1/responses", "sk-at-b")] * 4
    assert len(a.requests) == 1


def test_a_streamed_turn_is_followed_as_well(gpt, responses):
    a, b = responses
    whole = response()
    created = {"type": "response.created", "sequence_number": 0, "response": {**whole, "status": "in_progress", "output": []}}
    item = {"type": "response.output_item.done", "sequence_number": 1, "output_index": 0, "item": whole["output"][0]}
    completed = {"type": "response.completed", "sequence_number": 2, "response": whole}
    b.reply(sse(*(event(payload, name=payload["type"]) for payload in (created, item, completed))))
    with gpt.responses.stream(model="at-b-openai_responses", input="hi") as stream:
        assert stream.get_final_response().id == whole["id"]
    turn(gpt, "both", previous_response_id=whole["id"])
    assert (len(a.requests), len(b.requests)) == (0, 2)


def test_reading_cancelling_listing_and_deleting_reach_the_upstream_that_made_it(gateway, gpt, responses):
    a, b = responses
    made = turn(gpt, "at-b").id
    assert gpt.responses.retrieve(made).id == made
    assert gpt.responses.cancel(made).id == made
    assert gpt.responses.input_items.list(made, limit=5).data == []
    gpt.responses.delete(made)
    assert received(b) == [
        ("POST", "/v1/responses", "sk-at-b"),
        ("GET", f"/v1/responses/{made}", "sk-at-b"),
        ("POST", f"/v1/responses/{made}/cancel", "sk-at-b"),
        ("GET", f"/v1/responses/{made}/input_items?limit=5", "sk-at-b"),
        ("DELETE", f"/v1/responses/{made}", "sk-at-b"),
    ]
    assert a.requests == []

    def rows():
        matching_rows = [row for row in gateway.logs(0) if made in row["path"]]
        return matching_rows if len(matching_rows) == 4 else None

    logged = [(row["method"], row["status_code"], row["input_tokens"], row["upstream_name"]) for row in eventually(rows, every=0.1)]
    assert sorted(logged) == [(method, 200, 0, "b-openai_responses") for method in ("DELETE", "GET", "GET", "POST")]


def test_the_stream_of_a_running_response_is_taken_up_again_byte_for_byte(gateway, gpt, responses):
    _, b = responses
    made = turn(gpt, "at-b").id
    frames = [event({"type": "response.completed", "sequence_number": 7, "response": response(id=made)}, name="response.completed")]
    b.reply(sse(*frames))
    url = f"{gateway.url}/v1/responses/{made}?stream=true&starting_after=6"
    resumed = gateway.http.get(url, headers={**gateway.client_headers, "accept": "text/event-stream"})
    assert (resumed.headers["content-type"], resumed.content) == ("text/event-stream", b"".join(frames))
    assert (b.requests[1].path, b.requests[1].header("accept")) == (
        f"/v1/responses/{made}?stream=true&starting_after=6",
        "text/event-stream",
    )


def test_what_the_provider_answers_about_a_deleted_response_reaches_the_client(gpt, responses):
    _, b = responses
    made = turn(gpt, "at-b").id
    error = {"message": f"Response with id '{made}' not found.", "type": "invalid_request_error", "param": None, "code": None}
    b.reply(json_reply({"error": error}, status=404))
    with pytest.raises(openai.NotFoundError) as raised:
        gpt.responses.retrieve(made)
    assert raised.value.body == error
    assert gpt.responses.retrieve(made).id == made


def test_another_key_is_told_that_there_is_no_such_thing(gateway, gpt, stranger, responses):
    a, b = responses
    made = turn(gpt, "at-b").id
    calls = len(b.requests)

    def is_missing(work, *arguments, **fields):
        with pytest.raises(openai.NotFoundError) as mine:
            work(*arguments, **fields)
        return mine.value.body

    nobody = is_missing(stranger.responses.retrieve, "resp_nobody")
    for work in (stranger.responses.retrieve, stranger.responses.cancel, stranger.responses.delete, stranger.responses.input_items.list):
        refusal = is_missing(work, made)
        assert refusal == {**is_missing(work, "resp_nobody"), "message": refusal["message"]}
    assert nobody["code"] is None
    assert is_missing(turn, stranger, "both", previous_response_id=made) == {
        "message": f"Previous response with id '{made}' not found.",
        "type": "invalid_request_error",
        "param": "previous_response_id",
        "code": "previous_response_not_found",
    }
    assert (len(a.requests), len(b.requests)) == (0, calls)


def test_an_id_that_the_gateway_never_saw_goes_where_any_request_goes(gpt, responses):
    a, b = responses
    turn(gpt, "both", previous_response_id="resp_made_elsewhere")
    assert (len(a.requests), len(b.requests)) == (1, 0)


def test_responses_that_the_provider_does_not_keep_are_not_remembered(gpt, responses):
    a, b = responses
    unkept = turn(gpt, "at-b", store=False).id
    turn(gpt, "both", previous_response_id=unkept)
    assert (len(a.requests), len(b.requests)) == (1, 1)


def test_a_model_that_does_not_lead_there_is_an_error_that_names_the_field(gpt, responses):
    a, _ = responses
    made = turn(gpt, "at-b").id
    with pytest.raises(openai.NotFoundError) as raised:
        turn(gpt, "at-a", previous_response_id=made)
    assert raised.value.body == {
        "message": f"previous_response_id: Previous response {made!r} is at an upstream that this model does not lead to, or not any more",
        "type": "invalid_request_error",
        "param": "previous_response_id",
        "code": "previous_response_not_found",
    }
    assert a.requests == []


def test_an_upstream_that_cools_is_an_error_that_names_the_field_and_no_other_is_asked(gateway, gpt, responses, upstream):
    a, _ = responses
    upstream.otherwise(answer)
    cooling_id = gateway.add_upstream(upstream, "cooling", format="openai_responses", cooldown_seconds=60)
    route = {"model_id": gateway.id_of("/models", "both-openai_responses"), "upstream_id": cooling_id, "priority": 9}
    gateway.api("POST", "/routes", json={**route, "remote_name": "m"})
    made = gpt.responses.create(model="cooling", input="hi").id
    limited = {"error": {"message": "slow down", "type": "rate_limit_error"}}
    upstream.reply(json_reply(limited, status=429, headers={"retry-after": "60"}))
    with pytest.raises(openai.RateLimitError):
        turn(gpt, "both", previous_response_id=made)
    with pytest.raises(openai.InternalServerError) as raised:
        turn(gpt, "both", previous_response_id=made)
    assert (raised.value.status_code, raised.value.param) == (503, "previous_response_id")
    assert 50 <= int(raised.value.response.headers["retry-after"]) <= 60
    assert (len(a.requests), len(upstream.requests)) == (0, 2)


def test_a_new_conversation_file_or_container_is_made_at_the_model_of_the_query_and_found_again(gpt, stranger, responses):
    a, b = responses
    there = {"model": "at-b-openai_responses"}
    conversation = gpt.conversations.create(extra_query=there).id
    file = gpt.files.create(file=("a.txt", b"text"), purpose="user_data", extra_query=there).id
    container = gpt.containers.create(name="c", file_ids=[file], extra_query=there).id
    assert gpt.conversations.items.list(conversation)
    assert gpt.files.content(file).read() == b"\x00\x01"
    assert gpt.containers.retrieve(container).id == container
    gpt.files.delete(file)
    assert received(b) == [
        ("POST", "/v1/conversations", "sk-at-b"),
        ("POST", "/v1/files", "sk-at-b"),
        ("POST", "/v1/containers", "sk-at-b"),
        ("GET", f"/v1/conversations/{conversation}/items", "sk-at-b"),
        ("GET", f"/v1/files/{file}/content", "sk-at-b"),
        ("GET", f"/v1/containers/{container}", "sk-at-b"),
        ("DELETE", f"/v1/files/{file}", "sk-at-b"),
    ]
    assert b.requests[1].header("content-type").startswith("multipart/form-data; boundary=")
    assert b"text" in b.requests[1].body
    turn(gpt, "both", conversation=conversation)
    turn(gpt, "both", tools=[{"type": "code_interpreter", "container": container}])
    content = [{"role": "user", "content": [{"type": "input_file", "file_id": file}]}]
    gpt.responses.create(model="both-openai_responses", input=content)
    assert (len(a.requests), len(b.requests)) == (0, 10)
    for fields, param in (
        ({"conversation": conversation, "input": "hi"}, "conversation"),
        ({"input": content}, "input"),
        ({"input": "hi", "tools": [{"type": "code_interpreter", "container": container}]}, "tools"),
    ):
        with pytest.raises(openai.NotFoundError) as raised:
            stranger.responses.create(model="both-openai_responses", **fields)
        assert raised.value.param == param
    for work, made in ((stranger.files.content, file), (stranger.conversations.retrieve, conversation)):
        with pytest.raises(openai.NotFoundError):
            work(made)
    with pytest.raises(openai.NotFoundError):
        stranger.containers.create(name="c", file_ids=[file], extra_query=there)
    assert (len(a.requests), len(b.requests)) == (0, 10)


def test_a_path_cannot_leave_its_object(gateway, gpt, responses):
    _, b = responses
    file = gpt.files.create(file=("a.txt", b"text"), purpose="user_data", extra_query={"model": "at-b-openai_responses"}).id
    for path in (f"{file}/%2e%2e/other", f"{file}%2F..%2Fother", f"{file}/%2e/content"):
        request = gateway.http.build_request("GET", gateway.url, headers=gateway.client_headers)
        request.url = request.url.copy_with(raw_path=f"/v1/files/{path}".encode())
        assert gateway.http.send(request).status_code == 404
    assert len(b.requests) == 1


def test_without_a_model_the_upstream_must_be_the_only_one(gpt, responses):
    with pytest.raises(openai.BadRequestError) as raised:
        gpt.conversations.create()
    assert raised.value.param == "model"


def test_objects_at_different_upstreams_are_an_error(gpt, responses):
    a, b = responses
    first, second = turn(gpt, "at-a").id, turn(gpt, "at-b").id
    with pytest.raises(openai.BadRequestError) as raised:
        turn(
            gpt,
            "both",
            previous_response_id=first,
            conversation=gpt.conversations.create(extra_query={"model": "at-b-openai_responses"}).id,
        )
    assert (raised.value.param, first in raised.value.message) == ("conversation", True)
    assert second
    assert (len(a.requests), len(b.requests)) == (1, 2)


def test_threads_and_containers_of_anthropic_are_followed(claude, messages):
    a, b = messages
    container = {"id": f"container_{uuid.uuid4().hex}", "expires_at": "2026-12-02T00:00:00Z", "skills": None}
    b.reply(message(container=container))
    ask = {"max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}
    claude.messages.create(model="at-b-anthropic", **ask)
    claude.messages.create(model="both-anthropic", container=container["id"], **ask)
    first = claude.messages.create(model="at-b-anthropic", **ask, extra_body={"thread": {"type": "create"}})
    claude.messages.create(model="both-anthropic", **ask, extra_body={"thread": {"type": "continue", "previous_message_id": first.id}})
    assert (len(a.requests), len(b.requests)) == (0, 4)


def test_a_model_of_another_dialect_refuses_the_field_as_ever(claude, messages, responses):
    _, b = messages
    container = {"id": f"container_{uuid.uuid4().hex}", "expires_at": "2026-12-02T00:00:00Z", "skills": None}
    b.reply(message(container=container))
    ask = {"max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}
    claude.messages.create(model="at-b-anthropic", **ask)
    with pytest.raises(anthropic.BadRequestError) as raised:
        claude.messages.create(model="both-openai_responses", container=container["id"], **ask)
    assert raised.value.body["error"]["message"] == "container: not available at this model's upstream"
    assert [len(fake.requests) for fake in responses] == [0, 0]


def test_another_key_gets_anthropics_error_for_a_thread(gateway, claude, messages):
    _, b = messages
    ask = {"max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}
    first = claude.messages.create(model="at-b-anthropic", **ask, extra_body={"thread": {"type": "create"}})
    key = gateway.api("POST", "/keys", json={"name": uuid.uuid4().hex})["key"]
    with pytest.raises(anthropic.NotFoundError) as raised:
        claude.with_options(api_key=key).messages.create(
            model="both-anthropic", **ask, extra_body={"thread": {"type": "continue", "previous_message_id": first.id}}
        )
    error = raised.value.body["error"]
    assert (error["type"], error["details"]) == ("not_found_error", {"error_code": "thread_not_found"})
    assert len(b.requests) == 1


def test_files_of_anthropic_are_made_read_and_followed_with_their_headers(claude, gateway, messages):
    a, b = messages
    file = f"file_{uuid.uuid4().hex}"
    b.reply(json_reply({"id": file, "type": "file", "filename": "a.txt"}), bytes_reply(b"text", headers={"content-type": "text/plain"}))
    headers = {**gateway.client_headers, "anthropic-version": "2023-06-01", "anthropic-beta": "files-api-2025-04-14"}
    upload = {"files": {"file": ("a.txt", b"text")}, "headers": {**headers, "anthropic-workspace-id": "wrkspc_1"}}
    made = gateway.http.post(f"{gateway.url}/v1/files?model=at-b-anthropic", **upload)
    assert made.json()["id"] == file
    assert gateway.http.get(f"{gateway.url}/v1/files/{file}/content", headers=headers).content == b"text"
    assert received(b) == [("POST", "/v1/files", "sk-at-b"), ("GET", f"/v1/files/{file}/content", "sk-at-b")]
    sent = b.requests[0]
    assert [sent.header(name) for name in ("anthropic-version", "anthropic-beta", "anthropic-workspace-id")] == [
        "2023-06-01",
        "files-api-2025-04-14",
        "wrkspc_1",
    ]
    document = {"type": "document", "source": {"type": "file", "file_id": file}}
    claude.messages.create(model="both-anthropic", max_tokens=5, messages=[{"role": "user", "content": [document]}])
    assert (len(a.requests), len(b.requests)) == (0, 3)


def test_a_background_response_is_fetched_where_it_runs_and_its_tokens_are_counted_once(gateway, gpt, responses):
    a, b = responses
    queued = response(status="queued", output=[], usage=None, background=True)
    made = queued["id"]
    done = {**response(background=True), "id": made}
    b.reply(json_reply(queued), json_reply({**queued, "status": "in_progress"}), json_reply(done), json_reply(done))
    begun = turn(gpt, "at-b", background=True)
    assert (begun.id, begun.status) == (made, "queued")
    assert [gpt.responses.retrieve(made).status for _ in range(3)] == ["in_progress", "completed", "completed"]
    assert (len(a.requests), len(b.requests)) == (0, 4)

    def rows():
        matching_rows = [row for row in gateway.logs(0) if made in row["path"]]
        return sorted((row["input_tokens"], row["output_tokens"]) for row in matching_rows) if len(matching_rows) == 3 else None

    assert eventually(rows, every=0.1) == [(0, 0), (0, 0), (5, 2)]


def test_a_response_whose_stream_the_gateway_had_opened_early_is_followed_under_the_id_that_the_client_got(fake_loop, upstream):
    whole = response()
    created = {"type": "response.created", "sequence_number": 0, "response": {**whole, "status": "in_progress", "output": []}}
    text = {"type": "response.output_text.delta", "sequence_number": 1, "item_id": "msg_1", "output_index": 0, "content_index": 0}
    completed = {"type": "response.completed", "sequence_number": 2, "response": whole}
    frames = [event(payload, name=payload["type"]) for payload in (created, {**text, "delta": "well"}, completed)]
    with Gateway.started(PXBIN_HOLD_SECONDS="0.1") as gateway, client_of(gateway) as gpt:
        gateway.add_upstream(upstream, "slow", format="openai_responses")
        upstream.reply(sse(frames[0], 0.5, *frames[1:]))
        upstream.otherwise(answer)
        with gpt.responses.stream(model="slow", input="hi") as stream:
            client_id = stream.get_final_response().id
        assert client_id != whole["id"]
        gpt.responses.create(model="slow", input="on", previous_response_id=client_id)
        gpt.responses.retrieve(client_id)
    assert upstream.requests[1].json()["previous_response_id"] == whole["id"]
    assert upstream.requests[2].path == f"/v1/responses/{whole['id']}"


def test_a_gateway_that_stores_responses_itself_goes_on_at_the_provider_with_those_that_it_did_not_store(upstream):
    queued = response(status="queued", output=[], usage=None, background=True)
    with Gateway.started(PXBIN_RESPONSES_STORE_SECONDS="60") as gateway, client_of(gateway) as gpt:
        gateway.add_upstream(upstream, "storing", format="openai_responses")
        upstream.reply(json_reply(queued))
        upstream.otherwise(answer)
        assert gpt.responses.create(model="storing", input="hi", background=True).status == "queued"
        gpt.responses.create(model="storing", input="on", previous_response_id=queued["id"])
        assert gpt.responses.retrieve(queued["id"]).id == queued["id"]
        stored = gpt.responses.create(model="storing", input="hi").id
        gpt.responses.create(model="storing", input="on", previous_response_id=stored)
        assert gpt.responses.retrieve(stored).id == stored
        gpt.responses.delete(stored)
        with pytest.raises(openai.BadRequestError):
            gpt.responses.create(model="storing", input="on", previous_response_id="resp_nobody")
    assert [(request.method, request.json().get("previous_response_id") if request.body else "") for request in upstream.requests] == [
        ("POST", None),
        ("POST", queued["id"]),
        ("GET", ""),
        ("POST", None),
        ("POST", None),
        ("DELETE", ""),
    ]


def test_another_process_follows_a_response_before_its_log_row_is_written(fake_loop, upstream, second_upstream):
    with Gateway.started(PXBIN_WEB_PROCESSES="2") as gateway:
        for fake, name in ((upstream, "first"), (second_upstream, "second")):
            fake.otherwise(answer)
            gateway.add_upstream(fake, name, format="openai_responses", extra_headers={"x-process": "{process-id}"})
        route = {"model_id": gateway.id_of("/models", "first"), "upstream_id": gateway.id_of("/upstreams", f"fake-{second_upstream.port}")}
        gateway.api("POST", "/routes", json={**route, "remote_name": "m", "priority": 5})

        def ask(model, **fields):
            body = {"model": model, "input": "hi", **fields}
            return gateway.http.post(f"{gateway.url}/v1/responses", headers=gateway.client_headers, json=body).json()["id"]

        def converse(_):
            made = ask("second")
            for _ in range(3):
                made = ask("first", previous_response_id=made)

        def processes():
            """Those that have called the second upstream."""
            return {request.header("x-process") for request in second_upstream.requests}

        # Each request comes on a connection of its own, which either process may accept once it has started.
        with ThreadPoolExecutor(8) as threads:
            assert eventually(lambda: list(threads.map(ask, ["second"] * 8)) and len(processes()) == 2)
            list(threads.map(converse, range(20)))
        assert (upstream.requests, len(processes())) == ([], 2)


def test_with_redis_another_gateway_follows_what_one_has_made(upstream, second_upstream, redis_url):
    with Gateway.started(PXBIN_REDIS_URL=redis_url) as gateway, client_of(gateway) as gpt:
        for fake, name in ((upstream, "first"), (second_upstream, "second")):
            fake.otherwise(answer)
            gateway.add_upstream(fake, name, format="openai_responses")
        route = {"model_id": gateway.id_of("/models", "first"), "upstream_id": gateway.id_of("/upstreams", f"fake-{second_upstream.port}")}
        gateway.api("POST", "/routes", json={**route, "remote_name": "m", "priority": 5})
        made = gpt.responses.create(model="second", input="hi").id
        with redis.Redis.from_url(redis_url) as client:
            assert eventually(lambda: client.hlen(f"pxbin:made:{made}") == 1)
            gateway.stop()
            (stored,) = client.hvals(f"pxbin:made:{made}")
            moved = json.loads(stored) | {"id": "resp_moved", "remote_id": made}
            client.hset("pxbin:made:resp_moved", moved["api_key_id"], json.dumps(moved))
        gateway.restart()
        for object_id in (made, "resp_moved"):  # the second one is in Redis alone
            gpt.responses.create(model="first", input="hi", previous_response_id=object_id)
    assert [request.json().get("previous_response_id") for request in second_upstream.requests] == [None, made, made]
    assert upstream.requests == []
