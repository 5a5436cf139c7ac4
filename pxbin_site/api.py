"""``/api/v1``: the management API, assembled from the apps' routers."""

from __future__ import annotations

import json
import logging
import re
from difflib import get_close_matches
from functools import cache
from typing import Any

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.utils.datastructures import MultiValueDict
from django.utils.log import log_response
from ninja import NinjaAPI
from ninja.errors import HttpError, ValidationError
from ninja.parser import Parser
from ninja.renderers import JSONRenderer

from accounts.api.audit import router as audit_router
from accounts.api.authentication import ManagementAuth, ManagementBearer
from accounts.api.budgets import defaults_router, owners_router
from accounts.api.budgets import router as budgets_router
from accounts.api.keys import open_router
from accounts.api.keys import router as keys_router
from accounts.common.api_envelope import ApiError, error_envelope, require
from accounts.common.api_schema import BODY_NAMES, IGNORED_NAMES, LISTED_MODELS, WARNING
from accounts.common.database_errors import READ_ONLY, ReadOnlyError
from accounts.keys import ManagementKeyRefused
from billing.api.alerts import router as alerts_router
from billing.api.log_export import router as log_export_router
from billing.api.logs import router as logs_router
from billing.api.models import router as models_router
from billing.api.prices import router as prices_router
from billing.api.stats import router as stats_router
from upstreams.api.credentials import router as credentials_router
from upstreams.api.routes import router as routes_router
from upstreams.api.upstreams import presets as presets_router
from upstreams.api.upstreams import router as upstreams_router
from upstreams.catalog import config_warnings

logger = logging.getLogger("pxbin.api")

LONGEST_HEADER = 1000
"""Characters of a warning header; the rest is cut off."""


class StorableJsonParser(Parser):
    """Parses bodies into text that every database can store: NUL characters are removed, lone surrogates become U+FFFD."""

    def parse_querydict(self, data: MultiValueDict[str, Any], list_fields: list[str], request: HttpRequest) -> dict[str, Any]:
        """The parameters of a query. Raises :class:`ApiError` for one that is given more than once: no operation takes a list."""
        for name, values in data.lists():
            require(len(values) == 1 or name in list_fields, f"{ascii(name)[1:-1]}: given more than once")
        return super().parse_querydict(data, list_fields, request)

    def parse_body(self, request: HttpRequest) -> dict[str, Any]:
        """The JSON object at the start of the body; what follows it is ignored, as in the original pxbin. Raises ValueError."""
        body, _ = json.JSONDecoder().raw_decode(request.body.decode().lstrip())
        if not isinstance(body, dict):
            raise ValueError("the body is no JSON object")  # noqa: TRY004  (ninja answers 400 to a ValueError)
        request.META[BODY_NAMES] = list(body)
        return dict(_storable(body))


class LineRenderer(JSONRenderer):
    """JSON with a newline at the end, so that a terminal's prompt starts on its own line."""

    def render(self, request: HttpRequest, data: Any, *, response_status: int) -> str:
        """The text of a response."""
        return f"{super().render(request, data, response_status=response_status)}\n"


class ManagementAPI(NinjaAPI):
    """Adds two headers: `X-Pxbin-Ignored` names unknown body fields and query parameters, `X-Pxbin-Warning` what does not exist."""

    def create_response(self, request: HttpRequest, data: Any, **options: Any) -> HttpResponse:
        """A response with the headers that apply to its request."""
        response = super().create_response(request, data, **options)
        if ignored := {**request.META.get(IGNORED_NAMES, {}), **_ignored_parameters(request)}:
            hints = ", ".join(_with_similar_name(name, accepted) for name, accepted in ignored.items())
            response.headers["X-Pxbin-Ignored"] = hints[:LONGEST_HEADER]
        if response.status_code < 400 and (warning := request.META.get(WARNING) or _unknown_models(request)):
            response.headers["X-Pxbin-Warning"] = warning[:LONGEST_HEADER]
        return response

    def get_content_type(self) -> str:
        """Without `charset`: JSON is always UTF-8."""
        return "application/json"


def _unknown_models(request: HttpRequest) -> str:
    """A warning about models in the body that do not exist: they may be created later, or be misspelt."""
    unknown = {field: config_warnings.missing_models(names) for field, names in request.META.get(LISTED_MODELS, {}).items()}
    return "; ".join(f"{field}: there is no model {', '.join(ascii(name) for name in names)}" for field, names in unknown.items() if names)


