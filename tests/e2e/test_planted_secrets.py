"""No secret appears where a run leaves traces: output, files, database, spool, admin pages, API, error responses.

Secrets of every kind are planted, used in requests that succeed and in requests that fail in every way, and then searched for.
"""

import json
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.fake_upstream import RESET, FakeUpstream, Reply, json_reply, sse
from tests.support.gateway import Gateway
from tests.support.waiting import eventually

PLANTED = {
    "secret key": "planted-secret-key-b1c2",
    "encryption key": "planted-encryption-key-d3e4",
    "bootstrap key": "planted-bootstrap-key-f5a6",
    "provider key in the environment": "sk-planted-environment-7b8c",
    "upstream credential": "sk-planted-upstream-9d0e",
    "second credential": "sk-planted-second-1f2a",
    "AWS secret": "planted-aws-secret-3b4c",
    "own credential": "sk-planted-own-5d6e",
    "password": "planted-password-7f8a",
    "wrong password": "planted-wrong-9b0c",
    "prompt": "planted-prompt-1d2e",
    "response": "planted-response-3f4a",
}
SECTIONS = (
    "accounts/apikey", "accounts/managementkey", "upstreams/upstream", "upstreams/model", "upstreams/route",
    "upstreams/upstreamcredential", "billing/requestlog", "billing/requestpayload", "billing/price", "auth/user",
)  # fmt: skip
LISTS = ("keys", "keys?type=management", "upstreams", "credentials", "models", "routes", "logs?per_page=200", "presets")
COMPLETION = {
    "id": "c", "object": "chat.completion", "created": 1, "model": "m", "usage": {"prompt_tokens": 3, "completion_tokens": 2},
    "choices": [{"index": 0, "message": {"role": "assistant", "content": PLANTED["response"]}, "finish_reason": "stop"}],
}  # fmt: skip


@pytest.fixture(scope="module")
def planted_gateway() -> Iterator[Gateway]:
    """A gateway that logs everything it can."""
    variables = {
        "PXBIN_SECRET_KEY": PLANTED["secret key"],
        "PXBIN_ENCRYPTION_KEY": PLANTED["encryption key"],
        "PXBIN_MANAGEMENT_BOOTSTRAP_KEY": PLANTED["bootstrap key"],
        "GROQ_API_KEY": PLANTED["provider key in the environment"],
        "PXBIN_LOG_LEVEL": "debug",
    }
    with Gateway.started(**variables) as gateway:
        yield gateway


def repeat_key(request: Any, *, status: int) -> Reply:
    """An error response that repeats the key of the request, as some providers' do."""
    return json_reply({"error": {"message": f"Incorrect API key provided: {request.header('authorization')}"}}, status=status)


def use_client_key(gateway: Gateway, key: str, upstream: FakeUpstream) -> list[httpx.Response]:
    """Requests of a client that succeed and that fail in many ways."""
    messages = [{"role": "user", "content": PLANTED["prompt"]}]
    body = {"model": "planted", "messages": messages, "max_tokens": 9}
    send = gateway.http.post
    url, own = gateway.url, {"x-api-key": key}
    chat = f"{url}/v1/chat/completions"
    stream = sse(f"data: {json.dumps(COMPLETION)}\n\n", "data: [DONE]\n\n")
    replies = [lambda _: json_reply(COMPLETION), lambda _: stream, *(partial(repeat_key, status=status) for status in (400, 500, 401))]
    responses = []
    for number, reply in enumerate([*replies, lambda _: Reply(instead=RESET)]):
        upstream.otherwise(reply)
        responses.append(send(chat, headers=own, json={**body, "stream": number == 1}))
    upstream.otherwise(json_reply(COMPLETION))
    responses += [
        send(f"{url}/v1/messages", headers=own, json=body),
        send(f"{url}/v1/responses", headers={"authorization": f"Bearer {key}"}, json={"model": "planted", "input": PLANTED["prompt"]}),
        send(f"{chat}?key={key}&api_key={key}", headers=own, json=body),
        send(chat, headers=own, content=json.dumps(body)[:-4]),
        send(chat, headers=own, content=json.dumps(body).encode("utf-16")),
        send(chat, headers=own, json={**body, "messages": [{"role": "user", "content": {"text": PLANTED["prompt"]}}]}),
        send(chat, headers=own, json={**body, "model": "no-such-model"}),
        send(chat, headers={"authorization": f"Bearer {PLANTED['own credential']}"}, json=body),
        send(chat, headers={"authorization": f"Basic {key}"}, json=body),
        send(f"{url}/v1/embeddings", headers=own, json={"model": "planted", "input": PLANTED["prompt"]}),
        send(f"{url}/api/v1/keys", headers=own, json={"name": "x"}),
        gateway.http.get(f"{url}/v1/models/{key}", headers=own),
        gateway.http.get(f"{url}/no/such/path/{key}"),
        gateway.http.get(f"{url}/admin/accounts/apikey/{key}/change/"),
    ]
    return responses


