"""From a meter to an entry."""

from decimal import Decimal

import msgspec
import pytest

from billing import rates
from billing.outcomes import Outcome
from billing.request_log.entry import AttemptEntry, LogEntry, Meter, PayloadEntry, finish_entry
from proxy.translation.canonical import Usage

PRICES = rates.make_prices({"input": Decimal(3), "output": Decimal(15)}, id="p1", version="v1")
STARTED = 5_000_000_000


def meter(**fields) -> Meter:
    return Meter(id="01", timestamp=1_790_000_000_250_000, started=STARTED, **fields)


def closed(meter: Meter, **facts) -> LogEntry:
    return finish_entry(meter, **{"ended": STARTED + 12_345_678, "outcome": "finished", "status": 200, **facts})


def test_a_finished_request():
    measured = meter(
        request_id="r",
        path="/v1/messages",
        dialect="anthropic",
        stream=True,
        api_key_id="k",
        key_prefix="pxb_abcd",
        key_name="laptop",
        model="m",
        model_id="mid",
        upstream_id="u",
        upstream_name="up",
        upstream_dialect="openai_chat",
        remote_model="gpt",
        upstream_status=200,
        attempts=1,
        dispatched=STARTED + 345_678,
        first_token=STARTED + 4_999_999,
    )
    usage = Usage(fresh=1000, cache_read=10, cache_write_5m=20, cache_write_1h=30, output=100, reasoning=40, service_tier="flex")
    assert closed(measured, usage=usage, prices=PRICES) == LogEntry(
        id="01",
        timestamp=1_790_000_000_250_000,
        request_id="r",
        path="/v1/messages",
        dialect="anthropic",
        input_format="anthropic",
        stream=True,
        api_key_id="k",
        key_prefix="pxb_abcd",
        key_name="laptop",
        model="m",
        model_id="mid",
        upstream_id="u",
        upstream_name="up",
        upstream_dialect="openai_chat",
        remote_model="gpt",
        upstream_status=200,
        attempts=1,
        latency_ms=12,
        overhead_us=345,
        ttft_ms=4,
        input_tokens=1000,
        cache_read_tokens=10,
        cache_write_5m_tokens=20,
        cache_write_1h_tokens=30,
        output_tokens=100,
        reasoning_tokens=40,
        service_tier="flex",
        cost=1060 * 3_000_000 + 100 * 15_000_000,
        cost_source="price",
        price_id="p1",
        price_version="v1",
    )


def test_a_rejected_request_has_no_upstream_and_all_its_time_is_overhead():
    facts = {"outcome": "rejected", "status": 401, "error_type": "authentication", "error_message": "Invalid API key"}
    assert closed(meter(dialect="openai_chat"), **facts) == LogEntry(
        id="01",
        timestamp=1_790_000_000_250_000,
        dialect="openai_chat",
        status_code=401,
        outcome=Outcome.REJECTED,
        error_type="authentication",
        error_message="Invalid API key",
        latency_ms=12,
        overhead_us=12_345,
    )


@pytest.mark.parametrize(
    ("dialect", "family"),
    [("anthropic", "anthropic"), ("bedrock", "anthropic"), ("openai_chat", "openai"), ("openai_responses", "openai"), ("", "openai")],
)
def test_the_input_format_is_the_family_of_the_dialect(dialect, family):
    assert closed(meter(dialect=dialect)).input_format == family


def test_without_prices_or_with_a_rate_missing_the_cost_is_unknown():
    usage = Usage(fresh=1, output=1)
    assert closed(meter(), usage=usage).cost is None
    log_entry = closed(meter(), usage=usage, prices=rates.make_prices({"input": Decimal(1)}, id="p2"))
    assert (log_entry.cost, log_entry.price_id) == (None, "p2")


def test_nul_bytes_lone_surrogates_and_long_texts_reach_no_database():
    dirty = meter(model="a\0b\ud800c", user_agent="x" * 999, request_id="\0", path="/" + "p" * 999, session_id="ü" * 999)
    log_entry = closed(dirty, outcome=Outcome.FAILED, error_message="ä\0" * 5000, error_type="t" * 99)
    assert log_entry.model == "ab?c"
    assert log_entry.request_id == ""
    assert [len(text) for text in (log_entry.user_agent, log_entry.path, log_entry.session_id, log_entry.error_type)] == [200, 500, 200, 64]
    assert log_entry.error_message == "ä" * 1000
    msgspec.json.encode(log_entry)


def test_a_key_in_a_wrong_place_is_masked():
    key = "pxb_" + "0123456789" * 4
    entry = closed(meter(path=f"/x/{key}", model=key, user_agent=f"a/{key} b"), error_message=f"There is no model {key}.")
    assert (entry.path, entry.model, entry.user_agent, entry.error_message) == (
        "/x/pxb_***",
        "pxb_***",
        "a/pxb_*** b",
        "There is no model pxb_***.",
    )


def test_counts_and_costs_are_bounded():
    log_entry = closed(
        meter(), usage=Usage(fresh=-5, output=2**70), prices=rates.make_prices({"input": Decimal(1), "output": Decimal(10**9)})
    )
    assert (log_entry.input_tokens, log_entry.output_tokens, log_entry.cost) == (0, 2**31 - 1, 2**63 - 1)


def test_an_entry_survives_the_journal():
    attempt = AttemptEntry(timestamp=1, error_message="x")
    extras = {"tries": [attempt], "payload": PayloadEntry(client_body="{}"), "routing": [{"a": 1}]}
    original = msgspec.structs.replace(closed(meter()), **extras)
    assert msgspec.json.decode(msgspec.json.encode(original), type=LogEntry) == original


REPORTED = Usage(fresh=1, output=1, reported_cost=Decimal("0.0123"))


def test_a_reported_cost_is_kept_beside_ours_and_counts_where_ours_is_unknown():
    ours, theirs = closed(meter(), usage=REPORTED, prices=PRICES), closed(meter(), usage=REPORTED)
    half = closed(meter(), usage=REPORTED, prices=rates.make_prices({"input": Decimal(1)}, id="p2"))
    assert [(made.cost, made.cost_source, made.reported_cost) for made in (ours, theirs, half)] == [
        (18_000_000, "price", 12_300_000_000),
        (12_300_000_000, "reported_cost", 12_300_000_000),
        (12_300_000_000, "reported_cost", 12_300_000_000),
    ]


def test_a_response_that_says_nothing_of_what_it_used_is_not_free():
    assert closed(meter(), usage=Usage(is_measured=False), prices=PRICES).cost is None
    assert closed(meter(), usage=Usage(), prices=PRICES).cost == 0
