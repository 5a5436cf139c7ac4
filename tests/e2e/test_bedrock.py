"""Bedrock in both roles: boto3 as a client of the gateway, and the gateway before an endpoint that checks its signature."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from proxy.translation.framing.eventstream import EVENT_STREAM
from proxy.translation.framing.sse import Frame
from tests.support.fake_upstream import FakeUpstream, Received, Reply, json_reply
from tests.support.gateway import Gateway

ACCESS_KEY, SECRET, REGION = "AKIDEXAMPLE", "a secret access key", "eu-central-1"
ARN = "arn:aws:bedrock:eu-central-1:123456789012:inference-profile/eu.anthropic.claude-sonnet-4-5-v1:0"
ANSWER = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude",
    "content": [{"type": "text", "text": "Hello"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 5, "output_tokens": 2},
}
EVENTS: list[dict[str, Any]] = [
    {"type": "message_start", "message": {**ANSWER, "content": [], "stop_reason": None}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": {"output_tokens": 2}},
    {"type": "message_stop"},
]
BODY = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 50, "messages": [{"role": "user", "content": "Hi"}]}


def signature_of(request: Received, base: str) -> tuple[str, str]:
    """The signature that a request carries, and the one that AWS's own library makes of what arrived."""
    authorization = str(request.header("authorization"))
    parts = dict(part.split("=", 1) for part in authorization.removeprefix("AWS4-HMAC-SHA256 ").split(", "))
    signed = {name: str(request.header(name)) for name in parts["SignedHeaders"].split(";")}
    assert parts["Credential"].startswith(f"{ACCESS_KEY}/")
    assert parts["Credential"].endswith(f"/{REGION}/bedrock/aws4_request")
    arrived = AWSRequest(method=request.method, url=base + request.path, data=request.body, headers=signed)
    arrived.context["timestamp"] = request.header("x-amz-date")
    signer = SigV4Auth(Credentials(ACCESS_KEY, SECRET), "bedrock", REGION)
    return parts["Signature"], signer.signature(signer.string_to_sign(arrived, signer.canonical_request(arrived)), arrived)


def aws(upstream: FakeUpstream) -> None:
    """An endpoint as Bedrock's: a wrong signature gets 403, a correct one the response of the path."""

    def answer(request: Received) -> Reply:
        signature, expected = signature_of(request, upstream.url)
        if signature != expected:
            error = {"x-amzn-errortype": "InvalidSignatureException:http://internal/"}
            return json_reply({"message": "The request signature does not match"}, status=403, headers=error)
        if request.path.endswith("/invoke-with-response-stream"):
            frames = [EVENT_STREAM.write(Frame(json.dumps(event).encode(), "chunk")) for event in EVENTS]
            return Reply(200, {"content-type": EVENT_STREAM.media_type}, frames)
        return json_reply(ANSWER)

    upstream.otherwise(answer)


@pytest.fixture
def signed(gateway: Gateway, upstream: FakeUpstream) -> str:
    """A model at a Bedrock upstream with signed requests; its remote name is an inference profile's ARN."""
    name = f"signed-{upstream.url.rpartition(':')[2]}"
    credential = {"access_key_id": ACCESS_KEY, "api_key": SECRET}
    upstream_row = gateway.api(
        "POST", "/upstreams", json={"name": name, "endpoint": upstream.url, "format": "bedrock", "region": REGION, **credential}
    )
    gateway.api("POST", "/models", json={"name": name, "upstream_id": upstream_row["id"], "remote_name": ARN})
    aws(upstream)
    return name


@pytest.mark.parametrize("stream", [False, True])
def test_requests_are_signed_as_aws_wants_them(gateway: Gateway, upstream: FakeUpstream, signed: str, stream: bool) -> None:
    body = {"model": signed, "max_tokens": 50, "stream": stream, "messages": [{"role": "user", "content": "Hi \u00e9"}]}
    answer = gateway.http.post(f"{gateway.url}/v1/messages", headers=gateway.client_headers, json=body)
    assert (answer.status_code, "Hello" in answer.text) == (200, True)
    (received,) = upstream.requests
    verb = "invoke-with-response-stream" if stream else "invoke"
    assert received.path == f"/model/{ARN.replace('/', '%2F')}/{verb}"
    assert received.json() == {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 50, "messages": body["messages"]}


def test_a_refused_upstream_credential_is_a_502_for_the_client(gateway: Gateway, upstream: FakeUpstream) -> None:
    name = f"wrong-{upstream.url.rpartition(':')[2]}"
    upstream_row = gateway.api(
        "POST",
        "/upstreams",
        json={"name": name, "base_url": upstream.url, "format": "bedrock", "region": REGION, "access_key_id": ACCESS_KEY, "api_key": "bad"},
    )
    gateway.api("POST", "/models", json={"name": name, "upstream_id": upstream_row["id"]})
    aws(upstream)
    body = {"model": name, "max_tokens": 5, "messages": [{"role": "user", "content": "Hi"}]}
    answer = gateway.http.post(f"{gateway.url}/v1/messages", headers=gateway.client_headers, json=body)
    assert (answer.status_code, answer.json()["error"]["type"]) == (502, "api_error")


