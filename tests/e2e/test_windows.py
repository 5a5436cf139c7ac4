"""Context windows in the lists of models: the upstream's own word, then what is configured, then the default."""

import time
import uuid

from tests.support.fake_upstream import HANG, Reply, json_reply


def windows(gateway, *names):
    shown = gateway.http.get(f"{gateway.url}/v1/models", headers={"authorization": f"Bearer {gateway.client_key}"}).json()["data"]
    known = {model["id"]: model["context_window"] for model in shown}
    return [known[name] for name in names]


def test_the_upstream_says_it_first_and_is_asked_once(gateway, upstream):
    listed, configured, plain = (f"{word}-{uuid.uuid4().hex[:8]}" for word in ("listed", "configured", "plain"))
    upstream.otherwise(json_reply({"data": [{"id": listed, "context_length": 222_000}]}))
    gateway.add_upstream(upstream, listed, configured, plain, name=listed)
    (model,) = [row for row in gateway.api("GET", "/models", params={"per_page": "1000"}) if row["name"] == configured]
    gateway.api("PATCH", f"/models/{model['id']}", json={"context_window": 111_000})
    for _ in range(3):
        assert windows(gateway, listed, configured, plain) == [222_000, 111_000, 128_000]
    assert [request.path for request in upstream.requests] == ["/v1/models"]


def test_an_upstream_that_is_silent_holds_the_list_up_once_and_shortly(gateway, upstream):
    name = f"silent-{uuid.uuid4().hex[:8]}"
    upstream.otherwise(Reply(instead=HANG))
    gateway.add_upstream(upstream, name, name=name)
    began = time.monotonic()
    assert windows(gateway, name) == [128_000]
    assert 1.5 < time.monotonic() - began < 4
    assert windows(gateway, name) == [128_000]
    assert len(upstream.requests) == 1
