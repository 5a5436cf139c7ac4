"""What requests are said to have used and to cost: scripted upstreams in front of which a real gateway counts."""

import uuid

import pytest

from tests.support.fake_upstream import event, json_reply, sse

HELLO = [{"role": "user", "content": "Hi"}]
RATES = {"input": "1", "output": "10"}
"""USD per million tokens."""
CHAT = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
}
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [{"type": "text", "text": "Hello"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
}
RESPONSE = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1,
    "status": "completed",
    "model": "m",
    "output": [
        {"type": "message", "id": "m1", "role": "assistant", "content": [{"type": "output_text", "text": "Hello", "annotations": []}]}
    ],
}
COMPACTED = {
    "input_tokens": 100,
    "output_tokens": 20,
    "cache_creation_input_tokens": 0,
    "cache_read_input_tokens": 0,
    "iterations": [
        {"type": "compaction", "input_tokens": 180000, "output_tokens": 3500},
        {"type": "message", "input_tokens": 100, "output_tokens": 20},
    ],
}
AUDIO = {
    "prompt_tokens": 117,
    "completion_tokens": 592,
    "total_tokens": 709,
    "prompt_tokens_details": {"audio_tokens": 100},
    "completion_tokens_details": {"audio_tokens": 482},
}
PRIORITY = {
    "input_tokens": 100,
    "output_tokens": 20,
    "cache_creation_input_tokens": 50,
    "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 40},
    "service_tier": "priority",
}


@pytest.fixture
def price(gateway):
    """Enters a price of a remote name, and withdraws it at the end."""
    made = []

    def enter(remote_name, **fields):
        made.append(gateway.api("POST", "/prices", json={"remote_name": remote_name, **fields})["id"])

    yield enter
    for price_id in made:
        gateway.api("DELETE", f"/prices/{price_id}")


@pytest.fixture
def serve(gateway, upstream):
    """Makes a model with a scripted upstream; returns its name, which is also the remote one."""

    def make(**fields):
        name = f"metered-{uuid.uuid4().hex[:8]}"
        gateway.add_upstream(upstream, name, name=name, **fields)
        return name

    return make


def ask(gateway, model, path="/v1/chat/completions", **fields):
    body = {"model": model, "messages": HELLO, **({"max_tokens": 9} if "messages" in path else {}), **fields}
    answer = gateway.http.post(gateway.url + path, json=body, headers={"x-api-key": gateway.client_key})
    assert answer.status_code == 200, answer.text
    return answer


def row(gateway, model, *names):
    (only,) = gateway.logs(1, model=model)
    return tuple(only[name] for name in names)


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/chat/completions", "/v1/responses"])
def test_iterations_outside_the_totals_are_counted_and_billed(gateway, upstream, serve, price, path):
    model = serve(format="anthropic")
    price(model, **RATES)
    upstream.reply(json_reply({**MESSAGE, "usage": COMPACTED}))
    ask(gateway, model, path, **({"input": "Hi"} if "responses" in path else {}))
    assert row(gateway, model, "input_tokens", "output_tokens", "cost_usd", "usage_source") == (180100, 3520, "0.2153", "reported")


def test_an_advisor_is_billed_at_its_own_price(gateway, upstream, serve, price):
    model = serve(format="anthropic")
    price(model, **RATES)
    price(f"{model}-advisor", input="5", output="25")
    advised = {
        **COMPACTED,
        "iterations": [{"type": "advisor_message", "model": f"{model}-advisor", "input_tokens": 10, "output_tokens": 2}],
    }
    upstream.reply(json_reply({**MESSAGE, "usage": advised}))
    ask(gateway, model, "/v1/messages")
    assert row(gateway, model, "cost_usd", "usage_parts") == (
        "0.0004",
        [{"kind": "advisor_message", "model": f"{model}-advisor", "input_tokens": 10, "output_tokens": 2}],
    )


