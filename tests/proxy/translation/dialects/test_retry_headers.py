"""The response headers by which clients decide whether to try again."""

import pytest

from proxy.translation.dialects.error_detail import retry_headers
from upstreams.http.headers import downward


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Retry-After", "7"),
        ("Retry-After", "0.5"),
        ("Retry-After", "Wed, 21 Oct 2015 07:28:00 GMT"),
        ("Retry-After-Ms", "1500"),
        ("X-Should-Retry", "false"),
    ],
)
def test_a_readable_value_is_passed_on(name, value):
    assert retry_headers({name: value, "x": "y"}) == {name.lower(): value}
    assert downward({name: value}) == [(name.lower(), value)]


@pytest.mark.parametrize("value", ["inf", "-1", "1_000", "", "soon", "Wed, 21 Oct 2015 07:28:00 +9999999999999", "9" * 40, "1\n"])
def test_a_value_that_no_client_can_read_is_left_out(value):
    assert retry_headers({"Retry-After": value, "retry-after-ms": value, "x-should-retry": value}) == {}
    assert downward({"Retry-After": value}) == []
