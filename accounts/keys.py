"""Issuing of keys, and authentication of requests.

A key is 160 random bits; only its SHA-256 is stored. Serving processes cache the most recently used client keys, refresh the
cache when a key changes (:mod:`accounts.cache_revisions`), and authenticate from it while the database cannot be reached. A key
that is not cached is looked up in the database before it is refused, with one query for all waiting requests. Unknown keys are
not cached, so that random keys cannot fill the memory.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Sequence
from datetime import datetime
from itertools import islice
from typing import Any, TypeVar

import msgspec
from django.db.models import F, Q
from django.utils import timezone

from accounts import budget_entries, cache_revisions
from accounts.budget_entries import BudgetEntry, BudgetIndex
from accounts.common import wildcards
from accounts.common.client_address import Networks, is_within, parse_networks
from accounts.common.gateway_config import config
from accounts.common.key_kinds import PREFIXES, KeyKind
from accounts.last_used import LastUse
from accounts.models import ApiKey, IssuedKey, ManagementKey
from proxy.translation.errors import ClientMistake, Failure, GatewayError

CACHED_KEYS = 10_000
"""The largest number of cached keys."""
ROWS_PER_QUERY = 500
MAX_TAG = 100
"""Characters of a tag's value."""


TABLES: dict[KeyKind, type[ApiKey | ManagementKey]] = {KeyKind.LLM: ApiKey, KeyKind.MANAGEMENT: ManagementKey}
WRONG_KIND = {
    KeyKind.LLM: "Invalid API key: keys of the management API begin with pxm_; a client key begins with pxb_",
    KeyKind.MANAGEMENT: "Invalid API key: client keys begin with pxb_; a key of the management API begins with pxm_",
}
"""Messages for an unknown key that begins like one of the other kind, by the kind that is needed."""
MISSING, INVALID, EXPIRED, INACTIVE = "Missing API key", "Invalid API key", "API key has expired", "API key is deactivated"
MISPLACED = f"{MISSING}: send it as x-api-key, or as Authorization: Bearer"
"""Message for a request whose key may be in a place where keys are not read."""


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """A client key as requests need it.

    ``owner``: its name, or empty. ``expires_at``: Unix seconds. ``allowed_models``: None allows all, () none.
    """

    id: str
    prefix: str = ""
    name: str = ""
    owner: str = ""
    expires_at: float | None = None
    rate_limit: int | None = None
    token_limit: int | None = None
    concurrency_limit: int | None = None
    allowed_models: tuple[str, ...] | None = None
    allowed_networks: Networks | None = None
    """From where requests may come; ``None``: from everywhere."""
    capture_payloads: bool = False
    may_choose_upstream: bool = False
    is_active: bool = True
    budgets: tuple[BudgetEntry, ...] = ()
    is_limited: bool = False
    """Whether it has a limit or a budget; follows from the other fields."""
    tags: dict[str, str] = {}
    """The declared tags in its metadata."""

    def __post_init__(self) -> None:
        limits = (self.rate_limit, self.token_limit, self.concurrency_limit)
        msgspec.structs.force_setattr(self, "is_limited", bool(self.budgets) or any(limit is not None for limit in limits))


