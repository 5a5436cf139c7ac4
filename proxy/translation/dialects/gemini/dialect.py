"""The dialect Gemini: ``generateContent``, with the model in the path."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from proxy.translation import json_wire
from proxy.translation.dialects.base import Dialect, Traits, error_object
from proxy.translation.dialects.client_api import ClientApi, Endpoint
from proxy.translation.dialects.gemini.envelope import open_count, open_request, open_streamed, open_whole
from proxy.translation.dialects.gemini.errors import decode_error, encode_error
from proxy.translation.dialects.gemini.json_array import stream_form
from proxy.translation.dialects.gemini.model_list import decode_page, encode_model, encode_models
from proxy.translation.dialects.gemini.places import PLACES, keeps, leaves_out
from proxy.translation.dialects.gemini.relay import patch_request, patch_response, relay
from proxy.translation.dialects.gemini.request_decode import decode_request
from proxy.translation.dialects.gemini.request_encode import MAX_STOPS, ROOT, encode_fields, path
from proxy.translation.dialects.gemini.response_decode import decode_response
from proxy.translation.dialects.gemini.response_encode import encode_response
from proxy.translation.dialects.gemini.stream_decode import decoder
from proxy.translation.dialects.gemini.stream_encode import EMPTY_CHUNK, break_off, encoder
from proxy.translation.dialects.gemini.wire import FAMILY
from proxy.translation.dialects.upstream_api import AuthHeader, CountApi, HealthProbe, ModelListApi, UpstreamApi
from proxy.translation.framing.sse import SSE, write
from proxy.translation.policies.prompt_shape import PromptShape
from proxy.translation.quirks import Quirks

_FIELDS = msgspec.json.Decoder(dict[str, Raw])
_ROOTS = (ROOT, "/v1/models")
_KEY = "x-goog-api-key"


def _encode_count(tokens: int) -> bytes:
    return b'{"totalTokens":%d}' % tokens


def _encode_upstream_count(body: bytes, model: str) -> bytes:
    """A count of the whole request: with its system instruction and its tools."""
    request = {"model": f"models/{model.removeprefix('models/')}", **_FIELDS.decode(body)}
    return json_wire.encode({"generateContentRequest": request})


def _decode_count(body: bytes) -> int | None:
    value = error_object(body)
    tokens = value.get("totalTokens") if isinstance(value, dict) else None
    return tokens if isinstance(tokens, int) and not isinstance(tokens, bool) else None


def _probe(model: str, quirks: Quirks) -> dict[str, Any]:  # noqa: ARG001  (the same for every server)
    return {"contents": [{"role": "user", "parts": [{"text": "hi"}]}], "generationConfig": {"maxOutputTokens": 1}}


CLIENT = ClientApi(
    endpoints=(
        *(Endpoint(path=f"{root}/{{model:path}}:generateContent", open_request=open_whole) for root in _ROOTS),
        *(
            Endpoint(path=f"{root}/{{model:path}}:streamGenerateContent", open_request=open_streamed, stream_form=stream_form)
            for root in _ROOTS
        ),
        *(Endpoint(path=f"{root}/{{model:path}}:countTokens", kind="count", open_request=open_count) for root in _ROOTS),
        *(Endpoint(path=root, kind="models", methods=("GET",)) for root in _ROOTS),
        *(Endpoint(path=f"{root}/{{name:path}}", kind="model", methods=("GET",)) for root in _ROOTS),
    ),
    identifying_headers=(_KEY,),
    key_header=_KEY,
    key_parameter="key",
    encode_model=encode_model,
    encode_models=encode_models,
)
UPSTREAM = UpstreamApi(
    auth=AuthHeader(_KEY, ""),
    count=CountApi(path=f"{ROOT}/{{model}}:countTokens", encode=_encode_upstream_count, decode=_decode_count),
    model_list=ModelListApi(path=ROOT, query=f"pageSize={1000}", decode=decode_page),
    probe=HealthProbe(path=f"{ROOT}/{{model}}:generateContent", subject="generateContent", endpoint="generateContent", encode=_probe),
)

DIALECT = Dialect(
    name="gemini",
    family=FAMILY,
    title="Gemini generateContent",
    short_title="Gemini",
    letter="G",
    format="gemini",
    input_format="openai",
    client=CLIENT,
    upstream=UPSTREAM,
    prompt_shape=PromptShape(
        turns="contents",
        prompt="systemInstruction",
        prompt_blocks=True,
        prompt_content="parts",
        turn_content="parts",
        text_type="",
        settings="generationConfig",
        choices="candidateCount",
        tier="serviceTier",
        limits=("maxOutputTokens",),
    ),
    binds_seals="address",
    traits=Traits(tool_name_limit=64, conversation_field="contents", stops=MAX_STOPS),
    framing=SSE,
    path=path,
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
    decoder=decoder,
    encoder=encoder,
    relay=relay,
    break_off=break_off,
    decode_error=decode_error,
    encode_error=encode_error,
    keepalive=write(EMPTY_CHUNK),
    encode_count=_encode_count,
)
