"""An HTTP proxy on a loopback port: it tunnels CONNECT, and forwards plain requests."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

from upstreams.http import client


class OutgoingProxy:
    """``heads``: the head of each request to it. ``status``: what it answers to CONNECT."""

    def __init__(self) -> None:
        self.heads: list[str] = []
        self.status = "200 OK"
        self.url = ""
        self.writers: list[asyncio.StreamWriter] = []

    @property
    def lines(self) -> list[str]:
        """The request lines."""
        return [head.partition("\r\n")[0] for head in self.heads]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.writers.append(writer)
        with suppress(OSError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.heads.append(head)
            method, target, _ = head.partition("\r\n")[0].split(" ")
            if method == "CONNECT":
                writer.write(f"HTTP/1.1 {self.status}\r\n\r\n".encode())
                if not self.status.startswith("200"):
                    writer.close()
                    return
                upward = await asyncio.open_connection(*target.rsplit(":", 1))
            else:
                parts = urlsplit(target)
                upward = await asyncio.open_connection(parts.hostname, parts.port)
                upward[1].write(head.replace(target, parts.path, 1).encode())
            self.writers.append(upward[1])
            await asyncio.gather(_copy(reader, upward[1]), _copy(upward[0], writer))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()


@asynccontextmanager
async def running() -> AsyncIterator[OutgoingProxy]:
    """A proxy in the running loop."""
    proxy = OutgoingProxy()
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        await client.close_all()
        server.close()
        for writer in proxy.writers:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
