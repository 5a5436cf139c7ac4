"""Paths whose bodies pass untranslated, by OpenAI's SDK and by hand: what is sent to the upstream, what the client gets, what is logged."""

import base64
import json
import threading

import openai
import pytest

from tests.support.fake_upstream import CLOSE, HANG, RESET, Reply, bytes_reply, event, json_reply, sse
from tests.support.waiting import PATIENCE

EMBEDDINGS = {
    "object": "list",
    "data": [{"object": "embedding", "index": 0, "embedding": [0.25, -0.5]}],
    "model": "text-embedding-3-small",
    "usage": {"prompt_tokens": 5, "total_tokens": 5},
}
PATHS = ["/v1/embeddings", "/v1/completions", "/v1/images/generations", "/v1/audio/speech", "/v1/moderations", "/v1/rerank"]


@pytest.fixture
def serve(gateway, upstream, second_upstream):
    """Makes a model that leads to one fake upstream, or to two in their order."""
    model_ids = []

    def make(model, *, formats=("openai",), remote_name="theirs"):
        upstreams = [
            gateway.add_upstream(fake, name=f"{model} {priority}", format=wire)
            for priority, (fake, wire) in enumerate(zip((upstream, second_upstream), formats, strict=False))
        ]
        fields = {"name": model, "upstream_id": upstreams[0], "remote_name": remote_name}
        row = gateway.api("POST", "/models", json=fields)
        model_ids.append(row["id"])
        for priority, upstream_id in enumerate(upstreams[1:], 1):
            gateway.api(
                "POST", "/routes", json={"model_id": row["id"], "upstream_id": upstream_id, "remote_name": "second", "priority": priority}
            )
        return model

    yield make
    for model in model_ids:
        gateway.api("DELETE", f"/models/{model}")


def post(gateway, path, body, **options):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"authorization": f"Bearer {gateway.client_key}", "content-type": "application/json"}
    return gateway.http.post(gateway.url + path, headers=headers, content=content, **options)


@pytest.mark.parametrize("wire", ["openai", "openai_responses", "passthrough"])
@pytest.mark.parametrize("path", PATHS)
def test_only_the_models_name_changes_and_the_answer_comes_as_it_is(gateway, upstream, serve, path, wire):
    model = serve(f"raw-{wire}{path}", formats=(wire,))
    answer_body = b'{ "usage" : {"prompt_tokens": 7, "total_tokens": 7}, "odd" :1.0 }'
    upstream.reply(bytes_reply(answer_body, headers={"content-type": "application/json", "x-ratelimit-remaining-requests": "9"}))
    request_text = '{ "input" : "gr\\u00fcn", "model":"%s" , "n": 1.50 }' % model  # noqa: UP031  (braces)
    answer = post(gateway, path, request_text.encode())
    assert (answer.status_code, answer.content, answer.headers["x-ratelimit-remaining-requests"]) == (200, answer_body, "9")
    (request,) = upstream.requests
    assert (request.method, request.path, request.body.decode()) == ("POST", path, request_text.replace(model, "theirs"))
    assert request.header("authorization") == "Bearer sk-upstream-secret"
    row = gateway.row_of(answer.headers["x-request-id"])
    assert (row["path"], row["model"], row["outcome"], row["status_code"], row["input_tokens"], row["output_tokens"]) == (
        path,
        model,
        "finished",
        200,
        7,
        0,
    )
    assert row["usage_estimated"] is False


def test_an_upstream_of_another_kind_does_not_offer_them(gateway, upstream, serve):
    answer = post(gateway, "/v1/embeddings", {"model": serve("raw-claude", formats=("anthropic",)), "input": "x"})
    assert (answer.status_code, answer.json()["error"]["message"], upstream.requests) == (
        404,
        "/v1/embeddings is not offered by this model's upstream",
        [],
    )


