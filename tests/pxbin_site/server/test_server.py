"""The server over real sockets: what clients do to it, and what it costs."""

import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.pxbin_site.server.serving import Answer, Client, Served, chunk, read, request, rest, served
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow

MEGA = 1_000_000


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    with served(cors_origins=["https://app.example"]) as running:
        yield running


@pytest.fixture(scope="module")
def hasty() -> Iterator[Served]:
    """A server with short time limits and low bounds."""
    limits = {
        "header_timeout": 1.0,
        "body_timeout": 1.0,
        "idle_timeout": 1.0,
        "write_stall": 1.0,
        "linger_seconds": 1.0,
        "application_close": 0.5,
        "max_body_bytes": 1000,
        "max_head_bytes": 4000,
        "max_headers": 20,
        "linger_bytes": 10 * MEGA,
    }
    with served(limits=limits) as running:
        yield running


def error_of(answer: Answer) -> tuple[int, str]:
    """Status and message of an OpenAI-shaped error."""
    return answer.status, answer.json()["error"]["message"]


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
    told = server.ask(request("/scope%2Fx?q", method="PUT", headers="X-One: 1\r\nX-Two:   spaced \t\r\nx_forged: 1\r\n"))
    assert told.headers["x-seen-path"] == "/scope/x"
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
    everything = b"".join(request("/echo", body or b"-", method="POST") for body in bodies)
    with server.connect() as client, ThreadPoolExecutor(1) as sender:
        sender.submit(client.sendall, everything)
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


def test_a_megabyte_goes_through_unchanged(server: Served) -> None:
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
        answer = rest(client)
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
def test_malformed_requests_are_refused_in_words(server: Served, raw: bytes, status: int, message: str) -> None:
    answer = server.ask(raw)
    assert error_of(answer) == (status, message)
    assert answer.headers["connection"] == "close"


def test_the_server_is_well_after_all_that(server: Served) -> None:
    assert server.ask(request("/echo", b"fine", method="POST")).body == b"fine"


# Bodies that are too large.


def sent(client: socket.socket, pieces: Iterator[bytes]) -> None:
    """Send until the server stops reading."""
    try:
        for piece in pieces:
            client.sendall(piece)
    except (BrokenPipeError, ConnectionResetError):
        return


def test_a_declared_40_mb_body_is_refused_at_once_and_costs_no_memory(server: Served) -> None:
    before = server.peak()
    with server.connect() as client:
        client.sendall(request("/v1/messages", method="POST", headers=f"content-length: {40 * MEGA}\r\n"))
        sent(client, (b"x" * MEGA for _ in range(40)))
        answer = read(client)
    assert answer.status == 413
    assert answer.json() == {
        "type": "error",
        "error": {"type": "request_too_large", "message": "Request body too large"},
        "request_id": answer.headers["request-id"],
    }
    assert answer.headers["x-request-id"] == answer.headers["request-id"]
    assert server.peak() - before < 8 * MEGA


def test_a_chunked_40_mb_body_is_refused_when_the_limit_is_reached(server: Served) -> None:
    server.ask(request("/echo", b"x" * 33 * MEGA, method="POST"))  # the allowed size costs what it costs
    before = server.peak()
    with server.connect() as client:
        client.sendall(
            request("/v1/chat/completions", method="POST", headers="transfer-encoding: chunked\r\norigin: https://app.example\r\n")
        )
        sent(client, (b"f4240\r\n" + b"x" * MEGA + b"\r\n" for _ in range(40)))
        answer = read(client)
    assert error_of(answer) == (413, "Request body too large")
    assert answer.headers["access-control-allow-origin"] == "https://app.example"
    assert server.peak() - before < 40 * MEGA


def test_a_client_that_asks_first_is_spared_the_upload(server: Served) -> None:
    with server.connect() as client:
        client.sendall(request("/v1/responses", method="POST", headers=f"expect: 100-continue\r\ncontent-length: {40 * MEGA}\r\n"))
        assert error_of(read(client)) == (413, "Request body too large")


def test_a_body_below_the_limit_never_touches_the_disk(server: Served) -> None:
    with server.connect() as client:
        before = server.open_files()
        client.sendall(request("/echo", method="POST", headers=f"content-length: {30 * MEGA}\r\n"))
        client.sendall(b"x" * 29 * MEGA)
        eventually(lambda: server.memory() > 29 * MEGA)
        assert server.open_files() == before
        client.sendall(b"x" * MEGA)
        assert len(read(client).body) == 30 * MEGA


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/v1/keys", {"error": {"type": "invalid_request", "message": "Request body too large"}}),
        ("/model/m/invoke", {"message": "Request body too large"}),
        (
            "/v1/chat/completions",
            {
                "error": {
                    "message": "Request body too large",
                    "type": "invalid_request_error",
                    "param": None,
                    "code": "request_too_large",
                }
            },
        ),
    ],
)
def test_the_refusal_has_the_shape_of_the_path(server: Served, path: str, body: object) -> None:
    answer = server.ask(request(path, method="POST", headers=f"content-length: {40 * MEGA}\r\n"))
    assert (answer.status, answer.json()) == (413, body)


