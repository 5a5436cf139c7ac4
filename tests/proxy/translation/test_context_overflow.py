"""Which error messages of upstreams say that the conversation is too long for the model."""

from __future__ import annotations

import json

import pytest

from proxy.translation.context_overflow import is_context_overflow
from proxy.translation.dialects.registry import REGISTRY


@pytest.mark.parametrize(
    "message",
    [
        "request (66202 tokens) exceeds the available context size (65536 tokens), try increasing it",
        "the request exceeds the available context size. try increasing the context size or enable context shift",
        "Context size has been exceeded.",
        "The input (12000 tokens) is longer than the model's context length (8192 tokens).",
        "Requested token count exceeds the model's maximum context length of 32768 tokens.",
        "Input length (9000 tokens) exceeds the maximum allowed length (8192 tokens)",
        "The decoder prompt (length 40000) is longer than the maximum model length of 32768. Make sure that max_model_len is no smaller",
        "This model's maximum context length is 8192 tokens. However, you requested 9000 tokens",
        "You passed 40001 input tokens and requested 1 output tokens. However, the model's context length is only 40000 tokens",
        "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
        "Unable to submit request because the input token count is 32769 but model only supports up to 32768",
        "This model's maximum prompt length is 131072 but the request contains 537812 tokens.",
        "Your request exceeded model token limit: 262144 (requested: 300000)",
        "Invalid request: Your request exceeded model token limit: 131072",
        "Prompt exceeds max length",
        "Range of input length should be [1, 129024]",
        "<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, 98304]",
        "the input length exceeds the context length",
        "prompt too long; exceeded max context length by 1234 tokens",
        "The number of tokens to keep from the initial prompt is greater than the context length.",
        "Trying to keep the first 20000 tokens when context the overflows. However, the model has a context length of only 4096.",
        "Reached context length of 4096 tokens with this model, but this model does not currently support mid-generation context overflow",
        "prompt token count of 150000 exceeds the limit of 128000",
        "Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum context length",
        "invalid params, context window exceeds limit (2013)",
        "Please reduce the length of the messages or completion.",
        "This endpoint's maximum context length is 131072 tokens. However, you requested about 150000 tokens",
        "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4097. Given: 5000",
        "`inputs` must have less than 4096 tokens. Given: 5000",
        "prompt is too long: 210000 tokens > 200000 maximum",
        "Input is too long for requested model.",
        "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000, decrease input length or `max_tokens` and try again",
        "Your input exceeds the context window of this model. Please adjust your input and try again.",
        "too many tokens: total number of tokens in the prompt cannot exceed 4081",
        "Total tokens of image and text exceed max message tokens",
        "Prompt length 5000 is greater than max_seq_len 4096",
        "litellm.ContextWindowExceededError: litellm.BadRequestError: too big",
        "Request too large. The prompt is too long",
        "Input length 5000 exceeds maximum input length 4096",
        "Prompt length (6000) exceeds maximum input length (4096). Set log level to info",
        "The prompt size exceeds the context window size and cannot be processed.",
        "Conversation is too long",
        "input tokens exceeds the configured limit of 272000 tokens",
        "Requested tokens (5012) exceed context window of 4096",
        "exceeds maximum context",
        "the total tokens exceed the model limit",
        "max context length exceeded",
    ],
)
def test_overflow_messages_are_recognised(message: str) -> None:
    assert is_context_overflow(message)


@pytest.mark.parametrize(
    "message",
    [
        "Request too large for model `llama-3.3-70b` on tokens per minute (TPM): Limit 6000, Requested 7000.",
        "max_tokens is too large: 50000. This model supports at most 16384 completion tokens, whereas you provided 50000.",
        "Rate limit reached for gpt-4 on tokens per min (TPM)",
        "Invalid value: 'foo'",
        "Internal server error",
        "messages.0.content: Field required",
        "image exceeds 5 MB maximum",
        "The tool name is too long",
        "string too long. Expected a string with maximum length 64",
        "max_tokens must be less than or equal to 8192",
        "Request body too large. Limit is 32 MB",
        "request exceeds the maximum allowed number of bytes",
        "the request timed out",
        "You exceeded your current quota, please check your plan and billing details.",
        "Input should be a valid string",
        "prompt is required",
        "Too many requests",
        "invalid tool_choice",
        "temperature is greater than the maximum of 2",
        "Message limit reached",
        "input image exceeds the maximum size",
        "Token limit for your plan exceeded",
        "thinking.budget_tokens must be less than max_tokens",
    ],
)
def test_other_errors_are_no_overflow(message: str) -> None:
    assert not is_context_overflow(message)


@pytest.mark.parametrize("status", [400, 413, 422, 500, 503])
@pytest.mark.parametrize(
    "error", [{"message": "Context size has been exceeded."}, {"message": "too big", "type": "exceed_context_size_error"}]
)
def test_clients_get_their_vendors_overflow_message(status: int, error: dict[str, str]) -> None:
    failure = REGISTRY["openai_chat"].decode_error(status, {}, json.dumps({"error": error}).encode())
    for_messages = REGISTRY["anthropic"].encode_error(failure, "req_1")
    assert (for_messages.status, json.loads(for_messages.body)["error"]) == (
        400,
        {"type": "invalid_request_error", "message": "prompt is too long: " + error["message"]},
    )
    for dialect in ("openai_chat", "openai_responses"):
        encoded = REGISTRY[dialect].encode_error(failure, "req_1")
        assert (encoded.status, json.loads(encoded.body)["error"]["code"]) == (400, "context_length_exceeded")


def test_a_rate_limit_is_no_overflow() -> None:
    body = b'{"error": {"message": "Request too large: tokens per minute exceeded the limit of 6000"}}'
    assert REGISTRY["openai_chat"].decode_error(429, {}, body).kind == "rate_limit"


def test_fields_of_an_error_stay_within_its_dialect() -> None:
    error = {
        "message": "Filtered",
        "type": None,
        "param": "prompt",
        "code": "content_filter",
        "innererror": {"code": "Policy"},
        "status": 400,
    }
    failure = REGISTRY["openai_chat"].decode_error(400, {}, json.dumps({"error": error}).encode())
    assert json.loads(REGISTRY["openai_chat"].encode_error(failure, "").body) == {"error": error | {"type": "invalid_request_error"}}
    foreign = {"message": "Filtered", "type": "invalid_request_error", "param": "prompt", "code": "content_filter"}
    assert json.loads(REGISTRY["openai_responses"].encode_error(failure, "").body) == {"error": foreign}


def test_counts_and_type_of_llama_cpp_stay_within_its_dialect() -> None:
    error = {
        "code": 400,
        "message": "exceeds the available context size",
        "type": "exceed_context_size_error",
        "n_prompt_tokens": 9,
        "n_ctx": 8,
    }
    failure = REGISTRY["openai_chat"].decode_error(400, {}, json.dumps({"error": error}).encode())
    expected = error | {"code": "context_length_exceeded", "param": None}
    assert json.loads(REGISTRY["openai_chat"].encode_error(failure, "").body) == {"error": expected}


def test_a_409_of_an_upstream_is_a_409_for_the_client() -> None:
    for dialect in ("openai_chat", "openai_responses", "anthropic"):
        failure = REGISTRY[dialect].decode_error(409, {}, b'{"error": {"message": "busy"}}')
        assert REGISTRY[dialect].encode_error(failure, "").status == 409
