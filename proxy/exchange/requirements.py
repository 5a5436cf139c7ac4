"""What a request demands of a target, and what its headers say about routing. Nothing is read that the model's routing ignores."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import msgspec

from accounts.keys import Key
from billing.request_log.entry import Meter
from proxy.exchange.client_labels import split_user_id
from proxy.exchange.http_request import HttpRequest
from proxy.exchange.request_context import RequestContext
from proxy.translation.canonical import Audio, Image, Part, ToolResult
from proxy.translation.errors import ClientMistake
from proxy.translation.policies.tool_call_rules import FALSE_WORDS
from proxy.translation.token_estimate import estimate_input_tokens
from upstreams.catalog import snapshot
from upstreams.catalog.snapshot import ResolvedModel
from upstreams.routing import context_windows
from upstreams.routing.decision import Skip, SkipReason
from upstreams.routing.plan import Requirements, Target, remote_name, with_fallbacks

CHOICE_HEADER = "x-pxbin-upstream"
"""The request header that chooses an upstream by name or id, for keys with this permission."""
TRACE_HEADER = "x-pxbin-trace"
"""The request header that asks for the routing decision, in a response header of the same name; for the same keys."""
TRACE_OFF = FALSE_WORDS | {""}
BYTES_PER_TOKEN = 4
MIN_BYTES_PER_TOKEN = 2
"""Hardly any request has fewer. A request that fits a context window by this number is not estimated more exactly."""
_STABLE_BYTES = 65_536
_LONGEST_SESSION = 200
_list = msgspec.json.Decoder(list[msgspec.Raw])
_identity = msgspec.json.Decoder(dict[str, msgspec.Raw])


def collect_requirements(context: RequestContext, resolved: ResolvedModel, *, meter: Meter) -> Requirements:
    """What a request demands of a target; empty for a model with a single target, whose order needs no decision."""
    model = resolved.model
    simple = len(model.routes) == 1 and len(model.routes[0].upstream.credentials) <= 1 and not model.fallbacks
    session = meter.session_id or _named_session(context)
    if session and not meter.session_id:
        meter.session_id = session
    capabilities = any(route.capabilities for route in model.routes) or bool(model.fallbacks)
    if simple and not capabilities:
        return Requirements()
    return Requirements(
        capabilities=_capabilities(context) if capabilities else frozenset(),
        tokens=_size(context, resolved),
        session=session or _prefix(context),
    )


def chosen_upstream(http: HttpRequest, key: Key) -> str:
    """The name of the upstream that the client chose by name or id; empty if it chose none.

    Raises :class:`~proxy.translation.errors.ClientMistake` if the key may not choose, or if there is no such upstream.
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


def check_reachable(upstream: str, targets: Sequence[Target], skips: Sequence[Skip], model: str) -> None:
    """Raise :class:`~proxy.translation.errors.ClientMistake` if no route of a model leads to the chosen upstream."""
    if not targets and all(skip.upstream != upstream or skip.reason is SkipReason.ANOTHER_UPSTREAM_CHOSEN for skip in skips):
        raise ClientMistake(f"{model!r} has no route to {upstream}", param=CHOICE_HEADER)


def is_trace_requested(http: HttpRequest, key: Key) -> bool:
    """Whether the client asks for the routing decision; raises :class:`ClientMistake` if its key may not."""
    is_requested = http.headers.get(TRACE_HEADER, "").strip().lower() not in TRACE_OFF
    if is_requested and not key.may_choose_upstream:
        raise ClientMistake("This API key may not trace requests", kind="permission", param=TRACE_HEADER)
    return is_requested


def _named_session(context: RequestContext) -> str | None:
    """The first of the dialect's ``session_fields`` in the body: Anthropic's ``metadata.user_id``, OpenAI's ``prompt_cache_key``."""
    for first, *inner in context.dialect.client.session_fields:
        raw = context.envelope.fields.get(first)
        try:
            for name in inner:
                raw = None if raw is None else _identity.decode(raw).get(name)
        except msgspec.DecodeError:  # the dialect refuses it, or the upstream does
            return None
        if raw is not None:
            text = _text(raw)
            return text and (split_user_id(text)[1] or text)[:_LONGEST_SESSION]
    return None


def _text(raw: msgspec.Raw) -> str | None:
    try:
        return msgspec.json.decode(raw, type=str) or None
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _prefix(context: RequestContext) -> str | None:
    """A hash of what stays the same in all turns of a session: the model, the instructions and the first message."""
    fields = context.envelope.fields
    digest = hashlib.blake2b(context.envelope.model.encode(errors="replace"), digest_size=16)
    shape = context.dialect.prompt_shape
    digest.update(bytes(fields.get(shape.prompt, b""))[:_STABLE_BYTES])
    turns = fields.get(shape.turns)
    if turns is None:
        return None
    try:
        first = _list.decode(turns)[:2]
    except msgspec.DecodeError:
        first = [turns]
    for turn in first[: 2 if b'"system"' in bytes(first[0])[:40] else 1] if first else []:
        digest.update(bytes(turn)[:_STABLE_BYTES])
    return digest.hexdigest()


def _size(context: RequestContext, resolved: ResolvedModel) -> int:
    """The estimated input tokens: from the body's length, or from its parts if it may exceed a context window.

    The parts matter for pictures, which have many bytes and few tokens.
    """
    size = len(context.http.body)
    models = with_fallbacks(resolved, snapshot.current(), []) if resolved.model.fallbacks else (resolved,)
    smallest = min(
        (
            context_windows.window_of(candidate.model, route, remote_name(route, candidate))
            for candidate in models
            for route in candidate.model.routes
        ),
        default=0,
    )
    if size <= smallest * MIN_BYTES_PER_TOKEN:
        return size // BYTES_PER_TOKEN
    try:
        return estimate_input_tokens(context.preparer.request)
    except ClientMistake:  # an upstream of the client's own dialect may accept a body that pxbin cannot decode
        return size // BYTES_PER_TOKEN


def _capabilities(context: RequestContext) -> frozenset[str]:
    try:
        request = context.preparer.request
    except ClientMistake:  # as above; a target of another dialect refuses it later
        return frozenset()
    capabilities = {"tools"} if request.tools else set()

    def add_from(parts: tuple[Part, ...]) -> None:
        for part in parts:
            if isinstance(part, Image):
                capabilities.add("images")
            elif isinstance(part, Audio):
                capabilities.add("audio")
            elif isinstance(part, ToolResult):
                add_from(part.content)

    for message in request.messages:
        add_from(message.parts)
    return frozenset(capabilities)