def test_searches_are_counted_and_billed(gateway, upstream, serve, price):
    model = serve(format="anthropic")
    price(model, **RATES, web_search="10")
    usage = {"input_tokens": 100, "output_tokens": 20, "server_tool_use": {"web_search_requests": 3, "web_fetch_requests": 0}}
    upstream.reply(json_reply({**MESSAGE, "usage": usage}))
    ask(gateway, model, "/v1/messages")
    assert row(gateway, model, "server_tool_use", "cost_usd") == ({"web_search_requests": 3}, "0.0303")


def test_searches_of_the_responses_api_are_counted_and_billed(gateway, upstream, serve, price):
    model = serve(format="openai_responses")
    price(model, **RATES, web_search="10")
    usage = {"input_tokens": 100, "output_tokens": 20, "total_tokens": 120}
    upstream.reply(json_reply({**RESPONSE, "usage": usage, "tool_usage": {"web_search": {"num_requests": 2}}}))
    ask(gateway, model)
    assert row(gateway, model, "server_tool_use", "cost_usd") == ({"web_search_requests": 2}, "0.0203")


@pytest.mark.parametrize(("rates", "cost"), [({"input_audio": "32", "output_audio": "64"}, "0.0351905"), ({}, None)])
def test_audio_is_billed_at_its_own_rates_or_not_at_all(gateway, upstream, serve, price, rates, cost):
    model = serve()
    price(model, input="2.5", output="10", **rates)
    upstream.reply(json_reply({**CHAT, "usage": AUDIO}))
    ask(gateway, model)
    assert row(gateway, model, "input_tokens", "input_audio_tokens", "output_audio_tokens", "cost_usd") == (117, 100, 482, cost)


def test_the_fast_mode_and_the_geography_are_told_and_billed(gateway, upstream, serve, price):
    model = serve(format="anthropic")
    price(model, **RATES, tiers={"service": {"fast": {"input": "6", "output": "60"}}, "geo": {"us": "1.1"}})
    usage = {"input_tokens": 100, "output_tokens": 20, "service_tier": "standard", "speed": "fast", "inference_geo": "us"}
    upstream.reply(json_reply({**MESSAGE, "usage": usage}))
    ask(gateway, model, "/v1/messages")
    assert row(gateway, model, "service_tier", "speed", "inference_geo", "cost_usd") == ("standard", "fast", "us", "0.00198")


@pytest.mark.parametrize("dialect", ["anthropic", "passthrough"])
def test_a_plain_proxy_reads_the_same_usage(gateway, upstream, serve, price, dialect):
    model = serve(format=dialect)
    price(model, **RATES, cache_write_1h="2", tiers={"service": {"priority": {"input": "3"}}})
    upstream.reply(json_reply({**MESSAGE, "usage": PRIORITY}))
    ask(gateway, model, "/v1/messages" if dialect == "anthropic" else "/v1/embeddings")
    names = ("input_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens", "service_tier", "cost_usd")
    assert row(gateway, model, *names) == (100, 10, 40, "priority", "0.00061")


def test_the_cost_that_an_upstream_reports_counts_where_ours_is_unknown(gateway, upstream, serve, price):
    unpriced, priced = serve(preset="openrouter"), serve(preset="openrouter")
    price(priced, **RATES)
    for model in (unpriced, priced):
        upstream.reply(json_reply({**CHAT, "usage": {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150, "cost": 0.0123}}))
        ask(gateway, model)
    names = ("cost", "cost_usd", "cost_source", "reported_cost")
    assert row(gateway, unpriced, *names) == (0.0123, "0.0123", "reported_cost", "0.0123")
    assert row(gateway, priced, *names) == (0.0006, "0.0006", "price", "0.0123")


def test_the_factor_of_an_upstream_multiplies_its_costs(gateway, upstream, serve, price):
    model = serve(price_factor="0.5")
    price(model, **RATES)
    upstream.reply(json_reply({**CHAT, "usage": {"prompt_tokens": 100, "completion_tokens": 50}}))
    ask(gateway, model)
    assert row(gateway, model, "cost_usd") == ("0.0003",)


