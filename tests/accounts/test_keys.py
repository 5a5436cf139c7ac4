import re
import time
from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from django.core.exceptions import ValidationError
from django.db import DatabaseError
from django.utils import timezone

from accounts import cache_revisions, keys
from accounts.keys import WRONG_KIND, Key, ManagementKeyRefused, authenticate, authenticate_management, cached_key, issue, may_use
from accounts.models import ApiKey, Owner, RevisedQuerySet
from proxy.translation.errors import ClientMistake, GatewayError

pytestmark = pytest.mark.django_db(transaction=True)


async def refusal(token):
    with pytest.raises(GatewayError) as caught:
        await authenticate(token)
    return caught.value.failure.kind, caught.value.failure.message


def test_only_the_hash_and_the_prefix_of_a_key_are_stored():
    plaintext, _ = issue("llm", name="laptop", rate_limit=60)
    assert re.fullmatch(r"pxb_[0-9a-f]{40}", plaintext)
    row = ApiKey.objects.values().get()
    assert plaintext not in str(row)
    assert (row["key_hash"], row["key_prefix"], row["name"], row["rate_limit"]) == (
        keys.hash_key(plaintext),
        plaintext[:8],
        "laptop",
        60,
    )
    assert not hasattr(ApiKey.history.get(), "key_hash")


def test_the_hash_is_that_of_the_original_pxbin():
    assert keys.hash_key("pxb_" + "0" * 40) == "712ba3c71f4b59b5ea1e1530ce9b7abd4b6e332d70805a0778680ba928a14085"


@pytest.mark.parametrize(
    "fields",
    [{"rate_limit": 0}, {"token_limit": -1}, {"allowed_models": "gpt-5"}, {"allowed_models": [""]}, {"metadata": []}],
)
def test_bad_fields_are_refused(fields):
    with pytest.raises(ValidationError):
        issue("llm", **fields)
    assert not ApiKey.objects.exists()


async def test_a_new_key_works_in_the_next_request():
    plaintext, row = await sync_to_async(issue)("llm", name="laptop")
    assert await authenticate(plaintext) == Key(id=str(row.pk), prefix=plaintext[:8], name="laptop")
    assert cached_key(plaintext) == Key(id=str(row.pk), prefix=plaintext[:8], name="laptop")


async def test_a_cached_key_follows_the_name_of_its_owner():
    owner = await sync_to_async(Owner.named)("anna")
    plaintext, _ = await sync_to_async(issue)("llm", owner=owner)
    assert (await authenticate(plaintext)).owner == "anna"
    owner.name = "research"
    await sync_to_async(owner.save)()
    await sync_to_async(cache_revisions.poll)()
    assert cached_key(plaintext).owner == "research"


async def test_every_refusal_names_its_reason():
    expired, _ = await sync_to_async(issue)("llm", expires_at=timezone.now() - timedelta(seconds=1))
    revoked, _ = await sync_to_async(issue)("llm", is_active=False)
    assert [await refusal(token) for token in ("", "pxb_unknown", "\udcff", expired, revoked)] == [
        ("authentication", "Missing API key"),
        ("authentication", "Invalid API key"),
        ("authentication", "Invalid API key"),
        ("authentication", "API key has expired"),
        ("permission", "API key is deactivated"),
    ]
    assert [cached_key(token) for token in ("", expired, revoked)] == [None, None, None]


async def test_a_cached_key_expires(monkeypatch):
    plaintext, _ = await sync_to_async(issue)("llm", expires_at=timezone.now() + timedelta(hours=1))
    await authenticate(plaintext)
    later = time.time() + 3601
    monkeypatch.setattr("accounts.keys.time.time", lambda: later)
    assert cached_key(plaintext) is None
    assert await refusal(plaintext) == ("authentication", "API key has expired")


async def test_a_revoked_key_is_refused_at_once_in_the_process_that_revoked_it():
    plaintext, row = await sync_to_async(issue)("llm")
    await authenticate(plaintext)
    row.is_active = False
    await sync_to_async(row.save)()
    assert cached_key(plaintext) is None
    assert await refusal(plaintext) == ("permission", "API key is deactivated")


async def test_a_deleted_key_is_unknown():
    plaintext, row = await sync_to_async(issue)("llm")
    await authenticate(plaintext)
    await sync_to_async(row.delete)()
    assert await refusal(plaintext) == ("authentication", "Invalid API key")


