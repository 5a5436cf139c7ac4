"""Health checks: an upstream lists its models, and a test model, always the same one, responds to a short request."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import msgspec
from django.utils import timezone

from accounts.common.steady_clock import wall_time_of
from proxy.translation.dialects.lookup import PASSTHROUGH, dialect_named
from proxy.translation.dialects.upstream_api import HealthProbe, path_for
from upstreams.catalog.entries import CredentialEntry, UpstreamEntry
from upstreams.catalog.snapshot import entries_of
from upstreams.models import Upstream
from upstreams.monitoring import discovery, probe
from upstreams.routing import credential_state, live_state
from upstreams.routing.cooldowns import CooldownScope, subject_of
from upstreams.routing.failure_policy import failure_action, retry_after_seconds

RESPONSE_SECONDS = 15.0
NOT_FOR_CHAT = (
    "embed", "whisper", "tts", "audio", "realtime", "transcri", "image", "dall-e", "sora", "video", "moderation", "rerank", "search",
    "guard", "ocr",
)  # fmt: skip
"""Parts of the names of models that are not for chat; such models are not chosen for a test."""

NO_USABLE_CREDENTIAL = "None of the upstream's credentials can be used: they are switched off or cannot be decrypted"


class CheckResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a check with one credential found. ``error``: ``None`` if healthy. ``response``: the error response, if one came."""

    models_found: int = 0
    tested_model: str = ""
    latency_ms: int = 0
    error: str | None = None
    response: probe.ProbeResponse | None = None

    @property
    def report(self) -> dict[str, Any]:
        """As the management API shows it."""
        return {
            "healthy": self.error is None,
            "models_found": self.models_found,
            "tested_model": self.tested_model,
            "latency_ms": self.latency_ms,
            "error": self.error,
        }


def check(upstream: Upstream) -> dict[str, Any]:
    """Check a stored upstream with each of its active credentials, and store the result.

    Returns ``{"healthy", "models_found", "tested_model", "latency_ms", "error", "keys"}``, all but the last of the preferred
    credential that works, or of the first one if none does; ``latency_ms`` is the time of the test model's response. ``keys``
    has ``id``, ``name``, ``healthy``, ``error`` and ``status`` (of an error response) of each credential.

    The test model is the upstream's ``test_model``, else the remote name of its first route, else the alphabetically first
    listed model whose name looks like a chat model's. Credentials that work are enabled and their cooldowns end; those that are
    refused are disabled or cool as after a request. An upstream that has credentials, but none usable, is not called.
    Blocks; not for a thread with a running event loop.
    """
    [report] = check_all([upstream])
    return report


def check_all(upstreams: Sequence[Upstream]) -> list[dict[str, Any]]:
    """:func:`check` for several upstreams in parallel."""
    checked = [(entry, _credentials(upstream, entry)) for upstream in upstreams for entry, _ in (entries_of(upstream),)]
    calls = [
        _examine_all(entry, credentials, test_model=upstream.test_model or _first_remote_name(upstream))
        for upstream, (entry, credentials) in zip(upstreams, checked, strict=True)
    ]
    results = asyncio.run(probe.gather_limited(calls))
    return [
        _store(upstream, entry, list(zip(credentials, per_credential, strict=True)))
        for upstream, (entry, credentials), per_credential in zip(upstreams, checked, results, strict=True)
    ]


def _credentials(upstream: Upstream, entry: UpstreamEntry) -> Sequence[CredentialEntry | None]:
    """The credentials to check an upstream with. ``None``: the upstream is called without one."""
    needs_none = entry.pass_client_credentials or not upstream.credentials.exists()
    return entry.credentials or ((None,) if needs_none else ())


def _store(upstream: Upstream, entry: UpstreamEntry, results: list[tuple[CredentialEntry | None, CheckResult]]) -> dict[str, Any]:
    """Enable and disable credentials by their results, store the best result with the upstream, and return the report."""
    for credential, result in results:
        if result.error is None:
            credential_state.enable(credential.id if credential is not None else entry.id, entry.id)
    for credential, result in results:
        if credential is not None and result.response is not None and not credential.is_disabled:
            _apply_failure(upstream, credential, result.response)
    credential_state.flush()
    all_results = [result for _, result in results] or [CheckResult(error=NO_USABLE_CREDENTIAL)]
    best = next((result for result in all_results if result.error is None), all_results[0])
    Upstream.objects.filter(pk=upstream.pk).update(tested_at=timezone.now(), test_error=best.error or "")
    return {**best.report, "keys": [_credential_report(credential, result) for credential, result in results if credential is not None]}


