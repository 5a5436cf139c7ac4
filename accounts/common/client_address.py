"""The address of the client behind the proxies that the operator trusts (``PXBIN_TRUSTED_PROXIES``).

A proxy appends the address of its own peer to ``X-Forwarded-For`` or to ``Forwarded`` (RFC 7239). What a client writes into
these headers itself stands left of that, so the right-most address that is not a trusted proxy's is the client's. Without a
trusted proxy as the peer both headers are ignored: anybody can send them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from django.conf import settings

Address = IPv4Address | IPv6Address
MAX_HOPS = 32
"""Addresses that are read from the right; more proxies than that are not in one chain."""
MAX_FORWARDED = 4096
"""Characters of ``Forwarded``; a longer one is ignored."""
_ELEMENT = re.compile(r'(?:[^",]|"(?:[^"\\]|\\.)*")+')
_FOR = re.compile(r'(?:^|;)\s*for\s*=\s*("(?:[^"\\]|\\.)*"|[^";\s]*)', re.IGNORECASE)
_IPV4_WITH_PORT = re.compile(r"([0-9.]+):[0-9]+")
_IN_BRACKETS = re.compile(r"\[([^\]]*)\](?::[0-9]+)?")


Networks = tuple[IPv4Network | IPv6Network, ...]


def parse_networks(ranges: Sequence[str]) -> Networks:
    """The networks of ranges such as ``10.0.0.0/8`` and of single addresses; raises ValueError for anything else."""
    return tuple(ip_network(text.strip(), strict=False) for text in ranges)


def is_within(client: str, networks: Networks) -> bool:
    """Whether a client's address is in one of the networks; an unknown address is in none."""
    address = _parse(client)
    return address is not None and any(address in network for network in networks)


def client_address(peer: str, headers: Mapping[str, str]) -> str:
    """The address of a request's client as text; ``peer`` itself if it is not one of the trusted proxies.

    ``peer``: the address of the connection, empty if unknown. ``headers``: the request's headers by case-insensitive name,
    repeated ones joined with commas. ``Forwarded`` is read only without ``X-Forwarded-For``: a proxy that writes the first has to
    remove the second. An entry that is no address ends the chain: the proxy that wrote it counts as the client.
    """
    trusted = settings.PXBIN.trusted_proxies
    if not trusted:
        return peer
    address = _parse(peer)
    if address is None or not _is_trusted(address, trusted):
        return peer
    for entry in _entries(headers):
        hop = _parse(entry)
        if hop is None:
            break
        address = hop
        if not _is_trusted(address, trusted):
            break
    return str(address)


def _entries(headers: Mapping[str, str]) -> list[str]:
    """The addresses that the proxies reported, the last one first."""
    listed = headers.get("x-forwarded-for")
    if listed is not None:
        entries = listed.rsplit(",", MAX_HOPS)
    else:
        forwarded = headers.get("forwarded", "")
        elements = _ELEMENT.findall(forwarded) if len(forwarded) <= MAX_FORWARDED else []
        entries = [match[1] if (match := _FOR.search(element)) else "" for element in elements]
    return entries[: -MAX_HOPS - 1 : -1]


def _parse(entry: str) -> Address | None:
    """The address of an entry, which may have quotes, brackets and a port; None if it is none, such as ``unknown``."""
    text = entry.strip().strip('"')
    match = _IN_BRACKETS.fullmatch(text) or _IPV4_WITH_PORT.fullmatch(text)
    try:
        address = ip_address(match[1] if match else text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _is_trusted(address: Address, trusted: Sequence[str]) -> bool:
    return any(address in network for network in _networks(tuple(trusted)))


@lru_cache(maxsize=8)
def _networks(trusted: tuple[str, ...]) -> tuple[IPv4Network | IPv6Network, ...]:
    return tuple(ip_network(network) for network in trusted)
