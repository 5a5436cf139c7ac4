"""Who a request comes from: keys are issued here, and checked from memory.

A key is 160 random bits and is stored as its SHA-256 alone. Serving processes hold the most recently used keys in memory; a
change in the database replaces them (:mod:`accounts.revisions`), and while the database is away they serve on. A key that
memory does not know is looked for in the database before it is refused, once for all the requests that wait. Unknown keys
are not remembered, so nobody can fill memory with them.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from itertools import islice
from typing import Any, TypeVar

import msgspec
from django.db.models import F
from django.utils import timezone

from accounts import cache_revisions
from accounts.common import wildcards
from accounts.last_used import LastUse
from accounts.models import ApiKey, IssuedKey, ManagementKey
from proxy.translation.errors import ClientMistake, Failure, GatewayError

KNOWN_LIMIT = 10_000
"""Keys held in memory."""
ROWS_PER_QUERY = 500


class KeyKind(StrEnum):
    """The two kinds of keys, with the names that the management API uses."""

    LLM = "llm"
    MANAGEMENT = "management"


PREFIXES = {KeyKind.LLM: "pxb_", KeyKind.MANAGEMENT: "pxm_"}
"""How a key of each kind begins."""
TABLES: dict[KeyKind, type[ApiKey | ManagementKey]] = {KeyKind.LLM: ApiKey, KeyKind.MANAGEMENT: ManagementKey}
WRONG_KIND = {
    KeyKind.LLM: "Invalid API key: it begins with pxm_, as keys of the management API do; a client's key begins with pxb_",
    KeyKind.MANAGEMENT: "Invalid API key: it begins with pxb_, as keys of clients do; a key of the management API begins with pxm_",
}
"""What to say of an unknown key that begins like one of the other kind; by the kind that is needed."""
MISSING, INVALID, EXPIRED, INACTIVE = "Missing API key", "Invalid API key", "API key has expired", "API key is deactivated"
MISPLACED = f"{MISSING}: send it as x-api-key, or as Authorization: Bearer"
"""What to say where a key may have come in another place."""


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """A client's key as requests need it. ``expires_at``: Unix seconds. ``allowed_models``: None allows all, () none."""

    id: str
    prefix: str = ""
    name: str = ""
    expires_at: float | None = None
    rate_limit: int | None = None
    token_limit: int | None = None
    concurrency_limit: int | None = None
    allowed_models: tuple[str, ...] | None = None
    may_choose_upstream: bool = False
    is_active: bool = True


