"""The error responses of the proxy: every one is made here, from a failure and the client's dialect."""

from __future__ import annotations

from collections.abc import Sequence

from accounts.common.gateway_config import config
from proxy.exchange.http_response import AnyHeader, ErrorResponse
from proxy.translation.dialects.base import Dialect
from proxy.translation.dialects.lookup import REQUEST_ID_HEADERS
from proxy.translation.errors import Failure


def error_response(
    failure: Failure,
    *,
    dialect: Dialect,
    request_id: str,
    own_headers: Sequence[AnyHeader] = (),
    status: int | None = None,
    names_request: bool = False,
) -> ErrorResponse:
    """The response to ``failure`` in ``dialect``.

    ``own_headers``: headers besides those of the dialect. ``status`` replaces the one that the dialect uses for the kind of failure.
    ``names_request``: with the dialect's headers of the request's id. The server adds them to every response, but below a path
    prefix it may not recognise the dialect.
    """
    error = dialect.encode_error(failure, request_id)
    if failure.kind == "budget":
        status = config().budget_status
    headers = [pair for pair in error.headers.items() if names_request or pair[0].lower() not in REQUEST_ID_HEADERS]
    return ErrorResponse(failure, error.body, status=error.status if status is None else status, headers=[*headers, *own_headers])