@pytest.mark.parametrize(
    "failure",
    [
        json_reply({"error": {"message": "down"}}, status=503),
        json_reply({"error": {"message": "bad key"}}, status=401),
        json_reply({"error": {"message": "slow down"}}, status=429),
        Reply(instead=RESET),
        Reply(200, {"content-type": "application/json", "content-length": "500"}, (b'{"half":', CLOSE), chunked=False),
    ],
    ids=["503", "401", "429", "reset", "half"],
)
def test_another_upstream_answers_when_the_first_fails(gateway, upstream, second_upstream, serve, failure, request):
    model = serve(f"raw-fall-{request.node.callspec.id}", formats=("openai", "openai"))
    upstream.otherwise(failure)
    second_upstream.otherwise(json_reply(EMBEDDINGS))
    answer = post(gateway, "/v1/embeddings", {"model": model, "input": "x"})
    assert (answer.status_code, answer.json(), second_upstream.requests[0].json()["model"]) == (200, EMBEDDINGS, "second")
    row = gateway.row_of(answer.headers["x-request-id"])
    assert (row["outcome"], row["upstream_name"], row["attempts"] >= 2) == ("finished", f"{model} 1", True)


@pytest.mark.parametrize(
    ("status", "client_status"),
    [(400, 400), (401, 502), (403, 403), (404, 404), (413, 413), (422, 422), (429, 429), (500, 500), (503, 503)],
)
def test_an_upstreams_error_has_openais_shape(gateway, upstream, serve, status, client_status):
    model = serve(f"raw-error-{status}")
    upstream.otherwise(json_reply({"error": {"message": "so it goes", "type": "x", "code": None}}, status=status))
    answer = post(gateway, "/v1/embeddings", {"model": model, "input": "x"})
    assert (answer.status_code, set(answer.json()["error"])) == (client_status, {"message", "type", "param", "code"})
    row = gateway.row_of(answer.headers["x-request-id"])
    assert (row["outcome"], row["status_code"], row["upstream_status"]) == ("failed", client_status, status)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "The request body is empty; a JSON object is expected"),
        (b'{"input": "x"}', "model: the field is required"),
        (b'{"model": 5}', "model: must be a string, not an integer"),
        (b'{"model": "m", "stream": "yes"}', "stream: must be true or false, not a string"),
    ],
)
def test_an_invalid_body_is_refused(gateway, body, message):
    answer = post(gateway, "/v1/embeddings", body)
    assert (answer.status_code, answer.json()["error"]["message"]) == (400, message)


def test_the_keys_models_are_the_only_ones(gateway, upstream, serve):
    model = serve("raw-forbidden")
    key = gateway.api("POST", "/keys", json={"name": "narrow", "allowed_models": ["other"]})["key"]
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=key, max_retries=0) as narrow, pytest.raises(openai.NotFoundError):
        narrow.embeddings.create(model=model, input="x")
    assert upstream.requests == []


# OpenAI's SDK.


@pytest.fixture
def gpt(gateway):
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.client_key, max_retries=0, timeout=60) as client:
        yield client


def test_embeddings(gpt, upstream, serve):
    packed = base64.b64encode(bytes.fromhex("0000803e000000bf")).decode()
    upstream.reply(json_reply({**EMBEDDINGS, "data": [{"object": "embedding", "index": 0, "embedding": packed}]}))
    response = gpt.embeddings.create(model=serve("sdk-embed"), input=["x"])
    assert ([embedding.embedding for embedding in response.data], response.usage.total_tokens) == ([[0.25, -0.5]], 5)


def test_completions_whole_and_streamed(gpt, gateway, upstream, serve):
    def chunk(text, **fields):
        return {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "theirs", **fields} | {
            "choices": [{"index": 0, "text": text, "finish_reason": None, "logprobs": None}] if text else []
        }

    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    model = serve("sdk-complete")
    upstream.reply(json_reply(chunk("hi", usage=usage)))
    upstream.reply(
        sse(event(chunk("one "))[:20], event(chunk("one "))[20:], event(chunk("two")), event(chunk("", usage=usage)), event("[DONE]"))
    )
    assert gpt.completions.create(model=model, prompt="x").choices[0].text == "hi"
    streamed = gpt.completions.with_raw_response.create(model=model, prompt="x", stream=True)
    chunks = list(streamed.parse())
    assert "".join(choice.text for completion_chunk in chunks for choice in completion_chunk.choices) == "one two"
    row = gateway.row_of(streamed.headers["x-request-id"])
    assert (row["stream"], row["input_tokens"], row["output_tokens"], row["outcome"], row["ttft_ms"] is not None) == (
        True,
        3,
        2,
        "finished",
        True,
    )