def test_temporary_credentials_send_their_session_token(gateway: Gateway, upstream: FakeUpstream) -> None:
    name = f"temporary-{upstream.url.rpartition(':')[2]}"
    credential = {"access_key_id": ACCESS_KEY, "api_key": SECRET, "session_token": "a-session-token"}
    upstream_row = gateway.api(
        "POST", "/upstreams", json={"name": name, "base_url": upstream.url, "format": "bedrock", "region": REGION, **credential}
    )
    gateway.api("POST", "/models", json={"name": name, "upstream_id": upstream_row["id"]})
    upstream.otherwise(lambda request: json_reply({"message": f"{request.header('x-amz-security-token')} is expired"}, status=400))
    body = {"model": name, "max_tokens": 5, "messages": [{"role": "user", "content": "Hi"}]}
    answer = gateway.http.post(f"{gateway.url}/v1/messages", headers=gateway.client_headers, json=body)
    (received,) = upstream.requests
    assert received.header("x-amz-security-token") == "a-session-token"
    assert "x-amz-security-token" in received.header("authorization")
    assert (answer.status_code, "a-session-token" in answer.text, "***" in answer.text) == (400, False, True)


def test_a_bearer_key_needs_no_signature(gateway: Gateway, upstream: FakeUpstream) -> None:
    name = f"bearer-{upstream.url.rpartition(':')[2]}"
    upstream_row = gateway.api(
        "POST", "/upstreams", json={"name": name, "base_url": upstream.url, "format": "bedrock", "region": REGION, "api_key": "bedrock-key"}
    )
    gateway.api("POST", "/models", json={"name": name, "upstream_id": upstream_row["id"], "remote_name": "anthropic.claude-v1:0"})
    upstream.reply(json_reply(ANSWER))
    body = {"model": name, "max_tokens": 5, "messages": [{"role": "user", "content": "Hi"}]}
    assert gateway.http.post(f"{gateway.url}/v1/messages", headers=gateway.client_headers, json=body).status_code == 200
    (received,) = upstream.requests
    assert (received.path, received.header("authorization")) == ("/model/anthropic.claude-v1:0/invoke", "Bearer bedrock-key")


def client(gateway: Gateway, key: str) -> Any:
    """boto3 before the gateway, the gateway's key in place of the access key id."""
    return boto3.client(
        "bedrock-runtime",
        endpoint_url=gateway.url,
        region_name=REGION,
        aws_access_key_id=key,
        aws_secret_access_key="not checked",
        config=Config(retries={"max_attempts": 1}),
    )


@pytest.mark.parametrize("model", ["echo", "echo-anthropic"])
def test_boto3_is_answered_whole_and_streamed(gateway: Gateway, model: str) -> None:
    runtime = client(gateway, gateway.client_key)
    message = json.loads(runtime.invoke_model(modelId=model, body=json.dumps(BODY))["body"].read())
    assert message["content"] == [{"type": "text", "text": "Hi", "citations": None}]
    stream = runtime.invoke_model_with_response_stream(modelId=model, body=json.dumps(BODY))["body"]
    events = [json.loads(event["chunk"]["bytes"]) for event in stream]
    assert "".join(event["delta"]["text"] for event in events if event["type"] == "content_block_delta") == "Hi"
    assert [events[0]["type"], events[-1]["type"]] == ["message_start", "message_stop"]


def test_boto3_gets_token_counts_and_a_request_id_as_headers(gateway: Gateway) -> None:
    runtime = client(gateway, gateway.client_key)
    response = runtime.invoke_model(modelId="echo", body=json.dumps(BODY))
    usage, headers = json.loads(response["body"].read())["usage"], response["ResponseMetadata"]["HTTPHeaders"]
    counts = [headers[f"x-amzn-bedrock-{side}-token-count"] for side in ("input", "output")]
    assert counts == [str(usage["input_tokens"]), str(usage["output_tokens"])]
    stream = runtime.invoke_model_with_response_stream(modelId="echo", body=json.dumps(BODY))
    assert stream["contentType"] == "application/json"
    with pytest.raises(ClientError) as caught:
        runtime.invoke_model(modelId="nosuch", body=json.dumps(BODY))
    answers = [response["ResponseMetadata"], stream["ResponseMetadata"], caught.value.response["ResponseMetadata"]]
    assert len({answer["RequestId"] for answer in answers}) == 3
    assert all(answer["RequestId"] == answer["HTTPHeaders"]["x-request-id"] for answer in answers)


def test_boto3_talks_to_bedrock_through_the_gateway(gateway: Gateway, signed: str) -> None:
    runtime = client(gateway, gateway.client_key)
    assert json.loads(runtime.invoke_model(modelId=signed, body=json.dumps(BODY))["body"].read())["content"] == ANSWER["content"]
    stream = runtime.invoke_model_with_response_stream(modelId=signed, body=json.dumps(BODY))["body"]
    assert [json.loads(event["chunk"]["bytes"])["type"] for event in stream] == [event["type"] for event in EVENTS]


def test_guardrails_go_up(gateway: Gateway, upstream: FakeUpstream, signed: str) -> None:
    guarded = {"guardrailIdentifier": "gr-1", "guardrailVersion": "1", "trace": "ENABLED"}
    client(gateway, gateway.client_key).invoke_model(modelId=signed, body=json.dumps(BODY), **guarded)
    (received,) = upstream.requests
    guardrail_headers = [received.header(f"x-amzn-bedrock-{name}") for name in ("guardrailidentifier", "guardrailversion", "trace")]
    assert guardrail_headers == ["gr-1", "1", "ENABLED"]


@pytest.mark.parametrize(
    ("key", "model", "code"),
    [("pxb_wrong", "echo", "UnrecognizedClientException"), ("", "nosuch:0", "ResourceNotFoundException")],
)
def test_boto3_sees_its_own_errors(gateway: Gateway, key: str, model: str, code: str) -> None:
    with pytest.raises(ClientError) as caught:
        client(gateway, key or gateway.client_key).invoke_model(modelId=model, body=json.dumps(BODY))
    assert caught.value.response["Error"]["Code"] == code
