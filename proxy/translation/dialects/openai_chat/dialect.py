"""The dialect OpenAI Chat Completions, also of compatible servers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from proxy.translation.dialects.base import Dialect, EncodeTarget, Traits
from proxy.translation.dialects.client_api import ClientApi, Endpoint, UntranslatedPath
from proxy.translation.dialects.openai_chat.errors import decode_error, encode_error
from proxy.translation.dialects.openai_chat.places import PLACES, keeps, leaves_out
from proxy.translation.dialects.openai_chat.relay import mend_response, patch_request, relay, replace_model
from proxy.translation.dialects.openai_chat.remote_objects import OBJECTS
from proxy.translation.dialects.openai_chat.request_decode import decode_request, open_request
from proxy.translation.dialects.openai_chat.request_encode import MAX_STOPS, encode_fields
from proxy.translation.dialects.openai_chat.response_decode import decode_response
from proxy.translation.dialects.openai_chat.response_encode import encode_response
from proxy.translation.dialects.openai_chat.several_choices import response_of_choices, stream_of_choices
from proxy.translation.dialects.openai_chat.stream_decode import ChatStreamDecoder
from proxy.translation.dialects.openai_chat.stream_encode import ChatStreamEncoder, break_off
from proxy.translation.dialects.openai_models import encode_model, encode_models
from proxy.translation.dialects.upstream_api import HealthProbe, ModelListApi, UpstreamApi, read_model_page
from proxy.translation.framing.sse import SSE, Frame
from proxy.translation.json_wire import Envelope
from proxy.translation.policies.prompt_shape import PromptShape
from proxy.translation.quirks import Quirks

PATH = "/v1/chat/completions"
AUDIO = frozenset({"audio"})


def _path(target: EncodeTarget) -> str:  # noqa: ARG001 - the same for every model
    return PATH


def _open_streamed(body: bytes, captured: Mapping[str, str]) -> Envelope:  # noqa: ARG001  (the path has no placeholders)
    envelope = open_request(body)
    return msgspec.structs.replace(envelope, stream=True, fields=envelope.fields | {"stream": msgspec.Raw(b"true")})


def _probe(model: str, quirks: Quirks) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": "hi"}], quirks.max_tokens_field: 1}


CLIENT = ClientApi(
    endpoints=(
        Endpoint(path=PATH),
        Endpoint(path="/v1/chat/completions/stream", open_request=_open_streamed),
        Endpoint(path="/v1/models", kind="models", methods=("GET",)),
        Endpoint(path="/v1/models/{name:path}", kind="model", methods=("GET",)),
    ),
    untranslated=(  # the default models are those of OpenAI's API
        UntranslatedPath(path="/v1/embeddings", estimates=True),
        UntranslatedPath(path="/v1/completions", estimates=True, generates=True),
        UntranslatedPath(path="/v1/images/generations", default_model="dall-e-2"),
        UntranslatedPath(path="/v1/audio/speech"),
        UntranslatedPath(path="/v1/moderations", default_model="omni-moderation-latest"),
        UntranslatedPath(path="/v1/rerank", estimates=True),
        UntranslatedPath(path="/v1/audio/transcriptions", form="file", capabilities=AUDIO),
        UntranslatedPath(path="/v1/audio/translations", form="file", capabilities=AUDIO),
    ),
    encode_model=encode_model,
    encode_models=encode_models,
    objects=OBJECTS,
)
UPSTREAM = UpstreamApi(
    main_path=PATH,
    headers_down=("x-ratelimit-", "openai-processing-ms", "openai-version"),
    model_list=ModelListApi(decode=read_model_page),
    probe=HealthProbe(path=PATH, subject="Completion", endpoint="Completion", encode=_probe),
    takes_untranslated=True,
)


def patch_response(body: bytes, model: str) -> bytes:
    """The response with the model name of the client's request."""
    return replace_model(body, msgspec.json.encode(model))


DIALECT = Dialect(
    name="openai_chat",
    family="openai_chat",
    title="OpenAI Chat Completions",
    short_title="Chat",
    letter="C",
    format="openai",
    input_format="openai",
    client=CLIENT,
    upstream=UPSTREAM,
    prompt_shape=PromptShape(turns="messages", joins_strings=True, limits=("max_completion_tokens", "max_tokens")),
    traits=Traits(tool_name_limit=64, custom_tools=False, strict_call_ids=False, stops=MAX_STOPS),
    framing=SSE,
    binds_seals="address",
    path=_path,
    open_request=open_request,
    decode_request=decode_request,
    encode_fields=encode_fields,
    places=PLACES,
    leaves_out=leaves_out,
    keeps=keeps,
    patch_request=patch_request,
    decode_response=decode_response,
    encode_response=encode_response,
    patch_response=patch_response,
    mend_response=mend_response,
    stream_of_choices=stream_of_choices,
    response_of_choices=response_of_choices,
    decoder=ChatStreamDecoder,
    encoder=ChatStreamEncoder,
    relay=relay,
    break_off=break_off,
    ending=(Frame(b"[DONE]"),),
    decode_error=decode_error,
    encode_error=encode_error,
)
