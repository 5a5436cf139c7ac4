"""The doors of the Gemini dialect by plain HTTP: keys, the forms of streams, names in snake case, lists of models, errors."""

import json

import pytest

HI = {"contents": [{"parts": [{"text": "Hello there"}]}]}


def post(gateway, path, body=HI, **headers):
    return gateway.http.post(f"{gateway.url}{path}", json=body, headers=headers)


@pytest.mark.parametrize("root", ["/v1beta/models", "/v1/models"])
def test_a_key_in_the_query_opens_the_door_and_is_seen_nowhere(gateway, root):
    answer = post(gateway, f"{root}/echo:generateContent?key={gateway.client_key}&alt=json")
    assert answer.status_code == 200
    assert answer.json()["candidates"][0]["content"] == {"role": "model", "parts": [{"text": "Hello there"}]}
    row = gateway.row_of(answer.headers["x-request-id"])
    assert (row["path"], row["model"]) == (f"{root}/echo:generateContent", "echo")
    assert gateway.client_key not in json.dumps(row)
    assert gateway.client_key[4:] not in gateway.output.rpartition("serves at")[2]


def test_a_key_in_the_header_opens_the_door(gateway):
    assert post(gateway, "/v1beta/models/echo:generateContent", **{"x-goog-api-key": gateway.client_key}).status_code == 200


def test_a_large_body_with_a_key_in_the_query_is_received(gateway):
    body = {"contents": [{"parts": [{"text": "word " * 100_000}]}]}
    answer = post(gateway, f"/v1beta/models/echo:generateContent?key={gateway.client_key}", body)
    assert answer.json()["usageMetadata"]["promptTokenCount"] > 100_000


@pytest.mark.parametrize("key", ["", "?key=", "?key=AIzaWrong", "?key=pxb_wrong"])
def test_no_or_a_wrong_key_is_refused_in_googles_form(gateway, key):
    answer = post(gateway, f"/v1beta/models/echo:generateContent{key}")
    assert (answer.status_code, answer.json()["error"]["status"]) == (401, "UNAUTHENTICATED")


def test_a_stream_is_an_array_unless_events_are_asked_for(gateway):
    path = f"/v1beta/models/echo:streamGenerateContent?key={gateway.client_key}"
    array = post(gateway, path)
    assert array.headers["content-type"] == "application/json"
    events = post(gateway, f"{path}&alt=sse")
    assert events.headers["content-type"] == "text/event-stream"
    chunks = [json.loads(line.removeprefix("data: ")) for line in events.text.split("\n\n") if line]
    texts = [chunk["candidates"][0]["content"]["parts"] for chunk in array.json()]
    assert texts == [chunk["candidates"][0]["content"]["parts"] for chunk in chunks]
    assert array.json()[-1]["candidates"][0]["finishReason"] == "STOP"


def test_an_array_ends_with_the_error_of_its_stream(gateway):
    body = {"contents": [{"parts": [{"text": "[echo fail_after=1] one two three"}]}]}
    *chunks, last = post(gateway, f"/v1beta/models/echo:streamGenerateContent?key={gateway.client_key}", body).json()
    assert [chunk["candidates"][0]["content"]["parts"] for chunk in chunks] == [[{"text": "one "}]]
    assert last["error"]["code"] == 503


def test_an_error_before_the_stream_is_an_array_too(gateway):
    answer = post(gateway, f"/v1beta/models/nothing:streamGenerateContent?key={gateway.client_key}")
    assert (answer.status_code, answer.json()[0]["error"]["status"]) == (404, "NOT_FOUND")


def test_names_in_snake_case_are_read(gateway):
    body = {
        "system_instruction": {"parts": [{"text": "Be brief."}]},
        "contents": [{"role": "user", "parts": [{"text": "What?"}, {"inline_data": {"mime_type": "image/png", "data": "AAAA"}}]}],
        "generation_config": {"max_output_tokens": 50, "stop_sequences": ["x"]},
    }
    answer = post(gateway, f"/v1beta/models/echo:generateContent?key={gateway.client_key}", body)
    assert answer.json()["candidates"][0]["content"]["parts"] == [{"text": "What?\n[image/png, 3 bytes]"}]


def test_models_have_googles_shape_for_googles_clients_only(gateway):
    def first(query="", **headers):
        return next(iter(gateway.http.get(f"{gateway.url}/v1/models{query}", headers=headers).json()))

    assert first(f"?key={gateway.client_key}") == "models"
    assert first(**{"x-goog-api-key": gateway.client_key}) == "models"
    assert first(authorization=f"Bearer {gateway.client_key}", **{"x-goog-api-client": "google-genai-sdk/3"}) == "object"
    assert first(**{"x-api-key": gateway.client_key}) == "data"


def test_a_wrong_field_is_named(gateway):
    answer = post(gateway, f"/v1beta/models/echo:generateContent?key={gateway.client_key}", {"contents": [{"role": "robot", "parts": []}]})
    message = "contents.0.role: must be user or model"
    violation = {
        "@type": "type.googleapis.com/google.rpc.BadRequest",
        "fieldViolations": [{"field": "contents.0.role", "description": message}],
    }
    assert answer.json() == {"error": {"code": 400, "message": message, "status": "INVALID_ARGUMENT", "details": [violation]}}
