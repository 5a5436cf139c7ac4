import pytest

from billing.metrics import request_counts, shared_values
from billing.metrics.request_counts import RequestCounts
from billing.metrics.shared_values import OwnValues
from billing.outcomes import Outcome
from billing.request_log.entry import AttemptEntry, LogEntry


@pytest.fixture
def counted(tmp_path):
    """Count entries; what is read then, without histograms, by name and labels."""
    own = OwnValues(tmp_path)
    counts = RequestCounts(own, lambda path: path)

    def count(*entries):
        for entry in entries:
            counts.count(entry)
        read = shared_values.read_all(tmp_path)
        return {(series.name, *series.labels.values()): values[0] for series, values, _ in read if series.kind == "counter" and values[0]}

    yield count
    own.close()


def entry(**fields):
    return LogEntry(**{"id": "0" * 32, "timestamp": 0, "path": "/v1/messages", "model": "m", "upstream_name": "u", **fields})


def attempt(**fields):
    return AttemptEntry(**{"timestamp": 0, "upstream_name": "u", "latency_ms": 300, **fields})


def test_a_request_is_counted_with_its_tokens_its_cost_and_its_calls(counted):
    usage = {"input_tokens": 5, "cache_read_tokens": 7, "cache_write_5m_tokens": 1, "cache_write_1h_tokens": 2, "output_tokens": 11}
    failed = attempt(upstream_name="v", outcome=Outcome.FAILED, error_type="connect")
    assert counted(entry(tries=[failed, attempt()], cost=1_500_000_000_000, ttft_ms=80, **usage)) == {
        ("proxy_requests_total", "POST", "/v1/messages", "200", "openai"): 1,
        ("proxy_tokens_total", "u", "m", "input"): 5,
        ("proxy_tokens_total", "u", "m", "cache_read"): 7,
        ("proxy_tokens_total", "u", "m", "cache_write"): 3,
        ("proxy_tokens_total", "u", "m", "output"): 11,
        ("proxy_cost_usd_total", "u", "m"): 1.5,
        ("proxy_upstream_calls_total", "v", "failed", "connect"): 1,
        ("proxy_upstream_calls_total", "u", "finished", ""): 1,
    }


def test_a_request_without_a_price_is_unpriced(counted):
    assert counted(entry(tries=[attempt()]))["proxy_unpriced_requests_total", "u", "m"] == 1


def test_only_limits_of_the_gateway_count_as_rate_limited(counted):
    refused = entry(status_code=429, outcome=Outcome.REJECTED, error_type="rate_limit")
    counts = counted(refused, refused, entry(status_code=429, outcome=Outcome.FAILED, error_type="rate_limit", tries=[attempt()]))
    assert counts["proxy_rate_limited_total",] == 2


def test_names_of_models_have_series_once_they_have_worked_and_up_to_a_bound(counted, monkeypatch):
    monkeypatch.setattr(request_counts, "MAX_MODELS", 1)
    failed = entry(outcome=Outcome.FAILED, tries=[attempt()])
    counts = counted(failed, entry(tries=[attempt()]), failed, entry(model="n", tries=[attempt()]))
    unpriced = {labels[1]: value for (name, *labels), value in counts.items() if name == "proxy_unpriced_requests_total"}
    assert unpriced == {"(unknown)": 1, "m": 2, "(other)": 1}
