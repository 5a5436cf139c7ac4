"""Turns that the gateway keeps for `previous_response_id`: by OpenAI's SDK, with upstreams of every dialect."""

import anthropic
import openai
import pytest

from tests.support.fake_upstream import event, json_reply, sse
from tests.support.gateway import Gateway
from tests.support.waiting import eventually

WIRES = ["openai", "anthropic", "openai_responses"]
CHAT = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
}


@pytest.fixture(scope="module")
def keeping():
    """A gateway that keeps responses for a minute."""
    with Gateway.started(PXBIN_RESPONSES_STORE_SECONDS="60") as running:
        yield running


@pytest.fixture
def gpt(keeping):
    with openai.OpenAI(base_url=f"{keeping.url}/v1", api_key=keeping.client_key, max_retries=0, timeout=60) as client:
        yield client


def text_reply(wire, text):
    """An upstream's answer in its own dialect."""
    if wire == "openai":
        return json_reply({**CHAT, "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}]})
    if wire == "anthropic":
        head = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn", "stop_sequence": None}
        return json_reply({**head, "content": [{"type": "text", "text": text}], "usage": {"input_tokens": 5, "output_tokens": 2}})
    part = {"type": "output_text", "text": text, "annotations": []}
    message = {"id": f"msg_{text}", "type": "message", "role": "assistant", "status": "completed", "content": [part]}
    usage = {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7}
    head = {"id": f"resp_{text}", "object": "response", "created_at": 1, "status": "completed", "model": "m", "error": None}
    return json_reply({**head, "output": [message], "usage": usage, "tools": [], "parallel_tool_calls": True, "tool_choice": "auto"})


def turns_of(wire, request):
    """The roles and texts of the conversation that was sent to an upstream."""
    body = request.json()
    turns = body["input"] if wire == "openai_responses" else body["messages"]

    def text_of(content):
        return content if isinstance(content, str) else "".join(part["text"] for part in content)

    return [(turn["role"], text_of(turn["content"])) for turn in turns]


@pytest.mark.parametrize("wire", WIRES)
def test_a_conversation_goes_on_from_its_last_turn(keeping, gpt, upstream, wire):
    model = f"keep-{wire}"
    keeping.add_upstream(upstream, model, format=wire)
    upstream.reply(*(text_reply(wire, text) for text in ("one", "two", "three")))
    first = gpt.responses.create(model=model, input="a", store=True)
    second = gpt.responses.create(model=model, input=[{"role": "user", "content": "b"}], previous_response_id=first.id)
    third = gpt.responses.create(model=model, input="c", previous_response_id=second.id)
    assert third.output_text == "three"
    assert turns_of(wire, upstream.requests[2]) == [
        ("user", "a"),
        ("assistant", "one"),
        ("user", "b"),
        ("assistant", "two"),
        ("user", "c"),
    ]
    assert {"previous_response_id", "pxbin_keeps", "pxbin_continues"} & set(upstream.requests[2].json()) == set()
    stored = gpt.responses.retrieve(second.id)
    assert (stored.id, stored.output_text, stored.status) == (second.id, "two", "completed")


def test_a_streamed_turn_is_kept_too_and_goes_on_at_another_upstream(keeping, gpt, upstream, second_upstream):
    def chunk(delta, finish=None):
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return event({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]})

    keeping.add_upstream(upstream, "keep-stream")
    keeping.add_upstream(second_upstream, "keep-other", format="anthropic")
    call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"at":"sky"}'}}
    upstream.reply(sse(chunk({"role": "assistant", "tool_calls": [call]}), chunk({}, "tool_calls"), event("[DONE]")))
    second_upstream.reply(text_reply("anthropic", "blue"))
    look = {"type": "function", "name": "look", "parameters": {"type": "object", "properties": {"at": {"type": "string"}}}}
    with gpt.responses.stream(model="keep-stream", input="look", tools=[look]) as stream:
        first = stream.get_final_response()
    (tool_call,) = first.output
    result = {"type": "function_call_output", "call_id": tool_call.call_id, "output": "clouds"}
    second = gpt.responses.create(model="keep-other", input=[result], tools=[look], previous_response_id=first.id)
    assert (second.output_text, second.previous_response_id, second.store, first.store) == ("blue", first.id, True, True)
    _, call_message, result_message = second_upstream.requests[0].json()["messages"]
    assert (call_message["content"][0]["name"], call_message["content"][0]["input"]) == ("look", {"at": "sky"})
    assert result_message["content"][0]["tool_use_id"] == call_message["content"][0]["id"]


