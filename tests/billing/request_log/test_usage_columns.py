"""A usage as columns, and back."""

from decimal import Decimal

import pytest

from billing.request_log.entry import AttemptEntry
from billing.request_log.usage_columns import details_as_json, set_usage, token_counts, usage_of_attempt, usage_of_row
from proxy.translation.usage import Usage, UsagePart
from tests.billing.conftest import entry

SERVED = {"service_tier": "priority", "speed": "fast", "inference_geo": "us"}
PARTS = (
    UsagePart(kind="compaction", usage=Usage(fresh=10, cache_read=3, output=2, **SERVED)),
    UsagePart(kind="image_generation", model="", usage=Usage(fresh=4, input_image=4, **SERVED)),
    UsagePart(kind="advisor_message", model="other", usage=Usage(fresh=1, cache_write_1h=5, **SERVED)),
)
USAGES = [
    Usage(),
    Usage(fresh=1, cache_read=2, cache_write_5m=3, cache_write_1h=4, output=5, reasoning=2, service_tier="flex"),
    Usage(fresh=9, output=8, input_audio=1, output_audio=2, input_image=3, output_image=4),
    Usage(fresh=9, server_tools={"web_search_requests": 3}, **SERVED),
    Usage(fresh=9, output=1, parts=PARTS, **SERVED),
]


@pytest.mark.parametrize("usage", USAGES)
def test_a_row_gives_back_the_usage_that_it_was_made_of(usage):
    row = entry()
    set_usage(row, usage)
    assert usage_of_row(row) == usage


@pytest.mark.parametrize("usage", [*USAGES, Usage(is_measured=False)])
def test_an_attempt_gives_back_the_usage_that_it_was_made_of(usage):
    assert usage_of_attempt(AttemptEntry(timestamp=1, **token_counts(usage), usage_details=details_as_json(usage))) == usage


def test_the_columns_of_a_row_include_its_parts():
    row = entry()
    set_usage(row, USAGES[-1])
    assert (row.input_tokens, row.cache_read_tokens, row.cache_write_1h_tokens, row.output_tokens, row.input_image_tokens) == (
        24,
        3,
        5,
        3,
        4,
    )
    assert row.usage_parts == [
        {"kind": "compaction", "input_tokens": 10, "cache_read_tokens": 3, "output_tokens": 2},
        {"kind": "image_generation", "model": "", "input_tokens": 4, "input_image_tokens": 4},
        {"kind": "advisor_message", "model": "other", "input_tokens": 1, "cache_write_1h_tokens": 5},
    ]


def test_the_details_of_an_attempt_are_what_its_columns_do_not_hold():
    assert details_as_json(Usage(fresh=1, output=2, reasoning=1)) is None
    assert details_as_json(Usage(fresh=1, input_audio=1, service_tier="flex", reported_cost=Decimal("0.10"))) == {
        "input_audio_tokens": 1,
        "service_tier": "flex",
        "reported_cost": "0.1",
    }


def test_names_are_cut_and_cleaned():
    row = entry()
    set_usage(row, Usage(service_tier="x\0" * 99, speed="ü" * 99, parts=(UsagePart(kind="compaction", model="m\0", usage=Usage()),)))
    assert (row.service_tier, row.speed, row.usage_parts) == ("x" * 16, "ü" * 32, [{"kind": "compaction", "model": "m"}])
