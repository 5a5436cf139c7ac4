"""What usage objects say besides their main counters, read alike in every way that a response takes."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from proxy.translation import usage_details
from proxy.translation.dialects.registry import REGISTRY
from proxy.translation.quirks import Quirks
from proxy.translation.untranslated.usage_tap import UsageTap
from proxy.translation.usage import Usage, UsagePart
from proxy.translation.usage_counters import read_usage
from tests.support.cases import events_of

FAST = {"service_tier": "priority", "speed": "fast", "inference_geo": "us"}
ITERATIONS = {
    "input_tokens": 100,
    "output_tokens": 20,
    "cache_creation_input_tokens": 50,
    "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 40},
    "server_tool_use": {"web_search_requests": 3, "web_fetch_requests": 0},
    "iterations": [
        {"type": "message", "input_tokens": 100, "output_tokens": 20},
        {"type": "compaction", "input_tokens": 180000, "output_tokens": 3500, "cache_read_input_tokens": 7},
        {"type": "advisor_message", "model": "claude-opus-4-6", "input_tokens": 5, "output_tokens": 6},
        {
            "type": "fallback_message",
            "model": "claude-sonnet-4-5",
            "input_tokens": 1,
            "output_tokens": 2,
            "cache_creation_input_tokens": 9,
            "cache_creation": {"ephemeral_1h_input_tokens": 4},
        },
    ],
    **FAST,
}
READ = Usage(
    fresh=100,
    cache_write_5m=10,
    cache_write_1h=40,
    output=20,
    server_tools={"web_search_requests": 3},
    parts=(
        UsagePart(kind="compaction", usage=Usage(fresh=180000, cache_read=7, output=3500, **FAST)),
        UsagePart(kind="advisor_message", model="claude-opus-4-6", usage=Usage(fresh=5, output=6, **FAST)),
        UsagePart(
            kind="fallback_message", model="claude-sonnet-4-5", usage=Usage(fresh=1, cache_write_5m=5, cache_write_1h=4, output=2, **FAST)
        ),
    ),
    **FAST,
)
AUDIO = {
    "prompt_tokens": 117,
    "completion_tokens": 592,
    "total_tokens": 709,
    "prompt_tokens_details": {"text_tokens": 17, "audio_tokens": 100, "cached_tokens": 0},
    "completion_tokens_details": {"text_tokens": 110, "audio_tokens": 482, "reasoning_tokens": 0},
}
TOOL_USAGE = {
    "web_search": {"num_requests": 2},
    "image_gen": {
        "input_tokens": 60,
        "output_tokens": 1000,
        "total_tokens": 1060,
        "cached_tokens": 10,
        "input_tokens_details": {"image_tokens": 40, "text_tokens": 20},
    },
}
IMAGES = UsagePart(
    kind="image_generation", model="gpt-image-1", usage=Usage(fresh=50, cache_read=10, input_image=40, output=1000, output_image=1000)
)


def tapped(body: Any) -> Usage | None:
    tap = UsageTap()
    tap.whole(json.dumps(body).encode())
    return tap.usage


def counted(usage: Usage) -> Usage:
    """A usage without the vendor's own fields, which only clients of the same family get."""
    return msgspec.structs.replace(usage, native={})


def message(usage: dict[str, Any]) -> dict[str, Any]:
    return {"id": "m", "type": "message", "role": "assistant", "model": "x", "content": [], "stop_reason": "end_turn", "usage": usage}


def test_a_message_is_read_alike_translated_and_untranslated():
    body = message(ITERATIONS)
    assert counted(REGISTRY["anthropic"].decode_response(json.dumps(body).encode(), Quirks()).usage) == READ
    assert tapped(body) == READ


def test_a_stream_of_messages_is_read_alike_translated_and_untranslated():
    start = {key: ITERATIONS[key] for key in ("input_tokens", "cache_creation_input_tokens", "cache_creation", *FAST)}
    end = {key: ITERATIONS[key] for key in ("output_tokens", "server_tool_use", "iterations")}
    events = [
        {"type": "message_start", "message": {**message({**start, "output_tokens": 1}), "stop_reason": None}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": end},
        {"type": "message_stop"},
    ]
    stream = b"".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events)
    dialect = REGISTRY["anthropic"]
    assert [
        counted(event.usage) for event in events_of(dialect, stream, Quirks(), size=1000) if type(event).__name__ == "UsageReported"
    ] == [READ]
    tap = UsageTap()
    tap.feed(stream)
    tap.close()
    assert tap.usage == READ


def test_tokens_of_the_parts_are_counted_with_the_others():
    whole = READ.with_parts()
    assert (whole.fresh, whole.cache_read, whole.cache_write_5m, whole.cache_write_1h, whole.output, whole.parts) == (
        180106,
        7,
        15,
        44,
        3528,
        (),
    )


