"""Usage objects of many servers as disjoint classes of tokens."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.translation.canonical import Usage
from proxy.translation.dialects.registry import REGISTRY
from proxy.translation.quirks import Quirks
from proxy.translation.untranslated.usage_tap import UsageTap
from proxy.translation.usage_counters import read_usage
from tests.support.cases import events_of

XAI = {
    "prompt_tokens": 32,
    "completion_tokens": 9,
    "total_tokens": 135,
    "prompt_tokens_details": {"cached_tokens": 6},
    "completion_tokens_details": {"reasoning_tokens": 94},
}
DASHSCOPE = {
    "prompt_tokens": 2000,
    "completion_tokens": 3,
    "total_tokens": 2003,
    "prompt_tokens_details": {"cached_tokens": 0, "cache_creation_input_tokens": 1605},
}
SUMS: list[tuple[dict[str, Any], Usage]] = [
    (XAI, Usage(fresh=26, cache_read=6, output=103, reasoning=94)),
    ({name: value for name, value in XAI.items() if name != "total_tokens"}, Usage(fresh=26, cache_read=6, output=103, reasoning=94)),
    ({"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 530}, Usage(fresh=10, output=520)),
    ({"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 30}, Usage(fresh=10, output=20)),
    (DASHSCOPE, Usage(fresh=395, cache_write_5m=1605, output=3)),
    (
        {"prompt_tokens": 100, "completion_tokens": 1, "prompt_tokens_details": {"cache_creation_tokens": 40}},
        Usage(fresh=60, cache_write_5m=40, output=1),
    ),
    (
        {"prompt_tokens": 100, "completion_tokens": 1, "cache_creation_input_tokens": 40, "cache_read_input_tokens": 50},
        Usage(fresh=10, cache_read=50, cache_write_5m=40, output=1),
    ),
    (
        {
            "prompt_tokens": 10,
            "completion_tokens": 1,
            "total_tokens": 101,
            "cache_creation_input_tokens": 40,
            "cache_read_input_tokens": 50,
        },
        Usage(fresh=10, cache_read=50, cache_write_5m=40, output=1),
    ),
    (
        {"input_tokens": 5, "output_tokens": 2, "cache_creation_input_tokens": 9, "cache_creation": {"ephemeral_1h_input_tokens": 4}},
        Usage(fresh=5, cache_write_5m=5, cache_write_1h=4, output=2),
    ),
    (
        {"input_tokens": 50, "output_tokens": 2, "input_tokens_details": {"cached_tokens": 20, "cache_write_tokens": 10}},
        Usage(fresh=20, cache_read=20, cache_write_5m=10, output=2),
    ),
    ({"prompt_tokens": 997, "completion_tokens": 1, "num_cached_tokens": 976}, Usage(fresh=21, cache_read=976, output=1)),
    ({"prompt_tokens": "12", "completion_tokens": 3.0, "total_tokens": [], "prompt_tokens_details": "none"}, Usage(fresh=12, output=3)),
]


@pytest.mark.parametrize(("wire", "usage"), SUMS)
def test_counters_add_up(wire: dict[str, Any], usage: Usage) -> None:
    tap = UsageTap()
    tap.whole(b'{"usage": %b}' % repr(wire).replace("'", '"').encode())
    assert (read_usage(wire), tap.usage) == (usage, usage)


@pytest.mark.parametrize("size", [1, 7, 1_000_000])
def test_zeros_after_the_real_usage_do_not_replace_it(size: int) -> None:
    stream = (
        b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"ok"},"finish_reason":"stop"}],"service_tier":"flex",'
        b'"usage":{"prompt_tokens":12,"completion_tokens":7}}\n\n'
        b'data: {"choices":[],"usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}}\n\ndata: [DONE]\n\n'
    )
    usage = [event.usage for event in events_of(REGISTRY["openai_chat"], stream, Quirks(), size=size) if hasattr(event, "usage")][-1]
    tap = UsageTap()
    for start in range(0, len(stream), size):
        tap.feed(stream[start : start + size])
    tap.close()
    assert usage == tap.usage == Usage(fresh=12, output=7, service_tier="flex")
