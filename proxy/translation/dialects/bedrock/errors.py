"""Error bodies ``{"message"}``; the exception is in the header ``x-amzn-ErrorType`` or a frame's name (docs/wire-formats.md, section 4)."""

from __future__ import annotations

from collections.abc import Mapping

from proxy.translation import json_wire
from proxy.translation.dialects.anthropic.errors import client_message, read_error
from proxy.translation.dialects.base import ErrorBody, error_object
from proxy.translation.dialects.error_detail import retry_headers
from proxy.translation.errors import Failure, Kind, kind_for
from proxy.translation.refusals import is_page, refusal_of

KINDS: Mapping[str, Kind] = {
    "ValidationException": "invalid_request",
    "ServiceQuotaExceededException": "rate_limit",
    "AccessDeniedException": "permission",
    "UnrecognizedClientException": "upstream_auth",
    "InvalidSignatureException": "upstream_auth",
    "IncompleteSignatureException": "upstream_auth",
    "MissingAuthenticationTokenException": "upstream_auth",
    "ExpiredTokenException": "upstream_auth",
    "ResourceNotFoundException": "model_not_found",
    "ModelTimeoutException": "timeout",
    "ModelErrorException": "bad_gateway",
    "ModelStreamErrorException": "bad_gateway",
    "ThrottlingException": "rate_limit",
    "ModelNotReadyException": "rate_limit",
    "InternalServerException": "upstream_error",
    "ServiceUnavailableException": "overloaded",
}
"""The failure kind of each Bedrock exception."""

EXCEPTIONS: Mapping[Kind, tuple[int, str]] = {
    "invalid_request": (400, "ValidationException"),
    "context_length": (400, "ValidationException"),
    "too_large": (413, "ValidationException"),
    "unsupported_encoding": (415, "ValidationException"),
    "authentication": (403, "UnrecognizedClientException"),
    "billing": (403, "AccessDeniedException"),
    "budget": (402, "ServiceQuotaExceededException"),
    "permission": (403, "AccessDeniedException"),
    "not_found": (404, "ResourceNotFoundException"),
    "model_not_found": (404, "ResourceNotFoundException"),
    "method_not_allowed": (405, "UnknownOperationException"),
    "conflict": (409, "ConflictException"),
    "rate_limit": (429, "ThrottlingException"),
    "quota": (400, "ServiceQuotaExceededException"),
    "internal": (500, "InternalServerException"),
    "upstream_error": (500, "InternalServerException"),
    "upstream_auth": (424, "ModelErrorException"),
    "bad_gateway": (424, "ModelErrorException"),
    "connect": (503, "ServiceUnavailableException"),
    "network": (503, "ServiceUnavailableException"),
    "overloaded": (503, "ServiceUnavailableException"),
    "timeout": (408, "ModelTimeoutException"),
}
"""Status and exception for each kind of failure, chosen so that boto3 retries where a retry may help."""

_NAME = "bedrock"
_NATIVE_FIELDS = frozenset({"originalStatusCode", "originalMessage", "resourceName"})
"""Fields of ``ModelErrorException`` and ``ModelStreamErrorException`` besides the message."""
_NATIVE_LIMIT = 65_536
"""Bytes of the largest error body whose fields are kept."""
_IN_STREAM: Mapping[str, str] = {
    "ValidationException": "validationException",
    "ThrottlingException": "throttlingException",
    "ServiceQuotaExceededException": "throttlingException",
    "InternalServerException": "internalServerException",
    "ServiceUnavailableException": "serviceUnavailableException",
    "ModelTimeoutException": "modelTimeoutException",
}
"""Names in streams of the exceptions that a stream may contain; all others become ``modelStreamErrorException``."""


def decode_error(status: int, headers: Mapping[str, str], body: bytes) -> Failure:
    """The failure of a response that is not 2xx. Reads any body: JSON of other shapes, HTML, nothing."""
    value = error_object(body)
    message, _, _ = read_error(value)
    name = next((text for header, text in headers.items() if header.lower() == "x-amzn-errortype"), "")
    if not name and isinstance(value, dict) and isinstance(value.get("__type"), str):
        name = value["__type"]
    bare_name = _bare(name)
    refusal = refusal_of(status, message, (bare_name,), is_page=is_page(body))
    kind, about = refusal or (_kind(name, message, status), "")
    return Failure(
        kind=kind,
        about=about,
        message=message or f"The upstream answered with status {status}",
        status=status,
        headers=retry_headers(headers),
        native=value if isinstance(value, dict) and kind != "upstream_auth" and len(body) <= _NATIVE_LIMIT else None,
        native_dialect=_NAME,
    )


def stream_failure(name: str, payload: bytes) -> Failure:
    """The failure that an exception frame reports; ``name`` is ``throttlingException``, for example."""
    message, _, _ = read_error(error_object(payload))
    return Failure(kind=_kind(name[:1].upper() + name[1:], message, 500), message=message or f"The upstream ended the stream with {name}")


def _kind(name: str, message: str, status: int) -> Kind:
    """The kind by the exception's name, by status if it is unknown. The name may have a namespace before ``#`` and a URL after ``:``."""
    kind = KINDS.get(_bare(name))
    if kind is None:
        return kind_for(status, message)
    if kind == "invalid_request":  # also the name of 413
        return kind_for(413 if status == 413 else 400, message)
    return kind


def _bare(name: str) -> str:
    return name.partition(":")[0].rpartition("#")[2]


def encode_error(failure: Failure, request_id: str) -> ErrorBody:
    """The HTTP error response for a client of this dialect."""
    status, name = EXCEPTIONS[failure.kind]
    headers = {"x-amzn-ErrorType": name, "x-amzn-RequestId": request_id, **failure.headers}
    own = failure.native if failure.native is not None and failure.native_dialect == _NAME else {}
    fields = {name: value for name, value in own.items() if name in _NATIVE_FIELDS} | {"message": client_message(failure)}
    return ErrorBody(status, json_wire.encode(fields), headers)


def stream_exception(failure: Failure) -> tuple[str, str]:
    """Name and message of the exception that ends a stream."""
    return _IN_STREAM.get(EXCEPTIONS[failure.kind][1], "modelStreamErrorException"), client_message(failure)
