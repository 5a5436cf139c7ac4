"""Whether an upstream is well: it lists its models, and answers one short request to a model that is always the same one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

from proxy.quirks import Quirks
from upstreams import disabling, discovery, probe, standing
from upstreams.catalog import entries_of
from upstreams.entries import CredentialEntry, UpstreamEntry
from upstreams.models import Upstream, UpstreamCredential

ANSWER_SECONDS = 15.0
NOT_FOR_CHAT = (
    "embed", "whisper", "tts", "audio", "realtime", "transcri", "image", "dall-e", "sora", "video", "moderation", "rerank", "search",
    "guard", "ocr",
)  # fmt: skip
"""Parts of names of models that do not chat; none of them is chosen for a test."""

USER_SAYS_HI = [{"role": "user", "content": "hi"}]


def _chat(model: str, quirks: Quirks) -> dict[str, Any]:
    return {"model": model, "messages": USER_SAYS_HI, quirks.max_tokens_field: 1}


def _messages(model: str, quirks: Quirks) -> dict[str, Any]:  # noqa: ARG001  (the same shape for each dialect)
    return {"model": model, "messages": USER_SAYS_HI, "max_tokens": 1}


def _responses(model: str, quirks: Quirks) -> dict[str, Any]:  # noqa: ARG001
    return {"model": model, "input": "hi", "max_output_tokens": 16, "store": False}


REQUESTS: Mapping[str, tuple[str, Callable[[str, Quirks], dict[str, Any]], str]] = {
    "openai_chat": ("/v1/chat/completions", _chat, "Completion"),
    "anthropic": ("/v1/messages", _messages, "Messages"),
    "openai_responses": ("/v1/responses", _responses, "Responses"),
}
"""The smallest request of each dialect: path, body, and its name in messages. The least that Responses grants is 16 tokens."""


def check(upstream: Upstream) -> dict[str, Any]:
    """The health of a stored upstream, called with its preferred credential.

    ``{"healthy", "models_found", "tested_model", "latency_ms", "error"}``: the latency is that of the tested model's answer.
    The test model is the upstream's ``test_model``, else the remote name of its first route, else the alphabetically first
    listed model that looks like one for chat: never a random one. Credentials that are disabled or cooling are tried as well,
    and those that work are brought back. Blocks; not for a thread with a running event loop.
    """
    entry, credential = entries_of(upstream)
    pinned = upstream.test_model or _first_remote_name(upstream)
    resting = [each for each in entry.credentials if each is not credential and each.id in _resting(upstream)]

    async def all_of_them() -> list[dict[str, Any]]:
        asked = (examine(entry, each, test_model=pinned) for each in (credential, *resting))
        return await asyncio.gather(*asked)

    reports = asyncio.run(all_of_them())
    for each, report in zip((credential, *resting), reports, strict=True):
        if report["healthy"]:
            disabling.bring_back(each.id if each is not None else entry.id, entry.id)
    return reports[0]


def _resting(upstream: Upstream) -> set[str]:
    """The ids of the upstream's credentials that are disabled or cooling."""
    known = standing.current().cooldowns
    rows = UpstreamCredential.objects.filter(upstream_id=upstream.pk, is_active=True).values_list("id", "disabled_reason", "cooling_until")
    return {str(identity) for identity, reason, until in rows if reason or until or known.key_until(str(identity))}


def check_unsaved(upstream: Upstream, *, api_key: str) -> dict[str, Any]:
    """:func:`check` for an upstream that is not stored yet and a key in plain text."""
    entry, _ = entries_of(upstream)
    credential = CredentialEntry(id="", secret=api_key) if api_key else None
    return asyncio.run(examine(entry, credential, test_model=upstream.test_model))


def _first_remote_name(upstream: Upstream) -> str:
    routes = upstream.routes.filter(is_active=True, model__is_active=True).order_by("priority", "-weight", "created_at", "id")
    for remote_name, name in routes.values_list("remote_name", "model__name"):
        candidate: str = remote_name or name
        if "*" not in candidate:
            return candidate
    return ""


async def examine(upstream: UpstreamEntry, credential: CredentialEntry | None, *, test_model: str = "") -> dict[str, Any]:
    """The checks themselves. Where a test model is pinned, an upstream that lists no models can be well all the same."""
    try:
        listed = [model.name for model in await discovery.ask(upstream, credential)]
    except discovery.DiscoveryFailed as failure:
        if not test_model or failure.stage == "connection":
            return _sick(_words(failure))
        listed = []
    model = test_model or next((name for name in sorted(listed) if _chats(name)), "")
    if not model:
        return _sick("No models returned by upstream" if not listed else "No model to test: set a test model", found=len(listed))
    if upstream.dialect not in REQUESTS:
        return _report(found=len(listed), error=None if listed else "No models returned by upstream")
    return await _try(upstream, credential, model, found=len(listed))


async def _try(upstream: UpstreamEntry, credential: CredentialEntry | None, model: str, *, found: int) -> dict[str, Any]:
    path, body_for, word = REQUESTS[upstream.dialect]
    body = body_for(model, upstream.quirks)
    began = time.monotonic()
    try:
        reply = await probe.call(upstream, credential, "POST", path, body=body, seconds=ANSWER_SECONDS)
        error = None if reply.status == 200 else f"{word} {'' if word == 'Completion' else 'endpoint '}returned {reply.status}"
        if error is None and not isinstance(reply.json(), dict):
            error = f"{word} answer is not a JSON object"
    except probe.ProbeFailed as failure:
        error = f"{word} request failed: {failure}"
    except ValueError:
        error = f"{word} answer is not JSON"
    return _report(found=found, tested=model, latency=time.monotonic() - began, error=error)


def _chats(name: str) -> bool:
    return not any(part in name.lower() for part in NOT_FOR_CHAT)


def _words(failure: discovery.DiscoveryFailed) -> str:
    """Go pxbin's words for a list that did not come."""
    cause = failure.__cause__
    return {
        "connection": f"Connection failed: {cause}",
        "status": f"Models endpoint returned {failure.status}",
        "parse": "Failed to parse models response",
    }[failure.stage]


def _sick(error: str, *, found: int = 0) -> dict[str, Any]:
    return _report(found=found, error=error)


def _report(*, found: int, tested: str = "", latency: float = 0.0, error: str | None) -> dict[str, Any]:
    return {
        "healthy": error is None,
        "models_found": found,
        "tested_model": tested,
        "latency_ms": round(latency * 1000),
        "error": error,
    }
