"""Daphne's server on uvloop with pxbin's HTTP protocol: limits before the application, back-pressure, and a drain at the end.

``serve`` runs until a signal stops it. The first SIGTERM or SIGINT starts the drain: no new connections are accepted, new
requests on open ones get 503, running responses may finish. A second signal ends the drain: what still runs is cut off.
After SIGHUP the server retires, because another process serves the address: no new connections are accepted, open ones are
served as long as they last, each for one more request, and then the server ends.
``on_shutdown`` is called in both cases.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import inspect
import resource
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Coroutine
from email.utils import formatdate
from functools import partial
from time import monotonic, time
from typing import Any, NamedTuple

import uvloop
from django.conf import settings
from twisted.internet import asyncioreactor

from pxbin_site.server.http1.body_memory import BodyMemory
from pxbin_site.server.http1.gate import Gate, OpenGate
from pxbin_site.server.http1.limits import Limits

Application = Callable[..., Awaitable[None]]
Hook = Callable[[], Any]
PathPredicate = Callable[[str], bool]
BACKLOG = 2048
RETIREMENT_SECONDS = 0.1
"""Between two looks at the connections of a server that retires."""
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Parameters of mallopt, from glibc's malloc.h."""


def install_reactor() -> None:
    """Run Twisted on a uvloop event loop. Must be called before anything imports the reactor, daphne included."""
    if "twisted.internet.reactor" not in sys.modules:
        asyncioreactor.install(uvloop.new_event_loop())


install_reactor()

from daphne import server as daphne_server  # noqa: E402
from twisted.internet import reactor  # noqa: E402

from pxbin_site.server.http1.connection import Connection  # noqa: E402
from pxbin_site.server.http1.cycle import Cycle  # noqa: E402
from pxbin_site.server.http1.head import Head  # noqa: E402
from pxbin_site.server.http1.leavers import leavers  # noqa: E402
from pxbin_site.server.http1.transport import StreamTransport  # noqa: E402
from pxbin_site.server.http1.turns import Turns  # noqa: E402
from pxbin_site.server.overload import Overload  # noqa: E402
from pxbin_site.server.websockets import Flow, refuse_handshake  # noqa: E402


def any_path(path: str) -> bool:  # noqa: ARG001  (the signature of a PathPredicate)
    """The predicate that accepts every path."""
    return True


def limits_from_settings() -> Limits:
    """The limits of the settings; those that are not settings have their defaults."""
    config = settings.PXBIN
    return Limits(
        max_body_bytes=config.max_body_bytes,
        header_timeout=config.header_timeout_seconds,
        body_timeout=config.body_timeout_seconds,
        max_buffered_bytes=config.max_buffered_bytes,
        max_running=config.max_running_requests or sys.maxsize,
        max_lag=config.shed_lag_seconds,
    )


def listening_socket(host: str, port: int) -> socket.socket:
    """A new listening TCP socket at ``host:port`` (port 0: any free one). Raises OSError if the address cannot be bound."""
    family, kind, proto, _, name = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    listening = socket.socket(family, kind, proto)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(name)
    listening.listen(BACKLOG)
    return listening


Running = Cycle | asyncio.Task[None]
"""A request, or a turn over a websocket."""


