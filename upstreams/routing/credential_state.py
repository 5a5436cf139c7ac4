"""Keys that their provider refuses, and the cooldowns of keys as the database shows them.

Requests only say what they saw; a thread writes it down, so that no request waits for the database.
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
from upstreams.catalog import snapshot
from upstreams.catalog.entries import CredentialEntry, UpstreamEntry
from upstreams.models import Upstream, UpstreamCredential
from upstreams.routing import live_state

logger = logging.getLogger("pxbin.routing")

_writer = ThreadPoolExecutor(1, thread_name_prefix="pxbin-credentials")
_refused: dict[str, float] = {}
"""Until when (monotonic) this process's own observation counts; then the catalogue has taken it up."""
_recovered: dict[str, float] = {}
"""The last recovery of a key or an upstream that this process has heeded."""
GRACE_SECONDS = 5.0
"""Longer than a written change takes to come back in the catalogue."""


def disable(upstream: UpstreamEntry, credential: CredentialEntry, reason: str) -> bool:
    """Take a key out everywhere, unless it is the last one of its upstream that is not; false then.

    It stays out until an admin or a successful probe brings it back. The order of routing heeds it at once in this process
    (:func:`is_refused`), everywhere else within a second.
    """
    others = [each for each in upstream.credentials if each.id != credential.id and not each.is_disabled and not is_refused(each.id)]
    if not others:
        return False
    if not is_refused(credential.id):
        _refused[credential.id] = math.inf
        logger.warning("the key %s of upstream %s is disabled: %s", credential.name or credential.id, upstream.name, reason)
        _writer.submit(_write_disabled, credential.id, reason)
    return True


def is_refused(credential_id: str) -> bool:
    """Whether this process has just seen a key refused."""
    until = _refused.get(credential_id) if _refused else None
    if until is None:
        return False
    if until < time.monotonic():
        _refused.pop(credential_id, None)
        return False
    return True


def forget(credential_id: str) -> None:
    """An admin or a probe brings a key back."""
    _refused.pop(credential_id, None)


def bring_back(credential_id: str, upstream_id: str) -> None:
    """A key works, or an admin says so: whatever kept it out, or its upstream, is over. Blocks for the database.

    An upstream without keys has its own id in their place. The database tells the other processes (:func:`heed`).
    """
    settle()  # what this process has seen of it before is written first
    now = timezone.now()
    for rows, rested in (
        (UpstreamCredential.objects.filter(pk=credential_id), {"disabled_reason": "", "cooling_until": None}),
        (Upstream.objects.filter(pk=upstream_id), {"resting_until": None}),
    ):
        if rows.exclude(**rested).exists():
            rows.update(**rested, recovered_at=now)
    forget(credential_id)
    live_state.current().clear(credential_id, upstream_id)


def heed() -> None:
    """Let rest no longer what somebody, in whatever process, has found well since the last look at the catalogue."""
    for upstream in snapshot.current().upstreams.values():
        for key, moment in ((upstream.id, upstream.recovered), *((each.id, each.recovered) for each in upstream.credentials)):
            known, _recovered[key] = _recovered.get(key), moment
            if known is not None and moment > known:  # at first sight nothing is news: it may cool since then
                forget(key)
                live_state.current().learnt(live_state.StateChange("cleared", key, value=upstream.id))


cache_revisions.on_change("catalogue", heed)


def note_cooling(credential_id: str, until: float) -> None:
    """Show the latest end of a key's cooldowns in the database."""
    rows = UpstreamCredential.objects.filter(pk=credential_id)
    _writer.submit(_write, rows, f"the cooldown of key {credential_id}", cooling_until=datetime.fromtimestamp(until, UTC))


def note_resting(upstream_id: str, until: float) -> None:
    """Show in the database until when a whole upstream is kept back."""
    rows = Upstream.objects.filter(pk=upstream_id)
    _writer.submit(_write, rows, f"the rest of upstream {upstream_id}", resting_until=datetime.fromtimestamp(until, UTC))


def settle() -> None:
    """Wait until everything said so far is written (tests, shutdown)."""
    _writer.submit(int).result()


def _write_disabled(credential_id: str, reason: str) -> None:
    """From then on the catalogue says it, here and elsewhere."""
    rows = UpstreamCredential.objects.filter(pk=credential_id, disabled_reason="")
    _write(rows, f"the disabled key {credential_id}", disabled_reason=reason)
    if credential_id in _refused:
        _refused[credential_id] = time.monotonic() + GRACE_SECONDS


def _write(rows: QuerySet[Any], what: str, **values: Any) -> None:
    """Update rows in the writer's thread, which keeps no connection. While the database is away, this is told in our own log alone."""
    try:
        rows.update(**values)
    except (DatabaseError, InterfaceError):
        logger.exception("%s could not be written down", what)
    finally:
        connection.close()
