"""Base URLs as people paste them: what is not part of the base is taken off, and its version is recognised."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, urlsplit

from proxy.translation.dialects.registry import REGISTRY

VERSION = "/v1"
API_VERSION = "api-version"
"""The only parameter that a base URL may have (Azure): it is sent with every request."""
MAIN_PATHS = frozenset(dialect.upstream.main_path for dialect in REGISTRY.values()) - {""}
"""The paths that the quirk ``api_path`` replaces."""
_OTHER_ENDPOINTS = ("/messages/count_tokens", "/completions", "/embeddings", "/models", "/rerank")
_ENDPOINTS = sorted({*(path.removeprefix(VERSION) for path in MAIN_PATHS), *_OTHER_ENDPOINTS}, key=len, reverse=True)
_PASTED_ENDPOINT = re.compile("(" + "|".join(map(re.escape, _ENDPOINTS)) + ")$", re.IGNORECASE)
_VERSION_IN_CAPITALS = re.compile(r"/V(\d[^/]*)$")
VERSIONED = re.compile(r"/v\d[^/]*(/([^/]+/)*openai)?$")
"""The end of a base URL that contains the version of the API, as ``/v1``, ``/api/v4`` or ``/v1beta/openai``."""


def tidy(text: str) -> str:
    """A base URL without blanks around it, an endpoint's own path, final slashes, and an empty query or fragment."""
    url, mark, query = text.strip().rstrip("#").rstrip("?").partition("?")
    if "://" not in url:
        return text.strip()
    url = url.rstrip("/")
    bare = _PASTED_ENDPOINT.sub("", url) if _path_of(url) else url
    return _VERSION_IN_CAPITALS.sub(r"/v\1", bare.rstrip("/")) + mark + query


def _path_of(url: str) -> str:
    """The path of a URL; empty if the URL is not valid."""
    try:
        return urlsplit(url).path
    except ValueError:
        return ""


def has_version(base: str, query: str) -> bool:
    """Whether a base URL, split at its query, says which version of the API is called."""
    return bool(VERSIONED.search(base)) or API_VERSION in query


def unknown_parameters(query: str) -> list[str]:
    """The parameters of a base URL's query that it may not have."""
    return [name for name, _ in parse_qsl(query, keep_blank_values=True) if name != API_VERSION]
