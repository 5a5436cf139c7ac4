"""The lean ASGI handler: hot paths without middleware, thread hops or second tasks; all else as Django does it.

A hot view runs in the request's own task. When the client leaves, that task is cancelled at once, so whatever the view has
opened upstream closes at once. Under pxbin's own server a callback tells it (extension ``pxbin.disconnect``); under any other
ASGI server a task listens in ``receive`` while the view runs.
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

from proxy.exchange.http_request import HttpRequest, base_url_hint, unknown_path
from proxy.exchange.http_response import Header, JsonResponse, StreamingResponse
from proxy.translation.dialects.lookup import PATH_ROOTS
from pxbin_site.server import common_headers
from pxbin_site.server.fast_routes import FastRoutes, Methods, View
from pxbin_site.server.stream_writer import Send, StreamWriter, send_whole

logger = logging.getLogger("pxbin.handler")

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]

Below = Callable[[str], Awaitable[tuple[Methods, dict[str, str]] | None]]


class ClientLeftError(Exception):
    """The client left before its body was complete."""


class Handler(ASGIHandler):
    """Serves the hot paths itself and hands the rest to Django's own handler."""

    def __init__(self, hot: FastRoutes, *, keepalive_seconds: float = 15.0, below: Below | None = None) -> None:
        """``below`` finds what is reached below a path prefix; it is asked for paths that are not hot."""
        super().__init__()
        self.hot = hot
        self.below = below
        self.keepalive_seconds = keepalive_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        path, method = scope["path"], scope["method"]
        if method == "OPTIONS":
            if path == "*":  # what the server as a whole can do
                await send_whole(send, 204, [(b"allow", common_headers.METHODS), *_common(scope)], b"")
                return
            allowed = common_headers.preflight(path, dict(scope["headers"]))
            if allowed is not None:
                await send_whole(send, 204, [*allowed, *_common(scope)], b"")
                return
        found = self.hot.find(path)
        if found is None and self.below is not None:
            found = await self.below(path)
        if found is not None:
            methods, captured = found
            view = methods.get(method)
            if view is not None:
                await self._serve(view, captured, scope=scope, receive=receive, send=send)
            else:
                await _not_allowed(methods, scope, send)
        elif base_url_hint(path) or path.startswith(PATH_ROOTS):  # below these a path is hot or does not exist
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
        peer = scope.get("client")
        request = HttpRequest(
            method=scope["method"],
            path=scope["path"],
            raw_path=scope.get("raw_path") or b"",
            query_string=scope["query_string"],
            raw_headers=headers,
            body=body,
            client=peer[0] if peer else "",
            request_id=identity.decode("ascii"),
            started_ns=perf_counter_ns(),
        )
        common = common_headers.common_headers(request.path, fields, identity)
        await _until_left(self._answer(view(request, **captured), request, send=send, common=common), request, scope=scope, receive=receive)

    async def _answer(self, view: Awaitable[Any], request: HttpRequest, *, send: Send, common: list[Header]) -> None:
        """Run the view and send what it returns."""
        writer: StreamWriter | None = None
        try:
            answer = await view
            if isinstance(answer, JsonResponse):
                own = {name for name, _ in answer.headers}  # a view's error answer names the request itself
                headers = [*answer.headers, *(pair for pair in common if pair[0] not in own)]
                await send_whole(send, answer.status, headers, answer.body)
                return
            if not isinstance(answer, StreamingResponse):
                await _send_django(send, answer, common=common)
                return
            writer = StreamWriter(answer, send=send, common=common, idle=self.keepalive_seconds)
            await writer.run()
        except Exception:  # a fault in a view is one logged 500 in the caller's dialect; once a status has left, the server cuts the body
            if writer is not None and writer.started:
                raise
            logger.exception("A view failed: %s %s", request.method, request.path, extra={"request_id": request.request_id})
            fault = common_headers.refusal(
                request.path, dict(request.raw_headers), status=500, message="Internal server error", identity=request.request_id.encode()
            )
            await send_whole(send, fault.status, fault.headers, fault.body)


async def _until_left(answering: Coroutine[Any, Any, None], request: HttpRequest, *, scope: Scope, receive: Receive) -> None:
    """Await ``answering``, and cancel it when the client leaves."""
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
        listener = asyncio.create_task(_listen(receive, leave))
    try:
        await answering
    except asyncio.CancelledError:
        if not request.gone:
            raise
        task.uncancel()
    finally:
        if listener is not None:
            listener.cancel()


async def _listen(receive: Receive, leave: Callable[[], None]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    leave()


async def _read_body(receive: Receive) -> bytes:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientLeftError
    body: bytes = message.get("body", b"")
    if not message.get("more_body"):
        return body
    pieces = [body]
    while message.get("more_body"):
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientLeftError
        pieces.append(message.get("body", b""))
    return b"".join(pieces)


# Sending.


def _common(scope: Scope) -> list[Header]:
    fields = dict(scope["headers"])
    return common_headers.common_headers(scope["path"], fields, common_headers.request_id(fields))


async def _send_django(send: Send, response: HttpResponse | StreamingHttpResponse, *, common: list[Header]) -> None:
    """A Django response; one that streams is pinned to its iterator as ours are."""
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in response.items()]
    headers += [(b"set-cookie", cookie.output(header="").strip().encode("latin-1")) for cookie in response.cookies.values()]
    own = {name for name, _ in headers}
    headers += [pair for pair in common if pair[0] not in own]
    if not isinstance(response, StreamingHttpResponse):
        await send_whole(send, response.status_code, headers, response.content)
        return
    await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
    async for piece in response:
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body"})


async def _not_allowed(methods: Methods, scope: Scope, send: Send) -> None:
    allow = [(b"allow", ", ".join(sorted(methods)).encode())]
    if scope["method"] == "OPTIONS":
        await send_whole(send, 204, [*allow, *_common(scope)], b"")
    else:
        await _refuse(send, scope, 405, f"Method {scope['method']} is not allowed at {scope['path']}", extra=allow)


async def _refuse(send: Send, scope: Scope, status: int, message: str, *, extra: Iterable[Header] = ()) -> None:
    answer = common_headers.refusal(scope["path"], dict(scope["headers"]), status=status, message=message)
    await send_whole(send, answer.status, [*answer.headers, *extra], answer.body)


def get_application() -> Handler:
    """The handler for this site's hot paths, with Django set up."""
    django.setup(set_prefix=False)
    get_resolver()._populate()  # noqa: SLF001  (Django's own: every address, so that a fault in one shows now and not in a request)
    from proxy.path_prefixes import Below
    from proxy.urls import FAST_PATH_PATTERNS, FAST_PATHS

    hot = FastRoutes(FAST_PATHS, FAST_PATH_PATTERNS)
    return Handler(hot, keepalive_seconds=settings.PXBIN.keepalive_seconds, below=Below(hot.find).find)