def _ignored_parameters(request: HttpRequest) -> dict[str, list[str]]:
    """The query parameters that the operation does not have, each with those that it has."""
    if not request.GET or request.resolver_match is None:
        return {}
    accepted = _query_parameters().get((request.resolver_match.route.rstrip("/"), request.method), [])
    return {name: accepted for name in request.GET if name not in accepted}


@cache
def _query_parameters() -> dict[tuple[str, str | None], list[str]]:
    """The names of the query parameters by route and method, from the OpenAPI schema."""
    return {
        (re.sub(r"{(\w+)}", r"<\1>", path).strip("/"), method.upper()): [
            parameter["name"] for parameter in operation["parameters"] if parameter["in"] == "query"
        ]
        for path, methods in api.get_openapi_schema()["paths"].items()
        for method, operation in methods.items()
    }


def _with_similar_name(name: str, accepted: list[str]) -> str:
    similar = get_close_matches(name, accepted, n=1)
    return ascii(name)[1:-1] + (f" (did you mean {similar[0]}?)" if similar else "")


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\0", "").encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_storable(item) for item in value]
    if isinstance(value, dict):
        return {_storable(name): _storable(item) for name, item in value.items()}
    return value


api = ManagementAPI(
    parser=StorableJsonParser(),
    renderer=LineRenderer(),
    title="pxbin management API",
    version="1",
    description="Keys, upstreams, models, prices and logs by script. Use a `pxm_` key as the bearer token.",
    auth=[ManagementAuth(), ManagementBearer()],
    urls_namespace="api-v1",
)
api.add_router("", open_router, auth=None)
api.add_router("/keys", keys_router)
api.add_router("/key-defaults", defaults_router)
api.add_router("/owners", owners_router)
api.add_router("/budgets", budgets_router)
api.add_router("/upstreams", upstreams_router)
api.add_router("/presets", presets_router)
api.add_router("/models", models_router)
api.add_router("/routes", routes_router)
api.add_router("/credentials", credentials_router)
api.add_router("/prices", prices_router)
api.add_router("/alerts", alerts_router)
api.add_router("/logs/export", log_export_router)  # before the path with an id, which it would match too
api.add_router("/logs", logs_router)
api.add_router("/audit", audit_router)
api.add_router("/stats", stats_router)


def _error_response(request: HttpRequest, kind: str, message: str, *, status: int) -> HttpResponse:
    return api.create_response(request, error_envelope(kind, message), status=status)


@api.exception_handler(ApiError)
def on_api_error(request: HttpRequest, error: ApiError) -> HttpResponse:
    """An error that the operation itself reports."""
    return _error_response(request, error.kind, error.message, status=error.status)


@api.exception_handler(ManagementKeyRefused)
def on_refused_key(request: HttpRequest, refusal: ManagementKeyRefused) -> HttpResponse:
    """The management key is missing or not accepted. Only here ``error`` is a plain string; scripts for pxbin rely on it."""
    return api.create_response(request, {"error": refusal.message}, status=refusal.status)


@api.exception_handler(ValidationError)
def on_invalid_body(request: HttpRequest, problem: ValidationError) -> HttpResponse:
    """Fields of the body have wrong types or values."""
    errors = "; ".join(f"{'.'.join(str(step) for step in error['loc'][2:]) or 'body'}: {error['msg']}" for error in problem.errors)
    return _error_response(request, "invalid_request", f"Invalid JSON body: {errors}", status=400)


@api.exception_handler(HttpError)
def on_http_error(request: HttpRequest, problem: HttpError) -> HttpResponse:
    """The body is not a JSON object, or the method is not allowed."""
    message = "Invalid JSON body" if problem.status_code == 400 else str(problem)
    return _error_response(request, "invalid_request", message, status=problem.status_code)


@api.exception_handler(OperationalError)
@api.exception_handler(InterfaceError)
def on_database_error(request: HttpRequest, problem: Exception) -> HttpResponse:
    """The database cannot be reached, does not answer in time, or refuses to write."""
    message = READ_ONLY if isinstance(problem, ReadOnlyError) else "The database cannot be reached at the moment"
    response = _error_response(request, "server_error", message, status=503)
    # `log_response` marks the response as logged, so that Django does not add a line of its own.
    log_response(
        "The management API had no database at %s %s: %s",
        request.method,
        request.path,
        " ".join(str(problem).split()),
        response=response,
        request=request,
        logger=logger,
        level="warning",
    )
    return response


@api.exception_handler(Exception)
def on_unexpected_error(request: HttpRequest, error: Exception) -> HttpResponse:
    """Any other exception is logged with its traceback; the client gets no details."""
    logger.error("The management API failed at %s %s", request.method, request.path, exc_info=error)
    return _error_response(request, "server_error", "Internal server error", status=500)
