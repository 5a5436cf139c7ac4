"""The columns of the list of requests, and those that a user chose."""

from __future__ import annotations

from collections.abc import Mapping

from django.http import HttpRequest

TITLES: Mapping[str, str] = {
    "began": "Began", "result": "Outcome", "model_name": "Model", "upstream": "Upstream", "key": "API key", "owner_name": "Owner",
    "session": "Session", "tokens": "Tokens", "cache": "Cache", "price": "Cost", "time": "Duration", "client": "Client",
    "error": "Error", "request": "Request id", "response": "Response id",
}  # fmt: skip
"""Every column that can be shown, by the name of its method of `RequestLogAdmin`, in the order of the list."""
DEFAULT = ("began", "result", "model_name", "upstream", "key", "session", "tokens", "price", "time")
ALWAYS = "began"
"""The column with the link to the request."""
PARAMETER = "columns"
"""The query parameter: names of columns, separated by commas, or one in each of several parameters."""
_SESSION_KEY = "log_columns"


def chosen(request: HttpRequest) -> tuple[str, ...]:
    """The columns that the URL names, which are stored for the session; else the stored ones; else the default."""
    named = {name for value in request.GET.getlist(PARAMETER) for name in value.split(",")}
    if not named:
        named = set(request.session.get(_SESSION_KEY, ()))
    columns = tuple(name for name in TITLES if name in named)
    if not columns:
        return DEFAULT
    columns = columns if ALWAYS in columns else (ALWAYS, *columns)
    if request.session.get(_SESSION_KEY) != list(columns):
        request.session[_SESSION_KEY] = list(columns)
    return columns
