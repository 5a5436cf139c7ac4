"""Which headers pass between the client and an upstream. Pure: everything that is not named here stays behind.

Up go only those that mean something to the upstream's dialect: never credentials, cookies, addresses or anything by which the
client, or a proxy before us, could be recognised. Down come limits, retry hints and the upstream's request id.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import unquote

from proxy.translation.dialects.error_detail import RETRY_HEADERS
from proxy.translation.dialects.lookup import REQUEST_ID_HEADERS, dialect_named
from proxy.translation.dialects.registry import REGISTRY

Received = Mapping[str, str]
"""Headers as received: case-insensitive look-up; iteration gives names in any case."""

USER_AGENT = "pxbin"

DOWN_PREFIXES = tuple({prefix: None for dialect in REGISTRY.values() for prefix in dialect.upstream.headers_down})
"""Of all dialects: servers that speak one of them are gateways to others."""
HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "expect", "proxy-connection", "host", "content-length"}
)
"""Headers that describe a connection, not the message that goes over it."""
NOT_UP = HOP_BY_HOP | {"accept-encoding", "user-agent", "via", "origin", "referer", "dnt", "x-real-ip", "x-request-id", "true-client-ip"}
NOT_UP_PARTS = ("auth", "cookie", "key", "token", "secret", "credential", "password", "signature", "session", "forwarded", "client")
NOT_UP_PREFIXES = ("sec-", "cf-", "x-pxbin-", "x-stainless-", "x-amz-", "fly-", "x-envoy-", "x-client-")
NEEDED_UP = frozenset({"idempotency-key", "x-goog-api-client"})
NOT_DOWN = HOP_BY_HOP | {"content-encoding", "set-cookie", "set-cookie2", "server", "via", "alt-svc", "strict-transport-security", "date"}
NOT_DOWN_PREFIXES = ("access-control-", "cf-", "proxy-", "www-", "x-pxbin-", "x-frame-", "x-xss-", "openai-organization", "openai-project")
BROWSER_ORDERS = frozenset(
    {
        "accept-ch", "activate-storage-access", "clear-site-data", "content-security-policy", "content-security-policy-report-only",
        "critical-ch", "expect-ct", "feature-policy", "link", "nel", "no-vary-search", "origin-agent-cluster", "permissions-policy",
        "public-key-pins", "referrer-policy", "refresh", "report-to", "reporting-endpoints", "service-worker-allowed", "set-login",
        "sourcemap", "speculation-rules", "supports-loading-mode", "timing-allow-origin", "use-as-dictionary", "x-content-type-options",
        "x-dns-prefetch-control", "x-permitted-cross-domain-policies", "x-robots-tag", "x-sourcemap", "x-ua-compatible",
    }
)  # fmt: skip
"""Headers by which a browser changes what it does with an origin. Upstreams do not decide that for the origin of the admin pages."""
BROWSER_ORDER_PREFIXES = ("attribution-reporting-", "cross-origin-", "document-", "sec-")
_SCRIPT_TYPE = re.compile(r"^(text|application)/(x-)?(java|ecma|j|live)script")
_ACTIVE_TYPE = re.compile(
    r"html|xml|xsl|svg|pdf|flash|^multipart/(?!form-data|byteranges)|^message/|^text/(css|cache-manifest)|^application/(manifest|wasm|hta)"
)
_OWN_KEY = re.compile(r"(?<![0-9a-z_-])px[bm]_|px[bm]_[0-9a-f]{40}", re.IGNORECASE)
UPSTREAM_REQUEST_IDS = REQUEST_ID_HEADERS | {"apim-request-id"}


def holds_own_key(text: str) -> bool:
    """Whether a text holds a key of ours, perhaps percent-encoded: a word that begins as they do, or a whole one anywhere.

    The letters alone, inside of a word, are no sign: long tokens of others have them by chance.
    """
    return _OWN_KEY.search(text) is not None or ("%" in text and _OWN_KEY.search(unquote(text)) is not None)


def forwardable_value(client: Received, name: str) -> str:
    """The value of a client's header that may be forwarded; empty if it is missing or contains a key of pxbin."""
    value = client.get(name, "")
    return "" if holds_own_key(value) else value


