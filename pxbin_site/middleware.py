"""Middleware of Django's handler: headers of every response, JSON errors, trailing slashes. Hot paths do not pass through it."""

from collections.abc import Awaitable, Callable

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponse, HttpResponseBase

from pxbin_site.server import common_headers

# Alpine, htmx and Swagger UI write style attributes and elements.
_PAGE_POLICY = (
    "default-src 'none'; script-src 'self'{eval}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
ADMIN_POLICY = _PAGE_POLICY.format(eval=" 'unsafe-eval'")
"""Content security policy of the admin pages. Alpine, which the theme uses, evaluates the expressions of its attributes."""
DOCS_POLICY = _PAGE_POLICY.format(eval="")
"""Content security policy of the page that shows the management API."""
PAGE_POLICIES = {"/admin/": ADMIN_POLICY, "/api/v1/docs": DOCS_POLICY}
"""By the beginning of the path. No policy allows inline scripts."""
MESSAGES = {400: "Bad request", 403: "Forbidden", 404: "Unknown path", 405: "Method not allowed", 500: "Internal server error"}


class SecurityHeaders:
    """Add the request id, security headers and CORS headers, and replace HTML errors at API paths with JSON errors.

    The id is in ``request.META["pxbin.request_id"]`` for views that log it.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]) -> None:
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        fields = {name.lower().encode("latin-1", "replace"): value.encode("latin-1", "replace") for name, value in request.headers.items()}
        identity = common_headers.request_id(fields)
        request.META["pxbin.request_id"] = identity.decode("ascii")
        response = self.get_response(request)
        if isinstance(response, HttpResponseBase):
            return _complete(request, fields, identity, response)
        return _complete_async(request, fields, identity, response)


async def _complete_async(
    request: HttpRequest, fields: common_headers.Fields, identity: bytes, response: Awaitable[HttpResponseBase]
) -> HttpResponseBase:
    return _complete(request, fields, identity, await response)


def _complete(request: HttpRequest, fields: common_headers.Fields, identity: bytes, response: HttpResponseBase) -> HttpResponseBase:
    if _is_html_error(request, response):
        response = _json_error(request, fields, identity, response)
    if response.headers.get("Content-Type", "").startswith("text/html"):
        policy = next((policy for beginning, policy in PAGE_POLICIES.items() if request.path.startswith(beginning)), None)
        if policy is not None:
            response.headers.setdefault("Content-Security-Policy", policy)
    for name, value in common_headers.common_headers(request.path, fields, identity):
        if name == b"vary":
            response.headers["Vary"] = ", ".join(filter(None, (response.headers.get("Vary"), value.decode())))
        else:
            response.headers.setdefault(name.decode(), value.decode("latin-1"))
    return response


def _is_html_error(request: HttpRequest, response: HttpResponseBase) -> bool:
    """Whether the response is one of Django's own error pages at an API path."""
    if response.status_code < 400 or not common_headers.is_api(request.path):
        return False
    content_type = response.headers.get("Content-Type", "")
    return (
        content_type.startswith("text/html")
        or not content_type
        or (response.status_code == 405 and not content_type.startswith("application/"))
    )


def _json_error(request: HttpRequest, fields: common_headers.Fields, identity: bytes, response: HttpResponseBase) -> HttpResponse:
    status = response.status_code
    message = MESSAGES.get(status, "The request failed")
    if status in (404, 405):
        message = f"{message}: {request.method} {request.path}"
    error = common_headers.refusal(request.path, fields, status=status, message=message, identity=identity)
    json_response = HttpResponse(error.body, status=status, content_type="application/json")
    if "Allow" in response.headers:
        json_response.headers["Allow"] = response.headers["Allow"]
    return json_response


def trailing_slash(
    get_response: Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]],
) -> Callable[[HttpRequest], object]:
    """Serve ``/api/v1/keys/`` as ``/api/v1/keys``. Django's redirect would lose the body of a POST."""

    def middleware(request: HttpRequest) -> object:
        if common_headers.is_management(request.path_info) and request.path_info.endswith("/"):
            request.path_info = request.path = request.path_info.rstrip("/")
        return get_response(request)

    async def async_middleware(request: HttpRequest) -> object:
        if common_headers.is_management(request.path_info) and request.path_info.endswith("/"):
            request.path_info = request.path = request.path_info.rstrip("/")
        response = get_response(request)
        return response if isinstance(response, HttpResponseBase) else await response

    return async_middleware if iscoroutinefunction(get_response) else middleware


trailing_slash.sync_capable = trailing_slash.async_capable = True  # type: ignore[attr-defined]