class Server(daphne_server.Server):
    """Daphne's server with pxbin's HTTP protocol. Websockets and the tasks of their applications stay daphne's."""

    current: Server | None = None
    """That of this process."""

    def __init__(
        self,
        application: Application,
        *,
        limits: Limits,
        gate: Gate,
        websockets: PathPredicate = any_path,
        is_sheddable: PathPredicate = any_path,
    ) -> None:
        Server.current = self
        super().__init__(
            application,
            endpoints=["an open socket"],
            signal_handlers=False,
            server_name="pxbin",
            websocket_max_message_size=limits.max_body_bytes,
            websocket_max_frame_size=limits.max_body_bytes,
        )
        self.connections: dict[object, dict[str, Any]] = {}  # daphne's dictionary of websockets
        self.limits = limits
        self.gate = gate
        self.body_memory = BodyMemory(limits.max_buffered_bytes, limits.max_keyless_bytes)
        self.has_websocket = websockets
        self.draining = False
        self.retiring = False
        self.keeps_alive = True
        self.common_headers = b""
        self.open_connections: set[Connection] = set()
        self.running: set[Running] = set()
        self.loop: asyncio.AbstractEventLoop = reactor._asyncioEventloop  # noqa: SLF001 - daphne takes it the same way
        self.turns = Turns(self.loop)
        self.overload = Overload(
            max_lag_seconds=limits.max_lag,
            max_running=limits.max_running,
            running=lambda: (running for running in self.running if isinstance(running, Cycle)),
            is_sheddable=is_sheddable,
        )
        self.held_back: set[Connection] = set()
        self._listener: asyncio.Server | None = None
        self._stop = asyncio.Event()
        self._idle = asyncio.Event()
        self._force_stop = asyncio.Event()

    async def listen(self, listening: socket.socket) -> None:
        """Start to accept connections, and start the ticker, which checks the deadlines."""
        self._tick()
        self.overload.start(self.loop)
        self._listener = await self.loop.create_server(lambda: StreamTransport(partial(Connection, self)), sock=listening, backlog=BACKLOG)

    def run_until_complete(self, main: Coroutine[Any, Any, None]) -> None:
        """Run the reactor until ``main`` is complete; raises what it raises."""
        self.endpoints: list[str] = []  # `listen` replaces the endpoints; the rest of daphne's `run` is needed
        asyncio.set_event_loop(self.loop)
        task = self.loop.create_task(main)
        task.add_done_callback(lambda _: reactor.stop())
        self.run()
        task.result()

    # Called by connections.

    def connection_opened(self, connection: Connection) -> None:
        """A client connected."""
        self.open_connections.add(connection)

    def connection_closed(self, connection: Connection) -> None:
        """A connection is closed."""
        self.open_connections.discard(connection)

    def admit(self, head: Head) -> None:
        """See :class:`~pxbin_site.server.http1.connection_server.ConnectionServer`."""
        if self.overload.share or len(self.running) >= self.limits.max_running:
            self.overload.check(head, len(self.running))

    def cycle_started(self, cycle: Running) -> None:
        """An application has been started for a request."""
        self.running.add(cycle)

    def cycle_ended(self, cycle: Running) -> None:
        """An application has returned."""
        self.running.discard(cycle)
        if not self.running:
            self._idle.set()

    def upgrade(self, connection: Connection, head: Head, rest: bytes) -> None:
        """Pass a connection to daphne's websocket protocol, which parses the request again."""
        transport = connection.transport
        self.open_connections.discard(connection)
        transport.unregisterProducer()
        websocket = self.ws_factory.buildProtocol(transport.getPeer())
        websocket._raw_query_string = head.query  # noqa: SLF001 - as daphne's own HTTP protocol does it
        websocket.flow = Flow()
        transport.registerProducer(websocket.flow, streaming=True)
        transport.protocol = websocket
        websocket.makeConnection(transport)
        lines = [b"%b %b HTTP/1.1\r\n" % (head.method.encode(), head.target)]
        lines += [b"%b: %b\r\n" % pair for pair in head.headers]
        websocket.dataReceived(b"".join([*lines, b"\r\n", rest]))

    def create_application(self, protocol: Any, scope: dict[str, Any]) -> Any:
        """Tell a websocket application which server runs it, and that it may refuse the handshake with a response."""
        scope["extensions"] = {"pxbin.server": self, "websocket.http.response": {}}
        return super().create_application(protocol, scope)

    async def handle_reply(self, protocol: Any, message: dict[str, Any]) -> None:
        """Pass a message to daphne's websocket protocol; waits while the client does not read what was sent."""
        if message["type"].startswith("websocket.http.response."):
            refuse_handshake(protocol, message)
            return
        await super().handle_reply(protocol, message)
        await protocol.flow.writable()

    # Deadlines.

    def _tick(self) -> None:
        now = monotonic()
        self.common_headers = b"server: pxbin\r\ndate: %b\r\n\r\n" % formatdate(time(), usegmt=True).encode()
        for connection in [item for item in self.open_connections if item.deadline is not None and item.deadline <= now]:
            connection.deadline_passed()
        for connection in leavers(self.held_back):
            self.held_back.discard(connection)
            connection.readConnectionLost()
        self.loop.call_later(self.limits.tick, self._tick)

    # Shutdown.

    def handle_signal(self) -> None:
        """The first signal starts the drain, a second one ends it."""
        if self.draining:
            self._force_stop.set()
        self.draining, self.keeps_alive = True, False
        self._stop.set()

    def retire(self) -> None:
        """Accept no more connections, and end when the open ones are closed. Each of them gets one more response."""
        self.retiring, self.keeps_alive = True, False
        self._stop.set()

    async def wait_for_signal(self, on_hangup: Callable[[], Any]) -> None:
        """Wait for the first signal, or for :meth:`retire`. SIGHUP calls ``on_hangup``."""
        for number in (signal.SIGTERM, signal.SIGINT):
            self.loop.add_signal_handler(number, self.handle_signal)
        self.loop.add_signal_handler(signal.SIGHUP, on_hangup)
        await self._stop.wait()

    async def last_connections(self) -> None:
        """Stop accepting, and wait until no connection is open, or a signal starts the drain."""
        if self._listener is not None:
            self._listener.close()
        while not self.draining and (self.open_connections or self.running or self.connections):  # noqa: ASYNC110  (no event has these facts)
            await asyncio.sleep(RETIREMENT_SECONDS)

    async def drain(self, seconds: float) -> None:
        """Stop accepting, let running responses finish within ``seconds``, cancel the others, close all connections."""
        if self._listener is not None:
            self._listener.close()
        await self._wait_until_idle(seconds)
        for cycle in list(self.running):
            cycle.cancel()
        self._force_stop.clear()
        await self._wait_until_idle(2.0)
        for connection in list(self.open_connections):
            connection.transport.loseConnection()
        await asyncio.sleep(0.05)  # the transports write what is buffered

    async def _wait_until_idle(self, seconds: float) -> None:
        """Wait until no application runs, ``seconds`` have passed, or a second signal has arrived."""
        self._idle.clear()
        if not self.running:
            return
        waiting = [asyncio.ensure_future(event.wait()) for event in (self._idle, self._force_stop)]
        await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()

    def kill_all_applications(self) -> object:
        """Let daphne cancel websocket applications; HTTP applications have ended in ``drain``."""
        for websocket in [protocol for protocol, details in self.connections.items() if "application_instance" not in details]:
            del self.connections[websocket]
        return super().kill_all_applications()


