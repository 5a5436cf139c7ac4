"""A server that speaks only HTTP/2 and answers each request with its body."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import h2.config
import h2.connection
import h2.events

from upstreams.http import client

Requests = list[dict[str, str]]


@asynccontextmanager
async def serving_http2(tls: ssl.SSLContext) -> AsyncIterator[tuple[Requests, str]]:
    """The headers of each request, and the URL."""
    requests: Requests = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        connection.initiate_connection()
        writer.write(connection.data_to_send())
        bodies: dict[int, bytes] = {}
        while data := await reader.read(65536):
            for event in connection.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    requests.append(dict(event.headers))
                elif isinstance(event, h2.events.DataReceived):
                    bodies[event.stream_id] = bodies.get(event.stream_id, b"") + event.data
                elif isinstance(event, h2.events.StreamEnded):
                    connection.send_headers(event.stream_id, [(":status", "200")])
                    connection.send_data(event.stream_id, b"2: " + bodies.get(event.stream_id, b""), end_stream=True)
            writer.write(connection.data_to_send())
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    try:
        yield requests, f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/x"
    finally:
        await client.close_all()
        server.close()
