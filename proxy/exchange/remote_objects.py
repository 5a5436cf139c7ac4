"""Remote objects that a request names: whether its key made them, and where they are.

A request that names none costs a few look-ups in its top-level fields. An id that nobody is known to have made (the operator may have
made it at the provider) is left to the upstream, as if the gateway remembered nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from accounts.common.gateway_config import config
from accounts.keys import Key
from proxy.exchange.large_bodies import in_thread_if_large
from proxy.translation import json_wire
from proxy.translation.dialects.base import Dialect
from proxy.translation.dialects.lookup import PASSTHROUGH
from proxy.translation.dialects.object_api import ObjectReference
from proxy.translation.errors import ClientMistake, Failure, GatewayError
from proxy.translation.json_wire import Envelope
from upstreams.catalog import snapshot
from upstreams.routing import live_state
from upstreams.routing.decision import SkipReason
from upstreams.routing.plan import Plan
from upstreams.routing.remote_objects import Holder, RemoteObject, holder_of

MAX_REFERENCES = 100
"""The most objects that a request may name in its content; each may be a query of the database."""
UNAVAILABLE = frozenset({SkipReason.COOLING, SkipReason.BREAKER_OPEN, SkipReason.CREDENTIAL_DISABLED})


class Pin(msgspec.Struct, frozen=True):
    """What binds a request to one upstream and credential. ``envelope``: the request with the upstream's own ids."""

    reference: ObjectReference
    holder: Holder
    envelope: Envelope


async def find_pin(dialect: Dialect, envelope: Envelope, key: Key) -> Pin | None:
    """Where the objects are that a request names; ``None`` if it names none that the gateway remembers.

    Raises :class:`ClientMistake` for an object of another key, as if it did not exist, and for objects in different places.
    """
    api = dialect.client.objects
    if api is None:
        return None
    references = api.references(envelope.fields)
    remote_objects = live_state.current().remote_objects
    if remote_objects.knows_nested:
        size = sum(memoryview(raw).nbytes for raw in envelope.fields.values())
        references += await in_thread_if_large(size, api.nested_references, envelope.fields)
    if not references or not config().remote_object_days:
        return None
    if len(references) > MAX_REFERENCES:
        raise ClientMistake(
            f"{references[-1].field}: the request names more than {MAX_REFERENCES} files and containers", param=references[-1].field
        )
    pin: Pin | None = None
    for reference in references:
        remote_object = await remote_objects.find(reference.id, key.id)
        if remote_object is None:
            continue
        if remote_object.api_key_id != key.id:
            raise _missing(reference)
        holder = holder_of(remote_object, snapshot.current().upstreams)
        if pin is not None and not _is_same(pin.holder, holder):
            raise ClientMistake(
                f"{reference.field}: {reference.noun} {reference.id!r} and {pin.reference.noun} {pin.reference.id!r} are at different "
                "upstreams; no upstream can serve a request with both",
                param=reference.field,
            )
        pin = Pin(pin.reference if pin else reference, pin.holder if pin else holder, envelope)
        envelope = _with_remote_id(envelope, reference, remote_object)
    return None if pin is None else Pin(pin.reference, pin.holder, envelope)


async def find_own(object_id: str, api_key_id: str) -> RemoteObject | None:
    """The object with this id, if this key made it."""
    if not config().remote_object_days:
        return None
    remote_object = await live_state.current().remote_objects.find(object_id, api_key_id)
    return remote_object if remote_object is not None and remote_object.api_key_id == api_key_id else None


def can_exist_at(dialect: Dialect, plan: Plan) -> bool:
    """Whether an upstream that was skipped, because the object is not there or for its health, has the client's dialect.

    If none has, the object cannot exist there: the encoder refuses its field by name, or drops it with a note.
    """
    dialects = {upstream.name: upstream.dialect for upstream in snapshot.current().upstreams.values()}
    elsewhere = [skip.upstream for skip in plan.skips if skip.reason is SkipReason.OBJECT_ELSEWHERE]
    skips_at_holder = [skip for skip in plan.skips if skip.reason in UNAVAILABLE or skip.reason is SkipReason.ANOTHER_UPSTREAM_CHOSEN]
    return bool(skips_at_holder) or any(dialects.get(name or "") in (dialect.name, PASSTHROUGH) for name in elsewhere)


def unreachable(pin: Pin, plan: Plan) -> GatewayError:
    """The error for a request whose holder cannot be called: it is not healthy at the moment, or no route leads to it."""
    reference = pin.reference
    subject = f"{reference.field}: {reference.noun} {reference.id!r}"
    if any(skip.reason in UNAVAILABLE for skip in plan.skips):
        headers = {} if plan.retry_after is None else {"retry-after": str(max(1, round(plan.retry_after)))}
        message = f"{subject} is at an upstream that is not available at the moment; no other one has it"
        return GatewayError(Failure(kind="overloaded", message=message, param=reference.field, headers=headers))
    message = f"{subject} is at an upstream that this model does not lead to, or not any more"
    return ClientMistake(message, kind="not_found", param=reference.field, code=reference.code, details=reference.details)


def _missing(reference: ObjectReference) -> ClientMistake:
    message = f"{reference.noun} with id '{reference.id}' not found."
    return ClientMistake(message, kind="not_found", param=reference.field, code=reference.code, details=reference.details)


def _is_same(one: Holder, other: Holder) -> bool:
    same_place = (one.upstream_id, one.credential_id) == (other.upstream_id, other.credential_id)
    return same_place or (one.account is not None and one.account == other.account)


def _with_remote_id(envelope: Envelope, reference: ObjectReference, remote_object: RemoteObject) -> Envelope:
    """The request with the upstream's id in the place of the one that the gateway had given to the client."""
    if not remote_object.remote_id:
        return envelope
    name = reference.field.partition(".")[0]
    renamed = bytes(envelope.fields[name]).replace(json_wire.encode(remote_object.id), json_wire.encode(remote_object.remote_id))
    fields: Mapping[str, msgspec.Raw] = {**envelope.fields, name: msgspec.Raw(renamed)}
    return msgspec.structs.replace(envelope, fields=fields)
