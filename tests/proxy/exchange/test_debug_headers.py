"""The gateway's own reply headers."""

import json
from time import perf_counter_ns

from proxy.exchange import debug_headers
from proxy.exchange.http_request import HttpRequest


def test_a_trace_is_one_line_of_ascii_that_json_reads_back() -> None:
    chosen = [{"upstream": "a", "chosen": "strategy latency"}]
    skips = [{"upstream": "Zürich \U0001f600\n", "skipped": "cooling for 3.0 s"}]
    trace = debug_headers.decision([], [*chosen, *skips])
    assert trace.isascii()
    assert "\n" not in trace
    assert json.loads(trace) == {"tried": [], "chosen": chosen, "skipped": skips}


def test_a_trace_is_bounded() -> None:
    assert len(debug_headers.decision([], [{"skipped": "x" * 10_000}])) == debug_headers.MAX_DECISION


def test_names_cannot_break_a_header() -> None:
    assert debug_headers.printable("a\r\nset-cookie: b é") == "a??set-cookie: b ?"


def test_a_request_that_called_nobody_names_the_model_that_it_asked_for_if_it_did() -> None:
    request = HttpRequest(method="POST", path="/", request_id="r", started_ns=perf_counter_ns())
    for model, named in (("", {}), ("ü" * 999, {"x-pxbin-model": "?" * 256})):
        values = dict(debug_headers.headers([], request=request, model=model))
        assert 0 <= float(values.pop("x-pxbin-overhead-ms")) < 1000
        assert values == {"x-pxbin-request-id": "r", "x-pxbin-attempts": "0", **named}
