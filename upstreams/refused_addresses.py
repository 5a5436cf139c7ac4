"""Addresses that pxbin does not call: link-local addresses and cloud metadata services, which hand out a machine's credentials.

Pure: addresses and host names as they are written. What a name resolves to is checked when a connection is opened
(:mod:`upstreams.http.ssrf_guard`).
"""

from __future__ import annotations

import functools
import ipaddress
import socket

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

REFUSED_NETWORKS = tuple(
    ipaddress.ip_network(network)
    for network in (
        "169.254.0.0/16",  # link-local; metadata of AWS, Google Cloud, Azure, Tencent, Scaleway and others
        "fe80::/10",  # link-local
        "fd00:ec2::/32",  # AWS metadata and credentials of its containers over IPv6
        "fd20:ce::254/128",  # Google Cloud metadata over IPv6
        "fd00:42::42/128",  # Scaleway metadata over IPv6
        "100.100.100.200/32",  # Alibaba Cloud metadata
        "168.63.129.16/32",  # Azure's host
        "192.0.0.192/32",  # Oracle Cloud metadata
    )
)
REFUSED_NAMES = frozenset(
    {
        "metadata",
        "metadata.google.internal",
        "metadata.goog",
        "instance-data",
        "instance-data.ec2.internal",
        "metadata.tencentyun.com",
        "metadata.platformequinix.com",
        "metadata.packet.net",
    }
)
"""Names that clouds give to their metadata services. With an outgoing proxy, which resolves names itself, only the name is visible."""

_EMBEDS_IPV4_LAST = tuple(
    ipaddress.ip_network(network)
    for network in (
        "::/96",  # IPv4-compatible (RFC 4291, deprecated)
        "::ffff:0:0:0/96",  # IPv4-translated (RFC 2765)
        "64:ff9b::/96",  # NAT64 (RFC 6052)
        "64:ff9b:1::/48",  # NAT64 for local use (RFC 8215), with a /96 below it
    )
)
_ISATAP = (0x00005EFE, 0x02005EFE)
"""The third quarter of an ISATAP address (RFC 5214); the last one is the IPv4 address."""


def is_refused(address: Address) -> bool:
    """Whether an address is link-local or a metadata service, also as the IPv4 address inside an IPv6 address."""
    if isinstance(address, ipaddress.IPv6Address) and any(map(_in_refused_network, _embedded(address))):
        return True
    return _in_refused_network(address)


def _in_refused_network(address: Address) -> bool:
    return any(address in network for network in REFUSED_NETWORKS)


def _embedded(address: ipaddress.IPv6Address) -> list[ipaddress.IPv4Address]:
    """The IPv4 addresses that an IPv6 address leads to: mapped, 6to4, Teredo, NAT64, translated, ISATAP."""
    number = int(address)
    last = ipaddress.IPv4Address(number & 0xFFFFFFFF)
    embedded = [inner for inner in (address.ipv4_mapped, address.sixtofour) if inner is not None]
    if address.teredo is not None:
        embedded += address.teredo
    if any(address in network for network in _EMBEDS_IPV4_LAST) or (number >> 32) & 0xFFFFFFFF in _ISATAP:
        embedded.append(last)
    return embedded


@functools.lru_cache(maxsize=1024)
def is_refused_text(address: str) -> bool:
    """:func:`is_refused` for the text of an address, which may have an IPv6 zone (``fe80::1%eth0``)."""
    return is_refused(ipaddress.ip_address(address.partition("%")[0]))


def is_refused_host(host: str) -> bool:
    """Whether the host of a URL is a refused address in any notation, or a known name of a metadata service.

    ``169.254.169.254``, ``2852039166``, ``0xa9.0xfe.43518``, ``0251.0376.0251.0376`` and ``::ffff:a9fe:a9fe`` are such notations.
    False for every other name: what it resolves to is not looked up.
    """
    name = host.strip("[]").rstrip(".").lower()
    if name in REFUSED_NAMES:
        return True
    try:
        return is_refused_text(name)
    except ValueError:
        pass
    try:
        return name.isascii() and is_refused(ipaddress.IPv4Address(socket.inet_aton(name)))
    except OSError:
        return False
