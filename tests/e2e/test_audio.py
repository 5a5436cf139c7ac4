"""Transcriptions by OpenAI's SDK: forms are sent with the remote name, and responses are returned in the requested format."""

import io

import openai
import pytest

from tests.support.fake_upstream import bytes_reply, event, json_reply, sse

SOUND = b"RIFF\x00\r\n--not-a-boundary\r\n\r\n" + bytes(range(256)) * 40
USAGE = {
    "type": "tokens",
    "input_tokens": 14,
    "input_token_details": {"text_tokens": 4, "audio_tokens": 10},
    "output_tokens": 5,
    "total_tokens": 19,
}


@pytest.fixture
def gpt(gateway):
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.client_key, max_retries=0, timeout=60) as client:
        yield client


@pytest.fixture
def whisper(gateway, upstream, request):
    """A model for audio that leads to the fake upstream, by another name."""
    model = f"whisper-{abs(hash(request.node.name))}"
    upstream_id = gateway.add_upstream(upstream, name=model)
    row = gateway.api("POST", "/models", json={"name": model, "upstream_id": upstream_id, "remote_name": "their-whisper"})
    yield model
    gateway.api("DELETE", f"/models/{row['id']}")


def fields_of(request):
    """A form's plain fields and files, as Django reads them."""
    from django.core.files.uploadhandler import MemoryFileUploadHandler
    from django.http.multipartparser import MultiPartParser

    handler = MemoryFileUploadHandler()
    meta = {"CONTENT_TYPE": request.header("content-type"), "CONTENT_LENGTH": str(len(request.body))}
    fields, files = MultiPartParser(meta, io.BytesIO(request.body), [handler]).parse()
    return {name: fields.getlist(name) for name in fields}, {name: (file.name, file.read()) for name, file in files.items()}


def test_a_form_goes_up_with_only_the_model_changed(gpt, upstream, whisper):
    upstream.reply(json_reply({"text": "hello", "usage": USAGE}))
    transcription = gpt.audio.transcriptions.create(
        model=whisper,
        file=("größe.wav", SOUND, "audio/wav"),
        language="de",
        prompt="ein Wort",
        temperature=0.2,
        response_format="json",
        timestamp_granularities=["word", "segment"],
    )
    assert transcription.text == "hello"
    (request,) = upstream.requests
    fields, files = fields_of(request)
    assert (request.path, fields, files) == (
        "/v1/audio/transcriptions",
        {
            "model": ["their-whisper"],
            "language": ["de"],
            "prompt": ["ein Wort"],
            "temperature": ["0.2"],
            "response_format": ["json"],
            "timestamp_granularities[]": ["word", "segment"],
        },
        {"file": ("größe.wav", SOUND)},
    )
    assert request.header("authorization") == "Bearer sk-upstream-secret"


@pytest.mark.parametrize(
    ("form", "kind", "body"),
    [
        ("text", "text/plain; charset=utf-8", b"hello\n"),
        ("srt", "application/x-subrip", b"1\n00:00:00,000 --> 00:00:01,000\nhello\n"),
        ("vtt", "text/vtt", b"WEBVTT\n"),
    ],
)
def test_other_formats_come_as_they_are(gpt, upstream, whisper, form, kind, body):
    upstream.reply(bytes_reply(body, headers={"content-type": kind}))
    raw = gpt.audio.transcriptions.with_raw_response.create(model=whisper, file=("a.wav", SOUND), response_format=form)
    assert (raw.headers["content-type"], raw.http_response.content, raw.parse()) == (kind, body, body.decode())


def test_the_length_of_audio_is_written_down(gpt, gateway, upstream, whisper):
    verbose = {
        "task": "transcribe",
        "language": "english",
        "duration": 8.47,
        "text": "hello",
        "segments": [],
        "usage": {"type": "duration", "seconds": 9},
    }
    upstream.reply(json_reply(verbose))
    raw = gpt.audio.transcriptions.with_raw_response.create(model=whisper, file=("a.wav", SOUND), response_format="verbose_json")
    assert (raw.parse().text, raw.parse().duration) == ("hello", 8.47)
    row = gateway.row_of(raw.headers["x-request-id"])
    assert (row["request_metadata"], row["input_tokens"], row["usage_estimated"], row["path"], row["outcome"]) == (
        {"audio_seconds": 9.0},
        0,
        False,
        "/v1/audio/transcriptions",
        "finished",
    )