def test_the_input_is_listed(keeping, gpt, upstream):
    keeping.add_upstream(upstream, "keep-list")
    upstream.reply(text_reply("openai", "one"), text_reply("openai", "two"))
    first = gpt.responses.create(model="keep-list", input="a")
    second = gpt.responses.create(model="keep-list", input="b", previous_response_id=first.id)
    listed = list(gpt.responses.input_items.list(second.id, order="asc", limit=1))
    assert [(item.type, item.role, item.content[0].text) for item in listed] == [
        ("message", "user", "a"),
        ("message", "assistant", "one"),
        ("message", "user", "b"),
    ]
    newest = gpt.responses.input_items.list(second.id, limit=2)
    assert ([item.content[0].text for item in newest.data], newest.has_more) == (["b", "one"], True)
    with pytest.raises(openai.BadRequestError):
        gpt.responses.input_items.list(second.id, limit=1000)


def test_references_to_single_items_are_resolved(keeping, gpt, upstream):
    keeping.add_upstream(upstream, "keep-refer", format="anthropic")
    upstream.otherwise(text_reply("anthropic", "one"))
    (message,) = gpt.responses.create(model="keep-refer", input="a").output
    again = [{"role": "user", "content": "a"}, {"type": "item_reference", "id": message.id}, {"role": "user", "content": "b"}]
    third = gpt.responses.create(model="keep-refer", input=again)
    assert turns_of("anthropic", upstream.requests[1]) == [("user", "a"), ("assistant", "one"), ("user", "b")]
    gpt.responses.create(model="keep-refer", input="c", previous_response_id=third.id)
    assert turns_of("anthropic", upstream.requests[2])[1] == ("assistant", "one")
    with pytest.raises(openai.BadRequestError) as raised:
        gpt.responses.create(model="keep-refer", input=[{"type": "item_reference", "id": "msg_nobody"}, again[0]])
    assert (raised.value.param, len(upstream.requests)) == ("input.0", 3)


def test_counts_and_compactions_go_on_from_a_kept_turn(keeping, gpt, upstream):
    keeping.add_upstream(upstream, "keep-asks")
    upstream.otherwise(text_reply("openai", "one"))
    first = gpt.responses.create(model="keep-asks", input="a long first message of several words").id
    alone = gpt.responses.input_tokens.count(model="keep-asks", input="b").input_tokens
    assert gpt.responses.input_tokens.count(model="keep-asks", input="b", previous_response_id=first).input_tokens > alone + 7
    compacted = gpt.responses.compact(model="keep-asks", input="b", previous_response_id=first)
    assert [item.type for item in compacted.output] == ["message", "message", "compaction"]
    assert [item.content[0].text if not isinstance(item.content, str) else item.content for item in compacted.output[:2]] == [
        "a long first message of several words",
        "b",
    ]
    assert turns_of("openai", upstream.requests[1])[:3] == [
        ("user", "a long first message of several words"),
        ("assistant", "one"),
        ("user", "b"),
    ]
    assert gpt.responses.create(model="keep-asks", input=[*compacted.output[2:], {"role": "user", "content": "c"}]).output_text == "one"
    for ask in (gpt.responses.input_tokens.count, gpt.responses.compact):
        with pytest.raises(openai.BadRequestError) as raised:
            ask(model="keep-asks", input="b", previous_response_id="resp_nobody")
        assert raised.value.param == "previous_response_id"


def test_a_response_that_was_deleted_or_never_stored_is_not_found(keeping, gpt, upstream):
    keeping.add_upstream(upstream, "keep-not")
    upstream.otherwise(text_reply("openai", "one"))
    deleted_id = gpt.responses.create(model="keep-not", input="a").id
    gpt.responses.delete(deleted_id)
    never = gpt.responses.create(model="keep-not", input="a", store=False).id
    calls = len(upstream.requests)
    for response_id in (deleted_id, never, "resp_nobody"):
        with pytest.raises(openai.NotFoundError):
            gpt.responses.retrieve(response_id)
        with pytest.raises(openai.NotFoundError):
            gpt.responses.delete(response_id)
        with pytest.raises(openai.BadRequestError) as raised:
            gpt.responses.create(model="keep-not", input="b", previous_response_id=response_id)
        assert (raised.value.code, raised.value.param) == ("previous_response_not_found", "previous_response_id")
    assert len(upstream.requests) == calls