async def _examine_all(entry: UpstreamEntry, credentials: Sequence[CredentialEntry | None], *, test_model: str) -> list[CheckResult]:
    return await asyncio.gather(*(examine(entry, credential, test_model=test_model) for credential in credentials))


def _credential_report(credential: CredentialEntry, result: CheckResult) -> dict[str, Any]:
    status = result.response.status if result.response is not None else None
    return {"id": credential.id, "name": credential.name, "healthy": result.error is None, "error": result.error, "status": status}


def _apply_failure(upstream: Upstream, credential: CredentialEntry, response: probe.ProbeResponse) -> None:
    """Disable or cool a credential as a request would after the same response. Cooldowns of single routes are left to requests."""
    entry, _ = entries_of(upstream)  # read again: other credentials may have been enabled or disabled since
    failure = response.failure(entry.dialect)
    action = failure_action(failure)
    if action.disable_credential and credential_state.disable(
        entry, credential, f"the upstream answered {failure.status}: {failure.message}"[:500]
    ):
        return
    scope = CooldownScope.CREDENTIAL if action.disable_credential else action.cooldown_scope
    if scope not in (CooldownScope.CREDENTIAL, CooldownScope.UPSTREAM) or entry.cooldown <= 0:
        return
    state = live_state.current()
    seconds = retry_after_seconds(response.headers, wall_time_of(state.clock()))
    subject = subject_of(scope, upstream_id=entry.id, credential_id=credential.id)
    until = state.start_cooldown(subject, entry.cooldown if seconds is None else seconds)
    credential_state.store_credential_cooldown(credential.id, state.cooldowns.credential_until(credential.id, entry.id))
    if scope is CooldownScope.UPSTREAM:
        credential_state.store_upstream_cooldown(entry.id, until)


def check_unsaved(upstream: Upstream, *, api_key: str) -> dict[str, Any]:
    """:func:`check` for an upstream that is not stored, with a secret in plain text; nothing is stored."""
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


async def examine(upstream: UpstreamEntry, credential: CredentialEntry | None, *, test_model: str = "") -> CheckResult:
    """Check with one credential. With a ``test_model``, an upstream that lists no models can be healthy."""
    try:
        listed = [model.name for model in await discovery.fetch_models(upstream, credential)]
    except discovery.DiscoveryFailed as failure:
        if not test_model or failure.stage is discovery.Stage.CONNECTION:
            return CheckResult(error=_listing_error(failure), response=failure.response)
        listed = []
    model = test_model or next((name for name in sorted(listed) if _is_chat_model(name)), "")
    health_probe = dialect_named(upstream.dialect).upstream.probe if upstream.dialect != PASSTHROUGH else None
    if not listed and (not model or health_probe is None):
        return CheckResult(error="No models returned by upstream")
    if not model:
        return CheckResult(models_found=len(listed), error="No model to test: set a test model")
    if health_probe is None:
        return CheckResult(models_found=len(listed))
    return await _call_model(upstream, credential, health_probe, model, models_found=len(listed))


async def _call_model(
    upstream: UpstreamEntry, credential: CredentialEntry | None, health_probe: HealthProbe, model: str, *, models_found: int
) -> CheckResult:
    body = health_probe.encode(model, upstream.quirks)
    began = time.monotonic()
    error, error_response = None, None
    try:
        response = await probe.call(upstream, credential, "POST", path_for(health_probe.path, model), body=body, seconds=RESPONSE_SECONDS)
        if response.status != 200:
            error, error_response = response.unusable() or f"{health_probe.endpoint} returned {response.status}", response
        elif not health_probe.accepts(response.json()):
            error = f"{health_probe.subject} response is not a JSON object"
    except probe.ProbeFailed as failure:
        error = f"{health_probe.subject} request failed: {failure}"
    except ValueError:
        error = f"{health_probe.subject} response is not JSON"
    milliseconds = round((time.monotonic() - began) * 1000)
    return CheckResult(models_found=models_found, tested_model=model, latency_ms=milliseconds, error=error, response=error_response)


def _is_chat_model(name: str) -> bool:
    return not any(part in name.lower() for part in NOT_FOR_CHAT)


def _listing_error(failure: discovery.DiscoveryFailed) -> str:
    """The text of Go pxbin for models that could not be listed."""
    if failure.response is not None:
        return failure.response.unusable() or f"Models endpoint returned {failure.response.status}"
    return "Failed to parse models response" if failure.stage is discovery.Stage.PARSE else f"Connection failed: {failure.__cause__}"
