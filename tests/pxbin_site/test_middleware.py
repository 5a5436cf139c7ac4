"""What the stock handler's answers carry."""

import json

import pytest
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseNotAllowed, JsonResponse
from django.test import RequestFactory, override_settings

from pxbin_site.conf.config import Config
from pxbin_site.middleware import ADMIN_POLICY, DOCS_POLICY, SecurityHeaders
from pxbin_site.server import common_headers

REQUEST = RequestFactory()
SECURITY = {name.decode(): value.decode() for name, value in common_headers.SECURITY_HEADERS}


def with_security_headers(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    answer = SecurityHeaders(lambda _: response)(request)
    assert isinstance(answer, HttpResponseBase)
    return answer


def lower(response: HttpResponseBase) -> dict[str, str]:
    return {name.lower(): value for name, value in response.items()}


def test_every_answer_gets_the_headers_and_the_clients_id() -> None:
    request = REQUEST.get("/admin/", headers={"X-Request-ID": "mine"})
    headers = lower(with_security_headers(request, HttpResponse("ok")))
    expected = {**SECURITY, "content-security-policy": ADMIN_POLICY}
    assert headers == {"content-type": "text/html; charset=utf-8", "x-request-id": "mine", **expected}
    assert request.META["pxbin.request_id"] == "mine"


def test_what_a_view_has_set_stays() -> None:
    response = HttpResponse("ok", headers={"X-Frame-Options": "SAMEORIGIN"})
    assert lower(with_security_headers(REQUEST.get("/admin/"), response))["x-frame-options"] == "SAMEORIGIN"


@pytest.mark.parametrize(
    ("path", "content_type", "policy"),
    [
        ("/admin/accounts/apikey/", "text/html; charset=utf-8", ADMIN_POLICY),
        ("/api/v1/docs", "text/html; charset=utf-8", DOCS_POLICY),
        ("/admin/jsi18n/", "text/javascript", SECURITY["content-security-policy"]),
        ("/nothing", "text/html; charset=utf-8", SECURITY["content-security-policy"]),
        ("/admin-of-another/", "text/html; charset=utf-8", SECURITY["content-security-policy"]),
        ("/api/v1/keys", "application/json", SECURITY["content-security-policy"]),
    ],
)
def test_a_page_has_the_policy_of_its_place(path: str, content_type: str, policy: str) -> None:
    response = HttpResponse("ok", content_type=content_type)
    assert lower(with_security_headers(REQUEST.get(path), response))["content-security-policy"] == policy


def test_only_the_admin_pages_evaluate_expressions_and_no_page_runs_inline_scripts() -> None:
    scripts = {name: policy.split("script-src ")[1].split(";")[0] for name, policy in (("admin", ADMIN_POLICY), ("docs", DOCS_POLICY))}
    assert scripts == {"admin": "'self' 'unsafe-eval'", "docs": "'self'"}


def test_browsers_stay_on_https_where_the_cookies_do() -> None:
    with override_settings(SESSION_COOKIE_SECURE=True):
        headers = lower(with_security_headers(REQUEST.get("/health"), HttpResponse("ok")))
    assert headers["strict-transport-security"] == "max-age=31536000"
    assert "strict-transport-security" not in lower(with_security_headers(REQUEST.get("/health"), HttpResponse("ok")))


async def test_async_answers_too() -> None:
    async def view(_: HttpRequest) -> HttpResponse:
        return HttpResponse("ok", content_type="text/plain")

    answer = await SecurityHeaders(view)(REQUEST.get("/admin/"))
    assert lower(answer).items() >= SECURITY.items()


@override_settings(PXBIN=Config(cors_origins=("https://a",)))
def test_the_management_api_has_cors() -> None:
    response = HttpResponse("ok", headers={"Vary": "Cookie"})
    headers = lower(with_security_headers(REQUEST.get("/api/v1/keys", headers={"Origin": "https://a"}), response))
    assert (headers["access-control-allow-origin"], headers["vary"]) == ("https://a", "Cookie, Origin")


@pytest.mark.parametrize(
    ("path", "status", "body"),
    [
        ("/api/nothing", 404, {"error": {"type": "not_found", "message": "Unknown path: GET /api/nothing"}}),
        ("/api/v1/x", 500, {"error": {"type": "server_error", "message": "Internal server error"}}),
        (
            "/v1",
            404,
            {"error": {"message": "Unknown path: GET /v1", "type": "invalid_request_error", "param": None, "code": "unknown_url"}},
        ),
    ],
)
def test_an_html_error_of_an_api_becomes_json(path: str, status: int, body: object) -> None:
    answer = with_security_headers(REQUEST.get(path), HttpResponse("<h1>Oh</h1>", status=status))
    assert isinstance(answer, HttpResponse)
    assert (answer.status_code, answer["content-type"], json.loads(answer.content)) == (status, "application/json", body)


def test_a_405_keeps_its_allow() -> None:
    answer = with_security_headers(REQUEST.get("/api/v1/keys"), HttpResponseNotAllowed(["POST"]))
    assert isinstance(answer, HttpResponse)
    assert (answer["allow"], json.loads(answer.content)["error"]["message"]) == ("POST", "Method not allowed: GET /api/v1/keys")


def test_json_errors_and_pages_for_people_are_unchanged() -> None:
    api_error = JsonResponse({"error": {"type": "conflict"}}, status=409)
    assert with_security_headers(REQUEST.get("/api/v1/keys"), api_error).status_code == 409
    assert api_error.content == b'{"error": {"type": "conflict"}}'
    page = HttpResponse("<h1>Not here</h1>", status=404)
    assert with_security_headers(REQUEST.get("/admin/nothing"), page) is page


def test_exceptions_are_left_to_django() -> None:
    def view(_: HttpRequest) -> HttpResponse:
        raise Http404

    with pytest.raises(Http404):
        SecurityHeaders(view)(REQUEST.get("/api/nothing"))
