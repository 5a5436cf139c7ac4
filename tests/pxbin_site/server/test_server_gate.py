"""The server over real sockets: bodies that are refused from the head, and the memory that bodies share."""

from collections.abc import Iterator

import pytest

from tests.pxbin_site.server.serving import MEGA, Client, Served, error_of, read, read_rest, request, served
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def small_server() -> Iterator[Served]:
    """A server with little memory for bodies."""
    with served(limits={"max_keyless_bytes": 100_000, "max_buffered_bytes": 300_000}) as running:
        yield running


def head(size: int, *, key: str = "", path: str = "/gated", more_headers: str = "") -> bytes:
    return request(path, method="POST", headers=f"content-length: {size}\r\n{f'key: {key}' if key else 'x: y'}\r\n{more_headers}")


def started_request(server: Served, size: int, sent_size: int, **options: str) -> Client:
    """A connection with a request of ``size`` bytes, of which ``sent`` are sent."""
    client = server.connect()
    client.sendall(head(size, **options))
    client.sendall(b"x" * sent_size)
    return client


@pytest.mark.parametrize("more_headers", ["", "expect: 100-continue\r\n"])
def test_a_body_without_a_valid_key_is_refused_before_it_is_sent(server: Served, more_headers: str) -> None:
    with server.connect() as client:
        client.sendall(head(1000, key="wrong", more_headers=more_headers))
        answer = read(client)
        assert (answer.status, answer.body, answer.headers["connection"]) == (401, b"refused", "close")
        assert read_rest(client) == b""


def test_a_client_that_sends_a_refused_body_can_read_the_answer_and_its_body_is_not_stored(server: Served) -> None:
    before = server.peak()
    with started_request(server, 30 * MEGA, 30 * MEGA, key="wrong") as client:
        answer = read(client)
    assert (answer.status, answer.body) == (401, b"refused")
    assert server.peak() - before < 8 * MEGA


def test_a_chunked_body_is_refused_too(server: Served) -> None:
    answer = server.ask(request("/gated", method="POST", headers="transfer-encoding: chunked\r\nkey: wrong\r\n"))
    assert (answer.status, answer.body) == (401, b"refused")


@pytest.mark.parametrize(("key", "expected"), [("later", (200, b"1000")), ("later-wrong", (401, b"refused after a look"))])
def test_a_key_that_has_to_be_looked_up_decides_when_it_is(server: Served, key: str, expected: tuple[int, bytes]) -> None:
    before = server.state().get("looking_up", 0)
    with started_request(server, 1000, 900, key=key) as client:
        server.until(lambda state: state.get("looking_up", 0) == before + 1)
        server.ask(request("/step_look_up"))
        client.sendall(b"x" * 100)
        answer = read(client)
    assert (answer.status, answer.body) == expected


def test_bodies_without_a_key_share_a_bound_of_their_own(small_server: Served) -> None:
    with started_request(small_server, 90_000, 80_000, key="none") as first:
        refused = eventually(lambda: answer_before_end(small_server, key="none"))
        assert error_of(refused) == (503, "Too many request bodies without a key at once")
        assert refused.headers["retry-after"] == "5"
        with started_request(small_server, 90_000, 80_000) as with_key:
            with_key.sendall(b"x" * 10_000)
            assert read(with_key).body == b"90000"
        first.sendall(b"x" * 10_000)
        assert read(first).body == b"90000"
        assert eventually(lambda: answer_if(small_server, 200, key="none")).body == b"50000"


def answer_before_end(server: Served, **options: str):
    """The answer to an incomplete body of 50 kB, if there is one: a body that arrives at once is never counted."""
    with started_request(server, 50_000, 49_000, **options) as client:
        client.settimeout(0.1)
        try:
            return read(client)
        except TimeoutError:
            return None


def answer_if(server: Served, status: int, **options: str):
    """The answer to a body of 50 kB in two pieces, if it has this status."""
    with started_request(server, 50_000, 49_000, **options) as client:
        client.sendall(b"x" * 1000)
        answer = read(client)
        return answer if answer.status == status else None


def test_all_bodies_share_a_bound_until_their_requests_end(small_server: Served) -> None:
    with started_request(small_server, 280_000, 280_000, path="/wait"):
        small_server.until(lambda state: state.get("waiting", 0) == 1)
        refused = answer_if(small_server, 503, path="/v1/messages")
        assert refused is not None
        assert (refused.headers["retry-after"], refused.json()["error"]["type"]) == ("5", "overloaded_error")
        assert small_server.ask(request("/gated", b"x" * 50_000, method="POST")).status == 503
    small_server.expect_once("told_gone")
    assert eventually(lambda: answer_if(small_server, 200)).body == b"50000"


def test_long_incomplete_heads_share_that_bound_too(small_server: Served) -> None:
    begin = b"GET /gated HTTP/1.1\r\nhost: x\r\na: " + b"b" * 40_000
    with small_server.connect() as first, small_server.connect() as second:
        first.sendall(begin)
        second.sendall(begin)
        refused = eventually(lambda: (answer := small_server.ask(begin)).status == 503 and answer)
        assert error_of(refused) == (503, "Too many request bodies without a key at once")
        for client in (first, second):
            client.sendall(b"\r\n\r\n")
            assert read(client).body == b"0"


def test_a_body_without_a_key_has_a_time_for_its_end() -> None:
    with served(limits={"keyless_body_timeout": 1.0}) as server, started_request(server, 90_000, 0, key="none") as client:
        client.settimeout(0.05)

        def status_after_more() -> bytes:
            try:
                client.sendall(b"x" * 1100)  # as much as keeps a body with a key alive
                return client.recv(12)
            except TimeoutError:
                return b""

        assert eventually(status_after_more) == b"HTTP/1.1 408"


def test_a_body_of_tiny_chunks_arrives_whole_and_others_are_served_meanwhile(server: Served) -> None:
    with server.connect() as client:
        client.sendall(request("/gated", method="POST", headers="transfer-encoding: chunked\r\n"))
        client.sendall(b"1\r\na\r\n" * 100_000)
        assert server.ask(request("/echo", b"fine", method="POST")).body == b"fine"
        client.sendall(b"0\r\n\r\n" + request("/echo", b"next", method="POST"))
        assert [read(client).body for _ in range(2)] == [b"100000", b"next"]
