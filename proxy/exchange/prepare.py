"""Makes the body of a request for a target: the client's own, patched, or the canonical request, encoded."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import msgspec

from billing.request_log.bounds import clean_text
from proxy.translation import json_wire
from proxy.translation.adaptation.adapt import adapt
from proxy.translation.adaptation.dropped import find_dropped, shortened
from proxy.translation.adaptation.dropped_parts import Translation
from proxy.translation.adaptation.dropped_response import DroppedResponse
from proxy.translation.adaptation.tool_history import has_unanswered_calls
from proxy.translation.adaptation.tool_restore import Restorer
from proxy.translation.canonical import Request
from proxy.translation.dialects.base import Dialect, EncodeTarget
from proxy.translation.errors import ClientMistake
from proxy.translation.json_wire import Envelope
from proxy.translation.policies.model_policies import NONE, Policies, merged_body
from proxy.translation.policies.prompt_edits import Additions, edit_request
from proxy.translation.policies.session_progress import summary
from proxy.translation.token_estimate import estimate_input_tokens

MAX_PATH = 200
"""Characters of an entry in the lists of what a translation dropped; clients choose the names of unknown fields."""
_STRINGS = msgspec.json.Decoder(list[str])


class _StreamOptions(msgspec.Struct):
    include_usage: msgspec.Raw = msgspec.Raw(b"false")


_STREAM_OPTIONS = msgspec.json.Decoder(_StreamOptions)

replace = msgspec.structs.replace


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """A request for one target, and what its response needs.

    ``relayed``: the client's own body, because client and target use one dialect; the response is then forwarded as well.
    ``hides_usage``: pxbin asked for a usage chunk that the client did not ask for. ``restorer``: undoes changes of tool names
    in the response. ``dropped``: the paths of what the target does not get. ``details``: the types of its host tools and vendors' own
    parts, and the number of stop sequences. Both are for the log.
    """

    body: bytes
    path: str
    stream: bool
    relayed: bool = False
    hides_usage: bool = False
    restorer: Restorer | None = None
    dropped: tuple[str, ...] = ()
    details: tuple[str, ...] = ()
    betas: str = ""
    """The beta names of the client's body, separated by commas, for an upstream that reads them from a header."""


class Edits(msgspec.Struct, frozen=True, kw_only=True):
    """Changes of a request beside the translation: a model's policies, and what tool call enforcement adds to the prompt.

    ``whole``: the upstream is asked for a whole response although the client streams.
    """

    policies: Policies = NONE
    guidance: str = ""
    correction: str = ""
    whole: bool = False


