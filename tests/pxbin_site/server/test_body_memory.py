"""Whose bodies are read, and how much memory they may use together, over real sockets."""

from collections.abc import Iterator

import pytest

from tests.pxbin_site.server.serving import Answer, Client, Served, read, request, served
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow

KEYLESS = 2_000_000
ALL = 4_000_000
"""More than one read of the server takes: what has been read with its head needs no room."""
NO_MEMORY = "The gateway holds as many request bodies as it may; try again"


@pytest.fixture
def server() -> Iterator[Served]:
    with served(gated=True, limits={"keyless_bytes": KEYLESS, "max_buffered_bytes": ALL, "linger_seconds": 1.0}) as running:
        yield running


def begin(server: Served, length: int, *, sent: int, key: str = "keyless") -> Client:
    """A request of which so many bytes of the body are sent."""
    client = server.connect()
    client.sendall(
        b"POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-key: %s\r\ncontent-length: %d\r\n\r\n" % (key.encode(), length) + b"a" * sent
    )
    return client


def finish(client: Client, missing: int) -> Answer:
    """Send the rest of a body and read the response."""
    client.sendall(b"a" * missing)
    return read(client)


def refusal(answer: Answer) -> tuple[int, str, str]:
    return answer.status, answer.headers.get("retry-after", ""), answer.json()["error"]["message"]


def ask_in_two_steps(server: Served, size: int) -> Answer:
    """A whole request whose body is sent when the server asks for it."""
    with server.connect() as client:
        client.sendall(b"POST /v1/messages HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: %d\r\n\r\n" % size)
        client.until(b"100 Continue\r\n\r\n")
        return finish(client, size)


def ask(server: Served, size: int, *, key: str = "keyless") -> Answer:
    """A whole request whose body follows its head."""
    with begin(server, size, sent=0, key=key) as client:
        return finish(client, size)


@pytest.mark.parametrize("key", ["refused", "not-cached-refused"])
def test_a_request_that_no_body_can_make_valid_is_answered_before_its_body(server: Served, key: str) -> None:
    with begin(server, 10_000_000, sent=100, key=key) as client:
        answer = read(client)
        assert (answer.status, answer.headers["connection"], answer.body) == (200, "close", b"")
        client.sendall(b"a" * 1_000_000)
        assert client.recv(1) == b""


def test_a_refused_request_is_not_asked_to_continue(server: Served) -> None:
    head = b"POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-key: refused\r\nexpect: 100-continue\r\ncontent-length: 9\r\n\r\n"
    assert server.ask(head).status == 200


def test_a_key_that_is_not_cached_is_looked_up_once_and_its_body_read(server: Served) -> None:
    with begin(server, 900_000, sent=100_000, key="not-cached-known") as client:
        assert finish(client, 800_000).body == b"a" * 900_000
    assert server.state()["looked_up"] == 1


def test_a_body_that_arrives_with_its_head_needs_no_key(server: Served) -> None:
    assert server.ask(request("/v1/messages", b"whole", method="POST", headers="x-key: refused\r\n")).body == b"whole"


def test_bodies_without_a_key_share_their_memory(server: Served) -> None:
    with begin(server, KEYLESS, sent=KEYLESS - 1) as first:
        assert refusal(ask(server, 1_000_000)) == (503, "1", NO_MEMORY)
        assert ask(server, 1_500_000, key="known").body == b"a" * 1_500_000
        assert finish(first, 1).body == b"a" * KEYLESS
    assert ask(server, 1_000_000).status == 200


def test_a_small_body_is_read_although_the_memory_is_in_use(server: Served) -> None:
    with begin(server, KEYLESS, sent=KEYLESS - 1) as oldest, begin(server, 1_000, sent=1) as newest:
        assert ask_in_two_steps(server, 10_000).body == b"a" * 10_000
        assert refusal(read(oldest)) == (503, "1", NO_MEMORY)
        assert finish(newest, 999).body == b"a" * 1_000


def test_all_bodies_share_memory(server: Served) -> None:
    with begin(server, ALL, sent=ALL - 10, key="known"):
        assert refusal(ask(server, 1_000_000, key="known")) == (503, "1", NO_MEMORY)


def test_memory_is_released_after_responses_refusals_and_disconnects(server: Served) -> None:
    for _ in range(3):
        assert ask(server, KEYLESS).status == 200
        begin(server, KEYLESS, sent=KEYLESS - 1).close()
        eventually(lambda: ask(server, KEYLESS - 1).status == 200)
        with begin(server, KEYLESS, sent=1, key="refused") as client:
            assert read(client).status == 200


def test_a_chunked_body_counts_as_it_arrives(server: Served) -> None:
    with server.connect() as client:
        client.sendall(b"POST /v1/messages HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
        client.sendall(b"%x\r\n%s\r\n" % (KEYLESS, b"a" * KEYLESS))
        assert refusal(read(client)) == (503, "1", NO_MEMORY)


def test_chunks_of_one_byte_are_decoded_in_turns_with_other_requests(server: Served) -> None:
    body = bytes(range(97, 123)) * 1000
    with server.connect() as client:
        client.sendall(b"POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-key: known\r\ntransfer-encoding: chunked\r\n\r\n")
        client.sendall(b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n" + request("/after"))
        assert server.ask(request("/echo", b"other", method="POST")).body == b"other"
        assert read(client).body == body
        assert read(client).headers["x-seen-path"] == "/after"


def test_a_client_that_leaves_behind_pipelined_bytes_is_noticed(server: Served) -> None:
    with server.connect() as client:
        client.sendall(request("/v1/wait", b"{}", method="POST") + request("/echo", b"a" * 300_000, method="POST"))
        server.expect_once("hot_waiting")
    server.expect_once("hot_cancelled_gone")
