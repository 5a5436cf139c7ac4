"""The server over real sockets: requests and answers, and what is malformed."""

import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.pxbin_site.server.serving import Served, chunk, error_of, read, read_rest, request

pytestmark = pytest.mark.slow


# Requests and answers.


def test_a_request_is_answered_and_the_connection_kept(server: Served) -> None:
    with server.connect() as client:
        for body in (b"one", b"two"):
            client.sendall(request("/echo?a=b", body, method="POST"))
            answer = read(client)
            assert (answer.status, answer.body, answer.headers["x-seen-query"]) == (200, body, "a=b")
            assert answer.headers["server"] == "pxbin"
            assert "connection" not in answer.headers


def test_the_scope_says_what_was_asked(server: Served) -> None:
    response = server.ask(request("/scope%2Fx?q", method="PUT", headers="X-One: 1\r\nX-Two:   spaced \t\r\nx_forged: 1\r\n"))
    assert response.headers["x-seen-path"] == "/scope/x"
    scope = server.ask(b"PUT http://other/scope?q HTTP/1.1\r\nHost: other\r\nX-Two:   spaced \t\r\nx_forged: 1\r\n\r\n").json()
    assert scope == {
        "http_version": "1.1",
        "method": "PUT",
        "path": "/scope",
        "raw_path": "/scope",
        "scheme": "http",
        "headers": [["host", "other"], ["x-two", "spaced"]],
    }


def test_pipelined_requests_are_answered_in_order(server: Served) -> None:
    with server.connect() as client:
        client.sendall(b"".join(request(f"/p{number}", b"%d" % number, method="POST") for number in range(50)))
        assert [read(client).body for _ in range(50)] == [b"%d" % number for number in range(50)]


def test_pipelined_requests_survive_every_cut(server: Served) -> None:
    bodies = [b"%d " % number * (number % 700) for number in range(2000)]
    request_bytes = b"".join(request("/echo", body or b"-", method="POST") for body in bodies)
    with server.connect() as client, ThreadPoolExecutor(1) as sender:
        sender.submit(client.sendall, request_bytes)
        assert [read(client).body for _ in bodies] == [body or b"-" for body in bodies]


def test_a_request_in_single_bytes_is_the_same_request(server: Served) -> None:
    with server.connect() as client:
        for byte in b"POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nx-t: 1\r\n\r\n":
            client.sendall(bytes([byte]))
            time.sleep(0.0002)
        assert read(client).body == b"abcde"


def test_a_chunked_body_and_the_next_request_in_one_write(server: Served) -> None:
    chunked = request("/a", method="POST", headers="transfer-encoding: chunked\r\n") + b"3\r\nabc\r\n0\r\n\r\n"
    with server.connect() as client:
        client.sendall(chunked + chunked + request("/b"))
        assert [read(client).body for _ in range(3)] == [b"abc", b"abc", b""]


def test_a_megabyte_is_forwarded_unchanged(server: Served) -> None:
    body = bytes(range(256)) * 8000
    assert server.ask(request("/echo", body, method="POST")).body == body


def test_head_has_the_length_and_no_body(server: Served) -> None:
    with server.connect() as client:
        client.sendall(request("/state", method="HEAD") + request("/echo"))
        answer = read(client, method="HEAD")
        assert (answer.status, answer.body) == (200, b"")
        assert int(answer.headers["content-length"]) > 0
        assert read(client).status == 200


def test_no_content_has_no_length(server: Served) -> None:
    with server.connect() as client:
        client.sendall(request("/nothing") + request("/echo"))
        answer = read(client)
        assert (answer.status, answer.headers.get("content-length")) == (204, None)
        assert read(client).status == 200


def test_a_stream_is_chunked_and_comes_piece_by_piece(server: Served) -> None:
    with server.connect() as client:
        client.sendall(request("/steps"))
        assert b"transfer-encoding: chunked" in client.until(b"\r\n\r\n")
        assert chunk(client) == b"0"
        for number in (b"1", b"2"):  # neither is written before the one before it has come
            server.ask(request("/step"))
            assert chunk(client) == number
        assert chunk(client) == b""


def test_http_1_0_gets_its_body_and_a_close(server: Served) -> None:
    with server.connect() as client:
        client.sendall(b"GET /slow HTTP/1.0\r\n\r\n")
        answer = read_rest(client)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in head
    assert b"connection: close" in head
    assert body == b"0123456789"


def test_http_1_0_keeps_the_connection_when_asked(server: Served) -> None:
    with server.connect() as client:
        for _ in range(2):
            client.sendall(b"POST /echo HTTP/1.0\r\nconnection: keep-alive\r\ncontent-length: 1\r\n\r\na")
            answer = read(client)
            assert (answer.body, answer.headers["connection"]) == (b"a", "keep-alive")


