"""Daphne on uvloop, with pxbin's HTTP protocol: limits before the application, back-pressure, and a drain at the end.

``serve`` runs until a signal stops it. The first SIGTERM or SIGINT drains: no new connections, new requests on open ones get
503, running answers end. The second one cuts what still runs. The journal is flushed (``on_shutdown``) in both cases.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
import resource
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Coroutine
from email.utils import formatdate
from time import monotonic, time
from typing import Any

import uvloop
from django.conf import settings
from twisted.internet import asyncioreactor

from pxbin_site.server.http1.limits import Limits

Application = Callable[..., Awaitable[None]]
Hook = Callable[[], Any]
Where = Callable[[str], bool]
BACKLOG = 2048


def install_reactor() -> None:
    """Make Twisted run on a uvloop event loop. It must come before anything imports the reactor, daphne included."""
    if "twisted.internet.reactor" not in sys.modules:
        asyncioreactor.install(uvloop.new_event_loop())


install_reactor()

from daphne import server as daphne_server  # noqa: E402
from daphne.http_protocol import HTTPFactory  # noqa: E402
from twisted.internet import reactor  # noqa: E402

from pxbin_site.server.http1.connection import Connection  # noqa: E402
from pxbin_site.server.http1.cycle import Cycle  # noqa: E402
from pxbin_site.server.http1.head import Head  # noqa: E402
from pxbin_site.server.http1.transport import StreamTransport  # noqa: E402


def everywhere(path: str) -> bool:  # noqa: ARG001  (that is what it means)
    """Yes."""
    return True


def limits_from_settings() -> Limits:
    """The limits that the operator has set."""
    config = settings.PXBIN
    return Limits(
        max_body_bytes=config.max_body_bytes,
        header_timeout=config.header_timeout_seconds,
        body_timeout=config.body_timeout_seconds,
    )


def listening_socket(host: str, port: int, *, fd: int | None = None) -> socket.socket:
    """A listening TCP socket: the one that ``fd`` is, or a new one at ``host:port`` (port 0: any)."""
    if fd is not None:
        inherited = socket.socket(fileno=fd)
        inherited.setblocking(False)
        return inherited
    family, kind, proto, _, name = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    listening = socket.socket(family, kind, proto)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(name)
    listening.listen(BACKLOG)
    listening.setblocking(False)
    return listening


class Factory(HTTPFactory):
    """Daphne's HTTP factory, building our protocol."""

    def buildProtocol(self, addr: object) -> Connection:  # noqa: ARG002, N802 - Twisted's name
        """One of our connections, whoever calls."""
        return Connection(self.server)


