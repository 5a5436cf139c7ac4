"""Calls for remote objects: to make one, and to read, change, cancel or delete one by its id.

A call by id goes to the upstream that made the object, with the credential that made it, for the client key that made it. A new
object is made at an upstream of a model, which the query names.
"""

from __future__ import annotations

from urllib.parse import parse_qs, quote

import msgspec

from accounts import keys
from accounts.common.gateway_config import config
from accounts.keys import Key
from accounts.limits import limiter
from proxy.exchange import reservation
from proxy.exchange.admission import ANONYMOUS, authenticate_key
from proxy.exchange.exchange import ClientResponse, run
from proxy.exchange.failover import Failover
from proxy.exchange.http_request import HttpRequest
from proxy.exchange.passthrough import Passthrough, path_below
from proxy.exchange.passthrough_attempt import TAKES_UNTRANSLATED, PassthroughRequest
from proxy.exchange.planning import BillingBasis, Planned
from proxy.exchange.record import Record
from proxy.exchange.recorded import RecordedRequest
from proxy.exchange.recorded_attempts import RecordedAttempts
from proxy.exchange.remote_objects import find_own, find_pin, unreachable
from proxy.exchange.request_context import RequestContext
from proxy.exchange.request_encoding import decode_body
from proxy.translation.dialects.base import Dialect
from proxy.translation.dialects.object_api import MadeObject
from proxy.translation.errors import ClientMistake
from proxy.translation.json_object import open_object
from proxy.translation.json_wire import Envelope
from proxy.translation.untranslated.bodies import UntranslatedRequest
from proxy.translation.untranslated.multipart import FORM, Form
from upstreams.catalog import snapshot
from upstreams.catalog.entries import ModelEntry, RouteEntry
from upstreams.echo import SCHEME
from upstreams.http import headers
from upstreams.routing import live_state
from upstreams.routing.plan import Plan, Target, remote_name
from upstreams.routing.remote_objects import RemoteObject

MODEL_PARAMETER = "model"


class ObjectPath(msgspec.Struct, frozen=True, kw_only=True):
    """A :class:`~proxy.exchange.passthrough.ForwardedPath` of an API for remote objects.

    ``path``: the upstream's, with the query. ``bills``: the object whose usage, if the response has one, was not counted before.
    """

    dialect: Dialect
    path: str
    dialects: frozenset[str]
    makes: MadeObject | None = None
    bills: MadeObject | None = None
    is_forwarded_whole: bool = False
    capabilities: frozenset[str] = frozenset()
    allows_comments: bool = False
    billing: BillingBasis = "nothing"

    def read(self, http: HttpRequest) -> UntranslatedRequest:
        """The body as it came."""
        body = http.body
        return UntranslatedRequest(Envelope({}, ""), lambda _model: body)

    def upstream_request(self, http: HttpRequest, untranslated: UntranslatedRequest) -> PassthroughRequest:
        """The request as it came, with the headers of its dialect. Errors are forwarded where ``is_forwarded_whole``."""
        content_type = headers.forwardable_value(http.headers, "content-type") or "application/json"
        sent = headers.upward(http.headers, self.dialect.name, stream=False, content_type=content_type)
        accepted = headers.forwardable_value(http.headers, "accept") or "*/*"
        return PassthroughRequest(
            method=http.method,
            path=self.path,
            untranslated=untranslated,
            headers=[(name, accepted if name == "accept" else value) for name, value in sent if http.body or name != "content-type"],
            dialects=self.dialects,
            plain=self.is_forwarded_whole,
            counts_usage=self.bills is not None,
            makes=self.makes,
            bills=self.bills,
        )


async def call(http: HttpRequest, dialect: Dialect, object_id: str, *, missing: ClientMistake, prefix: str = "") -> ClientResponse:
    """Forward a request for an object to the upstream that has it; ``missing``: the error if the key has made no such object."""
    with RecordedRequest(http, dialect) as request:
        key = await authenticate_key(request.record)
        await decode_body(http)
        remote_object = await find_own(object_id, key.id)
        if remote_object is None:
            raise missing
        if limiter.current().applies_to(key):
            await reservation.hold_request(request.record, key)
        target = _target_of(remote_object, prefix)
        await _check_body(http, dialect, key, target)
        path = path_below(http, prefix).rstrip("/")
        if remote_object.remote_id:
            path = path.replace(quote(object_id, safe=""), quote(remote_object.remote_id, safe=""), 1)
        forwarded = ObjectPath(
            dialect=dialect,
            path=path + _query(http),
            dialects=frozenset({target.upstream.dialect}),
            is_forwarded_whole=True,
            bills=MadeObject(object_id, remote_id=remote_object.remote_id) if remote_object.unbilled_model else None,
        )
        complete = Passthrough(dialect, forwarded, forwarded.read(http))
        with RecordedAttempts(request.record, _planned(request.record, dialect, target)) as attempts:
            return await complete.respond(attempts)
        return attempts.error_response
    return request.error_response