def test_a_transcription_is_streamed(gpt, gateway, upstream, whisper):
    deltas = [event({"type": "transcript.text.delta", "delta": word}) for word in ("hel", "lo")]
    upstream.reply(sse(*deltas, event({"type": "transcript.text.done", "text": "hello", "usage": USAGE})))
    raw = gpt.audio.transcriptions.with_raw_response.create(model=whisper, file=("a.wav", SOUND), stream=True)
    events = list(raw.parse())
    assert [stream_event.type for stream_event in events] == ["transcript.text.delta"] * 2 + ["transcript.text.done"]
    assert ("".join(stream_event.delta for stream_event in events[:2]), events[2].text) == ("hello", "hello")
    row = gateway.row_of(raw.headers["x-request-id"])
    assert (row["stream"], row["input_tokens"], row["output_tokens"]) == (True, 14, 5)


def test_translations_go_the_same_way(gateway, upstream, whisper):
    upstream.reply(json_reply({"text": "hello"}))
    form = {"data": {"model": whisper}, "files": {"file": ("a.wav", SOUND)}}
    answer = gateway.http.post(f"{gateway.url}/v1/audio/translations", headers=gateway.client_headers, **form)
    assert (answer.json(), upstream.requests[0].path) == ({"text": "hello"}, "/v1/audio/translations")


def test_a_route_that_takes_no_audio_is_left_out(gpt, gateway, upstream, second_upstream, whisper):
    (model,) = [row for row in gateway.api("GET", "/models", params={"per_page": "1000"}) if row["name"] == whisper]
    (route,) = gateway.api("GET", "/routes", params={"model_id": model["id"]})
    gateway.api("PATCH", f"/routes/{route['id']}", json={"capabilities": {"audio": False}})
    with pytest.raises(openai.BadRequestError) as raised:
        gpt.audio.transcriptions.create(model=whisper, file=("a.wav", SOUND))
    assert "takes no audio" in raised.value.message
    second_id = gateway.add_upstream(second_upstream, name=f"{whisper} other")
    gateway.api("POST", "/routes", json={"model_id": model["id"], "upstream_id": second_id, "priority": 5})
    second_upstream.reply(json_reply({"text": "hello"}))
    assert (gpt.audio.transcriptions.create(model=whisper, file=("a.wav", SOUND)).text, upstream.requests) == ("hello", [])


@pytest.mark.parametrize(("status", "client_status", "call_count"), [(400, 400, 1), (422, 422, 1), (429, 200, 2), (401, 200, 2)])
def test_client_errors_are_returned_and_credential_errors_fail_over(
    gateway, upstream, second_upstream, whisper, status, client_status, call_count
):
    (model,) = [row for row in gateway.api("GET", "/models", params={"per_page": "1000"}) if row["name"] == whisper]
    second_id = gateway.add_upstream(second_upstream, name=f"{whisper} other")
    gateway.api("POST", "/routes", json={"model_id": model["id"], "upstream_id": second_id, "priority": 5})
    upstream.otherwise(json_reply({"error": {"message": "no"}}, status=status))
    second_upstream.otherwise(json_reply({"text": "hello"}))
    files = {"file": ("a.wav", SOUND)}
    answer = gateway.http.post(
        f"{gateway.url}/v1/audio/transcriptions", headers=gateway.client_headers, data={"model": whisper}, files=files
    )
    assert (answer.status_code, len(upstream.requests) + len(second_upstream.requests)) == (client_status, call_count)


@pytest.mark.parametrize(
    ("request_of", "message", "param"),
    [
        ({"data": {"model": "m"}, "files": {"other": b"x"}}, "file: a file is required", "file"),
        ({"files": {"file": b"x"}}, "model: the field is required", "model"),
        ({"json": {"model": "m"}}, "The body must be multipart/form-data, and its content type must name the boundary", None),
        (
            {
                "content": b"--b\r\ncontent-disposition: form-data; name=model\r\n\r\nm",
                "headers": {"content-type": "multipart/form-data; boundary=b"},
            },
            "The form is not complete: it has no closing boundary",
            None,
        ),
    ],
)
def test_a_malformed_form_is_refused(gateway, request_of, message, param):
    headers = {**gateway.client_headers, **request_of.pop("headers", {})}
    answer = gateway.http.post(f"{gateway.url}/v1/audio/transcriptions", headers=headers, **request_of)
    error = answer.json()["error"]
    assert (answer.status_code, error["message"], error["param"]) == (400, message, param)
