"""The ASGI handler: serves hot paths without middleware, thread hops or second tasks, and passes other paths to Django's handler.

A hot view runs in the request's own task. When the client disconnects, that task is cancelled at once, which closes the view's
upstream connections. pxbin's own server reports a disconnect by a callback (extension ``pxbin.disconnect``); under any other
ASGI server a second task awaits ``receive`` while the view runs.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from time import perf_counter_ns
from typing import Any

import django
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.http import HttpResponse, StreamingHttpResponse
from django.urls import get_resolver

from accounts.common.client_address import client_address
from proxy.exchange.http_request import Headers, HttpRequest, base_url_hint, uncounted, unknown_path
from proxy.exchange.http_response import Header, JsonResponse, StreamingResponse
from proxy.translation.dialects.lookup import PATH_ROOTS, SOCKET_PATHS
from pxbin_site.server import common_headers, query_key
from pxbin_site.server.fast_routes import FastRoutes, Methods, View
from pxbin_site.server.http1.cycle import prepare_lines
from pxbin_site.server.stream_writer import Send, StreamWriter, send_whole

logger = logging.getLogger("pxbin.handler")

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]

FindRoute = Callable[[str], Awaitable[tuple[Methods, dict[str, str]] | None]]


class ClientLeftError(Exception):
    """The client disconnected before its body was complete."""


class Handler(ASGIHandler):
    """Serves the hot paths; all others go to Django's handler."""

    def __init__(self, hot: FastRoutes, *, keepalive_seconds: float = 15.0, find_below_prefix: FindRoute | None = None) -> None:
        """``find_below_prefix`` returns the views of a path below a path prefix; it is called for paths that ``hot`` does not have."""
        super().__init__()
        self.hot = hot
        self.find_below_prefix = find_below_prefix
        self.keepalive_seconds = keepalive_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        if scope["query_string"]:  # the key gate has read it, but not under another server
            scope = _with_key_in_header(scope)
        path, method = scope["path"], scope["method"]
        if method == "OPTIONS":
            if path == "*":  # the methods of the server as a whole
                await send_whole(send, 204, [(b"allow", common_headers.METHODS), *_common(scope)], b"")
                return
            allowed = common_headers.preflight(path, dict(scope["headers"]))
            if allowed is not None:
                await send_whole(send, 204, [*allowed, *_common(scope)], b"")
                return
        route = self.hot.find(path)
        if route is None and self.find_below_prefix is not None:
            route = await self.find_below_prefix(path)
        if route is not None and method == "GET" and _asks_for_socket(scope):
            # Codex goes on over HTTP after 426. RFC 9110, 15.5.22: the header names the protocol that the path is served by.
            message = f"{path} is not served by WebSocket; send a POST request"
            await _refuse(send, scope, 426, message, extra=[(b"upgrade", b"HTTP/1.1")])
        elif route is not None:
            methods, captured = route
            view = methods.get(method)
            if view is not None:
                await self._serve(view, captured, scope=scope, receive=receive, send=send)
            else:
                await _not_allowed(methods, scope, send)
        elif (base_url_hint(path) and not _asks_for_page(scope)) or (
            path.startswith(PATH_ROOTS) and not common_headers.is_management(path)
        ):
            # Below these roots a path is hot or does not exist.
            await _refuse(send, scope, 404, unknown_path(method, path))
        else:
            await super().__call__(scope, receive, send)

    async def _serve(self, view: View, captured: dict[str, str], *, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            body = await _read_body(receive)
        except ClientLeftError:
            return
        headers: list[Header] = scope["headers"]
        fields = dict(headers)
        identity = common_headers.request_id(fields)
        extensions = scope.get("extensions", {})
        request = HttpRequest(
            method=scope["method"],
            path=scope["path"],
            raw_path=scope.get("raw_path") or b"",
            query_string=scope["query_string"],
            raw_headers=headers,
            body=body,
            client=_client_of(scope),
            request_id=identity.decode("ascii"),
            started_ns=perf_counter_ns(),
            refusal=extensions.get("pxbin.refusal"),
            count_body=extensions.get("pxbin.count_body", uncounted),
        )
        common = common_headers.common_headers(request.path, fields, identity)
        await _cancel_on_disconnect(
            self._answer(view(request, **captured), request, send=send, common=common), request, scope=scope, receive=receive
        )

    async def _answer(self, view: Awaitable[Any], request: HttpRequest, *, send: Send, common: list[Header]) -> None:
        """Run the view and send what it returns."""
        writer: StreamWriter | None = None
        try:
            response = await view
            if isinstance(response, JsonResponse):
                own = [name for name, _ in response.headers]
                if not common_headers.NAMES.isdisjoint(own):  # an error response of a view has its own request id
                    common = [pair for pair in common if pair[0] not in own]
                await send_whole(send, response.status, [*response.headers, *common], response.body)
                return
            if not isinstance(response, StreamingResponse):
                await _send_django(send, response, common=common)
                return
            writer = StreamWriter(response, send=send, common=common, idle=self.keepalive_seconds)
            await writer.run()
        except Exception:  # answered with 500 in the client's dialect; after the status was sent, the server aborts the body
            if writer is not None and writer.started:
                raise
            logger.exception("A view failed: %s %s", request.method, request.path, extra={"request_id": request.request_id})
            error = common_headers.refusal(
                request.path, dict(request.raw_headers), status=500, message="Internal server error", identity=request.request_id.encode()
            )
            await send_whole(send, error.status, error.headers, error.body)


def _with_key_in_header(scope: Scope) -> Scope:
    without_key = query_key.moved(scope["path"], scope["query_string"], scope["headers"])
    return scope if without_key is None else {**scope, "query_string": without_key[0], "headers": without_key[1]}


async def _cancel_on_disconnect(sending: Coroutine[Any, Any, None], request: HttpRequest, *, scope: Scope, receive: Receive) -> None:
    """Await ``sending``, and cancel it when the client disconnects."""
    task = asyncio.current_task()
    assert task is not None

    def leave() -> None:
        request.gone = True
        task.cancel()

    listener = None
    on_disconnect = scope.get("extensions", {}).get("pxbin.disconnect")
    if on_disconnect is not None:
        on_disconnect(leave)
    else:
        listener = asyncio.create_task(_await_disconnect(receive, leave))
    try:
        await sending
    except asyncio.CancelledError:
        if not request.gone:
            raise
        task.uncancel()
    finally:
        if listener is not None:
            listener.cancel()


async def _await_disconnect(receive: Receive, leave: Callable[[], None]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    leave()


def _client_of(scope: Scope) -> str:
    """The address of the client, behind trusted proxies the one that they report; empty if unknown."""
    peer = scope.get("client")
    address: str = peer[0] if peer else ""
    return client_address(address, Headers(scope["headers"])) if settings.PXBIN.trusted_proxies else address


async def _read_body(receive: Receive) -> bytes:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientLeftError
    body: bytes = message.get("body", b"")
    if not message.get("more_body"):
        return body
    chunks = [body]
    while message.get("more_body"):
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientLeftError
        chunks.append(message.get("body", b""))
    return b"".join(chunks)


# Sending.


def _common(scope: Scope) -> list[Header]:
    fields = dict(scope["headers"])
    return common_headers.common_headers(scope["path"], fields, common_headers.request_id(fields))


async def _send_django(send: Send, response: HttpResponse | StreamingHttpResponse, *, common: list[Header]) -> None:
    """Send a Django response. The chunks of a streaming one are sent in this task, as those of :class:`StreamingResponse` are."""
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in response.items()]
    headers += [(b"set-cookie", cookie.output(header="").strip().encode("latin-1")) for cookie in response.cookies.values()]
    own = {name for name, _ in headers}
    headers += [pair for pair in common if pair[0] not in own]
    if not isinstance(response, StreamingHttpResponse):
        await send_whole(send, response.status_code, headers, response.content)
        return
    await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
    async for chunk in response:
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body"})


async def _not_allowed(methods: Methods, scope: Scope, send: Send) -> None:
    allow = [(b"allow", ", ".join(sorted(methods)).encode())]
    if scope["method"] == "OPTIONS":
        await send_whole(send, 204, [*allow, *_common(scope)], b"")
    else:
        await _refuse(send, scope, 405, f"Method {scope['method']} is not allowed at {scope['path']}", extra=allow)


def _asks_for_page(scope: Scope) -> bool:
    """Whether a browser asks for the page `/models` of pxbin's dashboard, instead of a client whose base URL lacks ``/v1``."""
    return scope["path"].rstrip("/") == "/models" and b"text/html" in dict(scope["headers"]).get(b"accept", b"")


def _asks_for_socket(scope: Scope) -> bool:
    """Whether a GET request is the handshake of a WebSocket that the vendor's API has at this path."""
    is_handshake = dict(scope["headers"]).get(b"upgrade", b"").lower() == b"websocket"
    return is_handshake and scope["path"].endswith(SOCKET_PATHS)


async def _refuse(send: Send, scope: Scope, status: int, message: str, *, extra: Iterable[Header] = ()) -> None:
    error = common_headers.refusal(scope["path"], dict(scope["headers"]), status=status, message=message)
    await send_whole(send, error.status, [*error.headers, *extra], error.body)


def get_application() -> Handler:
    """Set up Django and return the handler of this site."""
    django.setup(set_prefix=False)
    get_resolver()._populate()  # noqa: SLF001  (imports all URL patterns, so that an error in one fails the start and not a request)
    from proxy.path_prefixes import PrefixRoutes
    from proxy.urls import FAST_PATH_PATTERNS, FAST_PATHS

    prepare_lines(common_headers.SECURITY_HEADERS)
    hot = FastRoutes(FAST_PATHS, FAST_PATH_PATTERNS)
    return Handler(hot, keepalive_seconds=settings.PXBIN.keepalive_seconds, find_below_prefix=PrefixRoutes(hot.find).find)
