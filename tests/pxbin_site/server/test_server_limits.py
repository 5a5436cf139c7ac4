"""The server over real sockets: bodies that are too large, and clients that are slow or do not read."""

import socket
from collections.abc import Iterator

import pytest

from tests.pxbin_site.server.serving import MEGA, Client, Served, error_of, read, read_rest, request
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow


# Bodies that are too large.


def send_pieces(client: socket.socket, pieces: Iterator[bytes]) -> None:
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
        send_pieces(client, (b"x" * MEGA for _ in range(40)))
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
        send_pieces(client, (b"f4240\r\n" + b"x" * MEGA + b"\r\n" for _ in range(40)))
        answer = read(client)
    assert error_of(answer) == (413, "Request body too large")
    assert answer.headers["access-control-allow-origin"] == "https://app.example"
    assert server.peak() - before < 40 * MEGA


def test_a_client_that_waits_for_100_continue_is_refused_before_it_sends_the_body(server: Served) -> None:
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


def test_a_client_that_keeps_sending_after_a_refusal_is_disconnected(impatient_server: Served) -> None:
    with impatient_server.connect() as client:
        client.sendall(request("/x", method="POST", headers="content-length: 999999999\r\n"))
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            client.sendall(b"x" * 100 * MEGA)


def test_tiny_chunks_cost_no_more_than_their_bound(impatient_server: Served) -> None:
    answer = impatient_server.ask(
        request("/x", method="POST", headers="transfer-encoding: chunked\r\n") + (b"1" + b" " * 900 + b"\r\na\r\n") * 100
    )
    assert error_of(answer) == (400, "Too much overhead in chunks")


# Slow clients.


def test_a_head_that_never_ends_is_refused(impatient_server: Served) -> None:
    with impatient_server.connect() as client:
        client.sendall(b"POST /v1/messages HTTP/1.1\r\nhost: x\r\n")
        answer = read(client)
        assert (answer.status, answer.json()["error"]["message"]) == (408, "The request head did not arrive in time")
        assert read_rest(client) == b""


def answer_after(client: Client, drop: bytes) -> bytes:
    """The bytes that arrive within a tenth of a second after this was sent."""
    try:
        client.sendall(drop)
        return client.recv(65536)
    except TimeoutError:
        return b""


def test_a_head_that_arrives_too_slowly_is_refused(impatient_server: Served) -> None:
    with impatient_server.connect() as client:
        client.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n")
        client.settimeout(0.1)
        assert eventually(lambda: answer_after(client, b"a: b\r\n")).startswith(b"HTTP/1.1 408 ")


def test_a_body_that_stalls_is_refused(impatient_server: Served) -> None:
    answer = impatient_server.ask(request("/x", method="POST", headers="content-length: 10\r\n") + b"abc")
    assert error_of(answer) == (408, "The request body did not arrive in time")


def test_a_body_that_arrives_too_slowly_is_refused(impatient_server: Served) -> None:
    with impatient_server.connect() as client:
        client.sendall(request("/x", method="POST", headers="content-length: 900\r\n"))
        client.settimeout(0.1)
        assert eventually(lambda: answer_after(client, b"a")).startswith(b"HTTP/1.1 408 ")


def test_an_idle_connection_is_closed_without_a_response(impatient_server: Served) -> None:
    with impatient_server.connect() as client, impatient_server.connect() as silent:
        client.sendall(request("/echo"))
        read(client)
        assert client.recv(1) == b""
        assert silent.recv(1) == b""


def test_too_many_headers_of_a_hasty_server(impatient_server: Served) -> None:
    assert impatient_server.ask(request("/x", headers="a: b\r\n" * 30)).status == 431
    assert impatient_server.ask(request("/x", headers=f"a: {'b' * 5000}\r\n")).status == 431


# Clients that do not read.


def test_an_application_waits_for_a_client_that_does_not_read(server: Served) -> None:
    with server.connect(receive_buffer=4096) as client:
        before = server.memory()
        client.sendall(request("/megabytes?200"))
        server.until(lambda state: state.get("megabytes", 0) > 0)
        assert [server.state() for _ in range(100)][-1]["megabytes"] < 20  # for each answer it could have sent a piece
        assert server.memory() - before < 20 * MEGA
        assert len(read(client).body) == 200 * MEGA
    assert server.state()["megabytes"] == 200


def test_a_client_that_never_reads_is_disconnected(impatient_server: Served) -> None:
    with impatient_server.connect(receive_buffer=4096) as client:
        client.sendall(request("/v1/flood", method="POST"))
        state = impatient_server.until(lambda state: state.get("floods_closed", 0) == 1)
        assert state["flooded"] < 20


def test_a_client_that_pipelines_and_never_reads_is_not_read_further(server: Served) -> None:
    before = server.memory()
    big = request("/echo", b"x" * MEGA, method="POST")
    client = server.connect(receive_buffer=4096)
    client.settimeout(1.0)
    with client, pytest.raises(TimeoutError):
        client.sendall(big * 100)
    assert server.memory() - before < 30 * MEGA