def use_management(gateway: Gateway) -> list[httpx.Response]:
    """Failing requests of scripts that carry secrets."""
    headers, url = gateway.management_headers, f"{gateway.url}/api/v1"
    send = gateway.http.post
    return [
        send(f"{url}/bootstrap", json={"bootstrap_key": PLANTED["bootstrap key"] + "x"}),
        send(f"{url}/upstreams", headers=headers, json={"name": "bad", "base_url": "no url", "api_key": PLANTED["upstream credential"]}),
        send(f"{url}/credentials", headers=headers, json={"upstream_id": "none", "api_key": PLANTED["second credential"]}),
        send(f"{url}/credentials", headers=headers, content=b'{"api_key": "' + PLANTED["second credential"].encode()),
        send(f"{url}/credentials", headers=headers, json={"upstream_id": "none", "api_kye": PLANTED["second credential"]}),
    ]


def log_in(browser: httpx.Client, name: str, password: str) -> httpx.Response:
    browser.get("/admin/login/")
    form = {"username": name, "password": password, "csrfmiddlewaretoken": browser.cookies["csrftoken"]}
    return browser.post("/admin/login/", data=form, headers={"referer": str(browser.base_url)})


def add_user(browser: httpx.Client) -> None:
    browser.get("/admin/auth/user/add/")
    form = {"username": "planted", "password1": PLANTED["password"], "password2": PLANTED["password"], "usable_password": "true"}
    token = {"csrfmiddlewaretoken": browser.cookies["csrftoken"]}
    assert browser.post("/admin/auth/user/add/", data={**form, **token}).status_code == 302


def pages(browser: httpx.Client) -> Iterator[tuple[str, bytes]]:
    """The lists of the admin, and the pages and histories of the rows on them."""
    for section in SECTIONS:
        listed = browser.get(f"/admin/{section}/")
        assert listed.status_code == 200, section
        yield section, listed.content
        for link in sorted(set(re.findall(rf'"(/admin/{section}/[^/"]+/change/)', listed.text)))[:10]:
            yield link, browser.get(link).content
            history = link.replace("/change/", "/history/")
            history_page = browser.get(history)
            yield history, history_page.content
            for version in sorted(set(re.findall(rf'"({history}[^/"]+/)"', history_page.text)))[:3]:
                yield version, browser.get(version).content


def files(directory: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(directory.rglob("*")):
        if path.is_file():
            yield path.name, path.read_bytes()


def test_no_planted_secret_is_left_anywhere(planted_gateway: Gateway, upstream: FakeUpstream) -> None:
    gateway = planted_gateway
    printed_before = len(gateway.output)
    client_key = gateway.api("POST", "/keys", json={"name": "planted"})
    secrets = {**PLANTED, "client key": client_key["key"], "first client key": gateway.client_key, "management key": gateway.management_key}
    upstream_id = gateway.add_upstream(upstream, "planted", name="planted", api_key=PLANTED["upstream credential"], format="openai")
    gateway.api("POST", "/credentials", json={"upstream_id": upstream_id, "name": "b", "api_key": PLANTED["second credential"]})
    amazon = {"format": "bedrock", "region": "us-east-1", "api_key": PLANTED["AWS secret"], "access_key_id": "AKIDPLANTED"}
    gateway.http.post(f"{gateway.url}/api/v1/upstreams", headers=gateway.management_headers, json={"name": "aws", **amazon})
    responses = use_client_key(gateway, client_key["key"], upstream) + use_management(gateway)
    gateway.api("PATCH", f"/keys/{client_key['id']}", json={"name": "planted again"})
    eventually(lambda: len(gateway.logs(0)) >= 10, message="the log rows were not written")

    outputs: list[tuple[str, bytes]] = [(f"{response.request.method} {response.url.path}", response.content) for response in responses]
    with httpx.Client(base_url=gateway.url, timeout=60) as browser:
        outputs.append(("wrong login", log_in(browser, gateway.admin_name, PLANTED["wrong password"]).content))
        outputs.append(("password as the name", log_in(browser, PLANTED["password"], PLANTED["wrong password"]).content))
        assert log_in(browser, gateway.admin_name, gateway.admin_password).status_code == 302
        add_user(browser)
        outputs += pages(browser)
    for path in LISTS:
        outputs.append((path, gateway.http.get(f"{gateway.url}/api/v1/{path}", headers=gateway.management_headers).content))
    outputs += files(gateway.data_dir)
    gateway.stop()
    outputs += files(gateway.data_dir)
    outputs.append(("output", gateway.output[printed_before:].encode()))

    paths = ("chat/completions", "messages", "responses", "embeddings")
    allowed = {(f"POST /v1/{path}", "response") for path in paths}
    allowed.add((f"GET /v1/models/{client_key['key']}", "client key"))  # the client's own text, to the client alone
    allowed.add(("password as the name", "password"))  # the form shows the name again that was typed
    leaks = {(place, name) for place, content in outputs for name, secret in secrets.items() if secret.encode() in content}
    assert leaks - allowed == set()
    assert len(outputs) > 60, "the search has lost its places"
