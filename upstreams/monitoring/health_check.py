"""Whether an upstream is well: it lists its models, and answers one short request to a model that is always the same one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import msgspec
from django.utils import timezone

from proxy.translation.dialects.lookup import PASSTHROUGH, dialect_named
from proxy.translation.dialects.upstream_api import HealthProbe
from upstreams.catalog.entries import CredentialEntry, UpstreamEntry
from upstreams.catalog.snapshot import entries_of
from upstreams.models import Upstream
from upstreams.monitoring import discovery, probe
from upstreams.routing import credential_state, live_state
from upstreams.routing.failure_policy import failure_action, retry_after_seconds

ANSWER_SECONDS = 15.0
NOT_FOR_CHAT = (
    "embed", "whisper", "tts", "audio", "realtime", "transcri", "image", "dall-e", "sora", "video", "moderation", "rerank", "search",
    "guard", "ocr",
)  # fmt: skip
"""Parts of names of models that do not chat; none of them is chosen for a test."""

UNUSABLE = "None of the upstream's keys can be used: they are switched off, or cannot be read"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What a check found with one credential. ``error``: what is the matter; ``reply``: the answer that says so, if one came."""

    models_found: int = 0
    tested_model: str = ""
    latency_ms: int = 0
    error: str | None = None
    reply: probe.ProbeResponse | None = None

    @property
    def report(self) -> dict[str, Any]:
        """As the management API tells it."""
        return {
            "healthy": self.error is None,
            "models_found": self.models_found,
            "tested_model": self.tested_model,
            "latency_ms": self.latency_ms,
            "error": self.error,
        }


def check(upstream: Upstream) -> dict[str, Any]:
    """The health of a stored upstream, called with each of its credentials that is switched on; the result is kept with it.

    ``{"healthy", "models_found", "tested_model", "latency_ms", "error", "keys"}``: of the preferred credential that works, or
    of the first one if none does. The latency is that of the tested model's answer. ``keys`` tells of each credential its
    ``id``, ``name``, ``healthy``, ``error`` and the ``status`` that refused it. The test model is the upstream's ``test_model``,
    else the remote name of its first route, else the alphabetically first listed model that looks like one for chat: never a
    random one. Credentials that work are brought back if they were disabled or cooling; those that are refused get the state
    that a request would give them. As by requests, an upstream whose keys cannot be used is not called without one.
    Blocks; not for a thread with a running event loop.
    """
    [report] = check_all([upstream])
    return report


def check_all(upstreams: Sequence[Upstream]) -> list[dict[str, Any]]:
    """:func:`check` for several upstreams, which are asked at the same time."""
    asked = [(entry, _keys(upstream, entry)) for upstream in upstreams for entry, _ in (entries_of(upstream),)]
    questions = [
        _examine_all(entry, keys, test_model=upstream.test_model or _first_remote_name(upstream))
        for upstream, (entry, keys) in zip(upstreams, asked, strict=True)
    ]
    answers = asyncio.run(probe.together(questions))
    return [
        _learnt(upstream, entry, list(zip(keys, findings, strict=True)))
        for upstream, (entry, keys), findings in zip(upstreams, asked, answers, strict=True)
    ]


def _keys(upstream: Upstream, entry: UpstreamEntry) -> Sequence[CredentialEntry | None]:
    """What to call it with. None: without a key."""
    is_keyless = entry.pass_client_credentials or not upstream.credentials.exists()
    return entry.credentials or ((None,) if is_keyless else ())


def _learnt(upstream: Upstream, entry: UpstreamEntry, found: list[tuple[CredentialEntry | None, Finding]]) -> dict[str, Any]:
    """The report of what a check found, once it is written down."""
    for key, finding in found:
        if finding.error is None:
            credential_state.bring_back(key.id if key is not None else entry.id, entry.id)
    for key, finding in found:
        if key is not None and finding.reply is not None and not key.is_disabled:
            _learn(upstream, key, finding.reply)
    credential_state.settle()
    findings = [finding for _, finding in found] or [Finding(error=UNUSABLE)]
    best = next((finding for finding in findings if finding.error is None), findings[0])
    Upstream.objects.filter(pk=upstream.pk).update(tested_at=timezone.now(), test_error=best.error or "")
    return {**best.report, "keys": [_of_key(key, finding) for key, finding in found if key is not None]}


async def _examine_all(entry: UpstreamEntry, keys: Sequence[CredentialEntry | None], *, test_model: str) -> list[Finding]:
    return await asyncio.gather(*(examine(entry, key, test_model=test_model) for key in keys))


