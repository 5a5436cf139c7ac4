"""The server over real sockets: clients that leave, applications that fail, the end; and websockets."""

import signal
import socket
from pathlib import Path

import pytest

from tests.pxbin_site.server.serving import Served, error_of, read, read_rest, request, served
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow


# Clients that leave.


def test_receive_returns_disconnect_after_the_client_left(server: Served) -> None:
    with server.connect() as client:
        client.sendall(request("/wait"))
        server.until(lambda state: state.get("waiting", 0) == 1)
    server.expect_once("told_gone")


def test_an_application_that_continues_after_its_client_left_is_cancelled(impatient_server: Served) -> None:
    with impatient_server.connect() as client:
        client.sendall(request("/stubborn"))
        impatient_server.until(lambda state: state.get("stubborn", 0) == 1)
    impatient_server.expect_once("stubborn_cancelled")


def test_a_hot_view_is_cancelled_when_its_client_leaves(server: Served) -> None:
    with server.connect() as client:
        client.sendall(request("/v1/wait", method="POST"))
        server.until(lambda state: state.get("hot_waiting", 0) == 1)
    server.expect_once("hot_cancelled_gone")


@pytest.mark.parametrize("leave", ["close", "reset"])
def test_a_client_that_sent_much_ahead_is_noticed_when_it_leaves(leave: str) -> None:
    with served() as server:
        client = server.connect()
        client.sendall(request("/v1/wait", method="POST") + b"G" * 150_000)
        server.until(lambda state: state.get("hot_waiting", 0) == 1)
        if leave == "reset":
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        client.close()
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
        server.until(lambda state: state.get("flooded", 0) > 0)
        assert [server.state() for _ in range(100)][-1]["flooded"] < 20  # for each answer it could have sent a piece
    server.expect_once("floods_closed")


# Applications that fail.


def test_an_internal_error_is_a_500_without_details(server: Served) -> None:
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
        assert not read_rest(client).endswith(b"0\r\n\r\n")


# The end.


def test_a_running_answer_ends_before_the_server_does(tmp_path: Path) -> None:
    end = tmp_path / "end"
    with served() as server:
        with server.connect() as running, server.connect() as idle:
            idle.sendall(request("/echo"))
            assert read(idle).status == 200
            running.sendall(request(f"/held?{end}"))
            running.until(b"begun ")
            server.stop()
            eventually(lambda: refused(server))
            idle.sendall(request("/v1/messages", b"{}", method="POST"))
            answer = read(idle)
            assert (answer.status, answer.json()["error"]["type"]) == (503, "overloaded_error")
            assert answer.headers["connection"] == "close"
            end.touch()
            assert read_rest(running).endswith(b"5\r\nended\r\n0\r\n\r\n")
        assert server.wait_exit() == (0, "down\n")


def refused(server: Served) -> bool:
    try:
        server.connect().close()
    except ConnectionRefusedError:
        return True
    return False


def test_a_response_that_outlasts_the_drain_is_aborted_and_the_hook_still_runs() -> None:
    with served(drain_seconds=0.5) as server:
        with server.connect() as client:
            client.sendall(request("/v1/stream", method="POST"))
            client.recv(65536)
            server.stop()
            assert not read_rest(client).endswith(b"0\r\n\r\n")
        assert server.wait_exit() == (0, "down\n")


def test_a_second_signal_does_not_wait() -> None:
    with served(drain_seconds=3600) as server:
        with server.connect() as client:
            client.sendall(request("/v1/stream", method="POST"))
            client.recv(65536)
            server.stop()
            eventually(lambda: refused(server))
            server.stop(signal.SIGINT)
            read_rest(client)
        assert server.wait_exit() == (0, "down\n")


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
