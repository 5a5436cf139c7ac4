"""AWS Signature Version 4, by botocore, which is imported when the first request is signed."""

from __future__ import annotations

import functools
import re
from typing import Any

from proxy.translation.dialects.lookup import dialect_named
from upstreams.routing.plan import Target

DEFAULT_REGION = "us-east-1"


def signed_headers(target: Target, url: str, body: bytes) -> list[tuple[str, str]]:
    """The headers of a signed POST of ``body`` to ``url``, and the upstream's extra headers, which are not signed."""
    from botocore.awsrequest import AWSRequest  # type: ignore[import-untyped]

    assert target.credential is not None
    request = AWSRequest(method="POST", url=url, data=body, headers={"content-type": "application/json"})
    service = dialect_named(target.upstream.dialect).upstream.sigv4_service
    credential = target.credential
    _signer(credential.access_key_id, credential.secret, credential.session_token, region_of(target), service).add_auth(request)
    signed = [(name, value) for name, value in request.headers.items() if name.lower() != "content-type"]
    return [*signed, *target.upstream.extra_headers.items()]


def region_of(target: Target) -> str:
    """The AWS region of the upstream: as configured, else from its host name."""
    beginning = dialect_named(target.upstream.dialect).upstream.regional_base_url.partition("{")[0]
    match = re.match(re.escape(beginning) + r"([a-z0-9-]+)\.", target.upstream.base_url) if beginning else None
    return target.upstream.region or (match[1] if match else DEFAULT_REGION)


@functools.lru_cache(maxsize=256)
def _signer(access_key: str, secret: str, session_token: str, region: str, service: str) -> Any:
    from botocore.auth import SigV4Auth  # type: ignore[import-untyped]
    from botocore.credentials import Credentials  # type: ignore[import-untyped]

    return SigV4Auth(Credentials(access_key, secret, session_token or None), service, region)
