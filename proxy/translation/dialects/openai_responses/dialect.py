"""The dialect OpenAI Responses."""

from collections.abc import Mapping
from typing import Any

from proxy.translation.dialects.base import Dialect, EncodeTarget, Traits
from proxy.translation.dialects.client_api import ClientApi, Endpoint
from proxy.translation.dialects.openai_models import encode_model, encode_models
from proxy.translation.dialects.openai_responses.compaction import encode_compact_response, to_summary_request
from proxy.translation.dialects.openai_responses.errors import decode_error, encode_error
from proxy.translation.dialects.openai_responses.relay import patch_request, patch_response, relay
from proxy.translation.dialects.openai_responses.remote_objects import OBJECTS
from proxy.translation.dialects.openai_responses.request_decode import decode_request, open_request
from proxy.translation.dialects.openai_responses.request_encode import encode_request
from proxy.translation.dialects.openai_responses.response_decode import decode_response
from proxy.translation.dialects.openai_responses.response_encode import encode_response
from proxy.translation.dialects.openai_responses.stream_decode import decoder
from proxy.translation.dialects.openai_responses.stream_encode import break_off, encoder
from proxy.translation.dialects.openai_responses.usage import encode_count
from proxy.translation.dialects.upstream_api import (
    CountApi,
    HealthProbe,
    ModelListApi,
    UpstreamApi,
    count_without,
    read_input_tokens,
    read_model_page,
)
from proxy.translation.framing.sse import COMMENT, SSE
from proxy.translation.json_wire import Envelope
from proxy.translation.policies.prompt_shape import PromptShape
from proxy.translation.quirks import Quirks

PATH = "/v1/responses"
COUNT_PATH = "/v1/responses/input_tokens"
BY_ID = ("GET", "POST", "DELETE")
NOT_COUNTED = (
    "max_output_tokens", "stream", "store", "include", "stream_options", "temperature", "top_p", "top_logprobs", "metadata",
    "service_tier", "user", "safety_identifier", "prompt_cache_key", "prompt_cache_retention", "background", "max_tool_calls",
)  # fmt: skip
"""Fields of a request that the count endpoint refuses."""
MIN_OUTPUT_TOKENS = 16
"""The smallest limit that the API accepts."""


def _path(target: EncodeTarget) -> str:
    return target.quirks.api_path or PATH


def _open_compact(body: bytes, captured: Mapping[str, str]) -> Envelope:  # noqa: ARG001  (the path has no placeholders)
    return to_summary_request(open_request(body))


def _probe(model: str, quirks: Quirks) -> dict[str, Any]:  # noqa: ARG001  (the same for every server)
    return {"model": model, "input": "hi", "max_output_tokens": MIN_OUTPUT_TOKENS, "store": False}


CLIENT = ClientApi(
    endpoints=(
        Endpoint(path=PATH, has_socket=True),
        Endpoint(path="/v1/responses/compact", open_request=_open_compact, encode_response=encode_compact_response),
        Endpoint(path=COUNT_PATH, kind="count"),
        Endpoint(path="/v1/responses/{response_id}", kind="stored_response", methods=("GET", "DELETE")),
        Endpoint(path="/v1/responses/{response_id}/input_items", kind="stored_items", methods=("GET",)),
        Endpoint(path="/v1/responses/{object_path}/cancel", kind="object", noun="Response"),
        Endpoint(path="/v1/conversations", kind="new_object"),
        Endpoint(path="/v1/conversations/{object_path:path}", kind="object", methods=BY_ID, noun="Conversation"),
        Endpoint(path="/v1/containers", kind="new_object", is_nested=True),
        Endpoint(path="/v1/containers/{object_path:path}", kind="object", methods=BY_ID, noun="Container"),
        Endpoint(path="/v1/files", kind="new_object", is_nested=True),
        Endpoint(path="/v1/files/{object_path:path}", kind="object", methods=BY_ID, noun="File"),
        Endpoint(path="/v1/models", kind="models", methods=("GET",)),
        Endpoint(path="/v1/models/{name:path}", kind="model", methods=("GET",)),
    ),
    encode_model=encode_model,
    encode_models=encode_models,
    objects=OBJECTS,
    stores_responses=True,
)
UPSTREAM = UpstreamApi(
    main_path=PATH,
    headers_down=("x-ratelimit-", "openai-processing-ms", "openai-version"),
    count=CountApi(path=COUNT_PATH, encode=count_without(*NOT_COUNTED), decode=read_input_tokens),
    model_list=ModelListApi(decode=read_model_page),
    probe=HealthProbe(path=PATH, subject="Responses", endpoint="Responses endpoint", encode=_probe),
    takes_untranslated=True,
)

DIALECT = Dialect(
    name="openai_responses",
    family="openai_responses",
    title="OpenAI Responses",
    short_title="Responses",
    letter="R",
    format="openai_responses",
    input_format="openai",
    client=CLIENT,
    upstream=UPSTREAM,
    prompt_shape=PromptShape(
        turns="input", prompt="instructions", text_type="input_text", turn_type="message", limits=("max_output_tokens",)
    ),
    binds_seals="upstream",
    traits=Traits(tool_name_limit=64, custom_tools=True, namespaces=True, conversation_field="input", stops=0),
    framing=SSE,
    path=_path,
    open_request=open_request,
    decode_request=decode_request,
    encode_request=encode_request,
    patch_request=patch_request,
    decode_response=decode_response,
    encode_response=encode_response,
    patch_response=patch_response,
    decoder=decoder,
    encoder=encoder,
    relay=relay,
    break_off=break_off,
    decode_error=decode_error,
    encode_error=encode_error,
    encode_count=encode_count,
    keepalive=COMMENT,
    last_events=frozenset({"response.completed", "response.incomplete", "response.failed"}),
)
