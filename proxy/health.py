"""Liveness and readiness, at all paths that load balancers and clients use for them."""

from __future__ import annotations

import asyncio

import msgspec
from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from django.http import HttpRequest, JsonResponse

from accounts.common.database_errors import ReadOnlyError
from accounts.models import ApiKey
from billing.request_log import journal
from upstreams.catalog import snapshot

READY_SECONDS = 2.0


async def health(request: HttpRequest) -> JsonResponse:
    """``/health``, ``/healthz``: liveness; always 200."""
    return JsonResponse({"status": "ok"})


async def status(request: HttpRequest) -> JsonResponse:
    """``/status``."""
    return JsonResponse({"message": "pxbin", "health": "ok"})


async def ready(request: HttpRequest) -> JsonResponse:
    """``/ready``: 503 if the database does not answer within two seconds, is read-only, or has no tables.

    Requests are served from the catalogue in memory without it.
    """
    problem = await _database_problem()
    if problem is not None:
        return JsonResponse({"status": "not_ready", "db": problem}, status=503)
    return JsonResponse({"status": "ready", "db": "ok"})


async def detailed(request: HttpRequest) -> JsonResponse:
    """``/health/detailed``: numbers of models and upstreams, and the journal's counters; no names."""
    problem = await _database_problem()
    catalogue = snapshot.current()
    counts = {
        "status": "ok" if problem is None else "degraded",
        "db": problem or "ok",
        "redis": "configured" if settings.PXBIN.redis_url else "none",
        "models": catalogue.model_count,
        "upstreams": catalogue.upstream_count,
        "journal": msgspec.structs.asdict(journal.current().counters),
    }
    return JsonResponse(counts)


async def _database_problem() -> str | None:
    """``None`` if the database answers and can write; else ``timeout``, ``read_only``, or the class of the error.

    These contain no host, user or password.
    """
    try:
        await asyncio.wait_for(sync_to_async(_ping, thread_sensitive=False)(), READY_SECONDS)
    except TimeoutError:
        return "timeout"
    except ReadOnlyError:
        return "read_only"
    except (DatabaseError, InterfaceError) as error:
        return type(error).__name__
    return None


def _ping() -> None:
    """Raise DatabaseError if the database cannot be reached or has no tables, such as an empty one in place of one that was removed."""
    try:
        ApiKey.objects.exists()
    finally:
        connection.close()
