"""One request, made ready for one target."""

from __future__ import annotations

import msgspec

from proxy.translation import json_wire
from proxy.translation.adaptation.adapt import adapt
from proxy.translation.adaptation.tool_history import has_unanswered
from proxy.translation.adaptation.tool_restore import Restorer
from proxy.translation.canonical import Request
from proxy.translation.dialects.base import Dialect, EncodeTarget
from proxy.translation.errors import ClientMistake
from proxy.translation.json_wire import Envelope
from proxy.translation.policies.model_policies import NONE, Policies, merged_body
from proxy.translation.policies.prompt_edits import Additions, edited
from proxy.translation.policies.session_progress import summary

_STRINGS = msgspec.json.Decoder(list[str])

replace = msgspec.structs.replace


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """What goes to a target, and how its reply comes back.

    ``relayed``: the client's own body within one dialect; the reply then passes through too. ``hides_usage``: the usage
    chunk was asked for by us. ``dropped``: what the target does not have, for the log.
    """

    body: bytes
    path: str
    stream: bool
    relayed: bool = False
    hides_usage: bool = False
    restorer: Restorer | None = None
    dropped: tuple[str, ...] = ()
    betas: str = ""
    """Betas that the client gave in its body, for an upstream that reads them from a header."""


class Edits(msgspec.Struct, frozen=True, kw_only=True):
    """What is changed on the way up beside the translation: a model's policies, and what enforcement adds to the prompt.

    ``whole``: the upstream is asked for an answer in one piece although the client streams.
    """

    policies: Policies = NONE
    guidance: str = ""
    correction: str = ""
    whole: bool = False


class Preparer:
    """Makes bodies for the candidates of one request; the client's body is decoded at most once."""

    def __init__(self, dialect: Dialect, envelope: Envelope, seal_key: bytes, *, betas: str = "") -> None:
        """``betas``: the value of the client dialect's ``beta_header``; some upstreams want them in the body."""
        self._betas = betas
        self._dialect = dialect
        self._envelope = envelope
        self._seal_key = seal_key
        self._request: Request | None = None
        self.mends_history = False
        """Same-dialect bodies are translated too, so that calls without results get one: an upstream has refused them."""

    @property
    def request(self) -> Request:
        """The canonical request; raises :class:`~proxy.translation.errors.ClientMistake` when the body makes no sense."""
        if self._request is None:
            request = self._dialect.decode_request(self._envelope, self._seal_key)
            field = self._dialect.beta_field
            if self._betas and field and field not in request.extra:
                names = [name.strip() for name in self._betas.split(",") if name.strip()]
                request = replace(request, extra=request.extra | {field: msgspec.Raw(json_wire.encode(names))})
            self._request = request
        return self._request

    def mend(self) -> bool:
        """From now on, give calls without results one also within one dialect. False if none is missing, or if that was done."""
        if self.mends_history:
            return False
        try:
            self.mends_history = has_unanswered(self.request.messages)
        except ClientMistake:
            return False  # the upstream's own words are the better refusal
        return self.mends_history

    @property
    def decoded_or_bare(self) -> Request:
        """The canonical request if anything needed it so far, else one that knows only the envelope."""
        return self._request or Request(model=self._envelope.model, messages=(), family="", stream=self._envelope.stream)

    def prepare(self, target: Dialect, destination: EncodeTarget, edits: Edits | None = None) -> Prepared:
        """The body for a target; raises :class:`~proxy.translation.errors.ClientMistake` for what it cannot carry."""
        try:
            return self._edited(target, destination, edits) if edits is not None else self._prepared(target, destination)
        except ClientMistake as mistake:
            raise self._in_clients_words(mistake) from None

    def _in_clients_words(self, mistake: ClientMistake) -> ClientMistake:
        """The mistake with the conversation named as the client's dialect does."""
        field, failure = self._dialect.traits.conversation_field, mistake.failure
        if failure.param != "messages" or field == "messages":
            return mistake
        mistake.failure = replace(failure, param=field, message=failure.message.replace("messages:", f"{field}:", 1))
        return mistake

    def _prepared(self, target: Dialect, destination: EncodeTarget) -> Prepared:
        if target is self._dialect and destination.stream == self._envelope.stream and not self.mends_history:
            return Prepared(
                body=target.patch_request(self._envelope, destination, self._seal_key),
                path=target.path(destination),
                stream=destination.stream,
                relayed=True,
                hides_usage=destination.stream and not _asks_for_usage(self._envelope),
            )
        request, betas = self.request, ""
        field = target.beta_field
        if target.upstream.beta_header and field in request.extra:
            names: list[str] = json_wire.decode(request.extra[field], _STRINGS, at=field)
            betas = ",".join(names)
            request = replace(request, extra={name: raw for name, raw in request.extra.items() if name != field})
        adapted = adapt(request, destination, family=target.family, traits=target.traits)
        return Prepared(
            body=target.encode_request(adapted.request, destination),
            path=target.path(destination),
            stream=destination.stream,
            restorer=adapted.restorer,
            dropped=adapted.dropped,
            betas=betas,
        )

    def asked(self, target: Dialect, destination: EncodeTarget, edits: Edits | None = None) -> Request:
        """The request as a model's policies make it, before it is translated: what its tokens are counted by."""
        return self.request if edits is None else self._editing(target, destination, edits)[0].request

    def _edited(self, target: Dialect, destination: EncodeTarget, edits: Edits) -> Prepared:
        """The same with the client's own fields edited first, and the model's fields merged into the body at last."""
        inner, relayed = self._editing(target, destination, edits)
        if edits.whole or not relayed:
            _ = self.request  # the answer is written for what the client itself has asked
        prepared = inner.prepare(target, destination)
        return replace(prepared, body=merged_body(prepared.body, edits.policies))

    def _editing(self, target: Dialect, destination: EncodeTarget, edits: Edits) -> tuple[Preparer, bool]:
        """One for the edited fields, and whether its body goes up untranslated."""
        envelope, policies = self._envelope, edits.policies
        if edits.whole and envelope.stream:
            envelope = replace(envelope, stream=False, fields={name: raw for name, raw in envelope.fields.items() if name != "stream"})
        relayed = target is self._dialect and destination.stream == envelope.stream and not self.mends_history
        progress = self._progress(relayed=relayed) if policies.inject_progress else ""
        additions = Additions((edits.guidance,), (progress, edits.correction))
        envelope = edited(envelope, self._dialect.prompt_shape, policies, additions, quirks=destination.quirks, relayed=relayed)
        inner = Preparer(self._dialect, envelope, self._seal_key, betas=self._betas)
        inner.mends_history = self.mends_history
        return inner, relayed

    def _progress(self, *, relayed: bool) -> str:
        try:
            return summary(self.request)
        except ClientMistake:
            if relayed:
                return ""  # an upstream of the client's own dialect may understand what we do not
            raise


def _asks_for_usage(envelope: Envelope) -> bool:
    options = envelope.fields.get("stream_options")
    if options is None:
        return False
    asked = msgspec.json.decode(options)
    return isinstance(asked, dict) and bool(asked.get("include_usage"))
