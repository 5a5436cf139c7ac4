"""What every answer of the stock Django handler carries. The lean handler writes its own."""

from collections.abc import Awaitable, Callable

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponse, HttpResponseBase

from pxbin_site.server import common_headers

MESSAGES = {400: "Bad request", 403: "Forbidden", 404: "Unknown path", 405: "Method not allowed", 500: "Internal server error"}


class SecurityHeaders:
    """Give each answer its request id, the security headers and CORS, and make HTML errors of the APIs JSON ones.

    The id is in ``request.META["pxbin.request_id"]`` for views that log it.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]) -> None:
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        """Pass the request on and complete the answer."""
        fields = {name.lower().encode("latin-1", "replace"): value.encode("latin-1", "replace") for name, value in request.headers.items()}
        identity = common_headers.request_id(fields)
        request.META["pxbin.request_id"] = identity.decode("ascii")
        answer = self.get_response(request)
        if isinstance(answer, HttpResponseBase):
            return _complete(request, fields, identity, answer)
        return _complete_later(request, fields, identity, answer)


async def _complete_later(
    request: HttpRequest, fields: common_headers.Fields, identity: bytes, answer: Awaitable[HttpResponseBase]
) -> HttpResponseBase:
    return _complete(request, fields, identity, await answer)


def _complete(request: HttpRequest, fields: common_headers.Fields, identity: bytes, response: HttpResponseBase) -> HttpResponseBase:
    if _is_html_error(request, response):
        response = _json_error(request, fields, identity, response)
    for name, value in common_headers.common_headers(request.path, fields, identity):
        if name == b"vary":
            response.headers["Vary"] = ", ".join(filter(None, (response.headers.get("Vary"), value.decode())))
        else:
            response.headers.setdefault(name.decode(), value.decode("latin-1"))
    return response


def _is_html_error(request: HttpRequest, response: HttpResponseBase) -> bool:
    """Django's own error pages, which no client of an API can read."""
    if response.status_code < 400 or not common_headers.is_api(request.path):
        return False
    kind = response.headers.get("Content-Type", "")
    return kind.startswith("text/html") or not kind or (response.status_code == 405 and not kind.startswith("application/"))


def _json_error(request: HttpRequest, fields: common_headers.Fields, identity: bytes, response: HttpResponseBase) -> HttpResponse:
    status = response.status_code
    message = MESSAGES.get(status, "The request failed")
    if status in (404, 405):
        message = f"{message}: {request.method} {request.path}"
    answer = common_headers.refusal(request.path, fields, status=status, message=message, identity=identity)
    told = HttpResponse(answer.body, status=status, content_type="application/json")
    if "Allow" in response.headers:
        told.headers["Allow"] = response.headers["Allow"]
    return told


def trailing_slash(
    get_response: Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]],
) -> Callable[[HttpRequest], object]:
    """Serve ``/api/v1/keys/`` as ``/api/v1/keys``: a redirect would lose the body of a POST."""

    def middleware(request: HttpRequest) -> object:
        if request.path_info.startswith("/api/") and request.path_info.endswith("/"):
            request.path_info = request.path = request.path_info.rstrip("/")
        return get_response(request)

    async def async_middleware(request: HttpRequest) -> object:
        if request.path_info.startswith("/api/") and request.path_info.endswith("/"):
            request.path_info = request.path = request.path_info.rstrip("/")
        answer = get_response(request)
        return answer if isinstance(answer, HttpResponseBase) else await answer

    return async_middleware if iscoroutinefunction(get_response) else middleware


trailing_slash.sync_capable = trailing_slash.async_capable = True  # type: ignore[attr-defined]
