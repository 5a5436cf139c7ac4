"""The presets: every one refers to existing values, and they fill in missing fields."""

import pytest

from proxy.translation.dialects.registry import REGISTRY
from proxy.translation.quirks import merged
from upstreams.presets import PRESETS, Preset, merge_preset

PRESET = Preset(name="p", title="P", base_url="https://p.example/v1", quirks={"images": False, "top_k": True}, fields={"auth_header": "k"})


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_names_a_dialect_and_quirks_that_exist(name: str) -> None:
    preset = PRESETS[name]
    assert preset.name == name
    assert preset.dialect in REGISTRY
    assert merged(preset.quirks) is not None
    assert preset.base_url.startswith(("https://", "http://{host}"))


def test_a_preset_fills_in_missing_fields() -> None:
    assert merge_preset(PRESET, {"name": "mine"}) == {
        "dialect": "openai_chat",
        "base_url": "https://p.example/v1",
        "auth_header": "k",
        "name": "mine",
        "quirks": {"images": False, "top_k": True},
    }


def test_explicit_fields_win_and_quirks_are_merged() -> None:
    merged = merge_preset(PRESET, {"base_url": "https://q", "auth_header": "", "quirks": {"images": True}})
    assert (merged["base_url"], merged["auth_header"], merged["quirks"]) == ("https://q", "k", {"images": True, "top_k": True})


def test_an_address_with_a_gap_is_only_a_hint() -> None:
    assert "base_url" not in merge_preset(PRESETS["vllm"], {})
