"""URLs of upstreams: a path joined to a base URL."""

from __future__ import annotations

import re
from typing import Protocol

from proxy.translation.dialects.lookup import dialect_named
from proxy.translation.quirks import DEFAULT, Quirks
from upstreams.base_urls import MAIN_PATHS, has_version

PATH_VERSION = re.compile(r"/v\d[^/]*(?=/)")
"""The version at the beginning of a dialect's path."""


class Addressed(Protocol):
    """The address of an upstream: a row, or an entry of the catalogue."""

    @property
    def base_url(self) -> str: ...

    @property
    def dialect(self) -> str: ...

    @property
    def region(self) -> str: ...


def base_of(upstream: Addressed) -> str:
    """The base URL without a final slash; of an upstream without one, the base URL of its region."""
    return upstream.base_url.rstrip("/") or dialect_named(upstream.dialect).upstream.regional_base_url.format(region=upstream.region)


def url_for(upstream: Addressed, path: str, quirks: Quirks = DEFAULT) -> str:
    """The URL of a dialect's ``path`` (``/v1/chat/completions``), which may have a query.

    The version of a path (``/v1``, ``/v1beta``) is not added to a base URL that has a version (``/v1``, ``/v1beta/openai``, ``/v4``,
    ``?api-version=``), nor where the quirk ``api_path`` is set. The query of the base URL is sent with every path.
    """
    base, base_mark, base_query = base_of(upstream).partition("?")
    bare, mark, query = path.partition("?")
    if base_mark:
        mark, query = "?", f"{base_query}&{query}" if query else base_query
    if quirks.api_path and bare in MAIN_PATHS:
        own = "/" + quirks.api_path.lstrip("/")
        return base + own + (("&" if "?" in own else mark) + query if query else "")
    version = PATH_VERSION.match(bare)
    if version is not None and (quirks.api_path or has_version(base, base_query)):
        bare = bare[version.end() :]
    return base + bare + mark + query
