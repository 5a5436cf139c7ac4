"""Two gateways on one PostgreSQL: the other one serves what one of them writes."""

from contextlib import ExitStack

import pytest

from tests.support.gateway import Gateway
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow


@pytest.fixture
def pair(postgres_url):
    shared = {
        "PXBIN_DATABASE_URL": postgres_url,
        "PXBIN_ENCRYPTION_KEY": "a passphrase of both",
        "PXBIN_SECRET_KEY": "a secret of both",
        "PXBIN_MAX_DB_CONNS": "6",
        "PXBIN_MIN_DB_CONNS": "1",
        "PXBIN_CELERY": "false",
    }
    with ExitStack() as running:
        first = running.enter_context(Gateway.started(**shared))
        second = running.enter_context(Gateway.started(**shared))
        yield first, second


def ask(gateway, key, model):
    body = {"model": model, "max_tokens": 10, "messages": [{"role": "user", "content": "hi"}]}
    return gateway.http.post(f"{gateway.url}/v1/messages", headers={"x-api-key": key}, json=body).status_code


def test_what_one_gateway_writes_the_other_serves(pair):
    first, second = pair
    key = first.api("POST", "/keys", json={"name": "shared"})
    assert ask(second, key["key"], "echo") == 200
    assert ask(second, key["key"], "soon") == 404
    echo = next(row for row in first.api("GET", "/upstreams") if row["name"] == "echo")
    model = first.api("POST", "/models", json={"name": "soon", "upstream_id": echo["id"], "remote_name": "echo"})
    assert (ask(second, key["key"], "soon"), ask(first, key["key"], "soon")) == (200, 200)

    first.api("PATCH", f"/models/{model['id']}", json={"is_active": False})
    assert ask(first, key["key"], "soon") == 404
    assert eventually(lambda: ask(second, key["key"], "soon") == 404)

    first.api("DELETE", f"/keys/{key['id']}")
    assert ask(first, key["key"], "echo") == 403
    assert eventually(lambda: ask(second, key["key"], "echo") == 403)
