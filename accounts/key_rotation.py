"""Rotation of keys: a new secret for the same row, while the old one may stay valid for a grace period.

The id, the limits, the budgets and the log of a key stay. At most one old secret is valid: rotating again ends it at once.
Processes learn of a rotation as of every change of a key, within a second (:mod:`accounts.cache_revisions`).
"""

from __future__ import annotations

from datetime import timedelta

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from accounts import keys
from accounts.common.key_kinds import KeyKind
from accounts.models import ApiKey, ManagementKey

MAX_GRACE_SECONDS = 365 * 86_400


class NotRotatable(Exception):  # noqa: N818  (the name says what happened)
    """The key is revoked or expired, so that a new secret would not be valid either."""


def rotate(row: ApiKey | ManagementKey, *, grace_seconds: float = 0) -> str:
    """Give a saved key a new secret, which is returned in plain text; the old one is valid for ``grace_seconds`` more.

    ``row`` then has ``old_key_valid_until``: that time, or the key's own end if that is earlier; with 0, now. Raises
    :class:`~django.core.exceptions.ValidationError` for a number outside of 0 to :data:`MAX_GRACE_SECONDS`, and :class:`NotRotatable`.
    """
    if not 0 <= grace_seconds <= MAX_GRACE_SECONDS:
        raise ValidationError({"grace_seconds": f"grace_seconds: must be between 0 and {MAX_GRACE_SECONDS}."})
    with transaction.atomic():
        type(row).objects.select_for_update().get(pk=row.pk)  # another rotation waits here
        row.refresh_from_db()
        now = timezone.now()
        if not row.is_active:
            raise NotRotatable("The key is revoked. Reactivate it first, or create a new one.")
        if row.expires_at is not None and row.expires_at <= now:
            raise NotRotatable("The key has expired. Set another end first, or create a new one.")
        until = now + timedelta(seconds=grace_seconds)
        row.old_key_hash = row.key_hash if grace_seconds else None
        row.old_key_prefix = row.key_prefix
        row.old_key_valid_until = until if row.expires_at is None else min(until, row.expires_at)
        plaintext = keys.new_plaintext(KeyKind.LLM if isinstance(row, ApiKey) else KeyKind.MANAGEMENT)
        keys.set_hash(row, plaintext)
        row.save()
    return plaintext
