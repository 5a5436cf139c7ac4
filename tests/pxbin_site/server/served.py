"""A process for the server's tests: a scripted ASGI application under the real server.

Started with one JSON argument (``limits``, ``drain_seconds``, ``cors_origins``). Prints its port, and ``down`` when the
shutdown hook runs. ``GET /state`` returns a counter for each event.
"""

import asyncio
import json
import os
import socket
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

from django.conf import settings

from pxbin_site.conf.config import Config

OPTIONS = json.loads(sys.argv[1])
settings.configure(
    PXBIN=Config(cors_origins=tuple(OPTIONS.get("cors_origins", ()))), MIDDLEWARE=[], ROOT_URLCONF="tests.pxbin_site.no_urls"
)

from proxy.exchange.http_request import HttpRequest  # noqa: E402
from proxy.exchange.http_response import JsonResponse, StreamingResponse  # noqa: E402
from pxbin_site.server.daphne_server import listening_socket, serve  # noqa: E402
from pxbin_site.server.fast_routes import FastRoutes  # noqa: E402
from pxbin_site.server.handler import Handler  # noqa: E402
from pxbin_site.server.http1.gate import WITH_KEY, WITHOUT_KEY, Verdict  # noqa: E402
from pxbin_site.server.http1.limits import Limits  # noqa: E402
from tests.support.waiting import eventually_async  # noqa: E402

STATE: Counter[str] = Counter()
MEGABYTE = b"x" * 1_000_000


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def respond(send: Any, body: bytes, *, status: int = 200, headers: Any = ()) -> None:
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})
    await send({"type": "http.response.body", "body": body})


async def echo(scope: Any, receive: Any, send: Any) -> None:
    message = await receive()
    STATE["echoed"] += 1
    await respond(send, message["body"], headers=[(b"x-seen-path", scope["path"].encode()), (b"x-seen-query", scope["query_string"])])


async def gated(scope: Any, receive: Any, send: Any) -> None:
    """Refuses with the gate's status, else returns the size of the body."""
    refusal = scope["extensions"].get("pxbin.refusal")
    body = (await receive())["body"]
    await respond(send, f"{refusal or len(body)}".encode(), status=401 if refusal else 200)


async def step_look_up(scope: Any, receive: Any, send: Any) -> None:
    STATE["step_look_up"] += 1
    await respond(send, b"")


async def state(scope: Any, receive: Any, send: Any) -> None:
    await respond(send, json.dumps(STATE).encode())


async def echo_scope(scope: Any, receive: Any, send: Any) -> None:
    seen_scope = {key: scope[key] for key in ("http_version", "method", "path", "scheme")}
    seen_scope |= {
        "raw_path": scope["raw_path"].decode(),
        "headers": [[name.decode(), value.decode("latin-1")] for name, value in scope["headers"]],
    }
    await respond(send, json.dumps(seen_scope).encode())


async def megabytes(scope: Any, receive: Any, send: Any) -> None:
    """As many megabytes as the query says, counted as they are sent."""
    count = int(scope["query_string"])
    try:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(count):
            await send({"type": "http.response.body", "body": MEGABYTE, "more_body": True})
            STATE["megabytes"] += 1
            await asyncio.sleep(0)
        await send({"type": "http.response.body"})
    finally:
        STATE["megabytes_ended"] += 1


async def wait_gone(scope: Any, receive: Any, send: Any) -> None:
    """An application that reads its disconnect from ``receive``, as ASGI has it."""
    await receive()
    STATE["waiting"] += 1
    assert (await receive())["type"] == "http.disconnect"
    STATE["told_gone"] += 1


async def ignore_disconnect(scope: Any, receive: Any, send: Any) -> None:
    """Continues when its client has left."""
    STATE["stubborn"] += 1
    try:
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        STATE["stubborn_cancelled"] += 1
        raise


async def slow(scope: Any, receive: Any, send: Any) -> None:
    """A stream of ten pieces a tenth of a second apart."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    for number in range(10):
        await send({"type": "http.response.body", "body": b"%d" % number, "more_body": True})
        STATE["slow"] += 1
        await asyncio.sleep(0.1)
    await send({"type": "http.response.body"})


async def steps(scope: Any, receive: Any, send: Any) -> None:
    """A stream of three pieces; each but the first waits until ``/step`` was asked for once more."""
    STATE["steps"] = 0
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    for number in range(3):
        await eventually_async(lambda: STATE["steps"] >= number, every=0.005)  # noqa: B023  (it is over before the next)
        await send({"type": "http.response.body", "body": b"%d" % number, "more_body": True})
    await send({"type": "http.response.body"})


async def step(scope: Any, receive: Any, send: Any) -> None:
    STATE["steps"] += 1
    await respond(send, b"")


async def stream_until_file_exists(scope: Any, receive: Any, send: Any) -> None:
    """A stream of two pieces; the second waits until the file exists that the query names."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"begun ", "more_body": True})
    await eventually_async(Path(scope["query_string"].decode()).exists, every=0.005)
    await send({"type": "http.response.body", "body": b"ended"})


