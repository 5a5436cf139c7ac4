"""The `httpx` transport for URLs of the scheme `echo`, without sockets.

Only this module of the package waits, reads the clock and makes random ids. Before the response head it applies the `read`
timeout from the request's extensions; `upstreams.http.client` limits the delays within a stream, as for every transport.
"""

import asyncio
import json
import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from typing import Any, Protocol

import httpx
import msgspec

from upstreams.echo import anthropic, openai_chat
from upstreams.echo import directives as directives_module
from upstreams.echo.directives import Directives, EchoError
from upstreams.echo.plan import EchoRequest, EchoResponse, Stamp, plan
from upstreams.echo.wire import END, PIECE, Step, count_input, encode, mapping

_MID_STREAM_STATUS = 529
_JSON, _SSE = "application/json", "text/event-stream; charset=utf-8"


class DialectModule(Protocol):
    """The functions of the modules `anthropic` and `openai_chat`."""

    def read(self, body: dict[str, Any]) -> EchoRequest:
        """Decode a request."""

    def reply(self, question: EchoRequest, answer: EchoResponse, *, stamp: Stamp) -> dict[str, Any]:
        """The complete response."""

    def stream(self, question: EchoRequest, answer: EchoResponse, *, stamp: Stamp) -> Iterator[Step]:
        """The response as the steps of a stream."""

    def error(self, status: int, message: str, *, token: str) -> dict[str, Any]:
        """An error's body."""

    def error_step(self, status: int, message: str, *, token: str) -> Step:
        """The step that ends a stream with a failure."""

    def models(self) -> dict[str, Any]:
        """The list of models."""

    def headers(self, token: str) -> list[tuple[str, str]]:
        """The response headers that only this dialect has."""


_DIALECTS: dict[str, DialectModule] = {"/chat/completions": openai_chat, "/messages": anthropic, "/messages/count_tokens": anthropic}
"""By the end of the path, because base URLs may or may not end with a version."""


class EchoTransport(httpx.AsyncBaseTransport):
    """Answers requests to `echo://…` URLs. Raises httpx.ConnectError, ReadError and ReadTimeout like a network transport."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        token = secrets.token_hex(12)
        dialect = _dialect_of(request)
        try:
            return await _answer(request, dialect, token)
        except EchoError as refused:
            return _refusal(refused, dialect, token)


def _dialect_of(request: httpx.Request) -> DialectModule:
    for path, dialect in _DIALECTS.items():
        if request.url.path.endswith(path):
            return dialect
    return anthropic if "anthropic-version" in request.headers else openai_chat


async def _answer(request: httpx.Request, dialect: DialectModule, token: str) -> httpx.Response:
    path = request.url.path
    if request.method == "GET" and path.endswith("/models"):
        return _json_response(200, dialect.models(), dialect.headers(token))
    if request.method != "POST" or not path.endswith(tuple(_DIALECTS)):
        raise EchoError(404, f"echo: nothing is served at {request.method} {path}")
    body = _parse(await request.aread())
    if path.endswith("/count_tokens"):
        return _json_response(200, {"input_tokens": count_input(body)}, dialect.headers(token))
    question = dialect.read(body)
    text, directives = directives_module.read(question.text)
    if directives.refuse:
        raise httpx.ConnectError("echo: connection refused on demand", request=request)
    if directives.hang and directives.hang_after is None:
        await _hang(directives.hang, request)
    question = msgspec.structs.replace(question, text=text)
    answer = plan(question, directives)
    stamp = Stamp(token, int(time.time()))
    if not question.stream:
        return _json_response(200, dialect.reply(question, answer, stamp=stamp), dialect.headers(token))
    steps = dialect.stream(question, answer, stamp=stamp)
    failure = dialect.error_step(_MID_STREAM_STATUS, directives.message or "echo: failure on demand", token=token)
    head = [("content-type", _SSE), ("cache-control", "no-cache"), *dialect.headers(token)]
    return httpx.Response(200, headers=head, stream=_Stream(_paced(steps, directives, failure=failure, request=request)))


class _Stream(httpx.AsyncByteStream):
    def __init__(self, chunks: AsyncGenerator[bytes, None]) -> None:
        self._chunks = chunks

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._chunks

    async def aclose(self) -> None:
        """Close the generator, which ends its current delay."""
        await self._chunks.aclose()


async def _paced(steps: Iterator[Step], directives: Directives, *, failure: Step, request: httpx.Request) -> AsyncGenerator[bytes, None]:
    """The bytes of a stream, with the delays and failures of `directives`."""
    pieces = 0
    ended = False
    for step in steps:
        if step.kind in (PIECE, END) and not ended:
            ended = step.kind == END
            if _due(directives.fail_after, pieces, ended=ended):
                yield failure.data
                return
            if _due(directives.cut_after, pieces, ended=ended):
                return
            if _due(directives.reset_after, pieces, ended=ended):
                raise httpx.ReadError("echo: connection reset on demand", request=request)
            if _due(directives.hang_after, pieces, ended=ended):
                await asyncio.sleep(directives.hang)
            if step.kind == PIECE:
                await asyncio.sleep(directives.pace_ms / 1000 if pieces else 0)
                pieces += 1
        yield step.data


def _due(after: int | None, pieces: int, *, ended: bool) -> bool:
    """Whether a failure is due: after its number of pieces, or at the end of a response with fewer."""
    return after is not None and (pieces == after or (ended and pieces < after))


async def _hang(seconds: float, request: httpx.Request) -> None:
    timeout = mapping(request.extensions.get("timeout")).get("read")
    if timeout is not None and seconds > timeout:
        await asyncio.sleep(timeout)
        raise httpx.ReadTimeout("echo: no response within the read timeout", request=request)
    await asyncio.sleep(seconds)


def _parse(raw: bytes) -> dict[str, Any]:
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise EchoError(400, f"echo: the body is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise EchoError(400, "echo: the body is not a JSON object")
    return body


def _json_response(status: int, value: dict[str, Any], headers: list[tuple[str, str]]) -> httpx.Response:
    return httpx.Response(status, headers=[("content-type", _JSON), *headers], content=encode(value))


def _refusal(refused: EchoError, dialect: DialectModule, token: str) -> httpx.Response:
    headers = dialect.headers(token)
    if refused.retry_after is not None:
        headers.append(("retry-after", f"{refused.retry_after:g}"))
    return _json_response(refused.status, dialect.error(refused.status, refused.message, token=token), headers)
