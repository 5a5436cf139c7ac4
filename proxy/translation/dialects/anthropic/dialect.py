"""The dialect Anthropic Messages."""

from collections.abc import Mapping
from typing import Any

from proxy.translation import json_wire
from proxy.translation.dialects.anthropic.envelope import open_request
from proxy.translation.dialects.anthropic.errors import decode_error, encode_error
from proxy.translation.dialects.anthropic.model_list import encode_model, encode_models
from proxy.translation.dialects.anthropic.models import accepts_sampling
from proxy.translation.dialects.anthropic.picker import AGENTS, own_names, picker_names
from proxy.translation.dialects.anthropic.places import PLACES, keeps, leaves_out
from proxy.translation.dialects.anthropic.relay import PING, patch_request, patch_response, relay
from proxy.translation.dialects.anthropic.remote_objects import OBJECTS
from proxy.translation.dialects.anthropic.request_decode import decode_request
from proxy.translation.dialects.anthropic.request_encode import encode_fields
from proxy.translation.dialects.anthropic.response_decode import decode_response
from proxy.translation.dialects.anthropic.response_encode import encode_response
from proxy.translation.dialects.anthropic.stream_decode import decoder
from proxy.translation.dialects.anthropic.stream_encode import break_off, encoder
from proxy.translation.dialects.base import Dialect, EncodeTarget, Traits
from proxy.translation.dialects.client_api import ClientApi, Endpoint, LimitHeaders
from proxy.translation.dialects.upstream_api import (
    AuthHeader,
    CountApi,
    HealthProbe,
    ModelListApi,
    UpstreamApi,
    count_without,
    read_input_tokens,
    read_model_page,
)
from proxy.translation.framing.sse import SSE
from proxy.translation.json_object import open_object
from proxy.translation.json_wire import Envelope
from proxy.translation.policies.prompt_shape import PromptShape
from proxy.translation.quirks import Quirks

PATH = "/v1/messages"
COUNT_PATH = "/v1/messages/count_tokens"


def _path(target: EncodeTarget) -> str:
    return target.quirks.api_path or PATH


def _open_count(body: bytes, captured: Mapping[str, str]) -> Envelope:  # noqa: ARG001  (the path has no placeholders)
    """The body of a count: a request without ``max_tokens``, never streamed."""
    return open_request(json_wire.encode({"max_tokens": 1, **open_object(body), "stream": False}))


def _probe(model: str, quirks: Quirks) -> dict[str, Any]:  # noqa: ARG001  (the same for every server)
    return {"model": model, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 1}


PROMPT_SHAPE = PromptShape(
    turns="messages", prompt="system", prompt_blocks=True, limits=("max_tokens",), max_temperature=1.0, thinking_budget=True
)
CLIENT = ClientApi(
    endpoints=(
        Endpoint(path=PATH),
        Endpoint(path=COUNT_PATH, kind="count", open_request=_open_count),
        Endpoint(path="/v1/files", kind="new_object", is_nested=True),
        Endpoint(path="/v1/files/{object_path:path}", kind="object", methods=("GET", "POST", "DELETE"), noun="File"),
        Endpoint(path="/v1/models", kind="models", methods=("GET",)),
        Endpoint(path="/v1/models/{name:path}", kind="model", methods=("GET",)),
    ),
    identifying_headers=("anthropic-version",),
    shared_path_headers=("x-api-key",),
    shared_path_agents=AGENTS,
    picker_names=picker_names,
    own_names=own_names,
    key_header="x-api-key",
    limit_headers=LimitHeaders("anthropic-ratelimit-{dimension}-{value}", resets_at=True),
    request_id_header="request-id",
    beta_header="anthropic-beta",
    encode_model=encode_model,
    encode_models=encode_models,
    objects=OBJECTS,
    session_fields=(("prompt_cache_key",), ("metadata", "user_id")),
)
UPSTREAM = UpstreamApi(
    main_path=PATH,
    auth=AuthHeader("x-api-key", ""),
    default_headers=(("anthropic-version", "2023-06-01"),),
    version_header="anthropic-version",
    beta_header="anthropic-beta",
    headers_up=("anthropic-user-profile-id", "anthropic-workspace-id"),
    headers_down=("anthropic-ratelimit-", "anthropic-priority-"),
    count=CountApi(
        path=COUNT_PATH,
        encode=count_without("max_tokens", "stream", "temperature", "top_p", "top_k", "stop_sequences", "metadata", "service_tier"),
        decode=read_input_tokens,
    ),
    model_list=ModelListApi(query="limit=1000", decode=read_model_page),  # the default is 20 per page
    probe=HealthProbe(path=PATH, subject="Messages", endpoint="Messages endpoint", encode=_probe),
    binds_thinking=True,
)

DIALECT = Dialect(
    name="anthropic",
    family="anthropic",
    title="Anthropic Messages",
    short_title="Messages",
    letter="A",
    format="anthropic",
    input_format="anthropic",
    client=CLIENT,
    upstream=UPSTREAM,
    prompt_shape=PROMPT_SHAPE,
    beta_field="anthropic_beta",
    traits=Traits(tool_name_limit=128, strict_call_ids=True, tool_subsets=False, requires_limit=True),
    framing=SSE,
    path=_path,
    open_request=open_request,
    decode_request=decode_request,
    encode_fields=encode_fields,
    places=PLACES,
    leaves_out=leaves_out,
    keeps=keeps,
    patch_request=patch_request,
    accepts_sampling=accepts_sampling,
    decode_response=decode_response,
    encode_response=encode_response,
    patch_response=patch_response,
    decoder=decoder,
    encoder=encoder,
    relay=relay,
    break_off=break_off,
    decode_error=decode_error,
    encode_error=encode_error,
    keepalive=PING,
    last_events=frozenset({"message_stop"}),
)