def test_a_client_that_sends_on_and_on_after_a_refusal_is_cut(hasty: Served) -> None:
    with hasty.connect() as client:
        client.sendall(request("/x", method="POST", headers="content-length: 999999999\r\n"))
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            client.sendall(b"x" * 100 * MEGA)


def test_tiny_chunks_cost_no_more_than_their_bound(hasty: Served) -> None:
    answer = hasty.ask(request("/x", method="POST", headers="transfer-encoding: chunked\r\n") + (b"1" + b" " * 900 + b"\r\na\r\n") * 100)
    assert error_of(answer) == (400, "Too much overhead in chunks")


# Slow clients.


def test_a_head_that_never_ends_is_refused(hasty: Served) -> None:
    with hasty.connect() as client:
        client.sendall(b"POST /v1/messages HTTP/1.1\r\nhost: x\r\n")
        answer = read(client)
        assert (answer.status, answer.json()["error"]["message"]) == (408, "The request head did not arrive in time")
        assert rest(client) == b""


def answer_after(client: Client, drop: bytes) -> bytes:
    """What comes within a tenth of a second after this was sent."""
    try:
        client.sendall(drop)
        return client.recv(65536)
    except TimeoutError:
        return b""


def test_a_head_that_drips_is_refused_all_the_same(hasty: Served) -> None:
    with hasty.connect() as client:
        client.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n")
        client.settimeout(0.1)
        assert eventually(lambda: answer_after(client, b"a: b\r\n")).startswith(b"HTTP/1.1 408 ")


def test_a_body_that_stalls_is_refused(hasty: Served) -> None:
    answer = hasty.ask(request("/x", method="POST", headers="content-length: 10\r\n") + b"abc")
    assert error_of(answer) == (408, "The request body did not arrive in time")


def test_a_body_that_drips_is_refused(hasty: Served) -> None:
    with hasty.connect() as client:
        client.sendall(request("/x", method="POST", headers="content-length: 900\r\n"))
        client.settimeout(0.1)
        assert eventually(lambda: answer_after(client, b"a")).startswith(b"HTTP/1.1 408 ")


def test_an_idle_connection_is_closed_without_a_word(hasty: Served) -> None:
    with hasty.connect() as client, hasty.connect() as silent:
        client.sendall(request("/echo"))
        read(client)
        assert client.recv(1) == b""
        assert silent.recv(1) == b""


def test_too_many_headers_of_a_hasty_server(hasty: Served) -> None:
    assert hasty.ask(request("/x", headers="a: b\r\n" * 30)).status == 431
    assert hasty.ask(request("/x", headers=f"a: {'b' * 5000}\r\n")).status == 431


# Clients that do not read.


def test_a_client_that_does_not_read_holds_the_application_back(server: Served) -> None:
    with server.connect(receive_buffer=4096) as client:
        before = server.memory()
        client.sendall(request("/megabytes?200"))
        server.until(lambda state: state.get("megabytes", 0) > 0)
        counts = [0]
        eventually(lambda: counts.append(server.state()["megabytes"]) or time.sleep(0.2) or counts[-1] == counts[-2])
        assert counts[-1] < 20
        assert server.memory() - before < 20 * MEGA
        assert len(read(client).body) == 200 * MEGA
    assert server.state()["megabytes"] == 200


def test_a_client_that_never_reads_is_cut(hasty: Served) -> None:
    with hasty.connect(receive_buffer=4096) as client:
        client.sendall(request("/v1/flood", method="POST"))
        state = hasty.until(lambda state: state.get("floods_closed", 0) == 1)
        assert state["flooded"] < 20


def test_a_client_that_pipelines_and_never_reads_is_held_back_too(server: Served) -> None:
    before = server.memory()
    big = request("/echo", b"x" * MEGA, method="POST")
    client = server.connect(receive_buffer=4096)
    client.settimeout(1.0)
    with client, pytest.raises(TimeoutError):
        client.sendall(big * 100)
    assert server.memory() - before < 30 * MEGA


# Clients that leave.


def test_an_application_learns_from_receive_that_its_client_left(server: Served) -> None:
    with server.connect() as client:
        client.sendall(request("/wait"))
        server.until(lambda state: state.get("waiting", 0) == 1)
    server.expect_once("told_gone")


