"""Who may use the management API: the bearer of a ``pxm_`` key, to read or to write."""

from __future__ import annotations

from django.http import HttpRequest

from accounts.keys import ManagementRefused, authenticate_management
from accounts.models import ManagementKey

READING = frozenset({"GET", "HEAD", "OPTIONS"})


def presented(request: HttpRequest) -> str:
    """The key of a request: ``x-api-key`` first, then ``Authorization: Bearer``."""
    direct = request.headers.get("x-api-key", "").strip()
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return direct or (token.strip() if scheme.lower() == "bearer" else "")


def management_key(request: HttpRequest) -> ManagementKey:
    """The key behind a request; raises :class:`ManagementRefused` (401, 403). Writing needs the permission ``write``."""
    key = authenticate_management(presented(request))
    needed = "read" if request.method in READING else "write"
    if needed not in key.permissions:
        raise ManagementRefused(403, f"API key lacks the permission '{needed}'")
    return key
