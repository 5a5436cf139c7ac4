"""Bodies and frames between Bedrock clients and Bedrock upstreams, without translation."""

import json
from typing import Any

from proxy.translation.canonical import (
    Seal,
)
from proxy.translation.dialects.bedrock.dialect import DIALECT
from proxy.translation.framing.sse import Frame
from proxy.translation.quirks import Quirks
from proxy.translation.reasoning_seal import pack
from tests.proxy.translation.dialects.bedrock.samples import BODY, KEY, encode_target, opened
from tests.proxy.translation.dialects.bedrock.stream_samples import EVENTS, frames_of


class TestPatchRequest:
    def patched(self, quirks: Quirks | None = None, **fields: Any) -> Any:
        return json.loads(DIALECT.patch_request(opened(**fields), encode_target(quirks=quirks or Quirks()), KEY))

    def test_the_body_stays_unchanged(self) -> None:
        assert self.patched(unknown={"a": 1}, anthropic_beta=["a"]) == BODY | {"unknown": {"a": 1}, "anthropic_beta": ["a"]}

    def test_betas_are_reduced_to_the_allow_list(self) -> None:
        assert self.patched(Quirks(beta_allow_list=("a",)), anthropic_beta=["a", "b"])["anthropic_beta"] == ["a"]
        assert "anthropic_beta" not in self.patched(Quirks(beta_allow_list=()), anthropic_beta=["a", "b"])

    def test_carriers_are_removed(self) -> None:
        carrier = pack(Seal("openai_chat", ""), KEY)
        blocks = [{"type": "thinking", "thinking": "x", "signature": carrier}, {"type": "text", "text": "a"}]
        messages = [*BODY["messages"], {"role": "assistant", "content": blocks}]
        assert self.patched(messages=messages)["messages"][1]["content"] == [{"type": "text", "text": "a"}]


def test_the_relay_replaces_the_model_inside_the_chunk() -> None:
    start, delta = frames_of(*EVENTS)[0], Frame(b'{"message":"Oh"}', "throttlingException")
    relay = DIALECT.relay("other", False)
    renamed = relay(start)
    assert renamed is not None
    assert (renamed.event, json.loads(renamed.data)["message"]["model"], relay(delta)) == ("chunk", "other", delta)


def test_the_keep_alive_is_a_ping_in_a_chunk() -> None:
    assert DIALECT.framing.reader().feed(DIALECT.keepalive) == [Frame(b'{"type":"ping"}', "chunk")]
