"""The lean handler as any ASGI server would call it: hot paths and refusals."""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator

import msgspec
import pytest
from django.http import HttpResponse, StreamingHttpResponse
from django.test import override_settings

from proxy.exchange.http_request import HttpRequest
from proxy.exchange.http_response import JsonResponse
from pxbin_site.conf.config import Config
from pxbin_site.server import common_headers
from pxbin_site.server.fast_routes import FastRoutes
from pxbin_site.server.handler import Handler
from tests.pxbin_site.server.asgi_client import Client, handler

COMMON = {"x-request-id", *(name.decode() for name, _ in common_headers.SECURITY_HEADERS)}


async def echo_request(http: HttpRequest) -> JsonResponse:
    request_fields = {
        "method": http.method,
        "path": http.path,
        "query": http.query_string.decode(),
        "body": http.body.decode(),
        "client": http.client,
    }
    return JsonResponse(msgspec.json.encode(request_fields), status=201, headers=[("X-Pxbin-Model", "m")])


# Whole answers.


async def test_a_hot_view_sees_the_request_and_its_answer_is_sent() -> None:
    client = await Client("/v1/messages", body=[b"one ", b"two"]).call(handler(echo_request))
    assert client.status == 201
    assert client.json() == {"method": "POST", "path": "/v1/messages", "query": "beta=true", "body": "one two", "client": "10.0.0.1"}
    assert client.headers.keys() == COMMON | {"content-type", "x-pxbin-model", "request-id"}
    assert client.headers["content-type"] == "application/json"


@override_settings(PXBIN=Config(trusted_proxies=("10.0.0.0/8",)))
async def test_behind_a_trusted_proxy_the_client_is_the_one_that_the_proxy_names() -> None:
    client = await Client("/v1/messages", headers={"x-forwarded-for": "203.0.113.9, 198.51.100.7"}).call(handler(echo_request))
    assert client.json()["client"] == "198.51.100.7"


async def test_headers_are_looked_up_without_regard_to_case() -> None:
    async def view(http: HttpRequest) -> JsonResponse:
        return JsonResponse(msgspec.json.encode([http.headers.get("X-Api-Key"), http.headers.get("missing"), "x-api-KEY" in http.headers]))

    client = await Client("/v1/messages", headers={"x-api-key": "k"}).call(handler(view))
    assert client.json() == ["k", None, True]


async def test_the_client_keeps_its_request_id() -> None:
    async def view(http: HttpRequest) -> JsonResponse:
        return JsonResponse(http.request_id.encode())

    client = await Client("/v1/messages", headers={"x-request-id": "mine"}).call(handler(view))
    assert (client.bodies, client.headers["x-request-id"], client.headers["request-id"]) == ([b"mine"], "mine", "mine")


async def test_a_header_of_the_view_is_not_sent_twice() -> None:
    async def view(http: HttpRequest) -> JsonResponse:
        return JsonResponse(b"{}", status=404, headers=[(b"request-id", http.request_id.encode())])

    client = Client("/v1/messages", headers={"x-request-id": "mine"})
    await client.call(handler(view))
    assert [value for name, value in client.sent[0]["headers"] if name == b"request-id"] == [b"mine"]


async def test_a_trailing_slash_is_tolerated() -> None:
    assert (await Client("/v1/messages/").call(handler(echo_request))).status == 201


async def test_a_pattern_hands_over_what_it_captured() -> None:
    async def view(http: HttpRequest, name: str) -> JsonResponse:
        return JsonResponse(name.encode())

    paths = FastRoutes({("GET", "/v1/models"): echo_request}, [("GET", re.compile("/v1/models/(?P<name>.+)"), view)])
    assert (await Client("/v1/models/a/b:c", method="GET").call(Handler(paths))).bodies == [b"a/b:c"]
    assert (await Client("/v1/models/", method="GET").call(Handler(paths))).status == 201