async def delays(scope: Any, receive: Any, send: Any) -> None:
    """Whether TCP may delay what is written, for each open connection."""
    may_delay = []
    for name in Path("/proc/self/fd").iterdir():  # noqa: ASYNC240
        with suppress(OSError), socket.socket(fileno=os.dup(int(name.name))) as copy:
            copy.getpeername()
            may_delay.append(copy.family == socket.AF_INET and not copy.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
    await respond(send, json.dumps(may_delay).encode())


async def broken(scope: Any, receive: Any, send: Any) -> None:
    raise ValueError("a defect with pxb_secret")


async def fail_after_first_piece(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"half", "more_body": True})
    raise ValueError("a defect")


async def return_without_response(scope: Any, receive: Any, send: Any) -> None:
    """Returns without an answer."""


async def send_less_than_declared(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"10")]})
    await send({"type": "http.response.body", "body": b"short"})


async def send_header_with_newline(scope: Any, receive: Any, send: Any) -> None:
    await respond(send, b"", headers=[(b"x-a", b"b\r\nset-cookie: c=d")])


async def no_content(scope: Any, receive: Any, send: Any) -> None:
    await respond(send, b"", status=204)


async def websocket(scope: Any, receive: Any, send: Any) -> None:
    assert (await receive())["type"] == "websocket.connect"
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"].upper()})
    STATE["websocket_closed"] += 1


# Hot views, for what happens to them when their client leaves.


async def pieces() -> Any:
    try:
        while True:
            STATE["pieces"] += 1
            yield b"data: piece\n\n"
            await asyncio.sleep(0.01)
    finally:
        STATE["pieces_closed"] += 1


async def floods() -> Any:
    try:
        for _ in range(200):
            yield MEGABYTE
            STATE["flooded"] += 1
    finally:
        STATE["floods_closed"] += 1


async def hot_stream(http: HttpRequest) -> StreamingResponse:
    return StreamingResponse(pieces())


async def hot_flood(http: HttpRequest) -> StreamingResponse:
    return StreamingResponse(floods())


async def hot_wait(http: HttpRequest) -> JsonResponse:
    STATE["hot_waiting"] += 1
    try:
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        STATE["hot_cancelled_gone" if http.gone else "hot_cancelled"] += 1
        raise
    raise AssertionError


HOT = Handler(FastRoutes({("POST", "/v1/stream"): hot_stream, ("POST", "/v1/flood"): hot_flood, ("POST", "/v1/wait"): hot_wait}))
PATHS = {
    "/gated": gated,
    "/step_look_up": step_look_up,
    "/state": state,
    "/scope": echo_scope,
    "/megabytes": megabytes,
    "/wait": wait_gone,
    "/stubborn": ignore_disconnect,
    "/slow": slow,
    "/steps": steps,
    "/step": step,
    "/held": stream_until_file_exists,
    "/delays": delays,
    "/broken": broken,
    "/v1/messages/broken": broken,
    "/broken-later": fail_after_first_piece,
    "/forgetful": return_without_response,
    "/liar": send_less_than_declared,
    "/splitter": send_header_with_newline,
    "/nothing": no_content,
}


class ScriptedGate:
    """Decides by the request header ``key``: none, wrong, later or later-wrong; without it the key is valid."""

    VERDICTS: ClassVar = {b"none": WITHOUT_KEY, b"wrong": Verdict(has_key=False, refusal="refused"), b"later": None, b"later-wrong": None}

    def read_query(self, head: Any) -> None:
        """Queries have no keys here."""

    def decide(self, path: str, headers: Any) -> Verdict | None:
        return self.VERDICTS.get(dict(headers).get(b"key"), WITH_KEY)

    async def look_up(self, headers: Any) -> Verdict:
        STATE["looking_up"] += 1
        await eventually_async(lambda: STATE["step_look_up"] >= STATE["looking_up"], every=0.005)
        return WITH_KEY if dict(headers)[b"key"] == b"later" else Verdict(has_key=False, refusal="refused after a look")


async def application(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "websocket":
        await websocket(scope, receive, send)
    elif HOT.hot.find(scope["path"]):
        await HOT(scope, receive, send)
    else:
        await PATHS.get(scope["path"], echo)(scope, receive, send)


serve(
    application,
    listening_socket("127.0.0.1", 0),
    drain_seconds=OPTIONS.get("drain_seconds", 15),
    on_shutdown=lambda: say("down"),
    on_listening=lambda address: say(str(address[1])),
    limits=Limits(**OPTIONS.get("limits", {})),
    gate=ScriptedGate(),
)
