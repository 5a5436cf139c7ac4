"""The lean handler as any ASGI server would call it: hot paths, refusals, streams, and clients that leave."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest
from django.http import HttpResponse, StreamingHttpResponse
from django.test import override_settings

from proxy.exchange.http_response import HttpRequest, JsonResponse, StreamingResponse
from pxbin_site.conf.config import Config
from pxbin_site.server import common_headers
from pxbin_site.server.fast_routes import FastRoutes
from pxbin_site.server.handler import Handler
from tests.support.waiting import eventually_async

View = Callable[..., Any]
COMMON = {"x-request-id", *(name.decode() for name, _ in common_headers.SECURITY_HEADERS)}


class Client:
    """One ASGI request under way. ``leave`` disconnects; ``sent`` collects the messages of the answer."""

    def __init__(self, path: str, *, method: str = "POST", body: list[bytes] | None = None, headers: dict[str, str] | None = None) -> None:
        self.scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"beta=true",
            "headers": [(name.encode(), value.encode()) for name, value in (headers or {}).items()],
            "client": ("10.0.0.1", 1234),
        }
        self.pieces = list(body or [b""])
        self.sent: list[dict[str, Any]] = []
        self.left = asyncio.Event()
        self.wrote = asyncio.Event()
        self.may_write = asyncio.Event()
        self.may_write.set()

    async def receive(self) -> dict[str, Any]:
        if self.pieces:
            piece = self.pieces.pop(0)
            return {"type": "http.request", "body": piece, "more_body": bool(self.pieces)}
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)
        self.wrote.set()
        await self.may_write.wait()

    async def answered(self, handler: Handler) -> Client:
        await handler(self.scope, self.receive, self.send)
        return self

    @property
    def status(self) -> int:
        return self.sent[0]["status"]

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode(): value.decode() for name, value in self.sent[0]["headers"]}

    @property
    def bodies(self) -> list[bytes]:
        return [message.get("body", b"") for message in self.sent[1:]]

    def json(self) -> Any:
        return msgspec.json.decode(b"".join(self.bodies))


def handler(view: View, *, method: str = "POST", path: str = "/v1/messages", keepalive_seconds: float = 15.0) -> Handler:
    return Handler(FastRoutes({(method, path): view}), keepalive_seconds=keepalive_seconds)


async def told(http: HttpRequest) -> JsonResponse:
    seen = {
        "method": http.method,
        "path": http.path,
        "query": http.query_string.decode(),
        "body": http.body.decode(),
        "client": http.client,
    }
    return JsonResponse(msgspec.json.encode(seen), status=201, headers=[("X-Pxbin-Model", "m")])


# Whole answers.


async def test_a_hot_view_sees_the_request_and_its_answer_is_sent() -> None:
    client = await Client("/v1/messages", body=[b"one ", b"two"]).answered(handler(told))
    assert client.status == 201
    assert client.json() == {"method": "POST", "path": "/v1/messages", "query": "beta=true", "body": "one two", "client": "10.0.0.1"}
    assert client.headers.keys() == COMMON | {"content-type", "x-pxbin-model", "request-id"}
    assert client.headers["content-type"] == "application/json"


@override_settings(PXBIN=Config(trusted_proxies=("10.0.0.0/8",)))
async def test_behind_a_trusted_proxy_the_client_is_the_one_that_the_proxy_names() -> None:
    client = await Client("/v1/messages", headers={"x-forwarded-for": "203.0.113.9, 198.51.100.7"}).answered(handler(told))
    assert client.json()["client"] == "198.51.100.7"


async def test_headers_are_looked_up_without_regard_to_case() -> None:
    async def view(http: HttpRequest) -> JsonResponse:
        return JsonResponse(msgspec.json.encode([http.headers.get("X-Api-Key"), http.headers.get("missing"), "x-api-KEY" in http.headers]))

    client = await Client("/v1/messages", headers={"x-api-key": "k"}).answered(handler(view))
    assert client.json() == ["k", None, True]


async def test_the_client_keeps_its_request_id() -> None:
    async def view(http: HttpRequest) -> JsonResponse:
        return JsonResponse(http.request_id.encode())

    client = await Client("/v1/messages", headers={"x-request-id": "mine"}).answered(handler(view))
    assert (client.bodies, client.headers["x-request-id"], client.headers["request-id"]) == ([b"mine"], "mine", "mine")


async def test_a_header_of_the_view_is_not_sent_twice() -> None:
    async def view(http: HttpRequest) -> JsonResponse:
        return JsonResponse(b"{}", status=404, headers=[(b"request-id", http.request_id.encode())])

    client = Client("/v1/messages", headers={"x-request-id": "mine"})
    await client.answered(handler(view))
    assert [value for name, value in client.sent[0]["headers"] if name == b"request-id"] == [b"mine"]


async def test_a_trailing_slash_is_tolerated() -> None:
    assert (await Client("/v1/messages/").answered(handler(told))).status == 201


async def test_a_pattern_hands_over_what_it_captured() -> None:
    async def view(http: HttpRequest, name: str) -> JsonResponse:
        return JsonResponse(name.encode())

    paths = FastRoutes({("GET", "/v1/models"): told}, [("GET", re.compile("/v1/models/(?P<name>.+)"), view)])
    assert (await Client("/v1/models/a/b:c", method="GET").answered(Handler(paths))).bodies == [b"a/b:c"]
    assert (await Client("/v1/models/", method="GET").answered(Handler(paths))).status == 201


async def test_get_answers_head() -> None:
    assert (await Client("/v1/messages", method="HEAD").answered(handler(told, method="GET"))).status == 201


async def test_a_django_response_will_do() -> None:
    async def view(http: HttpRequest) -> HttpResponse:
        response = HttpResponse("text", status=202, content_type="text/plain")
        response.set_cookie("a", "b")
        return response

    client = await Client("/v1/messages").answered(handler(view))
    assert (client.status, client.bodies, client.headers["content-type"]) == (202, [b"text"], "text/plain")
    assert client.headers["set-cookie"] == "a=b; Path=/"
    assert client.headers.keys() >= COMMON


async def test_a_streaming_django_response_will_do_too() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"a"
        yield b"b"

    async def view(http: HttpRequest) -> StreamingHttpResponse:
        return StreamingHttpResponse(pieces())

    assert (await Client("/v1/messages").answered(handler(view))).bodies == [b"a", b"b", b""]


# Refusals.


async def test_an_unknown_path_is_a_404_in_the_callers_dialect() -> None:
    client = await Client("/v1/nothing").answered(handler(told))
    assert client.json() == {
        "error": {"message": "Unknown path: POST /v1/nothing", "type": "invalid_request_error", "param": None, "code": "unknown_url"}
    }
    client = await Client("/v1/messages/nothing").answered(handler(told))
    assert (client.status, client.json()["error"]) == (
        404,
        {"type": "not_found_error", "message": "Unknown path: POST /v1/messages/nothing"},
    )


async def test_another_method_is_a_405_with_the_allowed_ones() -> None:
    client = await Client("/v1/messages", method="GET").answered(handler(told))
    assert (client.status, client.headers["allow"]) == (405, "POST")
    assert client.json()["error"] == {"type": "invalid_request_error", "message": "Method GET is not allowed at /v1/messages"}


async def test_plain_options_names_the_methods() -> None:
    client = await Client("/v1/messages", method="OPTIONS").answered(handler(told, method="GET"))
    assert (client.status, client.headers["allow"], client.bodies) == (204, "GET, HEAD", [b""])


@override_settings(PXBIN=Config(cors_origins=("*",)))
@pytest.mark.parametrize("path", ["/v1/messages", "/v1/nothing", "/api/v1/keys"])
async def test_a_preflight_is_answered_before_anything_runs(path: str) -> None:
    headers = {"origin": "https://a", "access-control-request-method": "POST", "access-control-request-headers": "x-any"}
    client = await Client(path, method="OPTIONS", headers=headers).answered(handler(told))
    assert client.status == 204
    assert {name: value for name, value in client.headers.items() if name.startswith("access-control-allow")} == {
        "access-control-allow-origin": "*",
        "access-control-allow-methods": "GET, POST, PUT, DELETE, OPTIONS, PATCH",
        "access-control-allow-headers": "x-any",
    }


@override_settings(PXBIN=Config(cors_origins=("https://a",)))
async def test_errors_carry_cors_too() -> None:
    client = await Client("/v1/nothing", headers={"origin": "https://a"}).answered(handler(told))
    assert (client.status, client.headers["access-control-allow-origin"]) == (404, "https://a")


async def test_a_defect_is_a_500_and_a_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async def view(http: HttpRequest) -> JsonResponse:
        raise ZeroDivisionError("told to nobody outside")

    with caplog.at_level(logging.ERROR):
        client = await Client("/v1/messages", headers={"x-api-key": "pxb_secret"}, body=[b"a body"]).answered(handler(view))
    assert (client.status, client.json()["error"]) == (500, {"type": "api_error", "message": "Internal server error"})
    assert client.json()["request_id"] == client.headers["x-request-id"]
    assert "ZeroDivisionError" in caplog.text
    assert "pxb_secret" not in caplog.text
    assert "a body" not in caplog.text


# Streams.


async def pieces_of(*pieces: bytes | JsonResponse, then: BaseException | None = None, closed: list[str] | None = None) -> Any:
    try:
        for piece in pieces:
            yield piece
        if then is not None:
            raise then
    finally:
        if closed is not None:
            closed.append("closed")


def streaming(*args: Any, then: BaseException | None = None, closed: list[str] | None = None, **options: Any) -> View:
    async def view(http: HttpRequest) -> StreamingResponse:
        return StreamingResponse(pieces_of(*args, then=then, closed=closed), **options)

    return view


async def test_a_stream_is_written_piece_by_piece() -> None:
    client = await Client("/v1/messages").answered(handler(streaming(b"a", b"b", headers=[("x-pxbin-model", "m")])))
    assert client.bodies == [b"a", b"b", b""]
    assert [message.get("more_body", False) for message in client.sent[1:]] == [True, True, False]
    expected = {"content-type": "text/event-stream", "cache-control": "no-cache", "x-accel-buffering": "no", "x-pxbin-model": "m"}
    assert client.headers.items() >= expected.items()


async def test_headers_of_a_stream_are_asked_for_with_its_first_piece() -> None:
    known: list[tuple[str, str]] = []

    async def late() -> AsyncIterator[bytes]:
        known.append(("x-late", "1"))
        yield b"a"

    async def view(http: HttpRequest) -> StreamingResponse:
        return StreamingResponse(late(), headers=lambda: known)

    assert (await Client("/v1/messages").answered(handler(view))).headers["x-late"] == "1"


async def test_a_whole_answer_first_replaces_the_stream() -> None:
    closed: list[str] = []
    view = streaming(JsonResponse(b'{"error":1}', status=529), b"never", closed=closed)
    client = await Client("/v1/messages").answered(handler(view))
    assert (client.status, client.bodies, client.headers["content-type"], closed) == (529, [b'{"error":1}'], "application/json", ["closed"])


async def test_a_stream_without_pieces_is_an_empty_stream() -> None:
    client = await Client("/v1/messages").answered(handler(streaming()))
    assert (client.status, client.bodies) == (200, [b""])


async def test_a_defect_before_the_first_piece_is_a_500() -> None:
    closed: list[str] = []
    client = await Client("/v1/messages").answered(handler(streaming(then=ZeroDivisionError(), closed=closed)))
    assert (client.status, closed) == (500, ["closed"])


async def test_a_defect_later_comes_out_so_that_the_server_cuts_the_body() -> None:
    closed: list[str] = []
    client = Client("/v1/messages")
    with pytest.raises(ZeroDivisionError):
        await client.answered(handler(streaming(b"a", then=ZeroDivisionError(), closed=closed)))
    assert (client.bodies, closed) == ([b"a"], ["closed"])


async def test_a_keep_alive_goes_out_while_nothing_comes() -> None:
    async def view(http: HttpRequest) -> StreamingResponse:
        async def slow() -> AsyncIterator[bytes]:
            yield b"a"
            await eventually_async(lambda: len(client.bodies) > 3)
            yield b"b"

        return StreamingResponse(slow(), keepalive=b": ping\n\n")

    client = Client("/v1/messages")
    await client.answered(handler(view, keepalive_seconds=0.1))
    assert client.bodies[0] == b"a"
    assert set(client.bodies[1:-2]) == {b": ping\n\n"}
    assert client.bodies[-2:] == [b"b", b""]


def waiting(answer: bytes | JsonResponse, *, until: Callable[[], object], **options: Any) -> View:
    async def slow() -> AsyncIterator[bytes | JsonResponse]:
        await eventually_async(until)
        yield answer

    async def view(http: HttpRequest) -> StreamingResponse:
        return StreamingResponse(slow(), keepalive=b": ping\n\n", **options)

    return view


async def test_nothing_is_sent_before_the_first_piece_unless_errors_can_come_late() -> None:
    """Both wait until one of them has sent two keep-alives: the first as an error that is an event, the second with its status."""
    first, second = Client("/v1/messages"), Client("/v1/messages")

    def two_were_sent() -> bool:
        return len(first.sent) > 2

    late = waiting(
        JsonResponse(b"{}", status=502), until=two_were_sent, late_error=lambda whole: b"event: error\ndata: " + whole.body + b"\n\n"
    )
    early = waiting(JsonResponse(b"{}", status=502), until=two_were_sent)
    await asyncio.gather(
        first.answered(handler(late, keepalive_seconds=0.1)),
        second.answered(handler(early, keepalive_seconds=0.1)),
    )
    assert (first.status, set(first.bodies[:-2]), first.bodies[-2:]) == (
        200,
        {b": ping\n\n"},
        [b"event: error\ndata: {}\n\n", b""],
    )
    assert (second.status, second.bodies) == (502, [b"{}"])


# Clients that leave, under a server that tells it by ``receive`` alone.


async def test_a_view_is_cancelled_when_its_client_leaves() -> None:
    seen: list[bool] = []
    running = asyncio.Event()

    async def view(http: HttpRequest) -> JsonResponse:
        running.set()
        try:
            await asyncio.sleep(3600)
        finally:
            seen.append(http.gone)
        raise AssertionError

    client = Client("/v1/messages")
    task = asyncio.create_task(client.answered(handler(view)))
    await running.wait()
    client.left.set()
    await task
    assert (seen, client.sent) == ([True], [])


@pytest.mark.parametrize("reading", [True, False])
async def test_a_stream_is_closed_when_its_client_leaves(reading: bool) -> None:
    closed: list[str] = []

    async def endless() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"a"
                await asyncio.sleep(0)
        finally:
            closed.append("closed")

    async def view(http: HttpRequest) -> StreamingResponse:
        return StreamingResponse(endless())

    client = Client("/v1/messages")
    task = asyncio.create_task(client.answered(handler(view)))
    await client.wrote.wait()
    if not reading:
        client.may_write.clear()
        await asyncio.sleep(0.01)
    client.left.set()
    await task
    assert closed == ["closed"]


async def test_a_client_that_leaves_before_its_body_is_complete_costs_nothing() -> None:
    client = Client("/v1/messages")
    client.pieces = []
    client.left.set()
    await client.answered(handler(told))
    assert client.sent == []


async def test_a_cancellation_that_is_not_the_clients_doing_passes_through() -> None:
    running = asyncio.Event()

    async def view(http: HttpRequest) -> JsonResponse:
        running.set()
        await asyncio.sleep(3600)
        raise AssertionError

    task = asyncio.create_task(Client("/v1/messages").answered(handler(view)))
    await running.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
