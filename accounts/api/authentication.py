"""Authentication of the management API: a ``pxm_`` key with the permission to read or to write."""

from __future__ import annotations

from django.http import HttpRequest
from ninja.security import APIKeyHeader, HttpBearer

from accounts.keys import MISPLACED, ManagementKeyRefused, authenticate_management
from accounts.models import ManagementKey, Permission

READ_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def presented_key(request: HttpRequest) -> str:
    """The key of a request: ``x-api-key`` first, then ``Authorization: Bearer``."""
    direct = request.headers.get("x-api-key", "").strip()
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return direct or (token.strip() if scheme.lower() == "bearer" else "")


class ManagementAuth(APIKeyHeader):
    """The key in the header ``x-api-key``. :func:`management_key` reads both headers, whichever scheme ninja tries first."""

    param_name = "x-api-key"

    def __call__(self, request: HttpRequest) -> ManagementKey:
        """Delegate to :func:`management_key`."""
        return management_key(request)

    def authenticate(self, request: HttpRequest, key: str | None) -> ManagementKey:  # noqa: ARG002  (asked for by the base class)
        """Delegate to :func:`management_key`."""
        return management_key(request)


class ManagementBearer(HttpBearer):
    """The key as a bearer token."""

    def __call__(self, request: HttpRequest) -> ManagementKey:
        """Delegate to :func:`management_key`."""
        return management_key(request)

    def authenticate(self, request: HttpRequest, token: str) -> ManagementKey:  # noqa: ARG002  (asked for by the base class)
        """Delegate to :func:`management_key`."""
        return management_key(request)


def management_key(request: HttpRequest) -> ManagementKey:
    """The key of a request. Raises :class:`ManagementKeyRefused` (401, 403). Writing needs the permission ``write``."""
    token = presented_key(request)
    if not token and "Authorization" in request.headers:
        raise ManagementKeyRefused(401, MISPLACED)
    key = authenticate_management(token)
    permission = Permission.READ if request.method in READ_METHODS else Permission.WRITE
    if permission not in key.permissions:
        raise ManagementKeyRefused(403, f"API key lacks the permission '{permission}'")
    return key
