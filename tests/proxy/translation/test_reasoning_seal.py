"""Carriers return exactly the packed seal, and nothing that a client forged."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.translation.canonical import Seal
from proxy.translation.reasoning_seal import is_carrier, pack, unpack

KEY = b"a secret of all processes"
texts = st.text(alphabet=st.characters(codec="utf-8"))


@given(st.sampled_from(["anthropic", "openai_responses", "openai_chat"]), texts, st.dictionaries(texts, texts))
def test_unpacking_a_carrier_gives_the_packed_seal(origin: str, upstream: str, fields: dict[str, str]) -> None:
    seal = Seal(origin, upstream, fields)
    assert unpack(pack(seal, KEY), KEY) == seal


def test_a_carrier_is_the_documented_json_with_a_mac() -> None:
    carrier = pack(Seal("openai_responses", "up", {"id": "rs_1", "encrypted_content": "xyz"}), KEY)
    assert is_carrier(carrier)
    packed = json.loads(base64.urlsafe_b64decode(carrier.removeprefix("pxr1.") + "=="))
    assert {key: packed[key] for key in "voud"} == {
        "v": 1,
        "o": "openai_responses",
        "u": "up",
        "d": {"encrypted_content": "xyz", "id": "rs_1"},
    }


def test_the_same_seal_always_makes_the_same_carrier() -> None:
    assert pack(Seal("a", "u", {"x": "1", "y": "2"}), KEY) == pack(Seal("a", "u", {"y": "2", "x": "1"}), KEY)


@pytest.mark.parametrize(
    "text", ["", "EqQBCgIYAhIM", "pxr1.", "pxr1.!!!", "pxr1.e30", "pxr1." + base64.urlsafe_b64encode(b"[1]").decode(), "pxr1.\udc80"]
)
def test_text_that_is_not_a_carrier_gives_none(text: str) -> None:
    assert unpack(text, KEY) is None


def test_a_carrier_with_a_wrong_mac_gives_none() -> None:
    carrier = pack(Seal("anthropic", "anthropic", {"signature": "s"}), KEY)
    assert unpack(carrier, b"another secret") is None
    packed = json.loads(base64.urlsafe_b64decode(carrier.removeprefix("pxr1.") + "=="))
    packed["d"]["signature"] = "t"
    forged = "pxr1." + base64.urlsafe_b64encode(json.dumps(packed).encode()).decode().rstrip("=")
    assert unpack(forged, KEY) is None
