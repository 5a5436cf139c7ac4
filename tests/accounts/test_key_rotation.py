"""Rotation: a new secret for the same key, and a grace period for the old one."""

import asyncio
from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from django.core.exceptions import ValidationError
from django.utils import timezone

from accounts.key_rotation import MAX_GRACE_SECONDS, NotRotatable, rotate
from accounts.keys import ManagementKeyRefused, authenticate, authenticate_management, cached_key, hash_key, issue
from accounts.models import ApiKey
from proxy.translation.errors import ClientMistake

pytestmark = pytest.mark.django_db(transaction=True)


async def accepted(*tokens):
    """Of each key, the id that it authenticates, or the refusal."""
    results = []
    for token in tokens:
        try:
            results.append((await authenticate(token)).id)
        except ClientMistake as refusal:
            results.append(refusal.failure.message)
    return results


async def test_both_secrets_are_valid_during_the_grace_period_and_have_the_same_limits():
    old, row = await sync_to_async(issue)("llm", name="laptop", rate_limit=7)
    new = await sync_to_async(rotate)(row, grace_seconds=60)
    assert await accepted(old, new) == [str(row.pk)] * 2
    keys = [cached_key(token) for token in (old, new)]
    assert [(key.rate_limit, key.prefix, key.name) for key in keys] == [(7, old[:8], "laptop"), (7, new[:8], "laptop")]
    assert keys[0].expires_at == row.old_key_valid_until.timestamp()
    assert keys[1].expires_at is None
    assert new.startswith("pxb_")


async def test_without_a_grace_period_the_old_secret_ends_at_once():
    old, row = await sync_to_async(issue)("llm")
    assert await accepted(old) == [str(row.pk)]
    new = await sync_to_async(rotate)(row)
    assert await accepted(old, new) == ["Invalid API key", str(row.pk)]


async def test_the_old_secret_ends_with_the_grace_period():
    old, row = await sync_to_async(issue)("llm")
    await sync_to_async(rotate)(row, grace_seconds=0.5)
    assert await accepted(old) == [str(row.pk)]
    await asyncio.sleep(0.6)
    assert await accepted(old) == ["API key has expired"]


async def test_rotating_again_ends_the_older_secret_at_once():
    first, row = await sync_to_async(issue)("llm")
    second = await sync_to_async(rotate)(row, grace_seconds=60)
    third = await sync_to_async(rotate)(row, grace_seconds=60)
    assert await accepted(first, second, third) == ["Invalid API key", str(row.pk), str(row.pk)]


async def test_revoking_ends_both():
    old, row = await sync_to_async(issue)("llm")
    new = await sync_to_async(rotate)(row, grace_seconds=60)
    row.is_active = False
    await sync_to_async(row.save)()
    assert await accepted(old, new) == ["API key is deactivated"] * 2


async def test_the_old_secret_does_not_outlive_the_key():
    end = timezone.now() + timedelta(seconds=30)
    old, row = await sync_to_async(issue)("llm", expires_at=end)
    await sync_to_async(rotate)(row, grace_seconds=60)
    assert (row.old_key_valid_until, (await authenticate(old)).expires_at) == (end, end.timestamp())


def test_management_keys_rotate_too():
    old, row = issue("management", permissions=["read", "write"])
    new = rotate(row, grace_seconds=60)
    assert [authenticate_management(token).permissions for token in (old, new)] == [["read", "write"]] * 2
    newest = rotate(row)
    for token in (old, new):
        with pytest.raises(ManagementKeyRefused, match="Invalid API key"):
            authenticate_management(token)
    assert (newest[:4], authenticate_management(newest).pk) == ("pxm_", row.pk)


def test_a_key_that_is_refused_anyway_is_not_rotated():
    for fields in ({"is_active": False}, {"expires_at": timezone.now() - timedelta(seconds=1)}):
        plaintext, row = issue("llm", **fields)
        with pytest.raises(NotRotatable):
            rotate(row, grace_seconds=60)
        assert ApiKey.objects.get(pk=row.pk).key_hash == hash_key(plaintext)


@pytest.mark.parametrize("seconds", [-1, MAX_GRACE_SECONDS + 1, float("nan")])
def test_a_grace_period_has_bounds(seconds):
    _, row = issue("llm")
    with pytest.raises(ValidationError, match="grace_seconds"):
        rotate(row, grace_seconds=seconds)


def test_the_history_has_no_hash():
    _, row = issue("llm")
    rotate(row, grace_seconds=60)
    assert [name for name in row.history.first().__dict__ if "hash" in name] == []