class Server(daphne_server.Server):
    """Daphne's server with our HTTP protocol. Websockets and the life of their applications stay daphne's."""

    def __init__(self, application: Application, *, limits: Limits, websockets: Where = everywhere) -> None:
        super().__init__(application, endpoints=["handed over as a socket"], signal_handlers=False, server_name="pxbin")
        self.connections: dict[object, dict[str, Any]] = {}  # daphne's book of websockets
        self.limits = limits
        self.takes_websockets = websockets
        self.draining = False
        self.common_headers = b""
        self.open_connections: set[Connection] = set()
        self.running: set[Cycle] = set()
        self.loop: asyncio.AbstractEventLoop = reactor._asyncioEventloop  # noqa: SLF001 - daphne takes it the same way
        self._listener: asyncio.Server | None = None
        self._stop = asyncio.Event()
        self._quiet = asyncio.Event()
        self._hurry = asyncio.Event()

    async def listen(self, listening: socket.socket) -> None:
        """Start to accept. The ticker looks after every deadline."""
        self.http_factory = Factory(self)
        self._tick()
        self._listener = await self.loop.create_server(lambda: StreamTransport(self._build), sock=listening, backlog=BACKLOG)

    def _build(self, transport: StreamTransport) -> Connection:
        connection: Connection = self.http_factory.buildProtocol(transport)
        return connection

    def run_until_done(self, main: Coroutine[Any, Any, None]) -> None:
        """Run the reactor until ``main`` is done; raises what it raises."""
        self.endpoints: list[str] = []  # we listen ourselves; what daphne sets up beside its endpoints is wanted
        asyncio.set_event_loop(self.loop)
        task = self.loop.create_task(main)
        task.add_done_callback(lambda _: reactor.stop())
        self.run()
        task.result()

    # What connections tell.

    def opened(self, connection: Connection) -> None:
        """A client connected."""
        self.open_connections.add(connection)

    def closed(self, connection: Connection) -> None:
        """A client is gone."""
        self.open_connections.discard(connection)

    def began(self, cycle: Cycle) -> None:
        """An application runs."""
        self.running.add(cycle)

    def ended(self, cycle: Cycle) -> None:
        """An application returned."""
        self.running.discard(cycle)
        if not self.running:
            self._quiet.set()

    def upgrade(self, connection: Connection, head: Head, rest: bytes) -> None:
        """Hand a connection over to daphne's websocket protocol, which parses the request once more."""
        transport = connection.transport
        self.open_connections.discard(connection)
        transport.unregisterProducer()
        websocket = self.ws_factory.buildProtocol(transport.getPeer())
        websocket._raw_query_string = head.query  # noqa: SLF001 - as daphne's own HTTP protocol does it
        transport.protocol = websocket
        websocket.makeConnection(transport)
        lines = [b"%b %b HTTP/1.1\r\n" % (head.method.encode(), head.target)]
        lines += [b"%b: %b\r\n" % pair for pair in head.headers]
        websocket.dataReceived(b"".join([*lines, b"\r\n", rest]))

    # Time.

    def _tick(self) -> None:
        now = monotonic()
        self.common_headers = b"server: pxbin\r\ndate: %b\r\n\r\n" % formatdate(time(), usegmt=True).encode()
        for connection in [each for each in self.open_connections if each.deadline is not None and each.deadline <= now]:
            connection.overdue()
        self.loop.call_later(self.limits.tick, self._tick)

    # The end.

    def signalled(self) -> None:
        """The first signal begins the drain, the second one ends it."""
        if self.draining:
            self._hurry.set()
        self.draining = True
        self._stop.set()

    async def until_signalled(self) -> None:
        """Wait for the first signal."""
        for number in (signal.SIGTERM, signal.SIGINT):
            self.loop.add_signal_handler(number, self.signalled)
        await self._stop.wait()

    async def drain(self, seconds: float) -> None:
        """Accept no more, let running answers end within ``seconds``, cut the rest, close every connection."""
        if self._listener is not None:
            self._listener.close()
        await self._wait_quiet(seconds)
        for cycle in list(self.running):
            cycle.cancel()
        self._hurry.clear()
        await self._wait_quiet(2.0)
        for connection in list(self.open_connections):
            connection.transport.loseConnection()
        await asyncio.sleep(0.05)  # what was written last leaves

    async def _wait_quiet(self, seconds: float) -> None:
        """Until nothing runs, the time is over, or a second signal came."""
        self._quiet.clear()
        if not self.running:
            return
        waiting = [asyncio.ensure_future(event.wait()) for event in (self._quiet, self._hurry)]
        await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for each in waiting:
            each.cancel()

    def kill_all_applications(self) -> object:
        """Websocket applications that still run are cancelled by daphne; HTTP ones have ended in ``drain``."""
        for websocket in [each for each, details in self.connections.items() if "application_instance" not in details]:
            del self.connections[websocket]
        return super().kill_all_applications()


def settle_memory() -> None:
    """Spare the garbage collector what start-up made: it stays for good, and looking through it costs a tenth of a request."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(5000, 20, 20)


def raise_file_limit() -> None:
    """Each client and each upstream call is an open file; the usual soft limit of 1024 is soon reached."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def call(hook: Hook | None) -> None:
    """Call a hook, if there is one, and wait for what it began."""
    if hook is None:
        return
    result = hook()
    if inspect.isawaitable(result):
        await result


def serve(  # noqa: PLR0913 - the knobs of a server, all but two with defaults
    application: Application,
    *,
    host: str,
    port: int,
    drain_seconds: float = 15.0,
    on_startup: Hook | None = None,
    on_drain: Callable[[int], Any] | None = None,
    on_shutdown: Hook | None = None,
    on_listening: Callable[[tuple[str, int]], Any] | None = None,
    fd: int | None = None,
    limits: Limits | None = None,
    websockets: Where = everywhere,
) -> None:
    """Run ``application`` until SIGTERM or SIGINT has been served. Only in the main thread, once per process.

    ``on_startup`` and ``on_shutdown`` may be plain or async functions; the first runs before the first connection is
    accepted, the last after the last answer. ``on_drain`` gets the number of running answers when the first signal has come:
    whoever shares the listening socket must let go of it too, or the kernel goes on accepting for nobody. ``on_listening``
    gets the address. ``websockets`` says at which paths there are any. ``fd``: a listening socket of the parent. Raises what
    ``on_startup`` raises, and OSError when the address cannot be had.
    """
    listening = listening_socket(host, port, fd=fd)
    raise_file_limit()
    server = Server(application, limits=limits or limits_from_settings(), websockets=websockets)

    async def main() -> None:
        try:
            await call(on_startup)
            settle_memory()
            await server.listen(listening)
            if on_listening is not None:
                on_listening(listening.getsockname()[:2])
            await server.until_signalled()
            if on_drain is not None:
                on_drain(len(server.running))
            await server.drain(drain_seconds)
        finally:
            await call(on_shutdown)

    server.run_until_done(main())
