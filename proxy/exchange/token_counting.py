"""``count_tokens`` and similar paths: counted by the upstream if it can count, else estimated with a BPE tokenizer.

The tokenizer (OpenAI's o200k vocabulary, shipped in its wheel) is loaded at the first estimate, and runs in a thread: a long
conversation takes tens of milliseconds.
"""

from __future__ import annotations

import asyncio
import functools
from typing import Any

from proxy.exchange.attempt import TranslatedAttempt
from proxy.exchange.large_bodies import in_thread_if_large
from proxy.exchange.request_context import RequestContext
from proxy.translation import token_estimate
from proxy.translation.canonical import Request
from proxy.translation.dialects.lookup import PASSTHROUGH
from proxy.translation.dialects.upstream_api import CountApi, path_for
from proxy.translation.errors import GatewayError, UpstreamFailed
from upstreams.echo import is_echo
from upstreams.routing.plan import Target

PIECE_CHARACTERS = 10_000
"""How many characters are tokenized at once; a piece cuts at most one token in two."""


async def count(context: RequestContext, targets: list[Target]) -> int:
    """The input tokens of the call's request: as its first target counts them, else our estimate.

    What the model's policies add counts too. A target that counts but fails is passed over; a request that makes no sense raises
    :class:`~proxy.translation.errors.ClientMistake`.
    """
    if not targets:
        return await estimated(await in_thread_if_large(context.size, context.preparer.decode))
    attempt = TranslatedAttempt(context, targets[0])
    upstream = attempt.target.upstream
    counting = attempt.source.upstream.count
    if counting is not None and upstream.dialect != PASSTHROUGH and not is_echo(upstream.base_url):
        counted = await _counted(attempt, counting)
        if counted is not None:
            return counted
    return await estimated(await in_thread_if_large(context.size, attempt.edited_request))


async def _counted(attempt: TranslatedAttempt, counting: CountApi) -> int | None:
    prepared = await attempt.prepare()
    model = attempt.target.remote_name
    body = await in_thread_if_large(len(prepared.body), counting.encode, prepared.body, model)
    try:
        async with attempt.post(prepared, path_for(counting.path, model), body) as response:
            raw = await response.read()
    except UpstreamFailed:
        return None
    if response.status in (400, 413, 422):
        raise GatewayError(attempt.source.decode_error(response.status, response.headers, attempt.call.redact_secrets(raw)))
    return counting.decode(raw) if response.status == 200 else None


async def estimated(request: Request) -> int:
    """Our own count, by the tokenizer."""
    return await asyncio.to_thread(_estimate, request)


def _estimate(request: Request) -> int:
    return token_estimate.estimate_input_tokens(request, _count_tokens)


def _count_tokens(text: str) -> int:
    """The tokens of a text, in pieces: the tokenizer refuses a million characters without a space, and keeps other threads waiting."""
    encoding = _encoding()
    return sum(len(encoding.encode_ordinary(text[begin : begin + PIECE_CHARACTERS])) for begin in range(0, len(text), PIECE_CHARACTERS))


@functools.cache
def _encoding() -> Any:
    from bpe_openai import get_encoding

    return get_encoding("o200k_base")
