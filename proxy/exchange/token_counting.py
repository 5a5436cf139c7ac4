"""``count_tokens`` and its likes: asked of the upstream where it can count, else estimated with a BPE tokenizer.

The tokenizer (OpenAI's o200k vocabulary, shipped in its wheel) is loaded at the first estimate, and runs in a thread: a long
conversation takes tens of milliseconds.
"""

from __future__ import annotations

import asyncio
import functools
from typing import Any

import msgspec

from proxy.exchange.attempt import TranslatedAttempt
from proxy.exchange.attempt_base import RequestContext
from proxy.translation import token_estimate
from proxy.translation.canonical import Request
from proxy.translation.errors import GatewayError, UpstreamFailed
from upstreams.routing.plan import Target

PATHS = {"anthropic": "/v1/messages/count_tokens", "openai_responses": "/v1/responses/input_tokens"}
"""Where upstreams count, by dialect. The body is that of the request; both answer ``{"input_tokens": n}``."""
NOT_COUNTED = frozenset(
    {"max_tokens", "max_output_tokens", "stream", "store", "include", "stream_options", "temperature", "top_p", "top_k", "top_logprobs"}
    | {"stop_sequences", "metadata", "service_tier", "user", "safety_identifier", "prompt_cache_key", "prompt_cache_retention"}
    | {"background", "max_tool_calls"}
)
"""Fields that a request has and a count does not; the providers refuse them there."""


class _Counted(msgspec.Struct):
    input_tokens: int


_decoder = msgspec.json.Decoder(_Counted)


async def count(call: RequestContext, targets: list[Target]) -> int:
    """The input tokens of the call's request: as its first target counts them, else our estimate.

    What the model's policies add counts too. A target that counts but fails is passed over; a request that makes no sense raises
    :class:`~proxy.translation.errors.ClientMistake`.
    """
    if not targets:
        return await estimated(call.preparer.request)
    attempt = TranslatedAttempt(call, targets[0])
    upstream = attempt.target.upstream
    if upstream.dialect in PATHS and not upstream.base_url.startswith("echo:"):
        counted = await _counted(attempt)
        if counted is not None:
            return counted
    return await estimated(attempt.asked())


async def _counted(attempt: TranslatedAttempt) -> int | None:
    prepared = attempt.prepare()
    fields = msgspec.json.decode(prepared.body, type=dict[str, msgspec.Raw])
    body = msgspec.json.encode({name: value for name, value in fields.items() if name not in NOT_COUNTED})
    try:
        async with attempt.post(prepared, PATHS[attempt.source.name], body) as answer:
            raw = await answer.read()
    except UpstreamFailed:
        return None
    if answer.status in (400, 413, 422):
        raise GatewayError(attempt.source.decode_error(answer.status, answer.headers, attempt.redact_secrets(raw)))
    if answer.status != 200:
        return None
    try:
        return _decoder.decode(raw).input_tokens
    except msgspec.DecodeError:
        return None


async def estimated(request: Request) -> int:
    """Our own count, by the tokenizer."""
    return await asyncio.to_thread(_estimate, request)


def _estimate(request: Request) -> int:
    encoding = _encoding()
    return token_estimate.estimate_input_tokens(request, lambda text: len(encoding.encode_ordinary(text)))


@functools.cache
def _encoding() -> Any:
    from bpe_openai import get_encoding

    return get_encoding("o200k_base")
