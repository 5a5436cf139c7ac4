"""What every answer carries, and refusals in the caller's dialect."""

import uuid

import msgspec
import pytest
from django.test import override_settings

from pxbin_site.conf.config import Config
from pxbin_site.server import common_headers

ID = b"an-id"
SECURITY = [*common_headers.SECURITY_HEADERS]


@pytest.mark.parametrize("client_id", [b"a", b"req_1!~", b"x" * 128])
def test_a_valid_request_id_of_the_client_is_kept(client_id: bytes) -> None:
    assert common_headers.request_id({b"x-request-id": client_id}) == client_id


@pytest.mark.parametrize("client_id", [b"", b"x" * 129, b"a b", b"\xe9", b"a\tb"])
def test_any_other_is_replaced_by_a_uuid(client_id: bytes) -> None:
    new_id = common_headers.request_id({b"x-request-id": client_id}).decode()
    assert str(uuid.UUID(new_id)) == new_id
    assert common_headers.request_id({}) != common_headers.request_id({})


def test_anthropic_callers_get_their_own_name_for_it_too() -> None:
    plain = [(b"x-request-id", ID), *SECURITY]
    assert common_headers.common_headers("/v1/chat/completions", {}, ID) == plain
    assert common_headers.common_headers("/v1/messages/count_tokens", {}, ID) == [*plain, (b"request-id", ID)]
    assert common_headers.common_headers("/v1/models", {b"anthropic-version": b"2023-06-01"}, ID) == [*plain, (b"request-id", ID)]


@override_settings(PXBIN=Config(cors_origins=("https://a.example",)))
def test_a_known_origin_may_read_answers() -> None:
    extra = common_headers.common_headers("/api/v1/keys", {b"origin": b"https://a.example"}, ID)[1 + len(SECURITY) :]
    assert extra == [
        (b"access-control-allow-origin", b"https://a.example"),
        (b"access-control-allow-credentials", b"true"),
        (b"access-control-expose-headers", common_headers.EXPOSED),
        (b"vary", b"Origin"),
    ]


@override_settings(PXBIN=Config(cors_origins=("https://a.example",)))
@pytest.mark.parametrize(("path", "expected"), [("/v1/models", [(b"vary", b"Origin")]), ("/admin/", [])])
def test_an_unknown_origin_or_a_page_for_people_gets_nothing(path: str, expected: list[common_headers.Header]) -> None:
    assert common_headers.common_headers(path, {b"origin": b"https://b.example"}, ID)[1 + len(SECURITY) :] == expected


@override_settings(PXBIN=Config(cors_origins=("*",)))
def test_every_origin_is_admitted_without_cookies() -> None:
    extra = common_headers.common_headers("/v1/models", {b"origin": b"https://b.example"}, ID)[1 + len(SECURITY) :]
    assert extra == [(b"access-control-allow-origin", b"*"), (b"access-control-expose-headers", common_headers.EXPOSED)]


def test_a_preflight_allows_whatever_headers_are_asked_for() -> None:
    request_headers = {
        b"origin": b"https://a",
        b"access-control-request-method": b"POST",
        b"access-control-request-headers": b"anthropic-beta,x-new",
    }
    assert common_headers.preflight("/v1/messages", request_headers) == [
        (b"access-control-allow-methods", b"GET, POST, PUT, DELETE, OPTIONS, PATCH"),
        (b"access-control-allow-headers", b"anthropic-beta,x-new"),
        (b"access-control-max-age", b"300"),
    ]


def test_other_options_requests_are_no_preflight() -> None:
    assert common_headers.preflight("/v1/messages", {b"origin": b"https://a"}) is None
    assert common_headers.preflight("/admin/", {b"origin": b"https://a", b"access-control-request-method": b"POST"}) is None


@pytest.mark.parametrize(
    ("path", "status", "body"),
    [
        ("/v1/messages", 404, {"type": "error", "error": {"type": "not_found_error", "message": "m"}, "request_id": "an-id"}),
        ("/team/v1/messages", 400, {"type": "error", "error": {"type": "invalid_request_error", "message": "m"}, "request_id": "an-id"}),
        ("/v1/responses", 404, {"error": {"message": "m", "type": "invalid_request_error", "param": None, "code": "unknown_url"}}),
        ("/v1/embeddings", 500, {"error": {"message": "m", "type": "server_error", "param": None, "code": None}}),
        ("/model/x/invoke", 413, {"message": "m"}),
        ("/api/v1/keys", 404, {"error": {"type": "not_found", "message": "m"}}),
        ("/anything", 400, {"error": {"message": "m", "type": "invalid_request_error", "param": None, "code": None}}),
    ],
)
def test_a_refusal_has_the_shape_of_its_path(path: str, status: int, body: object) -> None:
    answer = common_headers.refusal(path, {}, status=status, message="m", identity=ID)
    assert (answer.status, msgspec.json.decode(answer.body)) == (status, body)
    assert (b"content-type", b"application/json") in answer.headers


def test_bedrock_names_its_errors_in_a_header() -> None:
    answer = common_headers.refusal("/model/x/invoke", {}, status=404, message="m", identity=ID)
    assert (b"x-amzn-errortype", b"ResourceNotFoundException") in answer.headers


@pytest.mark.parametrize(
    ("path", "allowed"),
    [("/v1/models", True), ("/v1beta/models/m:generateContent", True), ("/team-a/v1beta/models", True), ("/model/m/invoke", False)],
)
def test_pages_of_other_origins_may_call_every_version_of_an_api(path: str, allowed: bool) -> None:
    assert common_headers.is_cross_origin(path) is allowed