class ManagementKeyRefused(Exception):  # noqa: N818  (it reads as what happened)
    """A call of the management API without a usable key; ``status`` is 401 or 403."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


# --- issuing ---------------------------------------------------------------------------------------------------------

IssuedT = TypeVar("IssuedT", bound=IssuedKey)


def draft(kind: KeyKind) -> tuple[str, ApiKey | ManagementKey]:
    """A new key in plain text, and its row, which is not saved yet."""
    plaintext = new_plaintext(kind)
    return plaintext, seal(TABLES[kind](), plaintext)


def issue(kind: KeyKind, **fields: Any) -> tuple[str, ApiKey | ManagementKey]:
    """A new key in plain text and its saved row with ``fields``. Raises ``ValidationError`` for bad fields."""
    plaintext, row = draft(kind)
    for name, value in fields.items():
        setattr(row, name, value)
    row.full_clean()
    row.save()
    return plaintext, row


def new_plaintext(kind: KeyKind) -> str:
    """``pxb_`` or ``pxm_`` and 40 random hexadecimal digits."""
    return PREFIXES[kind] + secrets.token_hex(20)


def seal(row: IssuedT, plaintext: str) -> IssuedT:
    """``row`` with the hash and the prefix of a key; the key itself is not kept."""
    row.key_hash, row.key_prefix = hash_of(plaintext), plaintext[:8]
    return row


def hash_of(plaintext: str) -> str:
    """What is stored of a key: its SHA-256 in lower-case hex."""
    return hashlib.sha256(plaintext.encode("utf-8", "surrogatepass")).hexdigest()


# --- checking --------------------------------------------------------------------------------------------------------


class _Memory:
    """The keys of this process. Written in :func:`accounts.cache_revisions.poll` alone, read from anywhere."""

    def __init__(self) -> None:
        self.known: dict[str, Key] = {}
        self.is_complete = False
        self.wanted: set[str] = set()

    def refresh(self) -> None:
        """Read the most recently used keys, and where these are not all, also the others in use here."""
        newest = ApiKey.objects.order_by("-is_active", F("last_used_at").desc(nulls_last=True), "-created_at")
        fresh = _read(newest[: KNOWN_LIMIT + 1])
        self.is_complete = len(fresh) <= KNOWN_LIMIT
        if not self.is_complete:
            fresh = dict(islice(fresh.items(), KNOWN_LIMIT // 2))
            others = [key_hash for key_hash in self.known if key_hash not in fresh]
            fresh |= _read_hashes(others[-(KNOWN_LIMIT // 2) :])
        self.known = fresh

    def look_up(self) -> None:
        """Read the keys that requests asked for in vain."""
        wanted, self.wanted = self.wanted, set()
        if wanted and not self.is_complete:
            found = _read_hashes([key_hash for key_hash in wanted if key_hash not in self.known])
            for _ in range(len(self.known) + len(found) - KNOWN_LIMIT):
                self.known.pop(next(iter(self.known)))
            self.known |= found


def _read(rows: Any) -> dict[str, Key]:
    columns = (
        "key_hash", "id", "key_prefix", "name", "expires_at", "rate_limit", "token_limit", "concurrency_limit", "allowed_models",
        "may_choose_upstream", "is_active",
    )  # fmt: skip
    return {key_hash: _key(*values) for key_hash, *values in rows.values_list(*columns)}


def _read_hashes(hashes: Sequence[str]) -> dict[str, Key]:
    found: dict[str, Key] = {}
    for start in range(0, len(hashes), ROWS_PER_QUERY):
        found |= _read(ApiKey.objects.filter(key_hash__in=hashes[start : start + ROWS_PER_QUERY]))
    return found


def _key(  # noqa: PLR0913, PLR0917  (one argument for each column read)
    row_id: Any,
    prefix: str,
    name: str,
    expires_at: datetime | None,
    rate_limit: int | None,
    token_limit: int | None,
    concurrency_limit: int | None,
    allowed_models: list[str] | None,
    may_choose_upstream: bool,
    is_active: bool,
) -> Key:
    return Key(
        id=str(row_id),
        prefix=prefix,
        name=name,
        expires_at=expires_at.timestamp() if expires_at else None,
        rate_limit=rate_limit,
        token_limit=token_limit,
        concurrency_limit=concurrency_limit,
        allowed_models=None if allowed_models is None else tuple(allowed_models),
        may_choose_upstream=may_choose_upstream,
        is_active=is_active,
    )


clients, managers = LastUse(ApiKey), LastUse(ManagementKey)
"""Which keys of either kind were used."""
_memory = _Memory()
cache_revisions.on_change("keys", _memory.refresh)
cache_revisions.on_poll(_memory.look_up)


def peek(token: str) -> Key | None:
    """The key behind ``token`` if memory knows it and it may be used now. Cheap, and makes no noise when it does not."""
    key = _memory.known.get(hash_of(token))
    if key is None or not key.is_active:
        return None
    if key.expires_at is not None and key.expires_at <= time.time():
        return None
    clients.note(key.id)
    return key


async def authenticate(token: str) -> Key:
    """The key behind ``token``, after a fresh look at the database when memory does not know it.

    Raises :class:`~proxy.translation.errors.ClientMistake` of kind ``authentication`` (401: missing, unknown, expired) or ``permission``
    (403: deactivated), and :class:`~proxy.translation.errors.GatewayError` of kind ``overloaded`` when the database is away and cannot say.
    """
    if not token:
        raise ClientMistake(MISSING, kind="authentication")
    key_hash = hash_of(token)
    key = _memory.known.get(key_hash)
    if key is None:
        _memory.wanted.add(key_hash)
        if not await cache_revisions.refresh_now():
            raise GatewayError(Failure(kind="overloaded", message="API keys cannot be checked at the moment"))
        key = _memory.known.get(key_hash)
    if key is None:
        raise ClientMistake(_invalid(token, needed=KeyKind.LLM), kind="authentication")
    if not key.is_active:
        raise ClientMistake(INACTIVE, kind="permission")
    if key.expires_at is not None and key.expires_at <= time.time():
        raise ClientMistake(EXPIRED, kind="authentication")
    clients.note(key.id)
    return key


def _invalid(token: str, *, needed: KeyKind) -> str:
    """Why a key that is not known is refused."""
    kinds = [kind for kind, prefix in PREFIXES.items() if token.startswith(prefix)]
    return INVALID if kinds in ([], [needed]) else WRONG_KIND[needed]


def authenticate_management(token: str) -> ManagementKey:
    """The row of a management key, from the database. Raises :class:`ManagementKeyRefused`. What it permits is the caller's to see."""
    if not token:
        raise ManagementKeyRefused(401, MISSING)
    row: ManagementKey | None = ManagementKey.objects.filter(key_hash=hash_of(token)).first()
    if row is None:
        raise ManagementKeyRefused(401, _invalid(token, needed=KeyKind.MANAGEMENT))
    if not row.is_active:
        raise ManagementKeyRefused(403, INACTIVE)
    if row.expires_at is not None and row.expires_at <= timezone.now():
        raise ManagementKeyRefused(401, EXPIRED)
    managers.note(str(row.pk))
    return row


def may_use(key: Key, *names: str) -> bool:
    """Whether a key may use a model that goes by any of ``names``: the one the client gave, and the model's own."""
    allowed = key.allowed_models
    return allowed is None or any(entry == name or wildcards.match(entry, name) is not None for entry in allowed for name in names)
