"""The parts of aiohttp that are not public and that `upstreams.http` uses: a new version must still have them.

`requirements.in` pins aiohttp exactly. Whoever raises the version changes VERSION here after these tests and those of the client passed.
"""

import asyncio
import inspect
from importlib.metadata import version

import aiohttp
import pytest
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ClientRequest
from aiohttp.connector import Connection
from yarl import URL

VERSION = "3.14.5"


def parameters(function: object) -> set[str]:
    assert callable(function)
    return set(inspect.signature(function).parameters)


def test_the_version_is_the_one_that_was_tested():
    assert version("aiohttp") == VERSION


@pytest.mark.parametrize(
    ("function", "needed"),
    [
        (aiohttp.TCPConnector.connect, {"req", "traces", "timeout"}),
        (
            ResponseHandler.set_response_params,
            {"skip_payload", "read_until_eof", "auto_decompress", "read_bufsize", "max_line_size", "max_field_size", "max_headers"},
        ),
        (ResponseHandler.set_exception, {"exc"}),
        (ResponseHandler.data_received, {"data"}),
        (ResponseHandler.start_timeout, set()),
        (ResponseHandler.read, set()),
        (ResponseHandler.abort, set()),
        (Connection.release, set()),
        (Connection.close, set()),
    ],
    ids=lambda value: value.__qualname__ if callable(value) else "",
)
def test_a_method_takes_the_arguments_that_are_passed(function, needed):
    assert needed - parameters(function) == set()


async def test_the_connector_makes_its_connections_by_a_factory_that_can_be_replaced():
    connector = aiohttp.TCPConnector()
    assert isinstance(connector._factory(), ResponseHandler)
    await connector.close()


async def test_a_request_is_a_key_of_the_pool():
    loop = asyncio.get_running_loop()
    key = ClientRequest("POST", URL("https://upstream.example:8443", encoded=True), loop=loop).connection_key
    assert (key.host, key.port, key.is_ssl) == ("upstream.example", 8443, True)
