"""How wrong passwords slow logins down.

django-axes counts wrong passwords of a user from one address, and refuses more from there for a while. The same user may log in from
other addresses meanwhile, and from a browser with a device cookie everywhere: nobody can lock another person out. Wrong passwords
of one address for all users are counted here.
"""

from __future__ import annotations

import hashlib
import ipaddress
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.core.cache import caches
from django.http import HttpRequest, HttpResponse

from accounts.common.client_address import client_address
from pxbin_site.conf.login_limits import ADDRESS_FAILURES, CACHE, COOL_OFF_SECONDS
from pxbin_site.login import device

LOGGED_IN = "pxbin.logged_in"
"""In ``request.META``: the name of the user who has just logged in."""


def client(request: HttpRequest) -> str:
    """For whom wrong passwords are counted: the known browser of the user who logs in, else the address."""
    browser = device.read(request)
    if browser is not None and browser.username == request.POST.get("username"):
        return f"device:{browser.id}"
    return address_of(request)


def address_of(request: HttpRequest) -> str:
    """The client's address behind trusted proxies; of IPv6 the network of 64 bits, which one client usually has for itself."""
    text = client_address(str(request.META.get("REMOTE_ADDR", "")), request.headers)
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return text
    if isinstance(address, ipaddress.IPv6Address):
        return str(address.ipv4_mapped or ipaddress.ip_network((address, 64), strict=False))
    return str(address)


def is_exhausted(request: HttpRequest) -> bool:
    """Whether too many wrong passwords came from the request's address."""
    return int(caches[CACHE].get(_address_key(request), 0)) >= ADDRESS_FAILURES


def note_failure(request: HttpRequest | None = None, **_: Any) -> None:
    """Count a wrong password (the signal ``user_login_failed``). One of a known browser is not counted for its address."""
    if request is not None and device.read(request) is None and not caches[CACHE].add(_address_key(request), 1, COOL_OFF_SECONDS):
        caches[CACHE].incr(_address_key(request))


def note_login(request: HttpRequest, user: AbstractBaseUser, **_: Any) -> None:
    """Note who has logged in (the signal ``user_logged_in``). The address begins anew."""
    request.META[LOGGED_IN] = user.get_username()
    caches[CACHE].delete(_address_key(request))


def lockout_response(_request: HttpRequest, *_: Any) -> HttpResponse:
    """The response to a login that django-axes refuses."""
    return refusal(429, "Too many wrong passwords. Try again later.", retry_after=COOL_OFF_SECONDS)


def refusal(status: int, message: str, *, retry_after: int | None = None) -> HttpResponse:
    """A page that costs nothing to make. ``retry_after``: seconds."""
    page = f'<!DOCTYPE html><html lang="en"><title>pxbin</title><p>{message}</p><p><a href="/admin/login/">Log in</a></p></html>\n'
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    response = HttpResponse(page, status=status, headers=headers)
    response._has_been_logged = True  # type: ignore[attr-defined]  # noqa: SLF001  (Django would log a line for each: a flood of logins fills no disk)
    return response


def _address_key(request: HttpRequest) -> str:
    return "address-" + hashlib.sha256(address_of(request).encode()).hexdigest()