async def test_cached_keys_work_while_the_database_is_away(monkeypatch):
    plaintext, _ = await sync_to_async(issue)("llm")
    await authenticate(plaintext)

    def raise_database_error():
        raise DatabaseError("no connection")

    monkeypatch.setattr(cache_revisions, "read_revisions", raise_database_error)
    assert cached_key(plaintext) is not None
    assert (await authenticate(plaintext)).prefix == plaintext[:8]
    assert await refusal("pxb_unknown") == ("overloaded", "API keys cannot be checked at the moment")


async def test_more_keys_than_the_cache_holds_all_work(monkeypatch):
    monkeypatch.setattr(keys, "CACHED_KEYS", 10)
    monkeypatch.setattr(keys, "ROWS_PER_QUERY", 3)
    plaintexts = [(await sync_to_async(issue)("llm"))[0] for _ in range(25)]
    for _ in range(2):
        for plaintext in plaintexts:
            await authenticate(plaintext)
            assert len(keys._cache.by_hash) <= 10
    assert await refusal("pxb_unknown") == ("authentication", "Invalid API key")
    row = await sync_to_async(ApiKey.objects.get)(key_hash=keys.hash_key(plaintexts[-1]))
    row.is_active = False
    await sync_to_async(row.save)()
    assert await refusal(plaintexts[-1]) == ("permission", "API key is deactivated")
    assert len(keys._cache.by_hash) <= 10


async def test_unknown_keys_are_not_cached():
    for number in range(50):
        await refusal(f"pxb_{number}")
    assert (keys._cache.by_hash, keys._cache.requested) == ({}, set())


@pytest.mark.parametrize(
    ("allowed", "names", "expected"),
    [
        (None, ("anything",), True),
        ((), ("anything",), False),
        (("gpt-5",), ("gpt-5",), True),
        (("gpt-5",), ("gpt-5-mini",), False),
        (("claude-*",), ("claude-3-haiku",), True),
        (("gpt-5",), ("fast", "gpt-5"), True),
        (("claude-*haiku*",), ("claude-3-haiku", "claude-*haiku*"), True),
    ],
)
def test_a_key_may_use_the_models_it_lists(allowed, names, expected):
    assert may_use(Key(id="a", allowed_models=allowed), *names) is expected


def test_management_keys_are_checked_in_the_database():
    plaintext, row = issue("management", permissions=["read", "write"])
    assert authenticate_management(plaintext) == row
    client_key, _ = issue("llm")
    expired, _ = issue("management", expires_at=timezone.now())
    revoked, _ = issue("management", is_active=False)
    refusals = []
    for token in ("", client_key, expired, revoked):
        with pytest.raises(ManagementKeyRefused) as caught:
            authenticate_management(token)
        refusals.append((caught.value.status, caught.value.message))
    assert refusals == [
        (401, "Missing API key"),
        (401, WRONG_KIND["management"]),
        (401, "API key has expired"),
        (403, "API key is deactivated"),
    ]


async def test_the_last_use_is_written_in_batches_without_a_new_revision():
    used, used_row = await sync_to_async(issue)("llm")
    _, unused_row = await sync_to_async(issue)("llm")
    manager, manager_row = await sync_to_async(issue)("management")
    await authenticate(used)
    await sync_to_async(authenticate_management)(manager)
    numbers = await sync_to_async(cache_revisions.read_revisions)()
    for key_use in (keys.client_key_use, keys.management_key_use):
        await sync_to_async(key_use.write)()
    for row in (used_row, unused_row, manager_row):
        await sync_to_async(row.refresh_from_db)()
    assert [row.last_used_at is not None for row in (used_row, unused_row, manager_row)] == [True, False, True]
    assert await sync_to_async(cache_revisions.read_revisions)() == numbers


async def test_uses_are_kept_until_they_can_be_written(monkeypatch):
    plaintext, row = await sync_to_async(issue)("llm")
    await authenticate(plaintext)

    def raise_database_error(*_args, **_values):
        raise DatabaseError("no connection")

    with monkeypatch.context() as broken:
        broken.setattr(RevisedQuerySet, "update", raise_database_error)
        with pytest.raises(DatabaseError):
            await sync_to_async(keys.client_key_use.write)()
    await sync_to_async(keys.client_key_use.write)()
    await sync_to_async(row.refresh_from_db)()
    assert row.last_used_at is not None


async def test_an_unknown_key_is_a_mistake_of_the_client():
    with pytest.raises(ClientMistake):
        await authenticate("pxb_unknown")