def _of_key(key: CredentialEntry, finding: Finding) -> dict[str, Any]:
    status = finding.reply.status if finding.reply is not None else None
    return {"id": key.id, "name": key.name, "healthy": finding.error is None, "error": finding.error, "status": status}


def _learn(upstream: Upstream, key: CredentialEntry, reply: probe.ProbeResponse) -> None:
    """What a request would have learnt about the credential from the same answer; what concerns a single route is left to requests."""
    entry, _ = entries_of(upstream)  # anew: others may have been brought back, or disabled, since
    failure = reply.failure(entry.dialect)
    found = failure_action(failure)
    if found.disable_credential and credential_state.disable(
        entry, key, f"the upstream answered {failure.status}: {failure.message}"[:500]
    ):
        return
    scope = "key" if found.disable_credential else found.cooldown_scope
    if scope not in ("key", "upstream") or entry.cooldown <= 0:
        return
    known = live_state.current()
    asked = retry_after_seconds(reply.headers, known.clock())
    until = known.cool(f"key:{key.id}" if scope == "key" else f"upstream:{entry.id}", entry.cooldown if asked is None else asked)
    credential_state.note_cooling(key.id, known.cooldowns.key_until(key.id, entry.id))
    if scope == "upstream":
        credential_state.note_resting(entry.id, until)


def check_unsaved(upstream: Upstream, *, api_key: str) -> dict[str, Any]:
    """:func:`check` for an upstream that is not stored yet and a key in plain text."""
    entry, _ = entries_of(upstream)
    credential = CredentialEntry(id="", secret=api_key) if api_key else None
    return {**asyncio.run(examine(entry, credential, test_model=upstream.test_model)).report, "keys": []}


def _first_remote_name(upstream: Upstream) -> str:
    routes = upstream.routes.filter(is_active=True, model__is_active=True).order_by("priority", "-weight", "created_at", "id")
    for remote_name, name in routes.values_list("remote_name", "model__name"):
        candidate: str = remote_name or name
        if "*" not in candidate:
            return candidate
    return ""


async def examine(upstream: UpstreamEntry, credential: CredentialEntry | None, *, test_model: str = "") -> Finding:
    """The checks themselves. Where a test model is pinned, an upstream that lists no models can be well all the same."""
    try:
        listed = [model.name for model in await discovery.ask(upstream, credential)]
    except discovery.DiscoveryFailed as failure:
        if not test_model or failure.stage == "connection":
            return Finding(error=_words(failure), reply=failure.reply)
        listed = []
    model = test_model or next((name for name in sorted(listed) if _chats(name)), "")
    smallest = dialect_named(upstream.dialect).upstream.probe if upstream.dialect != PASSTHROUGH else None
    if not listed and (not model or smallest is None):
        return Finding(error="No models returned by upstream")
    if not model:
        return Finding(models_found=len(listed), error="No model to test: set a test model")
    if smallest is None:
        return Finding(models_found=len(listed))
    return await _try(upstream, credential, smallest, model, found=len(listed))


async def _try(upstream: UpstreamEntry, credential: CredentialEntry | None, smallest: HealthProbe, model: str, *, found: int) -> Finding:
    body = smallest.encode(model, upstream.quirks)
    began = time.monotonic()
    error, refusal = None, None
    try:
        reply = await probe.call(upstream, credential, "POST", smallest.path, body=body, seconds=ANSWER_SECONDS)
        if reply.status != 200:
            error, refusal = f"{smallest.endpoint} returned {reply.status}", reply
        elif not smallest.accepts(reply.json()):
            error = f"{smallest.subject} answer is not a JSON object"
    except probe.ProbeFailed as failure:
        error = f"{smallest.subject} request failed: {failure}"
    except ValueError:
        error = f"{smallest.subject} answer is not JSON"
    took = round((time.monotonic() - began) * 1000)
    return Finding(models_found=found, tested_model=model, latency_ms=took, error=error, reply=refusal)


def _chats(name: str) -> bool:
    return not any(part in name.lower() for part in NOT_FOR_CHAT)


def _words(failure: discovery.DiscoveryFailed) -> str:
    """Go pxbin's words for a list that did not come."""
    if failure.reply is not None:
        return f"Models endpoint returned {failure.reply.status}"
    return "Failed to parse models response" if failure.stage == "parse" else f"Connection failed: {failure.__cause__}"
