"""Thought signatures on their way through clients, and what a call without one gets."""

import json

import pytest

from proxy.exchange.prepare import Preparer
from proxy.translation.canonical import Finish, Message, Reasoning, Request, Response, Seal, Text, ToolCall
from proxy.translation.dialects.base import EncodeContext, EncodeTarget
from proxy.translation.dialects.gemini.signatures import UNSIGNED_CALL
from proxy.translation.dialects.registry import REGISTRY
from proxy.translation.quirks import DEFAULT

KEY = b"the secret of the signatures"
GEMINI = REGISTRY["gemini"]
CALLS = [{"functionCall": {"name": name, "args": {}}} for name in ("f", "g")]
RESULTS = [{"functionResponse": {"name": name, "response": {}}} for name in ("f", "g")]


def answer(*parts):
    candidate = {"content": {"role": "model", "parts": list(parts)}, "finishReason": "STOP"}
    return GEMINI.decode_response(json.dumps({"candidates": [candidate]}).encode(), DEFAULT)


def encoded_parts(messages, *, model="gemini-3-pro", family="anthropic", upstream=""):
    request = Request(model="m", messages=messages, family=family)
    body = json.loads(GEMINI.encode_request(request, EncodeTarget(model=model, dialect="gemini", upstream=upstream)))
    return [part for content in body["contents"] if content["role"] == "model" for part in content["parts"]]


def test_each_signature_returns_to_its_part():
    parts = [
        {"text": "hm", "thought": True, "thoughtSignature": "dGg="},
        {"text": "Well.", "thoughtSignature": "dHg="},
        {**CALLS[0], "thoughtSignature": "Y2E="},
        CALLS[1],
    ]
    response = answer(*parts)
    sent = encoded_parts((Message("user", (Text("Hi"),)), Message("assistant", response.parts)))
    assert [(part.get("text"), part.get("thoughtSignature")) for part in sent] == [
        ("hm", "dGg="),
        ("Well.", "dHg="),
        (None, "Y2E="),
        (None, None),
    ]


@pytest.mark.parametrize(("model", "signature"), [("gemini-3-pro", UNSIGNED_CALL), ("gemini-2.5-pro", None), ("other", UNSIGNED_CALL)])
def test_the_first_call_of_another_model_skips_validation_from_generation_3_on(model, signature):
    calls = (ToolCall("a", "f", "{}"), ToolCall("b", "g", "{}"))
    sent = encoded_parts((Message("user", (Text("Hi"),)), Message("assistant", calls)), model=model)
    assert [part.get("thoughtSignature") for part in sent] == [signature, None]


def test_a_signature_of_another_upstream_is_left_out():
    seal = Seal("gemini", "other", {"signature": "c2ln", "place": "call", "call_id": "a", "call_number": "0"})
    parts = (Reasoning("", seal), ToolCall("a", "f", "{}"))
    assert (
        encoded_parts((Message("user", (Text("Hi"),)), Message("assistant", parts)), upstream="mine")[0]["thoughtSignature"]
        == UNSIGNED_CALL
    )


def test_reasoning_of_another_provider_stands_before_the_text_again():
    seal = Seal("anthropic", "anthropic", {"signature": "c2ln"})
    parts = (Reasoning("hm", seal), Text("Let me look."), ToolCall("a", "f", "{}"))
    request = Request(model="m", messages=(), family="gemini")
    context = EncodeContext(id="0" * 24, created=1, model="m", request=request, seal_key=KEY)
    body = json.loads(GEMINI.encode_response(Response(id="x", model="m", parts=parts, finish=Finish(reason="tool_calls")), context))
    content = body["candidates"][0]["content"]
    assert [sorted(part) for part in content["parts"]] == [["text"], ["functionCall", "thoughtSignature"]]
    results = {"role": "user", "parts": [{"functionResponse": {"id": "a", "name": "f", "response": {}}}]}
    raw = json.dumps({"contents": [{"role": "user", "parts": [{"text": "Hi"}]}, content, results]}).encode()
    assert GEMINI.decode_request(GEMINI.open_for_model(raw, "m"), KEY).messages[1].parts == parts

    target = EncodeTarget(model="gemini-3-pro", dialect="gemini")
    prepared = Preparer(GEMINI, GEMINI.open_for_model(raw, "m"), KEY).prepare(GEMINI, target)
    assert prepared.relayed
    assert json.loads(prepared.body)["contents"][1]["parts"][1]["thoughtSignature"] == UNSIGNED_CALL


def test_a_forged_carrier_is_left_out():
    seal = Seal("anthropic", "anthropic", {"signature": "c2ln"})
    request = Request(model="m", messages=(), family="gemini")
    context = EncodeContext(id="0" * 24, created=1, model="m", request=request, seal_key=b"another secret")
    response = Response(id="x", model="m", parts=(Reasoning("hm", seal), Text("Yes")), finish=Finish())
    content = json.loads(GEMINI.encode_response(response, context))["candidates"][0]["content"]
    raw = json.dumps({"contents": [content, {"parts": [{"text": "Go on"}]}]}).encode()
    assert GEMINI.decode_request(GEMINI.open_for_model(raw, "m"), KEY).messages[0].parts == (Text("Yes"),)
