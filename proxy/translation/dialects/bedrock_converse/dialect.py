"""The dialect of AWS Bedrock's Converse, with the model in the path and AWS event streams."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from proxy.translation import json_wire
from proxy.translation.dialects.anthropic.models import accepts_sampling
from proxy.translation.dialects.base import Dialect, Traits, error_object
from proxy.translation.dialects.bedrock.errors import decode_error, encode_error
from proxy.translation.dialects.bedrock_converse.envelope import open_count, open_request, open_streamed, open_whole
from proxy.translation.dialects.bedrock_converse.places import PLACES, keeps, leaves_out
from proxy.translation.dialects.bedrock_converse.relay import PING, patch_request, patch_response, relay
from proxy.translation.dialects.bedrock_converse.request_decode import decode_request
from proxy.translation.dialects.bedrock_converse.request_encode import encode_fields, path
from proxy.translation.dialects.bedrock_converse.response_decode import decode_response
from proxy.translation.dialects.bedrock_converse.response_encode import encode_response
from proxy.translation.dialects.bedrock_converse.stream_decode import decoder
from proxy.translation.dialects.bedrock_converse.stream_encode import break_off, encoder
from proxy.translation.dialects.bedrock_converse.wire import FAMILY
from proxy.translation.dialects.client_api import ClientApi, Endpoint
from proxy.translation.dialects.openai_models import encode_model, encode_models
from proxy.translation.dialects.upstream_api import CountApi, ModelListApi, UpstreamApi, read_model_page
from proxy.translation.framing.eventstream import NAMED_EVENT_STREAM
from proxy.translation.policies.prompt_shape import PromptShape

_FIELDS = msgspec.json.Decoder(dict[str, Raw])
_COUNTED = ("messages", "system", "toolConfig", "additionalModelRequestFields")
_MODEL = "/model/{model:path}"


def _encode_count(tokens: int) -> bytes:
    return b'{"inputTokens":%d}' % tokens


def _encode_upstream_count(body: bytes, model: str) -> bytes:  # noqa: ARG001  (the path has the model)
    fields = _FIELDS.decode(body)
    return json_wire.encode({"input": {"converse": {name: fields[name] for name in _COUNTED if name in fields}}})


def _decode_count(body: bytes) -> int | None:
    value = error_object(body)
    tokens = value.get("inputTokens") if isinstance(value, dict) else None
    return tokens if isinstance(tokens, int) and not isinstance(tokens, bool) else None


CLIENT = ClientApi(
    endpoints=(
        Endpoint(path=f"{_MODEL}/converse", open_request=open_whole),
        Endpoint(path=f"{_MODEL}/converse-stream", open_request=open_streamed),
        Endpoint(path=f"{_MODEL}/count-tokens", kind="count", open_request=open_count),
    ),
    request_id_header="x-amzn-requestid",
    encode_model=encode_model,
    encode_models=encode_models,
    session_fields=(),
)
UPSTREAM = UpstreamApi(
    sigv4_service="bedrock",
    regional_base_url="https://bedrock-runtime.{region}.amazonaws.com",
    headers_up=("x-amzn-bedrock-",),
    headers_down=("x-amzn-bedrock-",),
    count=CountApi(path="/model/{model}/count-tokens", encode=_encode_upstream_count, decode=_decode_count),
    model_list=ModelListApi(decode=read_model_page),
    lists_for_clients=False,
    binds_thinking=True,
)
DIALECT = Dialect(
    name="bedrock_converse",
    family=FAMILY,
    title="AWS Bedrock Converse",
    short_title="Converse",
    letter="V",
    format="bedrock_converse",
    input_format="anthropic",
    client=CLIENT,
    upstream=UPSTREAM,
    prompt_shape=PromptShape(
        turns="messages",
        prompt="system",
        prompt_blocks=True,
        text_type="",
        settings="inferenceConfig",
        limits=("maxTokens",),
        max_temperature=1.0,
    ),
    traits=Traits(tool_name_limit=64, strict_call_ids=True, tool_subsets=False, image_urls=False),
    framing=NAMED_EVENT_STREAM,
    path=path,
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
    encode_count=_encode_count,
)