def test_an_application_that_goes_on_without_its_client_is_cancelled(hasty: Served) -> None:
    with hasty.connect() as client:
        client.sendall(request("/stubborn"))
        hasty.until(lambda state: state.get("stubborn", 0) == 1)
    hasty.expect_once("stubborn_cancelled")


def test_a_hot_view_is_cancelled_when_its_client_leaves(server: Served) -> None:
    with server.connect() as client:
        client.sendall(request("/v1/wait", method="POST"))
        server.until(lambda state: state.get("hot_waiting", 0) == 1)
    server.expect_once("hot_cancelled_gone")


@pytest.mark.parametrize("leave", ["close", "reset", "half"])
def test_a_stream_is_closed_when_its_client_leaves(leave: str) -> None:
    with served() as server:
        client = server.connect()
        client.sendall(request("/v1/stream", method="POST"))
        assert b"data: piece" in client.recv(65536) + client.recv(65536)
        if leave == "reset":
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        if leave == "half":
            client.shutdown(socket.SHUT_WR)
        else:
            client.close()
        server.until(lambda state: state.get("pieces_closed", 0) == 1)
        client.close()


def test_a_stream_is_closed_when_its_client_leaves_while_we_wait_for_it_to_read(server: Served) -> None:
    with server.connect(receive_buffer=4096) as client:
        client.sendall(request("/v1/flood", method="POST"))
        counts = [0]
        eventually(lambda: counts.append(server.state().get("flooded", 0)) or time.sleep(0.2) or (counts[-1] and counts[-1] == counts[-2]))
    server.expect_once("floods_closed")


# Applications that fail.


def test_a_defect_is_a_500_that_tells_nothing(server: Served) -> None:
    answer = server.ask(request("/v1/messages/broken"))
    assert answer.status == 500
    assert answer.json()["error"] == {"type": "api_error", "message": "Internal server error"}
    assert error_of(server.ask(request("/broken"))) == (500, "Internal server error")
    assert error_of(server.ask(request("/forgetful"))) == (500, "Internal server error")
    assert error_of(server.ask(request("/splitter"))) == (500, "Internal server error")


@pytest.mark.parametrize("path", ["/broken-later", "/liar"])
def test_a_body_that_breaks_off_does_not_look_complete(server: Served, path: str) -> None:
    with server.connect() as client:
        client.sendall(request(path))
        assert not rest(client).endswith(b"0\r\n\r\n")


# The end.


def test_a_running_answer_ends_before_the_server_does(tmp_path: Path) -> None:
    end = tmp_path / "end"
    with served() as server:
        with server.connect() as running, server.connect() as kept:
            kept.sendall(request("/echo"))
            assert read(kept).status == 200
            running.sendall(request(f"/held?{end}"))
            running.until(b"begun ")
            server.stop()
            eventually(lambda: refused(server))
            kept.sendall(request("/v1/messages", b"{}", method="POST"))
            answer = read(kept)
            assert (answer.status, answer.json()["error"]["type"]) == (503, "overloaded_error")
            assert answer.headers["connection"] == "close"
            end.touch()
            assert rest(running).endswith(b"5\r\nended\r\n0\r\n\r\n")
        assert server.ended() == (0, "down\n")


def refused(server: Served) -> bool:
    try:
        server.connect().close()
    except ConnectionRefusedError:
        return True
    return False


def test_what_outlasts_the_drain_is_cut_and_the_hook_still_runs() -> None:
    with served(drain_seconds=0.5) as server:
        with server.connect() as client:
            client.sendall(request("/v1/stream", method="POST"))
            client.recv(65536)
            server.stop()
            assert not rest(client).endswith(b"0\r\n\r\n")
        assert server.ended() == (0, "down\n")


def test_a_second_signal_does_not_wait() -> None:
    with served(drain_seconds=3600) as server:
        with server.connect() as client:
            client.sendall(request("/v1/stream", method="POST"))
            client.recv(65536)
            server.stop()
            eventually(lambda: refused(server))
            server.stop(signal.SIGINT)
            rest(client)
        assert server.ended() == (0, "down\n")


# Websockets.

HANDSHAKE = "upgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n"


def test_websockets_still_work(server: Served) -> None:
    with server.connect() as client:
        client.sendall(request("/live", headers=HANDSHAKE))
        head = client.recv(65536)
        assert head.startswith(b"HTTP/1.1 101 ")
        assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head
        client.sendall(b"\x81\x85\0\0\0\0hello")
        assert client.recv(100) == b"\x81\x05HELLO"
    server.until(lambda state: state.get("websocket_closed", 0) == 1)
