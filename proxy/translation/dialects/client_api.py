"""HTTP between clients and pxbin in one dialect: paths, identifying headers, lists of models."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol

import msgspec

from proxy.translation.canonical import Response
from proxy.translation.dialects.object_api import ObjectApi
from proxy.translation.json_wire import Envelope

if TYPE_CHECKING:
    from proxy.translation.dialects.base import EncodeContext

EndpointKind = Literal["generate", "count", "models", "model", "stored_response", "stored_items", "new_object", "object"]


class LimitHeaders(msgspec.Struct, frozen=True):
    """The response headers about the limits of a key.

    ``name``: with ``{dimension}`` for ``requests`` or ``tokens`` and ``{value}`` for ``limit``, ``remaining`` or ``reset``.
    ``resets_at``: a reset is a time in RFC 3339, not a duration such as ``6m0s``.
    """

    name: str
    resets_at: bool = False


X_RATELIMIT = LimitHeaders("x-ratelimit-{value}-{dimension}")
_PLACEHOLDER = re.compile(r"\{(\w+)(:path)?\}")


class StreamWriter(Protocol):
    """Rewrites the bytes of one stream, which are in the framing of its dialect."""

    def feed(self, piece: bytes) -> bytes:
        """The bytes for a piece with a whole number of events."""
        ...

    def close(self) -> bytes:
        """The bytes that end the stream."""
        ...


class StreamForm(msgspec.Struct, frozen=True, kw_only=True):
    """Another form of an endpoint's streams. ``whole``: the body of an error response. ``keepalive``: as that of a dialect."""

    media_type: str
    keepalive: bytes
    writer: Callable[[], StreamWriter]
    whole: Callable[[bytes], bytes]


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A path that clients of a dialect call.

    path:
        ``{name}`` stands for one segment, ``{name:path}`` for one or more. Views read ``model`` (of ``generate`` and ``count``),
        ``name`` (of ``model``), ``response_id`` (of ``stored_*``) and ``object_path`` (of ``object``), which begins with the id.
    kind:
        Selects the view. ``generate``: a response, complete or streamed; ``count``: the input tokens of a request; ``models`` and
        ``model``: the models that the key may use; ``stored_response`` and ``stored_items``: responses that pxbin or the provider
        stored; ``new_object`` and ``object``: other objects that the provider keeps.
    open_request(body, captured):
        The envelope, if the path contains what the body does not (the model, ``stream``). ``captured``: the values of the
        placeholders, percent-decoded. ``None``: the dialect's ``open_request``.
    encode_response(response, context, envelope):
        ``None``: the dialect's ``encode_response``.
    stream_form(query):
        The form of streams that the query asks for; ``None``: that of the dialect. The field is ``None`` where there is only one form.
    noun, is_nested:
        Of objects: what they are, for messages, and whether requests name them inside of their content or tools.
    has_socket:
        The path is also served by WebSocket; where the operator has switched that off, an upgrade is answered with 426.
    """

    path: str
    kind: EndpointKind = "generate"
    methods: tuple[str, ...] = ("POST",)
    open_request: Callable[[bytes, Mapping[str, str]], Envelope] | None = None
    encode_response: Callable[[Response, EncodeContext, Envelope], bytes] | None = None
    stream_form: Callable[[Mapping[str, str]], StreamForm | None] | None = None
    noun: str = ""
    is_nested: bool = False
    has_socket: bool = False

    @property
    def pattern(self) -> re.Pattern[str] | None:
        """Matches the whole path; ``None`` for a path without placeholders."""
        if "{" not in self.path:
            return None
        return re.compile(_PLACEHOLDER.sub(lambda match: f"(?P<{match[1]}>{'.+' if match[2] else '[^/]+'})", self.path))


class UntranslatedPath(msgspec.Struct, frozen=True, kw_only=True):
    """A path whose bodies are not translated. ``default_model``: used if the body names none.

    ``form``: if not empty, the body is multipart with a file in this field. ``capabilities``: those that a route must have.
    ``estimates``: tokens are estimated from the body if the response reports none. ``generates``: a model writes text.
    """

    path: str
    default_model: str = ""
    form: str = ""
    capabilities: frozenset[str] = frozenset()
    estimates: bool = False
    generates: bool = False


class ModelInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A model in a list for clients. ``created``: Unix seconds; ``created_at``: the same in RFC 3339; sizes in tokens."""

    name: str
    display_name: str
    provider: str
    created: int
    created_at: str
    context_window: int | None
    max_output_tokens: int | None


class ClientApi(msgspec.Struct, frozen=True, kw_only=True):
    """The paths and headers of clients of a dialect.

    identifying_headers:
        Request headers that only clients of this dialect send. They select the dialect at paths of several dialects or of none.
    shared_path_headers:
        Request headers that select the dialect only at paths that it shares with others (the list of models).
    shared_path_agents:
        Beginnings of ``User-Agent`` that select the dialect at these paths. A model list for such a client also has ``picker_names``.
    picker_names(model):
        Further names of a model, which the agents above accept where they would ignore its own.
    own_names(name):
        What a name of this form may stand for, the longest first; empty for a name of another form. It is tried after the names and
        aliases of models, in requests of every dialect.
    key_header, key_parameter:
        The request header in which clients send their key, and the parameter of the query in which they may; empty if there is none.
    request_id_header:
        The dialect's own name for ``x-request-id`` in responses, in lower case; empty if it has none.
    encode_model(model) / encode_models(models, query):
        ``GET`` of one model and of the list. ``encode_models`` raises ``ClientMistake`` for an invalid query.
    limit_headers:
        The response headers about the limits of a key.
    beta_header:
        The request header that lists beta features; empty if there is none.
    session_fields:
        Paths of body fields with a session id, in order of preference.
    stores_responses:
        Clients may continue from an earlier response by its id.
    objects:
        What providers of the dialect keep under ids; ``None``: nothing.
    """

    endpoints: tuple[Endpoint, ...]
    untranslated: tuple[UntranslatedPath, ...] = ()
    identifying_headers: tuple[str, ...] = ()
    shared_path_headers: tuple[str, ...] = ()
    shared_path_agents: tuple[str, ...] = ()
    picker_names: Callable[[ModelInfo], Sequence[str]] = lambda _model: ()
    own_names: Callable[[str], Sequence[str]] | None = None
    key_header: str = "authorization"
    key_parameter: str = ""
    request_id_header: str = ""
    limit_headers: LimitHeaders = X_RATELIMIT
    beta_header: str = ""
    encode_model: Callable[[ModelInfo], dict[str, Any]]
    encode_models: Callable[[Sequence[ModelInfo], Mapping[str, str]], dict[str, Any]]
    session_fields: tuple[tuple[str, ...], ...] = (("prompt_cache_key",),)
    stores_responses: bool = False
    objects: ObjectApi | None = None

    def is_agent(self, headers: Mapping[str, str]) -> bool:
        """Whether the client is one of ``shared_path_agents``."""
        return headers.get("user-agent", "").startswith(self.shared_path_agents) if self.shared_path_agents else False
