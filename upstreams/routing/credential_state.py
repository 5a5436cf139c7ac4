"""The state of credentials and upstreams in the database: disabled credentials, ends of cooldowns, times of last use.

Requests only record what they observed; a thread writes it to the database, so that no request waits. Other processes read
disabled and re-enabled credentials from the database with the next snapshot of the catalogue.
"""

from __future__ import annotations

import logging
import math
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

from django.db import DatabaseError, InterfaceError, connection
from django.db.models import QuerySet
from django.utils import timezone

from accounts import cache_revisions
from accounts.common.steady_clock import wall_time_of
from accounts.last_used import LastUse
from upstreams.catalog import snapshot
from upstreams.catalog.entries import CredentialEntry, UpstreamEntry
from upstreams.models import Upstream, UpstreamCredential
from upstreams.routing import live_state

logger = logging.getLogger("pxbin.routing")

credentials_used = LastUse(UpstreamCredential)
"""When requests were last sent with each credential."""
upstreams_answered = LastUse(Upstream, "answered_at")
"""When each upstream last completed a response."""
REFUSED_SECONDS = 5.0
"""How long a credential still counts as refused in this process after that was written: longer than the catalogue takes to reload."""

_writer = ThreadPoolExecutor(1, thread_name_prefix="pxbin-credentials")
_refused: dict[str, float] = {}
"""Credentials that this process saw refused, with the monotonic time until which that counts; ``inf``: not written yet."""
_recovered: dict[str, float] = {}
"""The last recovery of each credential and upstream that this process has applied, in Unix seconds."""


def disable(upstream: UpstreamEntry, credential: CredentialEntry, reason: str) -> bool:
    """Disable a credential everywhere, unless it is the last enabled one of its upstream: then nothing happens, and false.

    It stays disabled until an admin or a successful health check enables it. In this process routing knows at once
    (:func:`was_refused`), in others within a second.
    """
    is_last = all(other.is_disabled or was_refused(other.id) for other in upstream.credentials if other.id != credential.id)
    if is_last:
        return False
    if not was_refused(credential.id):
        _refused[credential.id] = math.inf
        logger.warning("credential %s of upstream %s is disabled: %s", credential.name or credential.id, upstream.name, reason)
        _writer.submit(_write_disabled, credential.id, reason)
    return True


def was_refused(credential_id: str) -> bool:
    """Whether this process has seen a credential refused and the catalogue may not show it yet."""
    until = _refused.get(credential_id) if _refused else None
    if until is None:
        return False
    if until < time.monotonic():
        _refused.pop(credential_id, None)
        return False
    return True


def forget_refusal(credential_id: str) -> None:
    """Let this process use a credential again that it saw refused."""
    _refused.pop(credential_id, None)


def enable(credential_id: str, upstream_id: str) -> None:
    """Enable a credential that works (or that an admin enables) and end all cooldowns of it and its upstream. Blocks.

    For an upstream without credentials, ``credential_id`` is the upstream's id. Other processes apply the recovery when their
    catalogue reloads (:func:`apply_recoveries`).
    """
    flush()  # what this process observed before must not be written after the recovery
    now = timezone.now()
    for rows, values in (
        (UpstreamCredential.objects.filter(pk=credential_id), {"disabled_reason": "", "cooling_until": None}),
        (Upstream.objects.filter(pk=upstream_id), {"resting_until": None}),
    ):
        if rows.exclude(**values).exists():
            rows.update(**values, recovered_at=now)
    forget_refusal(credential_id)
    live_state.current().clear_cooldowns(credential_id, upstream_id)


def apply_recoveries() -> None:
    """End the cooldowns of credentials and upstreams that any process has enabled since the last reload of the catalogue."""
    for upstream in snapshot.current().upstreams.values():
        recoveries = ((upstream.id, upstream.recovered), *((entry.id, entry.recovered) for entry in upstream.credentials))
        for subject_id, recovered in recoveries:
            applied, _recovered[subject_id] = _recovered.get(subject_id), recovered
            if applied is not None and recovered > applied:  # the first time: a cooldown may have started after the recovery
                forget_refusal(subject_id)
                change = live_state.StateChange(live_state.ChangeKind.COOLDOWNS_CLEARED, subject_id, value=upstream.id)
                live_state.current().apply_remote(change)


cache_revisions.on_change("catalogue", apply_recoveries)


def store_credential_cooldown(credential_id: str, until: float) -> None:
    """Write the latest end of a credential's cooldowns (steady time) for the admin pages."""
    rows = UpstreamCredential.objects.filter(pk=credential_id)
    _writer.submit(_write, rows, f"the cooldown of credential {credential_id}", cooling_until=_moment(until))


def store_upstream_cooldown(upstream_id: str, until: float) -> None:
    """Write the end of an upstream's cooldown or open breaker (steady time) for the admin pages."""
    rows = Upstream.objects.filter(pk=upstream_id)
    _writer.submit(_write, rows, f"the cooldown of upstream {upstream_id}", resting_until=_moment(until))


def _moment(until: float) -> datetime:
    return datetime.fromtimestamp(wall_time_of(until), UTC)


def flush() -> None:
    """Wait until everything recorded so far is written."""
    _writer.submit(int).result()


def _write_disabled(credential_id: str, reason: str) -> None:
    """Once this is written, the catalogue says it in every process."""
    rows = UpstreamCredential.objects.filter(pk=credential_id, disabled_reason="")
    _write(rows, f"the disabled credential {credential_id}", disabled_reason=reason)
    if credential_id in _refused:
        _refused[credential_id] = time.monotonic() + REFUSED_SECONDS


def _write(rows: QuerySet[Any], subject: str, **values: Any) -> None:
    """Update rows in the writer's thread, which holds no connection in between. Errors of the database are only logged."""
    try:
        rows.update(**values)
    except (DatabaseError, InterfaceError):
        logger.exception("%s could not be written", subject)
    finally:
        connection.close()