def _fields(http: HttpRequest) -> dict[str, msgspec.Raw]:
    """The top-level fields of a body of JSON, and the file that a form names; raises :class:`ClientMistake` for malformed JSON."""
    content_type = http.headers.get("content-type", "")
    kind = content_type.partition(";")[0].strip().lower()
    if http.body and kind == "application/json":
        return open_object(http.body)
    if http.body and kind == FORM:
        return {"file_id": msgspec.Raw(msgspec.json.encode(Form(http.body, content_type).text("file_id")))}
    return {}


async def _check_body(http: HttpRequest, dialect: Dialect, key: Key, target: Target) -> None:
    """Raise :class:`GatewayError` for a body that names an object of another key, or one that is not at ``target``."""
    pin = await find_pin(dialect, Envelope(_fields(http), ""), key)
    if pin is not None and not pin.holder.is_at(target.upstream, target.credential):
        raise unreachable(pin, Plan([], []))


def _target_of(remote_object: RemoteObject, prefix: str) -> Target:
    """The upstream and the credential that have an object; raises :class:`ClientMistake` if they do not exist any more.

    With the model and the route of a response whose usage is to be counted, for its price.
    """
    upstream = snapshot.current().upstreams.get(remote_object.upstream_id)
    credentials = () if upstream is None else upstream.credentials
    credential = next((entry for entry in credentials if entry.id == remote_object.credential_id), None)
    if upstream is None or (remote_object.credential_id and credential is None):
        raise ClientMistake(f"{remote_object.id!r} is at an upstream that this gateway does not use any more", kind="not_found")
    model, route, name = ModelEntry(id="", name=""), RouteEntry(id="", upstream=upstream), ""
    resolved = snapshot.current().find(remote_object.unbilled_model, prefix) if remote_object.unbilled_model else None
    for served in resolved.model.routes if resolved is not None else ():
        if resolved is not None and served.upstream.id == upstream.id:
            model, route, name = resolved.model, served, remote_name(served, resolved)
            break
    return Target(model=model, route=route, upstream=upstream, credential=credential, remote_name=name, quirks=upstream.quirks)


def _planned(record: Record, dialect: Dialect, target: Target) -> Planned:
    """A request with one target, whatever its health: nobody else has the object."""
    meter = record.meter
    context = RequestContext(
        record.http,
        dialect,
        Envelope({}, ""),
        identity=meter.id_seed,
        created=meter.created,
        seal_key=config().seal_key,
    )
    return Planned(context, Failover(Plan([target], []), live_state.current(), request_id=record.http.request_id))


async def make(http: HttpRequest, dialect: Dialect, *, is_nested: bool, prefix: str = "") -> ClientResponse:
    """Make an object at an upstream of the model that the query names, or at the only upstream that the key can reach.

    ``is_nested``: see :class:`MadeObject`.
    """
    dialects = TAKES_UNTRANSLATED if dialect.upstream.takes_untranslated else frozenset({dialect.name})
    path = ObjectPath(
        dialect=dialect,
        path=path_below(http, prefix).rstrip("/") + _query(http),
        dialects=dialects,
        makes=MadeObject("", is_nested=is_nested),
    )

    async def read_body(http: HttpRequest, key: Key) -> Passthrough:
        body = http.body
        named = parse_qs(http.query_string.decode("latin-1")).get(MODEL_PARAMETER, [""])[0]
        envelope = Envelope(_fields(http), named or _only_model(key, prefix, dialects))
        return Passthrough(dialect, path, UntranslatedRequest(envelope, lambda _model: body))

    return await run(http, dialect, read_body, prefix=prefix)


def _only_model(key: Key, prefix: str, dialects: frozenset[str]) -> str:
    """A model of the only upstream with one of these dialects that the key can reach; raises :class:`ClientMistake` if there are more."""
    usable = [
        (model.name, route.upstream.id)
        for model in snapshot.current().models
        if model.path_prefix == prefix and key is not ANONYMOUS and keys.may_use(key, model.name)
        for route in model.routes
        if route.upstream.dialect in dialects and not route.upstream.base_url.startswith(f"{SCHEME}:")
    ]
    if len({upstream_id for _, upstream_id in usable}) == 1:
        return usable[0][0]
    raise ClientMistake(
        "model: it is not clear which upstream is meant; name one of its models in the query, as ?model=<name>", param="model"
    )


def _query(http: HttpRequest) -> str:
    """The query with its question mark, without the model and without keys of pxbin."""
    pairs = [pair for pair in http.query_string.decode("latin-1").split("&") if pair]
    forwarded_pairs = [pair for pair in pairs if pair.partition("=")[0] != MODEL_PARAMETER and not headers.holds_own_key(pair)]
    return "?" + quote("&".join(forwarded_pairs), safe="".join(map(chr, range(0x21, 0x7F)))) if forwarded_pairs else ""