def test_connection_close_closes(server: Served) -> None:
    with server.connect() as client:
        client.sendall(request("/echo", headers="Connection: close\r\n"))
        assert read(client).headers["connection"] == "close"
        assert client.recv(1) == b""


def test_a_client_that_waits_for_100_continue_gets_it(server: Served) -> None:
    with server.connect() as client:
        client.sendall(request("/echo", method="POST", headers="expect: 100-continue\r\ncontent-length: 3\r\n"))
        assert client.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"abc")
        assert read(client).body == b"abc"


def test_a_client_that_closes_its_side_after_the_request_gets_a_quick_answer(server: Served) -> None:
    with server.connect() as client:
        client.sendall(request("/echo", b"abc", method="POST"))
        client.shutdown(socket.SHUT_WR)
        assert read(client).body == b"abc"


def test_tcp_has_no_delay(server: Served) -> None:
    """A delayed acknowledgement would cost 40 ms for each answer."""
    with server.connect() as client:
        client.sendall(request("/delays"))
        delays = read(client).json()
    assert delays
    assert not any(delays)


# Malformed requests.


@pytest.mark.parametrize(
    ("raw", "status", "message"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400, "Malformed request line"),
        (b"GET /\r\n\r\n", 400, "Malformed request line"),
        (b"GET  / HTTP/1.1\r\nhost: x\r\n\r\n", 400, "Malformed request line"),
        (b"GET / HTTP/2.0\r\nhost: x\r\n\r\n", 505, "HTTP version not supported"),
        (b"GET / HTTP/1.1\r\n\r\n", 400, "Missing Host header field"),
        (b"GET nowhere HTTP/1.1\r\nhost: x\r\n\r\n", 400, "Malformed request target"),
        (b"GET /a%zz HTTP/1.1\r\nhost: x\r\n\r\n", 400, "Malformed percent-encoding in the path"),
        (b"GET /a%00 HTTP/1.1\r\nhost: x\r\n\r\n", 400, "Malformed percent-encoding in the path"),
        (b"GET /%ff%fe HTTP/1.1\r\nhost: x\r\n\r\n", 400, "The path is not valid UTF-8"),
        (b"GET /\xff HTTP/1.1\r\nhost: x\r\n\r\n", 400, "Malformed request line"),
        (b"GET / HTTP/1.1\r\nhost: x\r\nno colon\r\n\r\n", 400, "Malformed header field"),
        (b"GET / HTTP/1.1\r\nhost: x\r\nspace : y\r\n\r\n", 400, "Malformed header field"),
        (b"GET / HTTP/1.1\r\nhost: x\r\n folded\r\n\r\n", 400, "Malformed header field"),
        (b"GET / HTTP/1.1\r\nhost: x\r\na: \x00\r\n\r\n", 400, "Malformed header field"),
        (b"GET / HTTP/1.1\nhost: x\r\n\r\n", 400, "Malformed request line"),
        (b"GET / HTTP/1.1\r\nhost: x\r\na: b\nc: d\r\n\r\n", 400, "Malformed header field"),
        (b"GET / HTTP/1.1\r\nhost: x\r\nhost: y\r\n\r\n", 400, "Repeated header field host"),
        (b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n", 400, "Malformed Content-Length"),
        (b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1, 1\r\n\r\na", 400, "Malformed Content-Length"),
        (b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\na", 400, "Repeated header field content-length"),
        (
            b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\na",
            400,
            "Both Content-Length and Transfer-Encoding",
        ),
        (b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: gzip, chunked\r\n\r\n", 501, "Transfer-Encoding not supported"),
        (b"POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n", 400, "Transfer-Encoding in HTTP/1.0"),
        (b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n", 400, "Malformed chunk size"),
        (b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n-1\r\n", 400, "Malformed chunk size"),
        (b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n1\r\nab", 400, "Malformed chunk"),
        (b"GET /" + b"a" * 17000 + b" HTTP/1.1\r\nhost: x\r\n\r\n", 414, "Request target too long"),
        (b"GET / HTTP/1.1\r\nhost: x\r\na: " + b"b" * 70000 + b"\r\n\r\n", 431, "Request header fields too large"),
        (b"GET / HTTP/1.1\r\nhost: x\r\n" + b"a: b\r\n" * 300 + b"\r\n", 431, "Too many header fields"),
    ],
)
def test_malformed_requests_are_refused_with_a_reason(server: Served, raw: bytes, status: int, message: str) -> None:
    answer = server.ask(raw)
    assert error_of(answer) == (status, message)
    assert answer.headers["connection"] == "close"


def test_the_server_still_serves_afterwards(server: Served) -> None:
    assert server.ask(request("/echo", b"fine", method="POST")).body == b"fine"
