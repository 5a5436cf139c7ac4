"""Another ASGI server has none of the limits, so it is refused where others could reach it."""

import pytest

from pxbin_site.processes import other_server
from pxbin_site.processes.other_server import NO_LIMITS, why_not, with_lifespan
from tests.support.gateway import failed_start

MISSING = "no_such_server is not installed: pip install no_such_server"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.0.1", "::1", "localhost"])
def test_a_loopback_address_is_accepted(host):
    assert why_not("json", host, accepts_no_limits=False) == ""


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "gateway.example"])
def test_other_addresses_need_the_operators_word(host):
    assert why_not("json", host, accepts_no_limits=False) == NO_LIMITS.format(name="json")
    assert why_not("json", host, accepts_no_limits=True) == ""


def test_a_server_that_is_not_installed_is_named():
    assert why_not("no_such_server", "127.0.0.1", accepts_no_limits=False) == MISSING


async def test_the_services_run_from_the_startup_to_the_shutdown_of_the_server():
    events, sent = ["startup", "shutdown"], []

    async def note(name):
        sent.append(name)

    async def receive():
        return {"type": f"lifespan.{events.pop(0)}"}

    async def send(message):
        sent.append(message["type"])

    served = with_lifespan(lambda *_: note("request"), start=lambda: note("started"), stop=lambda: note("stopped"))
    await served({"type": "lifespan"}, receive, send)
    await served({"type": "http"}, receive, send)
    assert sent == ["started", "lifespan.startup.complete", "stopped", "lifespan.shutdown.complete", "request"]


@pytest.mark.slow
def test_serve_refuses_it_on_an_open_address(tmp_path):
    status, stderr = failed_start(tmp_path, "--server", "uvicorn", "--host", "0.0.0.0", "--port", "0")
    assert (status, stderr) == (1, f"CommandError: {other_server.NO_LIMITS.format(name='uvicorn')}\n")