class Preparer:
    """Makes the bodies of one request for its targets; the client's body is decoded at most once."""

    def __init__(self, dialect: Dialect, envelope: Envelope, seal_key: bytes, *, betas: str = "") -> None:
        """``betas``: the value of the client dialect's ``beta_header``; some upstreams want them in the body."""
        self._betas = betas
        self._dialect = dialect
        self._envelope = envelope
        self._seal_key = seal_key
        self._request: Request | None = None
        self._input_estimate: int | None = None
        self._has_unanswered_calls: bool | None = None
        self.repairs_history = False
        """Same-dialect bodies are encoded anew, with results for tool calls that have none: an upstream has refused them."""

    @property
    def request(self) -> Request:
        """The canonical request; raises :class:`~proxy.translation.errors.ClientMistake` if the body cannot be decoded."""
        if self._request is None:
            request = self._dialect.decode_request(self._envelope, self._seal_key)
            field = self._dialect.beta_field
            if self._betas and field and field not in request.extra:
                names = [name.strip() for name in self._betas.split(",") if name.strip()]
                request = replace(request, extra=request.extra | {field: msgspec.Raw(json_wire.encode(names))})
            self._request = request
        return self._request

    def decode(self) -> Request:
        """:attr:`request`, as a function that can run in a thread."""
        return self.request

    def try_decode(self) -> None:
        """Decode the request if possible: an upstream of the client's own dialect may accept a body that pxbin cannot decode."""
        with suppress(ClientMistake):
            _ = self.request

    @property
    def input_estimate(self) -> int:
        """The estimated input tokens; 0 if the body was not decoded."""
        if self._input_estimate is None:
            if self._request is None:
                return 0
            self._input_estimate = estimate_input_tokens(self._request)
        return self._input_estimate

    def find_unanswered_calls(self) -> bool:
        """Whether a tool call has no result; False if the body cannot be decoded, because the upstream's error says more."""
        if self._has_unanswered_calls is None:
            try:
                self._has_unanswered_calls = has_unanswered_calls(self.request.messages)
            except ClientMistake:
                self._has_unanswered_calls = False
        return self._has_unanswered_calls

    def repair_history(self) -> bool:
        """From now on add missing tool results within one dialect too. False if none is missing, or if this was called before."""
        if self.repairs_history:
            return False
        self.repairs_history = self.find_unanswered_calls()
        return self.repairs_history

    @property
    def decoded_or_bare(self) -> Request:
        """The canonical request if it was decoded, else one that has only the model and ``stream``."""
        return self._request or Request(model=self._envelope.model, messages=(), family="", stream=self._envelope.stream)

    def prepare(self, target: Dialect, destination: EncodeTarget, edits: Edits | None = None) -> Prepared:
        """The body for a target; raises :class:`~proxy.translation.errors.ClientMistake` for what its dialect cannot express."""
        try:
            return self._edited(target, destination, edits) if edits is not None else self._prepared(target, destination)
        except ClientMistake as mistake:
            raise self._with_client_field(mistake) from None

    def _with_client_field(self, mistake: ClientMistake) -> ClientMistake:
        """The error with the client's name of the conversation's field (``messages``, ``input``)."""
        field, failure = self._dialect.traits.conversation_field, mistake.failure
        if failure.param != "messages" or field == "messages":
            return mistake
        mistake.failure = replace(failure, param=field, message=failure.message.replace("messages:", f"{field}:", 1))
        return mistake

    def _prepared(self, target: Dialect, destination: EncodeTarget) -> Prepared:
        if self._is_relayed(target, destination, self._envelope):
            return Prepared(
                body=target.patch_request(self._envelope, destination, self._seal_key),
                path=target.path(destination),
                stream=destination.stream,
                relayed=True,
                hides_usage=destination.stream and not _asks_for_usage(self._envelope),
            )
        request, betas = self._limited(target, destination), ""
        field = target.beta_field
        if target.upstream.beta_header and field in request.extra:
            names: list[str] = json_wire.decode(request.extra[field], _STRINGS, at=field)
            betas = ",".join(names)
            request = replace(request, extra={name: raw for name, raw in request.extra.items() if name != field})
        adapted = adapt(request, destination, family=target.family, traits=target.traits)
        fields = target.encode_fields(adapted.request, destination)
        dropped = find_dropped(
            Translation(
                client=self._dialect,
                fields={name: raw for name, raw in self._envelope.fields.items() if not betas or name != field},
                request=request,
                target=target,
                destination=destination,
                body=fields,
            )
        )
        return Prepared(
            body=json_wire.encode(fields),
            path=target.path(destination),
            stream=destination.stream,
            restorer=adapted.restorer,
            dropped=dropped.paths,
            details=(*adapted.dropped, *(f"part {kind}" for kind in dropped.types)),
            betas=betas,
        )

    def _is_relayed(self, target: Dialect, destination: EncodeTarget, envelope: Envelope) -> bool:
        """Whether the target gets the client's body, patched."""
        same_form = target is self._dialect and destination.stream == envelope.stream
        return same_form and not self.repairs_history and not envelope.is_foreign

    def _limited(self, target: Dialect, destination: EncodeTarget) -> Request:
        """The request, with the default limit where the client's API requires one, the client gave none and the target adds none."""
        request = self.request
        if request.max_tokens is None and self._dialect.traits.requires_limit and not target.traits.requires_limit:
            budget = request.reasoning.budget if request.reasoning is not None else None
            return replace(request, max_tokens=destination.default_limit(thinking=budget or 0))
        return request

    def edited_request(self, target: Dialect, destination: EncodeTarget, edits: Edits | None = None) -> Request:
        """The canonical request with the changes of a model's policies, whose tokens are counted."""
        return self.request if edits is None else self._editing(target, destination, edits)[0].request

    def _edited(self, target: Dialect, destination: EncodeTarget, edits: Edits) -> Prepared:
        """The body with edits: those of the client's fields before the translation, the model's fields merged in after it."""
        inner, relayed = self._editing(target, destination, edits)
        if edits.whole or not relayed or edits.policies.shapes_stream:
            _ = self.request  # the response is encoded for the client's own request
        prepared = inner.prepare(target, destination)
        sampling = self._accepts_sampling(target, destination, relayed=relayed)
        return replace(prepared, body=merged_body(prepared.body, edits.policies, sampling=sampling))

    def _accepts_sampling(self, target: Dialect, destination: EncodeTarget, *, relayed: bool) -> bool:
        return target.accepts_sampling(destination, self._envelope.fields if relayed else {})

    def _editing(self, target: Dialect, destination: EncodeTarget, edits: Edits) -> tuple[Preparer, bool]:
        """A preparer for the edited fields, and whether the client's body is sent untranslated."""
        envelope, policies = self._envelope, edits.policies
        if edits.whole and envelope.stream:
            envelope = replace(envelope, stream=False, fields={name: raw for name, raw in envelope.fields.items() if name != "stream"})
        relayed = self._is_relayed(target, destination, envelope)
        progress = self._progress(relayed=relayed) if policies.inject_progress else ""
        additions = Additions((edits.guidance,), (progress, edits.correction))
        sampling = self._accepts_sampling(target, destination, relayed=relayed)
        envelope = edit_request(
            envelope, self._dialect.prompt_shape, policies, additions, quirks=destination.quirks, relayed=relayed, sampling=sampling
        )
        inner = Preparer(self._dialect, envelope, self._seal_key, betas=self._betas)
        inner.repairs_history = self.repairs_history
        return inner, relayed

    def _progress(self, *, relayed: bool) -> str:
        try:
            return summary(self.request)
        except ClientMistake:
            if relayed:
                return ""  # an upstream of the client's own dialect may accept a body that pxbin cannot decode
            raise


def _asks_for_usage(envelope: Envelope) -> bool:
    options = envelope.fields.get("stream_options")
    if options is None:
        return False
    try:
        return bytes(_STREAM_OPTIONS.decode(options).include_usage) not in (b"false", b"null")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):  # not an object; the dialect or the upstream refuses it
        return False


def dropped_metadata(dropped: tuple[str, ...], details: tuple[str, ...], lost: DroppedResponse) -> dict[str, Any]:
    """The lists of the log row: what the upstream did not get of the request, and the client of the response."""
    if not (dropped or details or lost.types or lost.paths):
        return {}
    types = tuple(f"part {kind}" for kind in sorted(lost.types))
    lists = {"dropped": dropped, "dropped_details": details + types, "dropped_response": tuple(sorted(lost.paths))}
    return {name: [clean_text(text, MAX_PATH) for text in shortened(texts)] for name, texts in lists.items() if texts}
