"""Validation of the values of upstreams, models and routes. The functions raise Django's ``ValidationError``."""

from __future__ import annotations

import re
import ssl
from urllib.parse import urlsplit

import msgspec
from django.conf import settings
from django.core.exceptions import ValidationError

from accounts.common.api_limits import accepts
from accounts.common.model_fields import json_object
from proxy.translation.dialects.lookup import PATH_ROOTS, TITLES
from proxy.translation.quirks import merged
from proxy.translation.type_errors import explain
from upstreams.base_urls import unknown_parameters
from upstreams.echo import SCHEME
from upstreams.refused_addresses import is_refused_host

SCHEMES = ("http", "https", SCHEME)
"""Schemes of base URLs; ``echo`` is the built-in upstream without a network."""
OWN_PATHS = frozenset(
    {root.strip("/") for root in PATH_ROOTS}
    | {"api", "admin", "models", "health", "healthz", "status", "ready", "metrics", "static", "media", "ws", "docs", "setup"}
    | {"accounts", "login", "logout", "favicon.ico", "me"}
)
"""First segments of pxbin's own paths; a path prefix may not begin with one."""
PREFIX_PATTERN = re.compile(r"(/[A-Za-z0-9._~-]+)+")
ONE_LINE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")
HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
MIN_TIMEOUT_SECONDS, MAX_SECONDS = 0.001, 31_536_000
NO_PROXY_WORD = "none"
"""The proxy of an upstream that is called directly, whatever proxy is set for the others."""
CAPABILITIES = frozenset({"images", "tools", "audio"})


def base_url(value: str) -> None:
    """Validate the base URL of an upstream: scheme and host, without credentials, fragment, and queries other than ``api-version``."""
    try:
        parts = urlsplit(value)
        is_usable = value.isprintable() and parts.scheme in SCHEMES and bool(parts.hostname) and parts.port != 0
    except ValueError:  # of urlsplit, for an invalid port or IPv6 address
        is_usable = False
    if not is_usable:
        raise ValidationError("Enter a URL that begins with http:// or https://, for example https://api.openai.com/v1.")
    if unknown_parameters(parts.query) or parts.fragment or "@" in parts.netloc:
        raise ValidationError("The URL must not contain credentials, a fragment, or a query other than api-version=….")
    if not value.isascii() or " " in value:
        raise ValidationError(
            "The URL must not contain blanks or letters outside ASCII: write %20 and the like, and the names of hosts as xn--…."
        )
    if is_refused_host(parts.hostname or "") and not settings.PXBIN.allow_link_local:
        raise ValidationError("pxbin does not call link-local addresses and cloud metadata services; PXBIN_ALLOW_LINK_LOCAL allows them.")
    placeholder = re.search(r"\{(\w+)\}", value)  # of a preset
    if placeholder:
        raise ValidationError(f"Replace {placeholder[0]} in {value} with the name of your {placeholder[1]}.")


def dialect(value: str) -> None:
    """Validate the name of a dialect. The database has no choices, so that a new dialect needs no migration."""
    if value not in TITLES:
        raise ValidationError("Value %(value)r is not a valid choice.", code="invalid_choice", params={"value": value})


def path_prefix(value: str) -> None:
    """Validate a path prefix: its form, and that it hides none of pxbin's own paths."""
    if not PREFIX_PATTERN.fullmatch(value):
        raise ValidationError("A path prefix begins with / and does not end with /, for example /team-a.")
    if any(segment in (".", "..") for segment in value.split("/")):
        raise ValidationError("A path prefix may not contain the segments . and .., because clients remove them from URLs.")
    if value.split("/")[1].lower() in OWN_PATHS:
        raise ValidationError(f"{value} is one of pxbin's own paths; choose another prefix.")


def quirks(value: object) -> None:
    """Validate the names and the types of quirks."""
    json_object(value)
    try:
        merged(value)  # type: ignore[arg-type]
    except msgspec.ValidationError as error:
        message, path = explain(error)
        raise ValidationError(f"{path}: {message}.") from error


def header_fields(value: object) -> None:
    """Validate an object of header names and values of one line."""
    json_object(value)
    assert isinstance(value, dict)
    for name, text in value.items():
        if not HEADER_NAME.fullmatch(name) or not isinstance(text, str) or not ONE_LINE.fullmatch(text):
            raise ValidationError(f"{name!r} is not a header with a value of one line of text.")


def proxy(value: str) -> None:
    """Validate the proxy of an upstream: a URL without credentials, or ``none``."""
    try:
        parts = urlsplit(value)
        is_usable = value.isascii() and value.isprintable() and parts.scheme in ("http", "https") and bool(parts.hostname)
        is_usable = is_usable and parts.port != 0 and parts.path in ("", "/") and not parts.query
    except ValueError:
        is_usable = False
    if value != NO_PROXY_WORD and not is_usable:
        raise ValidationError("Enter the address of an HTTP proxy, for example http://proxy.example:3128, or none.")
    if "@" in value:
        raise ValidationError("This address is shown to everybody who may see upstreams: set a proxy with a password as PXBIN_HTTP_PROXY.")


def ca_file(path: str) -> None:
    """Validate the path of a PEM file of certificate authorities, which this process can read."""
    try:
        ssl.create_default_context().load_verify_locations(path)
    except OSError as error:
        raise ValidationError(f"{path} is not a PEM file of certificates: {error.strerror or error}.") from error


def client_certificate_file(path: str) -> None:
    """Validate the path of a PEM file with a certificate and its private key, which has no password."""
    try:
        ssl.create_default_context().load_cert_chain(path, password="")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", "") or error
        raise ValidationError(f"{path} is not a PEM file of a certificate and its private key: {reason}.") from error


def header_value(value: str) -> None:
    """Validate the value of an HTTP header."""
    if not ONE_LINE.fullmatch(value):
        raise ValidationError("Enter one line of text.")


def header_name(value: str) -> None:
    """Validate the name of an HTTP header."""
    if not HEADER_NAME.fullmatch(value):
        raise ValidationError("Enter the name of an HTTP header.")


def capabilities(value: object) -> None:
    """Validate an object of capabilities and booleans."""
    json_object(value)
    assert isinstance(value, dict)
    if set(value) - CAPABILITIES or not all(isinstance(flag, bool) for flag in value.values()):
        raise ValidationError("Capabilities are images, tools and audio, each true or false.")


def replacements(value: object) -> None:
    """Validate an object that maps old texts to new ones."""
    json_object(value)
    assert isinstance(value, dict)
    if not all(old and isinstance(new, str) for old, new in value.items()):
        raise ValidationError("Enter a JSON object that maps each old text to its new text.")


@accepts(0, MAX_SECONDS)
def seconds(value: float) -> None:
    """Validate a duration from 0 to a year; NaN is refused as well."""
    if not 0 <= value <= MAX_SECONDS:
        raise ValidationError(f"Enter seconds from 0 to {MAX_SECONDS} (a year).")


@accepts(MIN_TIMEOUT_SECONDS, MAX_SECONDS)
def positive_seconds(value: float) -> None:
    """Validate a timeout: as :func:`seconds`, but more than 0, with which every request would fail."""
    if not MIN_TIMEOUT_SECONDS <= value <= MAX_SECONDS:
        raise ValidationError(f"Enter seconds from {MIN_TIMEOUT_SECONDS} to {MAX_SECONDS} (a year).")