def test_another_key_does_not_see_it(keeping, gpt, upstream):
    keeping.add_upstream(upstream, "keep-mine")
    upstream.otherwise(text_reply("openai", "one"))
    response_id = gpt.responses.create(model="keep-mine", input="a").id
    other_client = gpt.with_options(api_key=keeping.api("POST", "/keys", json={"name": "other"})["key"])
    with pytest.raises(openai.NotFoundError):
        other_client.responses.retrieve(response_id)
    with pytest.raises(openai.BadRequestError):
        other_client.responses.create(model="keep-mine", input="b", previous_response_id=response_id)
    with pytest.raises(openai.AuthenticationError):
        gpt.with_options(api_key="pxb_" + "0" * 40).responses.retrieve(response_id)
    assert gpt.responses.retrieve(response_id).id == response_id


def test_references_are_looked_up_only_for_a_model_that_the_key_may_use(keeping, gpt, upstream):
    keeping.add_upstream(upstream, "keep-closed")
    calls = len(upstream.requests)
    closed_client = gpt.with_options(api_key=keeping.api("POST", "/keys", json={"name": "closed", "allowed_models": ["none"]})["key"])
    references = [{"type": "item_reference", "id": f"msg_{number}"} for number in range(101)]
    for fields in ({"input": "a", "previous_response_id": "resp_nobody"}, {"input": references}):
        with pytest.raises(openai.NotFoundError) as closed:
            closed_client.responses.create(model="keep-closed", **fields)
        assert closed.value.code == "model_not_found"
        with pytest.raises(openai.NotFoundError):
            closed_client.responses.input_tokens.count(model="keep-closed", **fields)
    with pytest.raises(openai.BadRequestError) as too_many:
        gpt.responses.create(model="keep-closed", input=references)
    assert (too_many.value.param, "more than 100 item references" in too_many.value.message) == ("input", True)
    assert len(upstream.requests) == calls


def test_refusals_and_other_dialects_are_unchanged(keeping, gpt, upstream):
    keeping.add_upstream(upstream, "keep-plain")
    upstream.otherwise(text_reply("openai", "one"))
    with pytest.raises(openai.NotFoundError):
        gpt.responses.create(model="no-such-model", input="a")
    with pytest.raises(openai.AuthenticationError):
        gpt.with_options(api_key="pxb_" + "0" * 40).responses.create(model="keep-plain", input="a")
    with anthropic.Anthropic(base_url=keeping.url, api_key=keeping.client_key, max_retries=0) as claude:
        message = claude.messages.create(model="keep-plain", max_tokens=5, messages=[{"role": "user", "content": "a"}])
    assert message.content[0].text == "one"
    rows = keeping.logs(1)
    assert {row["outcome"] for row in rows} <= {"finished", "rejected"}


def test_turns_are_forgotten_in_time(upstream):
    with Gateway.started(PXBIN_RESPONSES_STORE_SECONDS="4", PXBIN_CELERY="false") as gateway:
        gateway.add_upstream(upstream, "brief")
        upstream.otherwise(text_reply("openai", "one"))
        with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.client_key, max_retries=0) as client:
            first = client.responses.create(model="brief", input="a").id
            assert client.responses.retrieve(first).id == first

            def is_forgotten():
                try:
                    client.responses.retrieve(first)
                except openai.NotFoundError:
                    return True
                return False

            assert eventually(is_forgotten, every=0.2)


def test_the_refusal_of_a_disabled_feature_names_its_setting(gateway, upstream):
    gateway.add_upstream(upstream, "keeps-nothing")
    headers = {"authorization": f"Bearer {gateway.client_key}"}
    body = {"model": "keeps-nothing", "input": "a", "previous_response_id": "resp_1"}
    refused = gateway.http.post(f"{gateway.url}/v1/responses", headers=headers, json=body)
    read = gateway.http.get(f"{gateway.url}/v1/responses/resp_1", headers=headers)
    assert (refused.status_code, read.status_code, upstream.requests) == (400, 404, [])
    assert all("PXBIN_RESPONSES_STORE_SECONDS" in answer.json()["error"]["message"] for answer in (refused, read))