def upward(
    client: Received, dialect: str, *, stream: bool, content_type: str = "application/json", betas: tuple[str, ...] | None = None
) -> list[tuple[str, str]]:
    """The headers of a request to an upstream of ``dialect``, without its credentials.

    Which headers of the client's go up is a matter of the dialect (:class:`UpstreamApi`): those with its prefixes, its defaults
    unless the client sends its own, and its list of betas as it came, or those of its entries that ``betas`` allows.
    """
    spoken = dialect_named(dialect)
    api = spoken.upstream
    headers = [("content-type", content_type), ("accept", spoken.framing.media_type if stream else "application/json")]
    if api.headers_up:
        own = [name for name in client if name.lower().startswith(api.headers_up)]
        headers += [(name.lower(), value) for name in own if (value := forwardable_value(client, name))]
    headers += [(name, forwardable_value(client, name) or default) for name, default in api.default_headers]
    if api.beta_header:
        beta = forwardable_value(client, api.beta_header)
        if beta and betas is not None:
            beta = ",".join(name for entry in beta.split(",") if (name := entry.strip()) in betas)
        if beta:
            headers.append((api.beta_header, beta))
    return headers


def api_version(client: Received, dialect: str) -> str:
    """The version of the API in the headers that :func:`upward` returns; empty if the dialect has none."""
    api = dialect_named(dialect).upstream
    default = next((value for name, value in api.default_headers if name == api.version_header), "")
    return forwardable_value(client, api.version_header) or default if api.version_header else ""


def downward(received: Received) -> list[tuple[str, str]]:
    """What a client gets to see of an upstream's reply headers, in lower case; the upstream's id as ``x-upstream-request-id``."""
    headers = []
    request_id = ""
    for name, value in received.items():
        lower = name.lower()
        if lower.startswith(DOWN_PREFIXES) or (lower in RETRY_HEADERS and RETRY_HEADERS[lower].fullmatch(value)):
            headers.append((lower, value))
        elif lower in UPSTREAM_REQUEST_IDS and not request_id:
            request_id = value
    if request_id:
        headers.append(("x-upstream-request-id", request_id))
    return headers


def plain_upward(client: Received) -> list[tuple[str, str]]:
    """The headers of a request that goes up as it came (plain proxy mode), without credentials.

    Here everything passes but what describes the connection, who the client is or who pays: unknown APIs have headers of
    their own. A value that holds a key of ours stays behind whatever its name.
    """
    return [(name.lower(), value) for name, value in client.items() if _may_go_up(name.lower(), value)]


def _may_go_up(name: str, value: str) -> bool:
    if holds_own_key(name) or holds_own_key(value):
        return False
    if name in NEEDED_UP:
        return True
    return not (name in NOT_UP or name.startswith(NOT_UP_PREFIXES) or any(part in name for part in NOT_UP_PARTS))


def plain_downward(received: Received, *, status: int = 200) -> list[tuple[str, str]]:
    """What a client of the plain proxy mode sees of an upstream's headers; the upstream's id as ``x-upstream-request-id``.

    A redirect (``status`` 300 to 399) comes without its address: a browser would follow it from the origin of the admin pages.
    """
    headers = []
    for name, value in received.items():
        lower = name.lower()
        if lower in UPSTREAM_REQUEST_IDS:
            headers.append(("x-upstream-request-id", value))
        elif _may_come_down(lower) and not (lower == "location" and 300 <= status < 400):
            headers.append((lower, value))
    return inert(headers)


def _may_come_down(name: str) -> bool:
    return not (name in NOT_DOWN or name in BROWSER_ORDERS or name.startswith((*NOT_DOWN_PREFIXES, *BROWSER_ORDER_PREFIXES)))


def inert(headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The headers of a body that an upstream made, changed so that a browser does not run it in the origin of the admin pages.

    ``headers``: names in lower case. A document of an active type (HTML, SVG, XML, PDF …) is downloaded instead of shown, and a
    script has the type ``text/plain``, as which no page can load it. Other headers stay.
    """
    types = [part.strip().lower() for name, value in headers if name == "content-type" for part in value.split(",")]
    if any(_SCRIPT_TYPE.match(media_type) for media_type in types):
        return [(name, "text/plain; charset=utf-8" if name == "content-type" else value) for name, value in headers]
    if any(_ACTIVE_TYPE.search(media_type.partition(";")[0]) for media_type in types):
        return [*(pair for pair in headers if pair[0] != "content-disposition"), ("content-disposition", "attachment")]
    return headers
