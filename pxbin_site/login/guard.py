"""Middleware in front of the admin's forms: refuses early what would cost a stranger's login more than it should."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, HttpResponseBase

from pxbin_site.login import device, hashing, throttle

LARGEST_BODY = 16 * 1024
"""Bytes of a form that somebody sends who is not logged in: the login form has some hundred."""
BUSY_SECONDS = 2
"""After which a refused login may be tried again."""


class LoginGuard:
    """Comes after the middleware that sets ``request.user``; nothing before it reads the body."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.method in ("GET", "HEAD") or not request.path.startswith("/admin/"):
            return self.get_response(request)
        if request.user.is_authenticated:
            with hashing.using(hashing.KNOWN_BROWSERS):
                return self.get_response(request)
        return self._anonymous_form(request)

    def process_exception(self, _request: HttpRequest, error: Exception) -> HttpResponse | None:
        """The response while too many passwords are checked."""
        return _busy() if isinstance(error, hashing.BusyError) else None

    def _anonymous_form(self, request: HttpRequest) -> HttpResponseBase:
        length = request.META.get("CONTENT_LENGTH")
        if not length:
            return throttle.refusal(411, "The request needs a Content-Length.")
        if not length.isdecimal() or int(length) > LARGEST_BODY:
            return throttle.refusal(413, "The form is too large.")
        is_known = device.read(request) is not None
        if not is_known and throttle.is_exhausted(request):
            return throttle.lockout_response(request)
        queue = hashing.KNOWN_BROWSERS if is_known else hashing.UNKNOWN_BROWSERS
        if queue.is_full:
            return _busy()
        with hashing.using(queue):
            response = self.get_response(request)
        username = request.META.get(throttle.LOGGED_IN)
        if username is not None:
            device.remember(request, response, username)
        return response


def _busy() -> HttpResponse:
    return throttle.refusal(503, "Too many logins at the moment. Try again in a few seconds.", retry_after=BUSY_SECONDS)