def test_a_server_of_ones_own_is_free_by_one_price(gateway, upstream, serve):
    model = serve()
    where = gateway.id_of("/upstreams", model)
    gateway.api("POST", "/prices", json={"upstream_id": where, "remote_name": "*", "input": "0", "output": "0"})
    upstream.reply(json_reply({**CHAT, "usage": {"prompt_tokens": 100, "completion_tokens": 50}}))
    ask(gateway, model)
    assert row(gateway, model, "cost", "cost_usd", "cost_source") == (0, "0", "price")


def test_what_has_no_price_is_unpriced_and_not_free(gateway, upstream, serve):
    model = serve()
    upstream.reply(json_reply({**CHAT, "usage": {"prompt_tokens": 100, "completion_tokens": 50}}))
    ask(gateway, model)
    assert row(gateway, model, "cost", "cost_usd", "cost_source", "price_id") == (0, None, "", None)


def test_a_response_without_usage_is_estimated_where_it_can_be(gateway, upstream, serve, price):
    model = serve()
    price(model, **RATES)
    upstream.reply(json_reply(CHAT))
    ask(gateway, model)
    assert row(gateway, model, "usage_source", "usage_estimated", "cost_source") == ("estimated", True, "price")


def test_speech_whose_usage_is_unknown_has_no_cost_of_zero(gateway, upstream, serve, price):
    model = serve()
    price(model, **RATES)
    upstream.reply(json_reply({"ok": True}))
    ask(gateway, model, "/v1/audio/speech", input="words")
    assert row(gateway, model, "input_tokens", "cost_usd") == (0, None)


@pytest.mark.parametrize("stream_options", [None, {"include_usage": False}, {"include_usage": True}])
def test_usage_of_a_stream_is_asked_for_and_shown_to_those_alone_who_asked(gateway, upstream, serve, price, stream_options):
    model = serve()
    price(model, **RATES)
    usage = {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150}
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    text_chunk = {**head, "choices": [{"index": 0, "delta": {"content": "Hello"}, "finish_reason": "stop"}]}
    upstream.reply(sse(event(text_chunk), event({**head, "choices": [], "usage": usage}), event("[DONE]")))
    answer = ask(gateway, model, stream=True, **({"stream_options": stream_options} if stream_options else {}))
    assert ('"prompt_tokens":100' in answer.text.replace(" ", "")) is bool(stream_options and stream_options["include_usage"])
    assert upstream.requests[-1].json()["stream_options"]["include_usage"] is True
    assert row(gateway, model, "input_tokens", "output_tokens", "cost_usd", "usage_source") == (100, 50, "0.0006", "reported")


def test_every_attempt_is_billed_and_the_request_costs_their_sum(gateway, upstream, serve, price):
    model = serve(format="openai")
    price(model, **RATES, input_audio="40")
    rules = {"tool_enforcement": {"enabled": True, "max_retries": 1}}
    gateway.api("PATCH", f"/models/{gateway.id_of('/models', model)}", json=rules)
    usage = {"prompt_tokens": 100, "completion_tokens": 50, "cost": 0.5}
    heard = {**usage, "prompt_tokens_details": {"audio_tokens": 10}}
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    choice = {"index": 0, "message": {"role": "assistant", "content": None, "tool_calls": [call]}, "finish_reason": "tool_calls"}
    upstream.reply(json_reply({**CHAT, "usage": usage}), json_reply({**CHAT, "choices": [choice], "usage": heard}))
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    ask(gateway, model, tools=[tool], tool_choice="required")
    (listed,) = gateway.logs(1, model=model)
    shown = gateway.api("GET", f"/logs/{listed['id']}")
    names = ("attempts", "input_tokens", "output_tokens", "input_audio_tokens", "cost_usd", "cost_source", "reported_cost")
    assert tuple(shown[name] for name in names) == (2, 200, 100, 10, "0.00159", "price", "1")
    assert [(attempt["cost_usd"], attempt["usage_details"]) for attempt in shown["tries"]] == [
        ("0.0006", {"reported_cost": "0.5"}),
        ("0.00099", {"input_audio_tokens": 10, "reported_cost": "0.5"}),
    ]
