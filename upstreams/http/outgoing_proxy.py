"""Which proxy a call goes through: that of its upstream, that of the settings, or that of the environment."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from django.conf import settings

from upstreams.validators import NO_PROXY_WORD

SCHEMES = ("http", "https")


def proxy_for(url: str, own: str = "") -> str | None:
    """The URL of the proxy for ``url``; ``None``: a direct connection.

    ``own``: the upstream's proxy, or ``none``; it comes before ``PXBIN_HTTP_PROXY`` and ``HTTPS_PROXY``, ``HTTP_PROXY`` and
    ``ALL_PROXY`` of the environment, whose exceptions are in ``NO_PROXY``. Proxies of the environment that are not HTTP (``socks5://``)
    are not used.
    """
    if own:
        return None if own == NO_PROXY_WORD else own
    config = settings.PXBIN
    environment = config.environment_proxies
    if not config.http_proxy and not environment:
        return None
    parts = urlsplit(url)
    if _is_exception(parts.hostname or "", parts.port, environment.get("no", "")):
        return None
    proxy = config.http_proxy or environment.get(parts.scheme) or environment.get("all") or ""
    return proxy if proxy.partition("://")[0] in SCHEMES else None


def _is_exception(host: str, port: int | None, exceptions: str) -> bool:
    """Whether ``NO_PROXY`` names a host: ``*``, a name with its subdomains, an address, a network; each may have a port."""
    for item in exceptions.replace(" ", ",").split(","):
        name, _, item_port = item.strip().lower().rpartition(":") if item.count(":") == 1 else (item.strip().lower(), "", "")
        if item_port and item_port != str(port):
            continue
        suffix = name.removeprefix("*").lstrip(".")
        if name == "*" or (suffix and (host == suffix or host.endswith(f".{suffix}"))) or _is_in_network(host, name):
            return True
    return False


def _is_in_network(host: str, network: str) -> bool:
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(network.strip("[]"), strict=False)
    except ValueError:
        return False
