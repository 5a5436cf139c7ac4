"""boto3's Converse against a running gateway, with a provider of each dialect behind it that refuses what the real one would."""

import base64
import json
from contextlib import closing

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError

from tests.support.vendor_wires import Call, Completion

PIECES = ["Grüße, ", "дом 日本", "語 👩‍👩‍👧 ", "\u2028 end"]
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
TOOLS = {"tools": [{"toolSpec": {"name": name, "description": name, "inputSchema": {"json": SCHEMA}}} for name in ("f", "g")]}
PIXEL = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")
HI = {"role": "user", "content": [{"text": "Hi"}]}

whole_and_streamed = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


@pytest.fixture
def vendor(any_vendor):
    return any_vendor


@pytest.fixture(scope="module")
def runtime(gateway):
    keys = {"aws_access_key_id": gateway.client_key, "aws_secret_access_key": "not checked"}
    config = Config(retries={"total_max_attempts": 1})
    return boto3.client("bedrock-runtime", endpoint_url=gateway.url, region_name="us-east-1", config=config, **keys)


@pytest.fixture
def ask(runtime, vendor):
    """Ask, streamed or not; the message, the stop reason and the usage either way."""

    def asking(*, stream=False, **arguments):
        arguments = {"modelId": f"claude-sonnet-4-5-at-{vendor.dialect}", "messages": [HI], **arguments}
        if stream:
            with closing(runtime.converse_stream(**arguments)["stream"]) as events:
                return collected(events)
        answer = runtime.converse(**arguments)
        return answer["output"]["message"], answer["stopReason"], answer["usage"]

    return asking


def collected(events):
    """What a stream adds up to."""
    blocks, stop, usage = {}, None, None
    for event in events:
        ((kind, value),) = event.items()
        if kind == "contentBlockStart":
            blocks[value["contentBlockIndex"]] = {"toolUse": {**value["start"]["toolUse"], "input": ""}}
        elif kind == "contentBlockDelta":
            _add(blocks, value["contentBlockIndex"], value["delta"])
        elif kind == "messageStop":
            stop = value["stopReason"]
        elif kind == "metadata":
            usage = value["usage"]
    return {"role": "assistant", "content": [_whole(block) for _, block in sorted(blocks.items())]}, stop, usage


def _add(blocks, index, delta):
    if "text" in delta:
        blocks.setdefault(index, {"text": ""})["text"] += delta["text"]
    elif "toolUse" in delta:
        blocks[index]["toolUse"]["input"] += delta["toolUse"]["input"]
    else:
        reasoning = blocks.setdefault(index, {"reasoningContent": {"reasoningText": {"text": ""}}})["reasoningContent"]
        content = delta["reasoningContent"]
        if "redactedContent" in content:
            reasoning.clear()
            reasoning["redactedContent"] = content["redactedContent"]
        else:
            reasoning["reasoningText"]["text"] += content.get("text", "")
            reasoning["reasoningText"] |= {name: content[name] for name in ("signature",) if name in content}


def _whole(block):
    if "toolUse" in block:
        return {"toolUse": {**block["toolUse"], "input": json.loads(block["toolUse"]["input"] or "{}")}}
    return block


@pytest.mark.parametrize("split", [0, 1, 7])
@whole_and_streamed
def test_words_and_usage(ask, vendor, stream, split):
    vendor.split = split
    vendor.says(Completion(PIECES))
    message, stop, usage = ask(stream=stream, system=[{"text": "Be brief."}], inferenceConfig={"maxTokens": 100})
    assert (message["content"], stop) == ([{"text": "".join(PIECES)}], "end_turn")
    counts = [usage[name] for name in ("outputTokens", "totalTokens", "cacheReadInputTokens")]
    assert counts == [50, 200, 30]
    assert vendor.refused == []


@whole_and_streamed
def test_parallel_calls_and_their_results(ask, vendor, stream):
    calls = [Call("call_1", "f", '{"a":1}'), Call("call_2", "g", '{"a":2}')]
    vendor.says(Completion("Let me look.", calls=calls, thinking=["I think ", "hard"]), Completion("Done"))
    thinking = {"thinking": {"type": "enabled", "budget_tokens": 2000}}
    arguments = {"toolConfig": TOOLS, "additionalModelRequestFields": thinking, "inferenceConfig": {"maxTokens": 9000}}
    message, stop, _ = ask(stream=stream, **arguments)
    uses = [block["toolUse"] for block in message["content"] if "toolUse" in block]
    assert [(use["name"], use["input"]) for use in uses] == [("f", {"a": 1}), ("g", {"a": 2})]
    assert stop == "tool_use"
    results = [{"toolResult": {"toolUseId": use["toolUseId"], "content": [{"json": {"seen": use["input"]["a"]}}]}} for use in uses]
    message, stop, _ = ask(stream=stream, messages=[HI, message, {"role": "user", "content": results}], **arguments)
    assert (message["content"], stop, vendor.refused) == ([{"text": "Done"}], "end_turn", [])
    sent = str(vendor.last)
    assert "seen" in sent
    if vendor.dialect != "openai_responses":  # its summary is shown for Anthropic's clients and for those that ask for it
        assert "I think hard" in sent


@whole_and_streamed
def test_an_image_and_a_document_arrive(ask, vendor, stream):
    content = [
        {"text": "What is this?"},
        {"image": {"format": "png", "source": {"bytes": PIXEL}}},
        {"document": {"format": "pdf", "name": "paper", "source": {"bytes": b"%PDF-1.4\n"}}},
    ]
    message, _, _ = ask(stream=stream, messages=[{"role": "user", "content": content}])
    assert (message["content"], vendor.refused) == ([{"text": "Hello"}], [])
    sent = str(vendor.last)
    assert base64.b64encode(PIXEL).decode() in sent
    assert base64.b64encode(b"%PDF-1.4\n").decode() in sent


@pytest.mark.parametrize(("status", "code"), [(429, "ThrottlingException"), (400, "ValidationException"), (500, "InternalServerException")])
@whole_and_streamed
def test_errors_are_exceptions_of_bedrock(ask, vendor, stream, status, code):
    vendor.fails(status, "it is so")
    with pytest.raises(ClientError) as raised:
        ask(stream=stream)
    assert raised.value.response["Error"] == {"Code": code, "Message": "it is so"}


@pytest.mark.parametrize("breaks", ["error", "close"])
def test_a_broken_stream_raises(ask, vendor, breaks):
    vendor.says(Completion(PIECES, breaks=breaks))
    with pytest.raises(EventStreamError):
        ask(stream=True)


def test_tokens_are_counted(runtime, vendor):
    request = {"converse": {"messages": [HI], "system": [{"text": "Be brief."}]}}
    answer = runtime.count_tokens(modelId="echo", input=request)
    assert answer["inputTokens"] > 3


def test_a_field_of_the_wrong_type_is_named(gateway):
    body = {"messages": [{"role": "user", "content": [{"image": {"format": "bmp", "source": {"bytes": "AAAA"}}}]}]}
    answer = gateway.http.post(f"{gateway.url}/model/echo/converse", json=body, headers=gateway.client_headers)
    message = "messages.0.content.0.image.format: must be png, jpeg, gif or webp"
    assert (answer.status_code, answer.headers["x-amzn-errortype"], answer.json()) == (400, "ValidationException", {"message": message})
