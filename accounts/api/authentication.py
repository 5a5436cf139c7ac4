"""Who may use the management API: the bearer of a ``pxm_`` key, to read or to write."""

from __future__ import annotations

from django.http import HttpRequest
from ninja.security import APIKeyHeader, HttpBearer

from accounts.keys import MISPLACED, ManagementRefused, authenticate_management
from accounts.models import ManagementKey

READING = frozenset({"GET", "HEAD", "OPTIONS"})


def presented(request: HttpRequest) -> str:
    """The key of a request: ``x-api-key`` first, then ``Authorization: Bearer``."""
    direct = request.headers.get("x-api-key", "").strip()
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return direct or (token.strip() if scheme.lower() == "bearer" else "")


class ManagementAuth(APIKeyHeader):
    """The key in a header of its own."""

    param_name = "x-api-key"

    def __call__(self, request: HttpRequest) -> ManagementKey:
        """The caller's key; see :func:`management_key`."""
        return management_key(request)

    def authenticate(self, request: HttpRequest, key: str | None) -> ManagementKey:  # noqa: ARG002  (asked for by the base class)
        """The caller's key; see :func:`management_key`."""
        return management_key(request)


class ManagementBearer(HttpBearer):
    """The same key as a bearer token."""

    def __call__(self, request: HttpRequest) -> ManagementKey:
        """The caller's key; see :func:`management_key`."""
        return management_key(request)

    def authenticate(self, request: HttpRequest, token: str) -> ManagementKey:  # noqa: ARG002  (asked for by the base class)
        """The caller's key; see :func:`management_key`."""
        return management_key(request)


def management_key(request: HttpRequest) -> ManagementKey:
    """The key behind a request; raises :class:`ManagementRefused` (401, 403). Writing needs the permission ``write``."""
    token = presented(request)
    if not token and "Authorization" in request.headers:
        raise ManagementRefused(401, MISPLACED)
    key = authenticate_management(token)
    needed = "read" if request.method in READING else "write"
    if needed not in key.permissions:
        raise ManagementRefused(403, f"API key lacks the permission '{needed}'")
    return key
