"""The JavaScript SDKs against a running gateway, with upstreams of every dialect behind it.

A Responses stream has few words for a failure, and a Bedrock stream calls a broken connection an unavailable service.
"""

import json

import pytest

from tests.support.node import run_script
from tests.support.vendor_wires import SEALED, SIGNATURE, Call, Completion

THOUGHT = "The prompt has 2 words. I will repeat what I was told."


def run(gateway, script, *arguments):
    return run_script(script, *arguments, BASE_URL=gateway.url, KEY=gateway.client_key)


def test_anthropics_sdk(gateway, model):
    assert run(gateway, "anthropic_sdk.mjs", model) == {
        "text": [[{"type": "text", "text": "Hello there", "citations": None}], "end_turn", model, 3],
        "stream": [["one ", "two ", "three"], "one two three", "end_turn", 4],
        "tools": [
            [["tool_use", "get_weather", {"city": "Oslo"}], ["tool_use", "get_time", {"city": "Rome"}]],
            "tool_use",
            "21 degrees\nnoon",
        ],
        "thinking": [["thinking", "text"], THOUGHT, True],
        "image": "look\n[image/png, 3 bytes]",
        "structured": {"city": "Oslo"},
        "models": ["model"] * 4,
        "errors": {
            "overloaded": ["OverloadedError", 529, "overloaded_error"],
            "limited": ["RateLimitError", 429, "rate_limit_error"],
            "bad": ["BadRequestError", 400, "invalid_request_error"],
            "key": ["AuthenticationError", 401, "authentication_error"],
            "model": ["NotFoundError", 404, "not_found_error"],
            "midway": ["APIError", None, "api_error" if model == "echo-responses" else "overloaded_error"],
            "cut": ["APIError", None, "overloaded_error" if model == "echo-bedrock" else "api_error"],
        },
    }


def test_openais_sdk(gateway, model):
    assert run(gateway, "openai_sdk.mjs", model) == {
        "text": ["Hello there", "stop", model, 3],
        "stream": [["one ", "two ", "three"], 4],
        "helper": ["one two three", "stop"],
        "tools": "get_weather of Oslo\nget_time of Rome",
        "reasoning": THOUGHT,
        "image": "look\n[image/png, 3 bytes]",
        "structured": {"city": "Oslo"},
        "models": ["model"] * 4,
        "errors": {
            "overloaded": ["InternalServerError", 503, "overloaded"],
            "limited": ["RateLimitError", 429, "rate_limit_exceeded"],
            "bad": ["BadRequestError", 400, None],
            "key": ["AuthenticationError", 401, "invalid_api_key"],
            "model": ["NotFoundError", 404, "model_not_found"],
            "midway": ["APIError", None, "server_error" if model == "echo-responses" else "overloaded"],
            "cut": ["APIError", None, {"echo-responses": "server_error", "echo-bedrock": "overloaded"}.get(model)],
        },
    }


@pytest.mark.parametrize("provider", ["anthropic", "chat", "responses", "compatible"])
def test_vercels_sdk(gateway, model, provider):
    assert run(gateway, "ai_sdk.mjs", provider, model) == {
        "text": ["Hello there", "stop", 3],
        "stream": [["one ", "two ", "three"], "stop", 4],
        "tools": [2, "get_weather of Oslo\nget_time of Rome"],
        "structured": {"city": "Oslo"},
        "image": "look\n[image/png, 3 bytes]",
        "limited": ["AI_APICallError", 429],
        "midway": ["text-delta", "error"],
    }


def test_vercels_sdk_thinks_and_calls_tools_over_several_steps(gateway, vendor):
    providers = ["anthropic", "chat", "responses", "compatible"]
    first = [Call("call_1", "f", '{"a": 1}'), Call("call_2", "f", '{"a": 2}')]
    second = [Call("call_3", "f", '{"a": 3}')]
    vendor.says(
        *[Completion("I will.", calls=first, thinking=["hm", "m"]), Completion("", calls=second, thinking="well"), Completion("Done")]
        * len(providers)
    )
    output = run(gateway, "ai_sdk_loop.mjs", vendor.dialect)

    def steps(*thoughts):
        return [*([thought, "tool-calls", 150] for thought in thoughts), [None, "stop", 150]]

    # Its chat provider shows no thinking.
    assert output == {name: ["Done", steps(None, None) if name == "chat" else steps("hmm", "well")] for name in providers}
    assert vendor.refused == []
    for provider, body in zip(providers, vendor.bodies[2::3], strict=True):
        sent_body = json.dumps(body)
        assert ([sent_body.count(f"<{number}>") for number in (1, 2, 3)], "pxr1." in sent_body) == ([1, 1, 1], False)
        if provider in ("anthropic", "responses"):
            seal = {"openai_responses": SEALED, "openai_chat": "reasoning_content"}.get(vendor.dialect, SIGNATURE)
            assert sent_body.count(seal) == 2
