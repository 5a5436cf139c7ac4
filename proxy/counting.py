"""``count_tokens`` and its likes: asked of the upstream where it can count, else estimated with a BPE tokenizer.

The tokenizer (OpenAI's o200k vocabulary, shipped in its wheel) is loaded at the first estimate, and runs in a thread: a long
conversation takes tens of milliseconds.
"""

from __future__ import annotations

import asyncio
import functools
from typing import Any

import msgspec

from proxy import tokens
from proxy.attempt import Attempt, Call
from proxy.canonical import Request
from proxy.errors import GatewayError, UpstreamFailed
from upstreams import client, headers
from upstreams.credentials import auth_headers, url_for
from upstreams.routing import Target

PATHS = {"anthropic": "/v1/messages/count_tokens", "openai_responses": "/v1/responses/input_tokens"}
"""Where upstreams count, by dialect. The body is that of the request; both answer ``{"input_tokens": n}``."""
NOT_COUNTED = frozenset({"max_tokens", "max_output_tokens", "stream", "store", "include", "stream_options"})
"""Fields that a request has and a count does not."""


class _Counted(msgspec.Struct):
    input_tokens: int


_decoder = msgspec.json.Decoder(_Counted)


async def count(call: Call, targets: list[Target]) -> int:
    """The input tokens of the call's request: as its first target counts them, else our estimate.

    A target that counts but fails is passed over; a request that makes no sense raises :class:`~proxy.errors.ClientMistake`.
    """
    for target in targets[:1]:
        if target.upstream.dialect in PATHS and not target.upstream.base_url.startswith("echo:"):
            counted = await _asked(call, target)
            if counted is not None:
                return counted
    return await estimated(call.preparer.request)


async def _asked(call: Call, target: Target) -> int | None:
    attempt = Attempt(call, target)
    prepared = attempt.prepare()
    fields = msgspec.json.decode(prepared.body, type=dict[str, msgspec.Raw])
    body = msgspec.json.encode({name: value for name, value in fields.items() if name not in NOT_COUNTED})
    up = [*headers.upward(call.http.headers, target.upstream.dialect, stream=False), *auth_headers(target)]
    url = url_for(target.upstream, PATHS[target.upstream.dialect], target.quirks)
    try:
        async with client.open("POST", url, up, body, upstream=target.upstream) as answer:
            raw = await answer.read()
    except UpstreamFailed:
        return None
    if answer.status in (400, 413, 422):
        raise GatewayError(attempt.source.decode_error(answer.status, answer.headers, raw))
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
    return tokens.estimate(request, lambda text: len(encoding.encode_ordinary(text)))


@functools.cache
def _encoding() -> Any:
    from bpe_openai import get_encoding

    return get_encoding("o200k_base")
