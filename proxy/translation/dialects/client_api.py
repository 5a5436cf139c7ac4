"""The HTTP side of a dialect towards clients: their paths, the headers that identify them, and their list of models."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from proxy.translation.canonical import Response
from proxy.translation.json_wire import Envelope

if TYPE_CHECKING:
    from proxy.translation.dialects.base import EncodeContext

EndpointKind = Literal["generate", "count", "models", "model", "stored_response", "stored_items"]
_PLACEHOLDER = re.compile(r"\{(\w+)(:path)?\}")


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A path that clients of a dialect call.

    path:
        ``{name}`` stands for one segment, ``{name:path}`` for one or more. Views read ``model`` (of ``generate`` and ``count``),
        ``name`` (of ``model``) and ``response_id`` (of ``stored_*``).
    kind:
        The view that answers. ``generate``: a response, whole or streamed; ``count``: the input tokens of a request; ``models`` and
        ``model``: what the key may use; ``stored_response`` and ``stored_items``: turns that the gateway stores.
    open_request(body, captured):
        The envelope where the path says more than the body (the model, that it is streamed); ``captured`` is percent-decoded.
        ``None``: the dialect's own ``open_request``.
    encode_response(response, context, envelope):
        ``None``: the dialect's own ``encode_response``.
    """

    path: str
    kind: EndpointKind = "generate"
    methods: tuple[str, ...] = ("POST",)
    open_request: Callable[[bytes, Mapping[str, str]], Envelope] | None = None
    encode_response: Callable[[Response, EncodeContext, Envelope], bytes] | None = None

    @property
    def pattern(self) -> re.Pattern[str] | None:
        """Matches the whole path; ``None`` for a path without placeholders."""
        if "{" not in self.path:
            return None
        return re.compile(_PLACEHOLDER.sub(lambda found: f"(?P<{found[1]}>{'.+' if found[2] else '[^/]+'})", self.path))


class UntranslatedPath(msgspec.Struct, frozen=True, kw_only=True):
    """A path whose bodies are not translated. ``default_model``: used where the body names none.

    ``form``: the body is a form with a file in this field. ``capabilities`` that a route must not lack. ``estimates``: tokens are
    estimated from the body where the response reports none.
    """

    path: str
    default_model: str = ""
    form: str = ""
    capabilities: frozenset[str] = frozenset()
    estimates: bool = False


class ModelInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A model as clients may list it. ``created``: Unix seconds; ``created_at``: the same in RFC 3339; sizes in tokens."""

    name: str
    display_name: str
    provider: str
    created: int
    created_at: str
    context_window: int | None
    max_output_tokens: int | None


class ClientApi(msgspec.Struct, frozen=True, kw_only=True):
    """What clients of a dialect call.

    identifying_headers:
        Request headers that only clients of this dialect send; they decide at paths that are not one dialect's own.
    shared_path_headers:
        Request headers that suffice at the paths that the dialect shares with others (the list of models).
    request_id_header:
        The dialect's own name for ``x-request-id`` in responses, in lower case; empty: it has none.
    encode_model(model) / encode_models(models, query):
        ``GET`` of one model and of the list. ``encode_models`` raises ``ClientMistake`` for a query that makes no sense.
    beta_header:
        The request header that lists betas; empty: there is none.
    session_fields:
        Paths of body fields that name the session of a request, in order of preference.
    stores_responses:
        Clients may go on from an earlier response by its id.
    """

    endpoints: tuple[Endpoint, ...]
    untranslated: tuple[UntranslatedPath, ...] = ()
    identifying_headers: tuple[str, ...] = ()
    shared_path_headers: tuple[str, ...] = ()
    request_id_header: str = ""
    beta_header: str = ""
    encode_model: Callable[[ModelInfo], dict[str, Any]]
    encode_models: Callable[[Sequence[ModelInfo], Mapping[str, str]], dict[str, Any]]
    session_fields: tuple[tuple[str, ...], ...] = (("prompt_cache_key",),)
    stores_responses: bool = False