async def test_get_answers_head() -> None:
    assert (await Client("/v1/messages", method="HEAD").call(handler(echo_request, method="GET"))).status == 201


async def test_a_view_may_return_a_django_response() -> None:
    async def view(http: HttpRequest) -> HttpResponse:
        response = HttpResponse("text", status=202, content_type="text/plain")
        response.set_cookie("a", "b")
        return response

    client = await Client("/v1/messages").call(handler(view))
    assert (client.status, client.bodies, client.headers["content-type"]) == (202, [b"text"], "text/plain")
    assert client.headers["set-cookie"] == "a=b; Path=/"
    assert client.headers.keys() >= COMMON


async def test_a_streaming_django_response_will_do_too() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"a"
        yield b"b"

    async def view(http: HttpRequest) -> StreamingHttpResponse:
        return StreamingHttpResponse(pieces())

    assert (await Client("/v1/messages").call(handler(view))).bodies == [b"a", b"b", b""]


# Refusals.


async def test_an_unknown_path_is_a_404_in_the_callers_dialect() -> None:
    client = await Client("/v1/nothing").call(handler(echo_request))
    assert client.json() == {
        "error": {"message": "Unknown path: POST /v1/nothing", "type": "invalid_request_error", "param": None, "code": "unknown_url"}
    }
    client = await Client("/v1/messages/nothing").call(handler(echo_request))
    assert (client.status, client.json()["error"]) == (
        404,
        {"type": "not_found_error", "message": "Unknown path: POST /v1/messages/nothing"},
    )


async def test_another_method_is_a_405_with_the_allowed_ones() -> None:
    client = await Client("/v1/messages", method="GET").call(handler(echo_request))
    assert (client.status, client.headers["allow"]) == (405, "POST")
    assert client.json()["error"] == {"type": "invalid_request_error", "message": "Method GET is not allowed at /v1/messages"}


async def test_plain_options_names_the_methods() -> None:
    client = await Client("/v1/messages", method="OPTIONS").call(handler(echo_request, method="GET"))
    assert (client.status, client.headers["allow"], client.bodies) == (204, "GET, HEAD", [b""])


@override_settings(PXBIN=Config(cors_origins=("*",)))
@pytest.mark.parametrize("path", ["/v1/messages", "/v1/nothing", "/api/v1/keys"])
async def test_a_preflight_is_answered_before_anything_runs(path: str) -> None:
    headers = {"origin": "https://a", "access-control-request-method": "POST", "access-control-request-headers": "x-any"}
    client = await Client(path, method="OPTIONS", headers=headers).call(handler(echo_request))
    assert client.status == 204
    assert {name: value for name, value in client.headers.items() if name.startswith("access-control-allow")} == {
        "access-control-allow-origin": "*",
        "access-control-allow-methods": "GET, POST, PUT, DELETE, OPTIONS, PATCH",
        "access-control-allow-headers": "x-any",
    }


@override_settings(PXBIN=Config(cors_origins=("https://a",)))
async def test_errors_carry_cors_too() -> None:
    client = await Client("/v1/nothing", headers={"origin": "https://a"}).call(handler(echo_request))
    assert (client.status, client.headers["access-control-allow-origin"]) == (404, "https://a")


async def test_an_unexpected_exception_is_a_500_and_a_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async def view(http: HttpRequest) -> JsonResponse:
        raise ZeroDivisionError("told to nobody outside")

    with caplog.at_level(logging.ERROR):
        client = await Client("/v1/messages", headers={"x-api-key": "pxb_secret"}, body=[b"a body"]).call(handler(view))
    assert (client.status, client.json()["error"]) == (500, {"type": "api_error", "message": "Internal server error"})
    assert client.json()["request_id"] == client.headers["x-request-id"]
    assert "ZeroDivisionError" in caplog.text
    assert "pxb_secret" not in caplog.text
    assert "a body" not in caplog.text