class Load(NamedTuple):
    """What this process serves now, and how many requests it has refused because of overload."""

    running: int
    connections: int
    shed: int


def load() -> Load:
    """The load of this process; zeros without a server."""
    server = Server.current
    return Load(0, 0, 0) if server is None else Load(len(server.running), len(server.open_connections), server.overload.shed)


def retire() -> None:
    """Let the server of this process retire; from any thread."""
    if Server.current is not None:
        Server.current.loop.call_soon_threadsafe(Server.current.retire)


def is_stopping() -> bool:
    """Whether a signal has ended the server of this process, and not its retirement alone."""
    return Server.current is not None and Server.current.draining


def freeze_startup_objects() -> None:
    """Exclude objects of the start from garbage collection: they are permanent, and scanning them costs a tenth of a request's CPU."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(5000, 20, 20)


def raise_file_limit() -> None:
    """Raise the soft limit of open files: each client and each upstream call is one, and the usual limit is 1024."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def return_large_blocks() -> None:
    """Let the C library return the memory of large bodies to the system at once.

    By default glibc raises its threshold for blocks of their own with each large block that is freed, up to 32 MiB; later
    bodies then come from the heap, and what lies between smaller blocks is not returned (mallopt(3)). Other C libraries have
    no such function.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, 1024 * 1024)
        mallopt(M_TRIM_THRESHOLD, 16 * 1024 * 1024)


async def call_hook(hook: Hook | None) -> None:
    """Call a hook, if there is one, and await its result if it is awaitable."""
    if hook is None:
        return
    result = hook()
    if inspect.isawaitable(result):
        await result


def serve(  # noqa: PLR0913 - options of a server, most with defaults
    application: Application,
    listening: socket.socket,
    *,
    drain_seconds: float = 15.0,
    on_startup: Hook | None = None,
    on_hangup: Callable[[], Any] | None = None,
    on_drain: Callable[[int], Any] | None = None,
    on_shutdown: Hook | None = None,
    on_listening: Callable[[tuple[str, int]], Any] | None = None,
    limits: Limits | None = None,
    gate: Gate | None = None,
    websockets: PathPredicate = any_path,
    is_sheddable: PathPredicate = any_path,
) -> None:
    """Serve ``application`` on a listening socket until SIGTERM or SIGINT. Only in the main thread, once per process.

    ``on_startup`` and ``on_shutdown`` may be plain or async functions; the first is called before a connection is accepted,
    the last after the drain. ``on_drain`` gets the number of running responses after the first signal; it must close other
    copies of the listening socket in this process, or the kernel goes on accepting connections that nobody serves. ``on_hangup`` is
    called at SIGHUP, by default :func:`retire`; ``on_drain`` is called at the beginning of a retirement, too.
    ``on_listening`` gets the address. ``gate`` decides which bodies are received; without one, all
    are. ``websockets``: whether a path has a websocket; ``is_sheddable``: whether requests of a path may be refused when there is too
    much to do. Raises what ``on_startup`` raises.
    """
    listening.setblocking(False)
    raise_file_limit()
    return_large_blocks()
    server = Server(
        application, limits=limits or limits_from_settings(), gate=gate or OpenGate(), websockets=websockets, is_sheddable=is_sheddable
    )

    async def main() -> None:
        try:
            await call_hook(on_startup)
            freeze_startup_objects()
            await server.listen(listening)
            if on_listening is not None:
                on_listening(listening.getsockname()[:2])
            await server.wait_for_signal(on_hangup or server.retire)
            if on_drain is not None:
                on_drain(sum(not (isinstance(item, Cycle) and item.is_complete) for item in server.running))
            if server.retiring:
                await server.last_connections()
            await server.drain(drain_seconds)
        finally:
            await call_hook(on_shutdown)

    server.run_until_complete(main())
