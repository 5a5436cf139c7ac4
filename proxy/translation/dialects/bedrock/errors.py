"""Failures on this wire: ``{"message"}``, the kind in the header ``x-amzn-ErrorType`` or in a frame's name (wire formats, section 4)."""

from __future__ import annotations

from collections.abc import Mapping

from proxy.translation import json_wire
from proxy.translation.dialects.anthropic.errors import passed_headers, read_error, shown_message
from proxy.translation.dialects.base import ErrorBody, error_object
from proxy.translation.errors import Failure, Kind, kind_for

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
"""What each of Bedrock's exceptions means for our client."""

EXCEPTIONS: Mapping[Kind, tuple[int, str]] = {
    "invalid_request": (400, "ValidationException"),
    "context_length": (400, "ValidationException"),
    "too_large": (413, "ValidationException"),
    "unsupported_encoding": (415, "ValidationException"),
    "authentication": (403, "UnrecognizedClientException"),
    "billing": (403, "AccessDeniedException"),
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
"""Status and exception for each kind of failure; boto3 tries again by itself where another try may help."""

_IN_STREAM: Mapping[str, str] = {
    "ValidationException": "validationException",
    "ThrottlingException": "throttlingException",
    "ServiceQuotaExceededException": "throttlingException",
    "InternalServerException": "internalServerException",
    "ServiceUnavailableException": "serviceUnavailableException",
    "ModelTimeoutException": "modelTimeoutException",
}
"""The exceptions that a stream can hold; everything else is ``modelStreamErrorException`` there."""


def decode_error(status: int, headers: Mapping[str, str], body: bytes) -> Failure:
    """The failure behind a non-2xx answer, whatever its body looks like."""
    value = error_object(body)
    message, _, _ = read_error(value)
    name = next((text for header, text in headers.items() if header.lower() == "x-amzn-errortype"), "")
    if not name and isinstance(value, dict) and isinstance(value.get("__type"), str):
        name = value["__type"]
    return Failure(
        kind=_kind(name, message, status),
        message=message or f"The upstream answered with status {status}",
        status=status,
        headers=passed_headers(headers),
    )


def stream_failure(name: str, payload: bytes) -> Failure:
    """The failure that an exception in a stream tells; ``name`` is ``throttlingException`` and the like."""
    message, _, _ = read_error(error_object(payload))
    return Failure(kind=_kind(name[:1].upper() + name[1:], message, 500), message=message or f"The upstream broke off with {name}")


def _kind(name: str, message: str, status: int) -> Kind:
    """By the exception's name, without a namespace before ``#`` and an address behind ``:``; else by the status."""
    known = KINDS.get(name.partition(":")[0].rpartition("#")[2])
    if known is None:
        return kind_for(status, message)
    if known == "invalid_request":  # a body that is too large is refused under this name, too
        return kind_for(413 if status == 413 else 400, message)
    return known


def encode_error(failure: Failure, request_id: str) -> ErrorBody:
    """The HTTP answer for a client of this dialect."""
    status, name = EXCEPTIONS[failure.kind]
    headers = {"x-amzn-ErrorType": name, "x-amzn-RequestId": request_id, **failure.headers}
    return ErrorBody(status, json_wire.encode({"message": shown_message(failure)}), headers)


def exception_of(failure: Failure) -> tuple[str, str]:
    """Name and message of the exception that ends a stream."""
    return _IN_STREAM.get(EXCEPTIONS[failure.kind][1], "modelStreamErrorException"), shown_message(failure)
