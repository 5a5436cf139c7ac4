"""Who changed a row, and from where, besides the user of the admin: noted as the change reason of its history."""

from __future__ import annotations

import sys
from typing import Any

from simple_history.models import HistoricalRecords
from simple_history.signals import pre_create_historical_record

from accounts.common.client_address import client_address

MAX_REASON = 100
SECRET_REPLACED = "secret replaced"  # noqa: S105  (a note, not a secret)
"""A note for ``_change_reason`` of a row whose secret was set: history has no column for it."""


def note_origin(history_instance: Any, **kwargs: Any) -> None:  # noqa: ARG001  (of the signal)
    """Set the change reason: a note of the change, the management key or the command, and the client's address."""
    request = getattr(HistoricalRecords.context, "request", None)
    parts = [history_instance.history_change_reason or ""]
    if request is None:
        parts.append(f"command {sys.argv[1]}" if len(sys.argv) > 1 else "")
    else:
        key = getattr(request, "auth", None)
        if key is not None and hasattr(key, "key_prefix"):
            parts.append(f"management key {key.name[:30]} ({key.key_prefix}…)")
        address = client_address(request.META.get("REMOTE_ADDR") or "", request.headers)
        parts.append(f"from {address}" if address else "")
    history_instance.history_change_reason = ", ".join(filter(None, parts))[:MAX_REASON] or None


def connect() -> None:
    """Note the origin of every change from now on."""
    pre_create_historical_record.connect(note_origin, dispatch_uid="accounts.change_origin")
