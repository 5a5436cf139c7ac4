"""What a request asks of its target, read only as far as the model's routing wants to know it."""

from __future__ import annotations

import hashlib

import msgspec

from accounts.keys import Key
from billing.request_log.entry import Meter
from proxy.exchange.attempt_base import RequestContext
from proxy.exchange.http_request import HttpRequest
from proxy.translation.canonical import Audio, Image, Part, ToolResult
from proxy.translation.errors import ClientMistake
from proxy.translation.policies.tool_call_rules import FALSE_WORDS
from proxy.translation.token_estimate import estimate_input_tokens
from upstreams.catalog import snapshot
from upstreams.catalog.snapshot import ResolvedModel
from upstreams.routing import context_windows
from upstreams.routing.plan import ANOTHER_CHOSEN, Plan, Requirements, remote_name, with_fallbacks

CHOICE_HEADER = "x-pxbin-upstream"
"""A request header by which keys that may choose name one upstream (or give its id)."""
TRACE_HEADER = "x-pxbin-trace"
"""A request header by which the same keys ask for the routing decision, in a reply header of the same name."""
UNTRACED = FALSE_WORDS | {""}
BYTES_PER_TOKEN = 4
LEAST_BYTES_PER_TOKEN = 2
"""Hardly any request has fewer; one that fits by this count fits."""
_STABLE_BYTES = 65_536
_list = msgspec.json.Decoder(list[msgspec.Raw])
_identity = msgspec.json.Decoder(dict[str, msgspec.Raw])


def of(call: RequestContext, found: ResolvedModel, *, meter: Meter) -> Requirements:
    """The needs of a request. Nothing is computed for a model with a single candidate."""
    model = found.model
    simple = len(model.routes) == 1 and len(model.routes[0].upstream.credentials) <= 1 and not model.fallbacks
    session = meter.session_id or _named_session(call)
    if session and not meter.session_id:
        meter.session_id = session
    capabilities = any(route.capabilities for route in model.routes) or bool(model.fallbacks)
    if simple and not capabilities:
        return Requirements()
    return Requirements(
        capabilities=_capabilities(call) if capabilities else frozenset(),
        tokens=_size(call, found),
        session=session or _prefix(call),
    )


def chosen(http: HttpRequest, key: Key) -> str:
    """The name of the upstream that the caller wants (it may give the id); empty for whichever is best.

    Raises :class:`~proxy.translation.errors.ClientMistake` where the key may not choose, or where there is no such upstream.
    """
    upstream = http.headers.get(CHOICE_HEADER, "").strip()
    if not upstream:
        return ""
    if not key.may_choose_upstream:
        raise ClientMistake("This API key may not choose an upstream", kind="permission", param=CHOICE_HEADER)
    for entry in snapshot.current().upstreams.values():
        if upstream in (entry.name, entry.id):
            return entry.name
    raise ClientMistake(f"There is no upstream {upstream!r}", param=CHOICE_HEADER)


def reached(upstream: str, plan: Plan, model: str) -> None:
    """Raise :class:`~proxy.translation.errors.ClientMistake` where none of a model's routes leads to the upstream that the caller wants."""
    if not plan.targets and all(skip.get("upstream") != upstream or skip["skipped"] == ANOTHER_CHOSEN for skip in plan.skips):
        raise ClientMistake(f"{model!r} has no route to {upstream}", param=CHOICE_HEADER)


def traced(http: HttpRequest, key: Key) -> bool:
    """Whether the caller wants to see how its request was routed; raises like :func:`chosen`."""
    wanted = http.headers.get(TRACE_HEADER, "").strip().lower() not in UNTRACED
    if wanted and not key.may_choose_upstream:
        raise ClientMistake("This API key may not trace requests", kind="permission", param=TRACE_HEADER)
    return wanted


def _named_session(call: RequestContext) -> str | None:
    """What the body says of who is talking: Anthropic's ``metadata.user_id``, OpenAI's ``prompt_cache_key``."""
    fields = call.envelope.fields
    key = fields.get("prompt_cache_key")
    if key is not None:
        return _text(key)
    metadata = fields.get("metadata")
    if metadata is not None and call.dialect.family == "anthropic":
        try:
            user = _identity.decode(metadata).get("user_id")
        except msgspec.DecodeError:  # the dialect says so, or the upstream does
            return None
        return None if user is None else _text(user)
    return None


def _text(raw: msgspec.Raw) -> str | None:
    try:
        return msgspec.json.decode(raw, type=str)[:200] or None
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _prefix(call: RequestContext) -> str | None:
    """A hash of what stays the same from turn to turn: the instructions and the first message."""
    fields = call.envelope.fields
    digest = hashlib.blake2b(call.envelope.model.encode(errors="replace"), digest_size=16)
    for name in ("system", "instructions"):
        digest.update(bytes(fields.get(name, b""))[:_STABLE_BYTES])
    turns = fields.get("messages") or fields.get("input")
    if turns is None:
        return None
    try:
        first = _list.decode(turns)[:2]
    except msgspec.DecodeError:
        first = [turns]
    for turn in first[: 2 if b'"system"' in bytes(first[0])[:40] else 1] if first else []:
        digest.update(bytes(turn)[:_STABLE_BYTES])
    return digest.hexdigest()


def _size(call: RequestContext, found: ResolvedModel) -> int:
    """About how many tokens the request has; looked at closely only where it may matter (a picture is long and has few)."""
    size = len(call.http.body)
    models = with_fallbacks(found, snapshot.current(), []) if found.model.fallbacks else (found,)
    smallest = min(
        (context_windows.of(each.model, route, remote_name(route, each)) for each in models for route in each.model.routes), default=0
    )
    if size <= smallest * LEAST_BYTES_PER_TOKEN:
        return size // BYTES_PER_TOKEN
    try:
        return estimate_input_tokens(call.preparer.request)
    except ClientMistake:  # an upstream of the client's own dialect may understand what we do not
        return size // BYTES_PER_TOKEN


def _capabilities(call: RequestContext) -> frozenset[str]:
    try:
        request = call.preparer.request
    except ClientMistake:  # as above; who has to translate the request refuses it
        return frozenset()
    needed = {"tools"} if request.tools else set()

    def look(parts: tuple[Part, ...]) -> None:
        for part in parts:
            if isinstance(part, Image):
                needed.add("images")
            elif isinstance(part, Audio):
                needed.add("audio")
            elif isinstance(part, ToolResult):
                look(part.content)

    for message in request.messages:
        look(message.parts)
    return frozenset(needed)