@pytest.mark.parametrize("ending", [HANG, RESET])
def test_a_stream_is_finished_when_it_says_so_however_its_connection_ends(gpt, gateway, upstream, serve, ending):
    chunk = {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "theirs"}
    model, over = serve(f"sdk-says-done-{ending}"), threading.Event()
    upstream.reply(
        sse(event({**chunk, "choices": [{"index": 0, "text": "hi", "finish_reason": None}]}), event("[DONE]"), over.is_set, ending)
    )
    streamed = gpt.completions.with_raw_response.create(model=model, prompt="x", stream=True)
    assert "".join(choice.text for completion_chunk in streamed.parse() for choice in completion_chunk.choices) == "hi"
    over.set()
    row = gateway.row_of(streamed.headers["x-request-id"])
    assert (row["outcome"], row["status_code"], row["ttft_ms"] is not None) == ("finished", 200, True)


def test_a_stream_that_breaks_off_raises(gpt, gateway, upstream, serve):
    chunk_ids = []
    upstream.reply(sse(event({"id": "c", "choices": []}), b'data: {"half', lambda: chunk_ids, RESET))
    streamed = gpt.completions.with_raw_response.create(model=serve("sdk-broken"), prompt="x", stream=True)

    def read():
        for chunk in streamed.parse():
            chunk_ids.append(chunk.id)  # noqa: PERF401  (the upstream goes on when the first one is there)

    with pytest.raises(openai.APIError):
        read()
    assert (chunk_ids, gateway.row_of(streamed.headers["x-request-id"])["outcome"]) == (["c"], "failed")


def test_a_client_that_leaves_cancels_the_upstream_call(gateway, upstream, serve):
    first = event({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 1}})
    upstream.reply(sse(first, HANG))
    body = {"model": serve("raw-left"), "prompt": "x", "stream": True}
    headers = {"authorization": f"Bearer {gateway.client_key}"}
    with gateway.http.stream("POST", f"{gateway.url}/v1/completions", headers=headers, json=body) as answer:
        assert next(answer.iter_raw()) == first
    assert upstream.requests[0].left_early.wait(PATIENCE)
    row = gateway.row_of(answer.headers["x-request-id"])
    assert (row["outcome"], row["input_tokens"], row["output_tokens"]) == ("cancelled", 3, 1)


def test_images_speech_and_moderations(gpt, gateway, upstream, serve):
    serve("dall-e-2", remote_name="dall-e-2")
    serve("omni-moderation-latest", remote_name="other-moderation")
    speech = serve("sdk-speech")
    sound = bytes(range(256)) * 300
    upstream.reply(json_reply({"created": 1, "data": [{"url": "https://images.example/1.png"}]}))
    upstream.reply(json_reply({"id": "modr-1", "model": "m", "results": []}))
    upstream.reply(Reply(200, {"content-type": "audio/mpeg"}, (sound[:1000], 0.05, sound[1000:])))
    assert gpt.images.generate(prompt="a cat").data[0].url == "https://images.example/1.png"
    assert gpt.moderations.create(input="x").id == "modr-1"
    speech_response = gpt.audio.speech.create(model=speech, voice="alloy", input="hello")
    assert (speech_response.content, speech_response.response.headers["content-type"]) == (sound, "audio/mpeg")
    assert [request.json().get("model") for request in upstream.requests] == [None, "other-moderation", "theirs"]
    row = gateway.row_of(speech_response.response.headers["x-request-id"])
    assert (row["outcome"], row["input_tokens"], row["usage_estimated"]) == ("finished", 0, False)


def test_the_limits_of_a_key_apply_to_untranslated_paths(gateway, upstream, serve):
    model = serve("raw-limited")
    upstream.otherwise(json_reply(EMBEDDINGS))
    key = gateway.api("POST", "/keys", json={"name": "limited", "rate_limit": 2})["key"]
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=key, max_retries=0) as client:
        client.embeddings.create(model=model, input="x", encoding_format="float")
        client.embeddings.create(model=model, input="x", encoding_format="float")
        with pytest.raises(openai.RateLimitError):
            client.embeddings.create(model=model, input="x", encoding_format="float")
