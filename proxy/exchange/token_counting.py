"""``count_tokens`` and similar paths: counted by the upstream if it can count, else estimated with a BPE tokenizer.

The tokenizer (OpenAI's o200k vocabulary, shipped in its wheel) is loaded at the first estimate, and runs in a thread: a long
conversation takes tens of milliseconds.
"""

from __future__ import annotations

import asyncio
import functools
from typing import Any

from proxy.exchange.attempt import TranslatedAttempt
from proxy.exchange.request_context import RequestContext
from proxy.translation import token_estimate
from proxy.translation.canonical import Request
from proxy.translation.dialects.lookup import PASSTHROUGH
from proxy.translation.dialects.upstream_api import CountApi
from proxy.translation.errors import GatewayError, UpstreamFailed
from upstreams.routing.plan import Target


async def count(context: RequestContext, targets: list[Target]) -> int:
    """The input tokens of the call's request: as its first target counts them, else our estimate.

    What the model's policies add counts too. A target that counts but fails is passed over; a request that makes no sense raises
    :class:`~proxy.translation.errors.ClientMistake`.
    """
    if not targets:
        return await estimated(context.preparer.request)
    attempt = TranslatedAttempt(context, targets[0])
    upstream = attempt.target.upstream
    counting = attempt.source.upstream.count
    if counting is not None and upstream.dialect != PASSTHROUGH and not upstream.base_url.startswith("echo:"):
        counted = await _counted(attempt, counting)
        if counted is not None:
            return counted
    return await estimated(attempt.edited_request())


async def _counted(attempt: TranslatedAttempt, counting: CountApi) -> int | None:
    prepared = attempt.prepare()
    try:
        async with attempt.post(prepared, counting.path, counting.encode(prepared.body)) as response:
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
    encoding = _encoding()
    return token_estimate.estimate_input_tokens(request, lambda text: len(encoding.encode_ordinary(text)))


@functools.cache
def _encoding() -> Any:
    from bpe_openai import get_encoding

    return get_encoding("o200k_base")