class ManagementKeyRefused(Exception):  # noqa: N818  (the name says what happened)
    """A request to the management API without a valid key; ``status`` is 401 or 403."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


# --- issuing ---------------------------------------------------------------------------------------------------------

IssuedT = TypeVar("IssuedT", bound=IssuedKey)


def new_key(kind: KeyKind) -> tuple[str, ApiKey | ManagementKey]:
    """A new key in plain text, and its row, which is not saved yet."""
    plaintext = new_plaintext(kind)
    return plaintext, set_hash(TABLES[kind](), plaintext)


def issue(kind: KeyKind, **fields: Any) -> tuple[str, ApiKey | ManagementKey]:
    """A new key in plain text and its saved row with ``fields``. Raises ``ValidationError`` for bad fields."""
    plaintext, row = new_key(kind)
    for name, value in fields.items():
        setattr(row, name, value)
    row.full_clean()
    row.save()
    return plaintext, row


def new_plaintext(kind: KeyKind) -> str:
    """``pxb_`` or ``pxm_`` and 40 random hexadecimal digits."""
    return PREFIXES[kind] + secrets.token_hex(20)


def set_hash(row: IssuedT, plaintext: str) -> IssuedT:
    """``row`` with the hash and the prefix of a key."""
    row.key_hash, row.key_prefix = hash_key(plaintext), shown_prefix(plaintext)
    return row


def shown_prefix(plaintext: str) -> str:
    """The beginning of a key by which people recognise it. Keys of other gateways may be short; at most a quarter of one is shown."""
    return plaintext[: 8 if plaintext.startswith(tuple(PREFIXES.values())) else min(8, len(plaintext) // 4)]


def hash_key(plaintext: str) -> str:
    """The SHA-256 of a key in lower-case hex, which is all that is stored of it."""
    return hashlib.sha256(plaintext.encode("utf-8", "surrogatepass")).hexdigest()


# --- checking --------------------------------------------------------------------------------------------------------


class _KeyCache:
    """The client keys cached in this process. Only :func:`accounts.cache_revisions.poll` writes it; any thread may read."""

    def __init__(self) -> None:
        self.by_hash: dict[str, Key] = {}
        self.is_complete = False
        """Whether all keys of the table are cached."""
        self.requested: set[str] = set()
        """Hashes that requests wait for."""
        self.budgets = BudgetIndex()

    def refresh(self) -> None:
        """Read the most recently used keys. If these are not all keys, one half of the cache is kept for keys in use here."""
        self.budgets = budget_entries.load()
        newest = ApiKey.objects.order_by("-is_active", F("last_used_at").desc(nulls_last=True), "-created_at")
        fresh = _read(newest[: CACHED_KEYS + 1])
        self.is_complete = len({key.id for key in fresh.values()}) <= CACHED_KEYS
        if not self.is_complete:
            fresh = dict(islice(fresh.items(), CACHED_KEYS // 2))
            others = [key_hash for key_hash in self.by_hash if key_hash not in fresh]
            fresh |= _read_hashes(others[-(CACHED_KEYS // 2) :])
        self.by_hash = fresh

    def read_requested(self) -> None:
        """Read the keys that requests wait for; the oldest entries make room for them."""
        requested, self.requested = self.requested, set()
        if requested and not self.is_complete:
            rows = _read_hashes([key_hash for key_hash in requested if key_hash not in self.by_hash])
            for _ in range(len(self.by_hash) + len(rows) - CACHED_KEYS):
                self.by_hash.pop(next(iter(self.by_hash)))
            self.by_hash |= rows


def _read(rows: Any) -> dict[str, Key]:
    columns = (
        "id", "key_prefix", "name", "owner__name", "expires_at", "rate_limit", "token_limit", "concurrency_limit",
        "allowed_models", "allowed_ips", "capture_payloads", "may_choose_upstream", "is_active", "metadata",
    )  # fmt: skip
    by_hash: dict[str, Key] = {}
    now = time.time()
    for key_hash, old_hash, old_prefix, old_end, *values in rows.values_list(
        "key_hash", "old_key_hash", "old_key_prefix", "old_key_valid_until", *columns
    ):
        key = by_hash[key_hash] = _key(*values)
        if old_hash is not None and old_end.timestamp() > now:
            by_hash[old_hash] = msgspec.structs.replace(key, prefix=old_prefix, expires_at=_earlier(old_end.timestamp(), key.expires_at))
    return by_hash


def _earlier(moment: float, other: float | None) -> float:
    return moment if other is None else min(moment, other)


def _read_hashes(hashes: Sequence[str]) -> dict[str, Key]:
    by_hash: dict[str, Key] = {}
    for start in range(0, len(hashes), ROWS_PER_QUERY):
        some = hashes[start : start + ROWS_PER_QUERY]
        by_hash |= _read(ApiKey.objects.filter(Q(key_hash__in=some) | Q(old_key_hash__in=some)))
    return by_hash


def _key(  # noqa: PLR0913, PLR0917  (one argument for each column read)
    row_id: Any,
    prefix: str,
    name: str,
    owner: str | None,
    expires_at: datetime | None,
    rate_limit: int | None,
    token_limit: int | None,
    concurrency_limit: int | None,
    allowed_models: list[str] | None,
    allowed_ips: list[str] | None,
    capture_payloads: bool,
    may_choose_upstream: bool,
    is_active: bool,
    metadata: dict[str, Any],
) -> Key:
    key_id = str(row_id)
    return Key(
        id=key_id,
        prefix=prefix,
        name=name,
        owner=owner or "",
        expires_at=expires_at.timestamp() if expires_at else None,
        rate_limit=rate_limit,
        token_limit=token_limit,
        concurrency_limit=concurrency_limit,
        allowed_models=None if allowed_models is None else tuple(allowed_models),
        allowed_networks=None if allowed_ips is None else parse_networks(allowed_ips),
        capture_payloads=capture_payloads,
        may_choose_upstream=may_choose_upstream,
        is_active=is_active,
        budgets=_cache.budgets.of_key(key_id, owner or ""),
        tags=_tags(metadata),
    )


def _tags(metadata: dict[str, Any]) -> dict[str, str]:
    values = {tag_key: metadata.get(tag_key) for tag_key in config().tag_keys}
    return {tag_key: value[:MAX_TAG] for tag_key, value in values.items() if isinstance(value, str) and value}


client_key_use, management_key_use = LastUse(ApiKey), LastUse(ManagementKey)
"""The keys of each kind that were used."""
_cache = _KeyCache()
cache_revisions.on_change("keys", _cache.refresh)
cache_revisions.on_poll(_cache.read_requested)


def budgets_of(key: Key) -> tuple[BudgetEntry, ...]:
    """The budgets of a key, or for a request without one those of all requests. From memory."""
    return key.budgets if key.id else _cache.budgets.for_all


def all_budgets() -> tuple[BudgetEntry, ...]:
    """Every budget that is in memory."""
    return _cache.budgets.entries


def cached_key(token: str) -> Key | None:
    """The key of ``token`` if it is cached, active and not expired. No database, no exception."""
    key = _cache.by_hash.get(hash_key(token))
    if key is None or not key.is_active:
        return None
    if key.expires_at is not None and key.expires_at <= time.time():
        return None
    client_key_use.note(key.id)
    return key


def is_cached(token: str) -> bool:
    """Whether ``token`` is a client key that this process knows, in any state."""
    return hash_key(token) in _cache.by_hash


async def authenticate(token: str) -> Key:
    """The key of ``token``, which is looked up in the database if it is not cached.

    Raises :class:`~proxy.translation.errors.ClientMistake` of kind ``authentication`` (401: missing, unknown, expired) or ``permission``
    (403: deactivated), and :class:`~proxy.translation.errors.GatewayError` of kind ``overloaded`` when it is not cached and the
    database cannot be reached.
    """
    if not token:
        raise ClientMistake(MISSING, kind="authentication")
    key_hash = hash_key(token)
    key = _cache.by_hash.get(key_hash)
    if key is None:
        _cache.requested.add(key_hash)
        if not await cache_revisions.refresh_now():
            raise GatewayError(Failure(kind="overloaded", message="API keys cannot be checked at the moment"))
        key = _cache.by_hash.get(key_hash)
    if key is None:
        raise ClientMistake(_invalid(token, needed=KeyKind.LLM), kind="authentication")
    if not key.is_active:
        raise ClientMistake(INACTIVE, kind="permission")
    if key.expires_at is not None and key.expires_at <= time.time():
        raise ClientMistake(EXPIRED, kind="authentication")
    client_key_use.note(key.id)
    return key


def check_address(key: Key, client: str) -> None:
    """Raise :class:`~proxy.translation.errors.ClientMistake` (403) if a key may not be used from the address ``client``."""
    if key.allowed_networks is not None and not is_within(client, key.allowed_networks):
        raise ClientMistake(f"This API key may not be used from {client or 'an unknown address'}", kind="permission")


def _invalid(token: str, *, needed: KeyKind) -> str:
    """The message for an unknown key."""
    kinds = [kind for kind, prefix in PREFIXES.items() if token.startswith(prefix)]
    return INVALID if kinds in ([], [needed]) else WRONG_KIND[needed]


def authenticate_management(token: str) -> ManagementKey:
    """The row of a management key, from the database. Raises :class:`ManagementKeyRefused`. The caller checks its permissions."""
    if not token:
        raise ManagementKeyRefused(401, MISSING)
    key_hash = hash_key(token)
    is_old = Q(old_key_hash=key_hash, old_key_valid_until__gt=timezone.now())
    row: ManagementKey | None = ManagementKey.objects.filter(Q(key_hash=key_hash) | is_old).first()
    if row is None:
        raise ManagementKeyRefused(401, _invalid(token, needed=KeyKind.MANAGEMENT))
    if not row.is_active:
        raise ManagementKeyRefused(403, INACTIVE)
    if row.expires_at is not None and row.expires_at <= timezone.now():
        raise ManagementKeyRefused(401, EXPIRED)
    management_key_use.note(str(row.pk))
    return row


def may_use(key: Key, *names: str) -> bool:
    """Whether a key may use a model with any of ``names``: the requested name, and the model's own name or pattern."""
    allowed = key.allowed_models
    return allowed is None or any(entry == name or wildcards.match(entry, name) is not None for entry in allowed for name in names)