def test_a_client_of_messages_is_told_of_searches_speed_and_geography():
    encoded = REGISTRY["anthropic"].decode_response(json.dumps(message(ITERATIONS)).encode(), Quirks())
    assert encoded.usage is not None
    from proxy.translation.dialects.anthropic.usage import encode_delta_usage, encode_usage

    assert encode_usage(encoded.usage)["server_tool_use"] == {"web_fetch_requests": 0, "web_search_requests": 3}
    assert encode_usage(encoded.usage)["inference_geo"] == "us"
    assert encode_delta_usage(encoded.usage)["server_tool_use"] == {"web_fetch_requests": 0, "web_search_requests": 3}
    assert encode_delta_usage(Usage())["server_tool_use"] is None


def test_audio_is_a_part_of_input_and_output():
    expected = Usage(fresh=117, output=592, input_audio=100, output_audio=482)
    body = {"id": "c", "choices": [{"message": {"role": "assistant", "content": "x"}, "finish_reason": "stop"}], "usage": AUDIO}
    assert REGISTRY["openai_chat"].decode_response(json.dumps(body).encode(), Quirks()).usage == expected
    assert tapped(body) == expected


@pytest.mark.parametrize(
    ("details", "expected"),
    [
        ({"audio_tokens": 80, "cached_tokens": 50}, {"input_audio": 50}),
        ({"audio_tokens": 80, "image_tokens": 80}, {"input_audio": 80, "input_image": 20}),
        ({"image_tokens": 5}, {"input_image": 5}),
        ({"audio_tokens": -1, "image_tokens": None}, {}),
    ],
)
def test_audio_and_images_are_bounded_by_the_class_that_they_are_parts_of(details, expected):
    usage = read_usage({"prompt_tokens": 100, "completion_tokens": 1, "prompt_tokens_details": details})
    read = details.get("cached_tokens", 0)
    assert usage == Usage(fresh=100 - read, cache_read=read, output=1, **expected)


def test_a_responses_object_tells_searches_and_generated_images_apart_from_its_usage():
    body = {
        "id": "r",
        "object": "response",
        "status": "completed",
        "model": "gpt-5",
        "output": [],
        "tools": [{"type": "web_search"}, {"type": "image_generation", "model": "gpt-image-1"}],
        "usage": {
            "input_tokens": 100,
            "output_tokens": 5,
            "total_tokens": 105,
            "input_tokens_details": {
                "cached_tokens": 10,
                "cache_write_tokens": 60,
                "cache_write_tokens_details": {"ttl_12h_tokens": 50, "ttl_30m_tokens": 10},
            },
            "output_tokens_details": {"reasoning_tokens": 1},
        },
        "tool_usage": TOOL_USAGE,
    }
    expected = Usage(
        fresh=30,
        cache_read=10,
        cache_write_5m=10,
        cache_write_1h=50,
        output=5,
        reasoning=1,
        server_tools={"web_search_requests": 2},
        parts=(IMAGES,),
    )
    assert REGISTRY["openai_responses"].decode_response(json.dumps(body).encode(), Quirks()).usage == expected
    assert tapped(body) == expected
    assert tapped({**body, "tools": []}).parts == (msgspec.structs.replace(IMAGES, model=""),)
    assert tapped({**body, "tool_usage": {"web_search": {"num_requests": 0}, "image_gen": {"input_tokens": 0}}}).parts == ()


@pytest.mark.parametrize(
    ("value", "amount"),
    [
        (0.0123, Decimal("0.0123")),
        ("0.000001", Decimal("0.000001")),
        (0, Decimal(0)),
        (1e-7, Decimal("1e-7")),
        (-1, None),
        (True, None),
        ("free", None),
        ("nan", None),
        (1e300, None),
        (None, None),
        ({}, None),
    ],
)
def test_the_cost_that_an_upstream_reports(value, amount):
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "cost": value}
    assert read_usage(usage).reported_cost == amount
    assert REGISTRY["anthropic"].decode_response(
        json.dumps(message({"input_tokens": 1, "output_tokens": 1, "cost": value})).encode(), Quirks()
    ).usage == Usage(fresh=1, output=1, reported_cost=amount)


@pytest.mark.parametrize(
    "odd",
    [
        {"iterations": 5},
        {"iterations": [1, {"type": "compaction"}, {"type": "new_kind", "input_tokens": 9}]},
        {"server_tool_use": [1]},
        {"server_tool_use": {"web_search_requests": "many"}},
    ],
)
def test_what_cannot_be_read_counts_nothing(odd):
    for usage in (
        read_usage({"input_tokens": 3, "output_tokens": 1, **odd}),
        REGISTRY["anthropic"].decode_response(json.dumps(message({"input_tokens": 3, "output_tokens": 1, **odd})).encode(), Quirks()).usage,
    ):
        assert (usage.with_parts().fresh, usage.output, usage.server_tools) == (3, 1, {})


def test_the_numbers_of_parts_and_tools_are_bounded():
    entries = [{"type": "compaction", "input_tokens": 1}] * 1000
    assert len(usage_details.separate_iterations(entries, Usage())) == usage_details.MAX_PARTS
    assert len(usage_details.server_tools({f"tool{number}": 1 for number in range(100)})) == usage_details.MAX_TOOLS
