"""Clients that bring the upstream's own credential: which requests are accepted, what is sent to the upstream, and what is not."""

import uuid
from base64 import b64encode

import pytest

from tests.e2e.test_chaos import answering, error
from tests.support.fake_upstream import json_reply
from tests.support.gateway import Gateway

REFUSED = 401


@pytest.fixture(scope="module")
def open_gateway():
    with Gateway.started(PXBIN_OPEN_PASSTHROUGH="1") as running:
        yield running


def own(gateway, upstream, *, model_fields=None, **fields):
    """A model whose upstream is called with the client's own credential."""
    name = f"own-{uuid.uuid4().hex[:8]}"
    upstream.otherwise(answering)
    gateway.add_upstream(upstream, name, name=name, **{"pass_client_credentials": True, "api_key": "", **fields})
    if model_fields:
        (model,) = [row for row in gateway.api("GET", "/models", params={"per_page": "1000"}) if row["name"] == name]
        gateway.api("PATCH", f"/models/{model['id']}", json=model_fields)
    return name


def ask(gateway, model, headers):
    body = {"model": model, "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
    return gateway.http.post(f"{gateway.url}/v1/messages", headers=headers, json=body)


def sent_credentials(upstream):
    """The credentials of the only request that the upstream got."""
    (request,) = upstream.requests
    assert "pxb_" not in str(request.headers).lower()
    assert "pxm_" not in str(request.headers).lower()
    return {name: value for name in ("authorization", "x-api-key", "x-their-key") if (value := request.header(name)) is not None}


KEY = "<key>"
"""Stands for the client's gateway key in the tables below."""


@pytest.mark.parametrize(
    ("client_headers", "passed"),
    [
        ({"x-pxbin-key": KEY, "x-api-key": "sk-own"}, {"x-api-key": "sk-own"}),
        ({"x-pxbin-key": KEY, "authorization": "Bearer sk-own"}, {"authorization": "Bearer sk-own"}),
        ({"x-pxbin-key": KEY, "authorization": "Basic b3du"}, {"authorization": "Basic b3du"}),
        (
            {"x-pxbin-key": KEY, "authorization": "Bearer a", "x-api-key": "b"},
            {"authorization": "Bearer a", "x-api-key": "b"},
        ),
        ({"x-api-key": KEY, "authorization": "Bearer sk-own"}, {"authorization": "Bearer sk-own"}),
        ({"authorization": f"Bearer {KEY}", "x-api-key": "sk-own"}, {"x-api-key": "sk-own"}),
        ({"x-pxbin-key": KEY, "x-api-key": KEY, "authorization": "Bearer sk-own"}, {"authorization": "Bearer sk-own"}),
        ({"x-pxbin-key": KEY, "x-api-key": "pxm_" + "0" * 40, "authorization": "Bearer sk-own"}, {"authorization": "Bearer sk-own"}),
        ({"x-pxbin-key": KEY}, {}),
        ({"x-api-key": KEY}, {}),
        ({"authorization": KEY}, {}),
        ({"authorization": KEY, "x-api-key": "sk-own"}, {"x-api-key": "sk-own"}),
        ({"x-pxbin-key": KEY, "authorization": f"Token {KEY}"}, {}),
        ({"x-pxbin-key": KEY, "authorization": f"Bearer Bearer {KEY}"}, {}),
        ({"x-pxbin-key": KEY, "authorization": f"Bearer sk-own, {KEY}"}, {}),
        ({"x-pxbin-key": KEY, "x-api-key": f"Bearer {KEY}"}, {}),
        ({"x-pxbin-key": KEY, "x-api-key": "PXB_" + "A" * 40, "authorization": "Bearer sk-a"}, {"authorization": "Bearer sk-a"}),
        ({"x-pxbin-key": KEY, "authorization": "Basic " + b64encode(b"me:pxm_" + b"0" * 40).decode()}, {}),
    ],
    ids=str,
)
def test_the_gateways_key_stays_and_the_clients_own_goes_up_as_it_came(gateway, upstream, client_headers, passed):
    name = own(gateway, upstream)
    headers = {header: value.replace(KEY, gateway.client_key) for header, value in client_headers.items()}
    assert ask(gateway, name, headers).status_code == 200
    assert sent_credentials(upstream) == passed


@pytest.mark.parametrize(
    ("fields", "client_headers", "passed"),
    [
        ({"auth_header": "X-Their-Key"}, {"authorization": "Bearer sk-own"}, {"x-their-key": "sk-own"}),
        ({"auth_header": "X-Their-Key"}, {"x-api-key": "sk-own"}, {"x-their-key": "sk-own"}),
        ({"auth_header": "X-Their-Key", "auth_scheme": "Token"}, {"x-api-key": "sk-own"}, {"x-their-key": "Token sk-own"}),
        ({"auth_scheme": "Token"}, {"x-api-key": "sk-own"}, {"authorization": "Token sk-own"}),
        ({"format": "anthropic", "auth_scheme": "Bearer"}, {"authorization": "Bearer sk-own"}, {"x-api-key": "Bearer sk-own"}),
        ({"auth_header": "x-api-key"}, {"authorization": "Bearer sk-own"}, {"x-api-key": "sk-own"}),
    ],
    ids=str,
)
def test_a_header_or_scheme_of_the_upstream_carries_the_clients_credential(gateway, upstream, fields, client_headers, passed):
    name = own(gateway, upstream, **fields)
    ask(gateway, name, {"x-pxbin-key": gateway.client_key, **client_headers})
    assert sent_credentials(upstream) == passed


def test_other_upstreams_never_see_the_clients_own_credential(gateway, upstream):
    name = own(gateway, upstream, pass_client_credentials=False, api_key="sk-ours")
    headers = {"x-pxbin-key": gateway.client_key, "authorization": "Bearer sk-own", "x-api-key": "sk-other"}
    assert ask(gateway, name, headers).status_code == 200
    assert sent_credentials(upstream) == {"authorization": "Bearer sk-ours"}


@pytest.mark.parametrize(
    ("is_open", "passes", "anonymous", "status"),
    [
        (False, True, False, REFUSED),
        (False, True, True, 200),
        (False, False, True, 200),
        (True, True, False, 200),
        (True, False, False, REFUSED),
    ],
)
def test_who_needs_no_key(request, upstream, is_open, passes, anonymous, status):
    gateway = request.getfixturevalue("open_gateway" if is_open else "gateway")
    fields = {} if passes else {"pass_client_credentials": False, "api_key": "sk-ours"}
    name = own(gateway, upstream, model_fields={"allow_anonymous": anonymous}, **fields)
    assert ask(gateway, name, {"x-api-key": "sk-own"}).status_code == status
    if status == 200:
        assert sent_credentials(upstream) == ({"x-api-key": "sk-own"} if passes else {"authorization": "Bearer sk-ours"})


@pytest.mark.parametrize("is_open", [True, False], ids=["open by setting", "open by model"])
@pytest.mark.parametrize("backup_is_open", [True, False], ids=["to an open model", "to a closed model"])
def test_a_fallback_needs_no_key_only_where_it_is_open_itself(request, upstream, second_upstream, is_open, backup_is_open):
    gateway = request.getfixturevalue("open_gateway" if is_open else "gateway")
    paid = {"pass_client_credentials": False, "api_key": "sk-ours"}
    backup = own(gateway, second_upstream, model_fields={"allow_anonymous": backup_is_open}, **paid)
    name = own(gateway, upstream, model_fields={"allow_anonymous": not is_open, "fallbacks": [backup]})
    upstream.otherwise(error(500, "down"))
    assert ask(gateway, name, {"x-api-key": "sk-own"}).status_code == (200 if backup_is_open else 500)
    assert len(second_upstream.requests) == backup_is_open
    assert ask(gateway, name, {"x-pxbin-key": gateway.client_key, "x-api-key": "sk-own"}).status_code == 200


def test_a_revoked_key_is_refused_where_nobody_needs_one(gateway, upstream):
    name = own(gateway, upstream, model_fields={"allow_anonymous": True})
    client_key = gateway.api("POST", "/keys", json={"name": "gone"})
    gateway.api("DELETE", f"/keys/{client_key['id']}")
    assert ask(gateway, name, {"x-api-key": client_key["key"]}).status_code == 403


@pytest.mark.parametrize(("status", "kind"), [(401, "authentication_error"), (403, "permission_error")])
def test_a_refused_client_credential_is_reported_to_the_client(gateway, upstream, second_upstream, status, kind):
    name = own(gateway, upstream)
    upstream.otherwise(error(status, "no such key"))
    second_upstream.otherwise(json_reply({}))
    (model,) = [row for row in gateway.api("GET", "/models", params={"per_page": "1000"}) if row["name"] == name]
    second_id = gateway.add_upstream(second_upstream, name=f"{name}-second")
    gateway.api("POST", "/routes", json={"model_id": model["id"], "upstream_id": second_id, "priority": 5})
    refused = ask(gateway, name, {"x-pxbin-key": gateway.client_key, "x-api-key": "sk-wrong"})
    assert (refused.status_code, refused.json()["error"]["type"], len(second_upstream.requests)) == (status, kind, 0)
    assert ask(gateway, name, {"x-pxbin-key": gateway.client_key, "x-api-key": "sk-wrong"}).status_code == status  # nothing cools


@pytest.mark.parametrize("header", ["api-key", "authorization"])
def test_a_key_in_another_place_is_refused_and_the_error_names_the_headers(gateway, header):
    value = "Basic " + b64encode(f"me:{gateway.client_key}".encode()).decode() if header == "authorization" else gateway.client_key
    message = "Missing API key: send it as x-api-key, or as Authorization: Bearer"
    assert ask(gateway, "any", {header: value}).json()["error"]["message"] == message
    assert ask(gateway, "any", {}).json()["error"]["message"] == "Missing API key"


def test_raw_paths_pass_it_on_too(gateway, upstream):
    name = own(gateway, upstream)
    upstream.otherwise(json_reply({"object": "list", "data": [], "model": "m", "usage": {"prompt_tokens": 1, "total_tokens": 1}}))
    headers = {"x-pxbin-key": gateway.client_key, "authorization": "Bearer sk-own"}
    answer = gateway.http.post(f"{gateway.url}/v1/embeddings", headers=headers, json={"model": name, "input": "Hi"})
    assert (answer.status_code, sent_credentials(upstream)) == (200, {"authorization": "Bearer sk-own"})
