"""The toy dialect's value."""

from proxy.translation.dialects.base import Dialect, Traits
from proxy.translation.dialects.client_api import ClientApi, Endpoint
from proxy.translation.dialects.upstream_api import AuthHeader, CountApi, HealthProbe, ModelListApi, UpstreamApi, count_without
from proxy.translation.framing.sse import SSE
from proxy.translation.policies.prompt_shape import PromptShape
from tests.support.toy_dialect import wire

DIALECT = Dialect(
    name="toy",
    family=wire.FAMILY,
    title="Toy Sayings",
    short_title="Toy",
    letter="T",
    format="toy-sayings",
    input_format="openai",
    client=ClientApi(
        endpoints=(
            Endpoint(path=wire.SAY),
            Endpoint(path=wire.LIVE, open_request=wire.open_live),
            Endpoint(path=wire.WEIGH, kind="count"),
            Endpoint(path=wire.NAMES, kind="models", methods=("GET",)),
            Endpoint(path=wire.NAMES + "/{name:path}", kind="model", methods=("GET",)),
        ),
        identifying_headers=("x-toy-mood",),
        request_id_header="x-toy-id",
        encode_model=wire.encode_name,
        encode_models=wire.encode_names,
    ),
    upstream=UpstreamApi(
        auth=AuthHeader("x-toy-key", ""),
        default_headers=(("x-toy-version", "2"),),
        headers_up=("x-toy-mood",),
        headers_down=("x-toy-left",),
        count=CountApi(path=wire.WEIGH, encode=count_without("limit"), decode=wire.decode_count),
        model_list=ModelListApi(path=wire.NAMES, decode=wire.decode_names),
        probe=HealthProbe(path=wire.SAY, subject="Saying", endpoint="Saying", encode=wire.probe, accepts=wire.is_saying),
    ),
    prompt_shape=PromptShape(turns="lines", prompt="setup", limits=("limit",)),
    traits=Traits(conversation_field="lines"),
    framing=SSE,
    path=wire.path,
    open_request=wire.open_request,
    decode_request=wire.decode_request,
    encode_fields=wire.encode_fields,
    patch_request=wire.patch_request,
    decode_response=wire.decode_response,
    encode_response=wire.encode_response,
    patch_response=wire.patch_response,
    decoder=wire.Decoder,
    encoder=wire.Encoder,
    relay=wire.relay,
    break_off=wire.oops,
    last_events=frozenset({"end", "oops"}),
    decode_error=wire.decode_error,
    encode_error=wire.encode_error,
    encode_count=wire.encode_count,
)
