"""``/api/v1``: the management API, put together from the apps' routers."""

from __future__ import annotations

import json
import logging
import re
from difflib import get_close_matches
from functools import cache
from typing import Any

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.utils.log import log_response
from ninja import NinjaAPI
from ninja.errors import HttpError, ValidationError
from ninja.parser import Parser
from ninja.renderers import JSONRenderer

from accounts.api.authentication import ManagementAuth, ManagementBearer
from accounts.api.keys import open_router
from accounts.api.keys import router as keys_router
from accounts.common.api_envelope import Refused, error
from accounts.common.api_schema import FIELDS, IGNORED, MENTIONED
from accounts.keys import ManagementRefused
from billing.api.logs import router as logs_router
from billing.api.models import router as models_router
from upstreams.api.routes import keys as credentials_router
from upstreams.api.routes import routes as routes_router
from upstreams.api.upstreams import presets as presets_router
from upstreams.api.upstreams import router as upstreams_router
from upstreams.catalog import config_warnings

logger = logging.getLogger("pxbin.api")


class StorableJson(Parser):
    """Reads bodies without what no database keeps: NUL bytes go, lone surrogates become U+FFFD."""

    def parse_body(self, request: HttpRequest) -> dict[str, Any]:
        """The body's JSON object; what comes after it is ignored, as pxbin always did. Raises ValueError."""
        body, _ = json.JSONDecoder().raw_decode(request.body.decode().lstrip())
        if not isinstance(body, dict):
            raise ValueError("the body is no JSON object")  # noqa: TRY004  (one kind of error for whatever is no body)
        request.META[FIELDS] = list(body)
        return dict(_storable(body))


class OneLine(JSONRenderer):
    """Answers end with a newline: they are for terminals, too."""

    def render(self, request: HttpRequest, data: Any, *, response_status: int) -> str:
        """The answer's text."""
        return f"{super().render(request, data, response_status=response_status)}\n"


class ManagementAPI(NinjaAPI):
    """Names in `X-Pxbin-Ignored` what it did not understand of a body and of a query: a misspelt field is found that way."""

    def create_response(self, request: HttpRequest, data: Any, **options: Any) -> HttpResponse:
        """The answer, with that header where it is needed."""
        response = super().create_response(request, data, **options)
        if ignored := {**request.META.get(IGNORED, {}), **_not_asked_for(request)}:
            response.headers["X-Pxbin-Ignored"] = ", ".join(_doubt(name, known) for name, known in ignored.items())[:1000]
        if response.status_code < 400 and (unknown := _unknown_models(request)):
            response.headers["X-Pxbin-Warning"] = unknown[:1000]
        return response

    def get_content_type(self) -> str:
        """JSON is UTF-8; it has no parameter for that."""
        return "application/json"


def _unknown_models(request: HttpRequest) -> str:
    """The models that a body names and that do not exist: they may be made later, or be a spelling mistake."""
    unknown = {field: config_warnings.missing_models(names) for field, names in request.META.get(MENTIONED, {}).items()}
    return "; ".join(f"{field}: there is no model {', '.join(ascii(name) for name in names)}" for field, names in unknown.items() if names)


def _not_asked_for(request: HttpRequest) -> dict[str, list[str]]:
    """The parameters of a query that mean nothing at its path, with those that mean something."""
    if not request.GET or request.resolver_match is None:
        return {}
    known = _parameters().get((request.resolver_match.route.rstrip("/"), request.method), [])
    return {name: known for name in request.GET if name not in known}


@cache
def _parameters() -> dict[tuple[str, str | None], list[str]]:
    """The names of the query's parameters by route and method, as the API's own description has them."""
    return {
        (re.sub(r"{(\w+)}", r"<\1>", path).strip("/"), method.upper()): [
            each["name"] for each in operation["parameters"] if each["in"] == "query"
        ]
        for path, methods in api.get_openapi_schema()["paths"].items()
        for method, operation in methods.items()
    }


def _doubt(name: str, known: list[str]) -> str:
    similar = get_close_matches(name, known, n=1)
    return ascii(name)[1:-1] + (f" (did you mean {similar[0]}?)" if similar else "")


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\0", "").encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_storable(each) for each in value]
    if isinstance(value, dict):
        return {_storable(name): _storable(each) for name, each in value.items()}
    return value


api = ManagementAPI(
    parser=StorableJson(),
    renderer=OneLine(),
    title="pxbin management API",
    version="1",
    description="Keys, upstreams, models and logs by script. Use a `pxm_` key as the bearer token.",
    auth=[ManagementAuth(), ManagementBearer()],
    urls_namespace="api-v1",
)
api.add_router("", open_router, auth=None)
api.add_router("/keys", keys_router)
api.add_router("/upstreams", upstreams_router)
api.add_router("/presets", presets_router)
api.add_router("/models", models_router)
api.add_router("/routes", routes_router)
api.add_router("/credentials", credentials_router)
api.add_router("/logs", logs_router)


@api.exception_handler(Refused)
def on_refusal(request: HttpRequest, refusal: Refused) -> HttpResponse:
    """A rule said no."""
    return api.create_response(request, error(refusal.kind, refusal.message), status=refusal.status)


@api.exception_handler(ManagementRefused)
def on_bad_key(request: HttpRequest, refusal: ManagementRefused) -> HttpResponse:
    """The management key is missing or wrong. Here alone ``error`` is a plain string; scripts of pxbin rely on it."""
    return api.create_response(request, {"error": refusal.message}, status=refusal.status)


@api.exception_handler(ValidationError)
def on_bad_body(request: HttpRequest, problem: ValidationError) -> HttpResponse:
    """The body's fields have wrong types."""
    return api.create_response(request, error("invalid_request", f"Invalid JSON body: {_sentence(problem.errors)}"), status=400)


@api.exception_handler(HttpError)
def on_http_error(request: HttpRequest, problem: HttpError) -> HttpResponse:
    """The body is no JSON at all, or the method is not known."""
    message = "Invalid JSON body" if problem.status_code == 400 else str(problem)
    return api.create_response(request, error("invalid_request", message), status=problem.status_code)


@api.exception_handler(OperationalError)
@api.exception_handler(InterfaceError)
def on_no_database(request: HttpRequest, problem: Exception) -> HttpResponse:
    """The database is away, or does not answer in time."""
    response = api.create_response(request, error("server_error", "The database cannot be reached at the moment"), status=503)
    sentence = "The management API had no database at %s %s: %s"  # logged so, Django adds no line of its own
    words = " ".join(str(problem).split())
    log_response(sentence, request.method, request.path, words, response=response, request=request, logger=logger, level="warning")
    return response


@api.exception_handler(Exception)
def on_defect(request: HttpRequest, defect: Exception) -> HttpResponse:
    """Protects clients from tracebacks: a defect of ours is logged here and answered without details."""
    logger.error("The management API failed at %s %s", request.method, request.path, exc_info=defect)
    return api.create_response(request, error("server_error", "Internal server error"), status=500)


def _sentence(problems: list[dict[str, Any]]) -> str:
    return "; ".join(f"{'.'.join(str(step) for step in each['loc'][2:]) or 'body'}: {each['msg']}" for each in problems)
