"""Context windows in the lists of models: the value that the upstream lists, then the configured one, then the default."""

import uuid

from tests.e2e.test_chaos import WELL
from tests.support.fake_upstream import HANG, Reply, json_reply
from tests.support.waiting import PATIENCE


def windows(gateway, *names):
    listed_models = gateway.http.get(f"{gateway.url}/v1/models", headers={"authorization": f"Bearer {gateway.client_key}"}).json()["data"]
    windows_by_model = {model["id"]: model["context_window"] for model in listed_models}
    return [windows_by_model[name] for name in names]


def test_the_window_that_the_upstream_lists_comes_first_and_is_read_once(gateway, upstream):
    listed, configured, plain = (f"{word}-{uuid.uuid4().hex[:8]}" for word in ("listed", "configured", "plain"))
    upstream.otherwise(json_reply({"data": [{"id": listed, "context_length": 222_000}]}))
    gateway.add_upstream(upstream, listed, configured, plain, name=listed)
    (model,) = [row for row in gateway.api("GET", "/models", params={"per_page": "1000"}) if row["name"] == configured]
    gateway.api("PATCH", f"/models/{model['id']}", json={"context_window": 111_000})
    for _ in range(3):
        assert windows(gateway, listed, configured, plain) == [222_000, 111_000, 128_000]
    assert [request.path for request in upstream.requests] == ["/v1/models"]


def test_a_hanging_upstream_delays_the_model_list_once_and_for_a_limited_time(gateway, upstream):
    name = f"silent-{uuid.uuid4().hex[:8]}"
    upstream.otherwise(Reply(instead=HANG))
    gateway.add_upstream(upstream, name, name=name)
    assert windows(gateway, name) == [128_000]
    assert upstream.requests[0].left_early.wait(PATIENCE)
    assert windows(gateway, name) == [128_000]
    assert len(upstream.requests) == 1


def test_a_request_goes_first_where_the_upstream_says_that_it_fits(gateway, upstream, second_upstream):
    """Long text skips the route whose listed window is too small; an image of as many bytes has few tokens and does not."""
    name = f"fits-{uuid.uuid4().hex[:8]}"
    small = gateway.add_upstream(upstream, name=f"{name}-small")
    upstream.reply(json_reply({"data": [{"id": name, "context_length": 20_000}]}))
    gateway.api("POST", f"/upstreams/{small}/discover")
    (model,) = [row for row in gateway.api("GET", "/models", params={"per_page": "1000"}) if row["name"] == name]
    large = gateway.add_upstream(second_upstream, name=f"{name}-large", priority=5)
    gateway.api("POST", "/routes", json={"model_id": model["id"], "upstream_id": large, "context_window": 1_000_000})
    gateway.api("PATCH", f"/models/{model['id']}", json={"context_window": 1_000_000})
    for fake in (upstream, second_upstream):
        fake.otherwise(json_reply(WELL))
    text = {"type": "text", "text": "word " * 20_000}
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "A" * 100_000}}
    answers = []
    for content in (text, picture):
        body = {"model": name, "max_tokens": 9, "messages": [{"role": "user", "content": [content]}]}
        answer = gateway.http.post(f"{gateway.url}/v1/messages", headers=gateway.client_headers, json=body)
        answers.append((answer.status_code, answer.headers["x-pxbin-upstream"].rpartition("-")[2]))
    assert answers == [(200, "large"), (200, "small")]
    newest = gateway.logs(2, model=name)[-1]
    assert [skip["skipped"][-13:] for skip in newest["routing"][1:]] == ["not fit 20000"]
