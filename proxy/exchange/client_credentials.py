"""The key and the credentials in a request's headers."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Mapping
from typing import NamedTuple

from accounts import keys
from accounts.common.key_kinds import PREFIXES
from accounts.keys import MISPLACED
from proxy.translation.dialects.lookup import KEY_HEADERS
from proxy.translation.errors import ClientMistake
from upstreams.http.headers import holds_own_key

_CREDENTIAL = re.compile(r"AWS4-HMAC-SHA256\s.*?Credential=([^/,\s]+)/")


KEY_HEADER = "x-pxbin-key"
ELSEWHERE = ("authorization", "api-key")
"""Headers in which clients of other APIs send their keys, or that have a scheme which pxbin does not read."""


class Presented(NamedTuple):
    """The client key of a request (empty if there is none), and the client's own credentials as it sent them."""

    key: str
    own: tuple[tuple[str, str], ...] = ()


def presented(headers: Mapping[str, str]) -> Presented:
    """The client key: ``X-Pxbin-Key``, else that of ``KEY_HEADERS`` and ``Authorization`` with a key of pxbin, else the first of them.

    A value that is no key of pxbin may be the client's own credential, for an upstream that it is passed on to.
    """
    direct = [(name, headers.get(name, "").strip()) for name in KEY_HEADERS]
    authorization = headers.get("authorization", "").strip()
    bearer = bearer_token(authorization) or aws_access_key(authorization)
    own = [(name, value) for name, value in (("authorization", authorization), *direct) if value and not _has_own_key(value)]
    named = headers.get(KEY_HEADER, "").strip()
    values = [*(value for _, value in direct), bearer]
    own_key = next((value for value in values if value.startswith(PREFIXES["llm"])), "")
    return Presented(named or own_key or next(filter(None, values), ""), tuple(own))


def own_credentials(headers: Mapping[str, str]) -> list[tuple[str, str]]:
    """The client's own credentials, without keys of pxbin that came from another gateway and look like any other credential."""
    own = presented(headers).own
    return [(name, value) for name, value in own if not keys.is_cached(bearer_token(value) if name == "authorization" else value)]


def presented_key(headers: Mapping[str, str]) -> str:
    """The key of :func:`presented`; empty if there is none. Raises :class:`ClientMistake` if there may be one in another header."""
    key = presented(headers).key
    if not key and any(headers.get(name) for name in ELSEWHERE):
        raise ClientMistake(MISPLACED, kind="authentication")
    return key


def bearer_token(value: str) -> str:
    """The token of an ``Authorization`` header of the scheme Bearer (any case), or a key of pxbin without a scheme; else empty."""
    scheme, _, token = value.partition(" ")
    if scheme.lower() == "bearer":
        return token.strip()
    return value if value.startswith(tuple(PREFIXES.values())) else ""


def _has_own_key(credential: str) -> bool:
    """Whether a header value contains a key of pxbin."""
    scheme, _, rest = credential.partition(" ")
    if scheme.lower() == "basic":
        try:
            return holds_own_key(b64decode(rest).decode("latin-1"))
        except ValueError:  # no Base64
            pass
    return holds_own_key(credential)


def aws_access_key(value: str) -> str:
    """The access key id of an ``Authorization`` header that AWS clients sign (SigV4), else empty.

    Clients put their client key there; the signature is not checked, because keys are stored hashed and cannot make one.
    """
    match = _CREDENTIAL.match(value)
    return match[1] if match else ""
