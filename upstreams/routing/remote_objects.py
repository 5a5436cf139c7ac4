"""Where remote objects are: the upstream and the credential that made a response, conversation, thread, container or file.

Only there they exist. Memory has the most recently used ones; the stores, which the process passes in, are asked for an id that is
not in memory. One id may belong to several client keys, because local servers count from 1; each key sees only its own object.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence

import msgspec

from upstreams.catalog.entries import CredentialEntry, UpstreamEntry
from upstreams.routing.cooldowns import Clock

MAX_OBJECTS = 100_000
"""The most objects in memory, of all keys."""


class RemoteObject(msgspec.Struct, frozen=True, kw_only=True):
    """An object at an upstream, and who may use it. ``until``: when the gateway forgets it, in Unix seconds.

    ``credential_id``: empty for an upstream that is called without a credential of the gateway. ``remote_id``: the upstream's own id,
    if the client was given another one; else empty. ``unbilled_model``: the model of a background response whose usage was not
    counted yet. ``is_nested``: requests name the object inside of their content or tools.
    """

    id: str
    api_key_id: str
    upstream_id: str
    credential_id: str = ""
    until: float = math.inf
    remote_id: str = ""
    unbilled_model: str = ""
    is_nested: bool = False


class Holder(msgspec.Struct, frozen=True):
    """The upstream and the credential that hold an object.

    ``account``: base URL and secret of these two, if they still exist: another upstream with both is the same account.
    """

    upstream_id: str
    credential_id: str = ""
    account: tuple[str, str] | None = None

    def __repr__(self) -> str:
        return f"Holder(upstream_id={self.upstream_id!r}, credential_id={self.credential_id!r})"  # the account has the secret

    def is_at(self, upstream: UpstreamEntry, credential: CredentialEntry | None) -> bool:
        """Whether this upstream, called with this credential, has the object."""
        if (upstream.id, credential.id if credential is not None else "") == (self.upstream_id, self.credential_id):
            return True
        return credential is not None and self.account is not None and _account(upstream, credential) == self.account


def holder_of(remote_object: RemoteObject, upstreams: Mapping[str, UpstreamEntry]) -> Holder:
    """The holder of an object. ``upstreams``: those of the catalogue, by id."""
    upstream = upstreams.get(remote_object.upstream_id)
    credentials = () if upstream is None else upstream.credentials
    accounts = [_account(upstream, credential) for credential in credentials if upstream and credential.id == remote_object.credential_id]
    return Holder(remote_object.upstream_id, remote_object.credential_id, accounts[0] if accounts else None)


def _account(upstream: UpstreamEntry, credential: CredentialEntry) -> tuple[str, str]:
    return upstream.base_url.rstrip("/"), credential.secret


Store = Callable[[str], Awaitable[Sequence[RemoteObject]]]
"""The objects of an id, of all keys. Raises :class:`~proxy.translation.errors.GatewayError` if it cannot be read."""


class RemoteObjects:
    """The remote objects that this process knows, in front of the stores.

    ``knows_nested``: there may be objects that requests name inside of their content, so that it is worth to search for them.
    """

    def __init__(self, clock: Clock = time.time) -> None:
        self._clock = clock
        self._objects: OrderedDict[tuple[str, str], RemoteObject] = OrderedDict()
        self._owners: dict[str, set[str]] = {}
        self.stores: Sequence[Store] = ()
        self.knows_nested = False

    def add(self, remote_object: RemoteObject) -> None:
        """Remember an object in this process, in place of one with the same id and key."""
        key = (remote_object.id, remote_object.api_key_id)
        self._objects[key] = remote_object
        self._objects.move_to_end(key)
        self._owners.setdefault(remote_object.id, set()).add(remote_object.api_key_id)
        self.knows_nested = self.knows_nested or remote_object.is_nested
        if len(self._objects) > MAX_OBJECTS:
            self._remove(next(iter(self._objects)))

    async def find(self, object_id: str, api_key_id: str) -> RemoteObject | None:
        """The object of this key; else one of another key, if there is any; ``None`` if nobody is known to have made the id.

        Only an object that is not in memory for this key is looked up in the stores, one after the other until one knows the id.
        """
        own = self._in_memory((object_id, api_key_id))
        if own is not None:
            return own
        others = [
            remote_object
            for owner in [*self._owners.get(object_id, ())]
            if (remote_object := self._in_memory((object_id, owner))) is not None
        ]
        for store in self.stores:
            stored = [remote_object for remote_object in await store(object_id) if remote_object.until > self._clock()]
            own = next((remote_object for remote_object in stored if remote_object.api_key_id == api_key_id), None)
            if own is not None:
                self.add(own)
                return own
            others += stored
            if stored:
                break
        return others[0] if others else None

    def _in_memory(self, key: tuple[str, str]) -> RemoteObject | None:
        remote_object = self._objects.get(key)
        if remote_object is None:
            return None
        if remote_object.until <= self._clock():
            self._remove(key)
            return None
        self._objects.move_to_end(key)
        return remote_object

    def _remove(self, key: tuple[str, str]) -> None:
        del self._objects[key]
        object_id, owner = key
        owners = self._owners[object_id]
        owners.discard(owner)
        if not owners:
            del self._owners[object_id]
