"""The cookie of a browser from which a user has logged in: others' wrong passwords do not lock that user out of it.

It is signed, holds a random id and the user's name, and permits nothing: wrong passwords are counted for it instead of for the address,
and its requests do not wait for those of unknown browsers.
The idea: OWASP, "Slow Down Online Guessing Attacks with Device Cookies".
"""

from __future__ import annotations

import secrets
from typing import NamedTuple

from django.conf import settings
from django.core import signing
from django.http import HttpRequest, HttpResponseBase

COOKIE = "pxbin_device"
PATH = "/admin/"
SECONDS = 90 * 86_400
_SALT = "pxbin.login.device"


class Device(NamedTuple):
    """A browser from which ``username`` has logged in."""

    id: str
    username: str


def read(request: HttpRequest) -> Device | None:
    """The device of a request; ``None`` without a valid cookie."""
    cookie = request.COOKIES.get(COOKIE)
    if not cookie:
        return None
    try:
        return Device(*signing.loads(cookie, salt=_SALT, max_age=SECONDS))
    except signing.BadSignature:
        return None


def remember(request: HttpRequest, response: HttpResponseBase, username: str) -> None:
    """Set the cookie of a browser from which ``username`` has just logged in. An id that it has for this user stays."""
    device = read(request)
    if device is None or device.username != username:
        device = Device(secrets.token_hex(16), username)
    response.set_cookie(
        COOKIE,
        signing.dumps(tuple(device), salt=_SALT),
        max_age=SECONDS,
        path=PATH,
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Strict",
    )
