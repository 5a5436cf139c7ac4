"""Which headers pass through the plain proxy: all but those about the connection, the client and the keys."""

import pytest

from upstreams.http.headers import plain_downward, plain_upward


@pytest.mark.parametrize(
    "name",
    [
        "Authorization",
        "X-Api-Key",
        "Api-Key",
        "X-Auth-Token",
        "Cookie",
        "X-Forwarded-For",
        "Forwarded",
        "X-Real-IP",
        "Via",
        "User-Agent",
        "Connection",
        "Transfer-Encoding",
        "Content-Length",
        "Host",
        "Accept-Encoding",
        "X-Pxbin-Upstream",
        "X-Stainless-Arch",
        "Sec-Fetch-Mode",
        "Origin",
        "X-Claude-Code-Session-Id",
        "X-Amz-Security-Token",
    ],
)
def test_who_asks_and_how_stays_behind(name):
    assert plain_upward({name: "value"}) == []


@pytest.mark.parametrize(
    "name", ["content-type", "accept", "range", "anthropic-beta", "openai-beta", "if-none-match", "x-custom", "idempotency-key"]
)
def test_what_the_request_means_goes_up(name):
    assert plain_upward({name.title(): "value"}) == [(name, "value")]


@pytest.mark.parametrize("value", ["pxb_123", "Bearer pxb_123", "x pxm_1", "k=PXB_1", "key%3Dpxb%5F1", "x" + "pxb_" + "0a" * 20])
def test_our_keys_stay_behind_whatever_holds_them(value):
    assert plain_upward({"x-custom": value, "idempotency-key": value}) == []


def test_a_token_that_has_the_letters_by_chance_goes_up():
    assert plain_upward({"x-custom": "eyJhpxb_Zci.q-pxm_x"}) == [("x-custom", "eyJhpxb_Zci.q-pxm_x")]


def test_what_comes_down():
    received = {
        "Content-Type": "image/png",
        "ETag": "x",
        "X-Request-Id": "r1",
        "Set-Cookie": "a=b",
        "Content-Encoding": "gzip",
        "Transfer-Encoding": "chunked",
        "Access-Control-Allow-Origin": "*",
        "Server": "theirs",
        "X-RateLimit-Remaining": "1",
    }
    assert plain_downward(received) == [
        ("content-type", "image/png"),
        ("etag", "x"),
        ("x-upstream-request-id", "r1"),
        ("x-ratelimit-remaining", "1"),
    ]
