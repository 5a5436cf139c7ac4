"""What a request head means, and what is refused because two readers could understand it differently."""

import pytest

from pxbin_site.server.http1.head import Head, RefusedError, parse, path_of


def head(*lines: str, target: str = "/", method: str = "GET", version: str = "1.1") -> Head:
    block = "\r\n".join([f"{method} {target} HTTP/{version}", *(["host: x"] if version == "1.1" else []), *lines])
    return parse(block.encode("latin-1"), max_target=1000, max_headers=10)


def refused(*lines: str, **parts: str) -> tuple[int, str]:
    with pytest.raises(RefusedError) as caught:
        head(*lines, **parts)
    return caught.value.status, caught.value.message


def test_the_target_is_split_and_the_path_decoded() -> None:
    parsed = head(target="/model/a%2Fb%3A1/%C3%A9?q=%41&r")
    assert (parsed.path, parsed.raw_path, parsed.query) == ("/model/a/b:1/é", b"/model/a%2Fb%3A1/%C3%A9", b"q=%41&r")


@pytest.mark.parametrize(("target", "path"), [("http://host/a?b", "/a"), ("HTTPS://host", "/"), ("http://host?b", "/")])
def test_an_absolute_target_is_its_path(target: str, path: str) -> None:
    assert head(target=target).path == path


def test_the_asterisk_is_for_options_alone() -> None:
    assert head(target="*", method="OPTIONS").path == "*"
    assert refused(target="*") == (400, "Malformed request target")


def test_names_are_lowered_values_stripped_and_order_kept() -> None:
    parsed = head("B: 1", "a:\t2 ", "B: 3", "empty:", "uni: \xe9")
    assert parsed.headers == [(b"host", b"x"), (b"b", b"1"), (b"a", b"2"), (b"b", b"3"), (b"empty", b""), (b"uni", b"\xe9")]


def test_names_with_underscores_are_dropped() -> None:
    assert head("x_forwarded_for: 1").headers == [(b"host", b"x")]


@pytest.mark.parametrize(
    ("lines", "version", "expected"),
    [
        ([], "1.1", True),
        (["connection: close"], "1.1", False),
        (["connection: x, Close"], "1.1", False),
        (["connection: x", "connection: close"], "1.1", False),
        ([], "1.0", False),
        (["connection: Keep-Alive"], "1.0", True),
    ],
)
def test_whether_the_connection_stays(lines: list[str], version: str, expected: bool) -> None:
    assert head(*lines, version=version).keep_alive is expected


def test_the_framing_of_the_body() -> None:
    assert head().length == 0
    assert head("content-length: 12").length == 12
    assert head("transfer-encoding: Chunked").length is None
    assert head("content-length: 12", "expect: 100-Continue").expects_continue
    assert not head("content-length: 12", "expect: 100-continue", version="1.0").expects_continue


def test_an_upgrade_needs_both_headers() -> None:
    assert head("connection: keep-alive, Upgrade", "upgrade: WebSocket").upgrade == b"websocket"
    assert head("upgrade: websocket").upgrade == b""


@pytest.mark.parametrize(
    "line", ["content-length: +1", "content-length: 1_0", "content-length: 0x1", "content-length: ", "content-length: \xb2"]
)
def test_a_length_is_digits(line: str) -> None:
    assert refused(line) == (400, "Malformed Content-Length")


@pytest.mark.parametrize("line", ["a", ": b", "a b: c", "a\t: b", "a: \x7f", "a: \x01", "\xe9: b", "a(: b"])
def test_a_field_is_a_token_a_colon_and_text(line: str) -> None:
    assert refused(line) == (400, "Malformed header field")


def test_bounds() -> None:
    assert refused(*["a: b"] * 10) == (431, "Too many header fields")
    assert refused(target="/" + "a" * 1000) == (414, "Request target too long")


def test_the_path_of_a_refused_head_is_found_where_there_is_one() -> None:
    assert path_of(b"POST /v1/messages?x HTTP/9\r\n") == "/v1/messages"
    assert path_of(b"\x16\x03\x01") == ""
