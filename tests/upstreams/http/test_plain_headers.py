"""Which headers pass through the plain proxy: all but those about the connection, the client and the keys."""

import pytest

from upstreams.http.headers import inert, plain_downward, plain_upward


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
def test_headers_about_the_client_are_not_forwarded(name):
    assert plain_upward({name: "value"}) == []


@pytest.mark.parametrize(
    "name", ["content-type", "accept", "range", "anthropic-beta", "openai-beta", "if-none-match", "x-custom", "idempotency-key"]
)
def test_what_the_request_means_goes_up(name):
    assert plain_upward({name.title(): "value"}) == [(name, "value")]


@pytest.mark.parametrize("value", ["pxb_123", "Bearer pxb_123", "x pxm_1", "k=PXB_1", "key%3Dpxb%5F1", "x" + "pxb_" + "0a" * 20])
def test_pxbin_keys_in_any_header_are_not_forwarded(value):
    assert plain_upward({"x-custom": value, "idempotency-key": value}) == []


def test_a_token_that_has_the_letters_by_chance_goes_up():
    assert plain_upward({"x-custom": "eyJhpxb_Zci.q-pxm_x"}) == [("x-custom", "eyJhpxb_Zci.q-pxm_x")]


def test_response_headers_that_reach_the_client():
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


@pytest.mark.parametrize(
    "name",
    [
        "Clear-Site-Data", "Content-Security-Policy", "Content-Security-Policy-Report-Only", "Cross-Origin-Opener-Policy",
        "Cross-Origin-Resource-Policy", "Link", "NEL", "Origin-Agent-Cluster", "Permissions-Policy", "Referrer-Policy", "Refresh",
        "Report-To", "Reporting-Endpoints", "Service-Worker-Allowed", "Set-Cookie", "Set-Login", "SourceMap", "Speculation-Rules",
        "Strict-Transport-Security", "WWW-Authenticate", "X-Content-Type-Options", "X-Frame-Options", "Access-Control-Allow-Origin",
    ],
)  # fmt: skip
def test_headers_of_an_upstream_that_control_browsers_are_removed(name):
    assert plain_downward({name: "value", "X-Custom": "value"}) == [("x-custom", "value")]


@pytest.mark.parametrize(
    ("status", "names"), [(200, ["location"]), (201, ["location"]), (301, []), (302, []), (307, []), (399, []), (400, ["location"])]
)
def test_a_redirect_comes_without_its_address(status, names):
    assert [name for name, _ in plain_downward({"Location": "/admin/logout/"}, status=status)] == names


@pytest.mark.parametrize(
    "content_type",
    [
        "text/html", "TEXT/HTML; charset=utf-8", " text/html", "application/json, text/html", "application/xhtml+xml", "image/svg+xml",
        "text/xml", "application/xml", "application/rss+xml", "application/mathml+xml", "text/xsl", "application/pdf", "text/css",
        "multipart/x-mixed-replace; boundary=x", "multipart/related", "message/rfc822", "application/wasm",
    ],
)  # fmt: skip
def test_a_document_that_a_browser_would_run_is_downloaded(content_type):
    headers = [("content-type", content_type), ("content-disposition", "inline; filename=a.html"), ("etag", "x")]
    assert inert(headers) == [("content-type", content_type), ("etag", "x"), ("content-disposition", "attachment")]


@pytest.mark.parametrize(
    "content_type",
    ["text/javascript", "application/javascript", "application/x-javascript; charset=utf-8", "text/ecmascript", "text/jscript"],
)
def test_a_script_is_plain_text(content_type):
    assert inert([("content-type", content_type), ("etag", "x")]) == [("content-type", "text/plain; charset=utf-8"), ("etag", "x")]


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json", "text/plain; charset=utf-8", "text/event-stream", "image/png", "audio/mpeg", "video/mp4",
        "application/x-ndjson", "application/octet-stream", "multipart/form-data; boundary=html", "application/vnd.amazon.eventstream",
    ],
)  # fmt: skip
def test_what_no_browser_runs_stays_as_it_is(content_type):
    headers = [("content-type", content_type), ("content-disposition", "inline; filename=a")]
    assert inert(headers) == headers
