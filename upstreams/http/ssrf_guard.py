"""Addresses that pxbin refuses to call: link-local addresses and cloud metadata services, which hand out a machine's credentials."""

from __future__ import annotations

import asyncio
import ipaddress
import socket

from django.conf import settings

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

REFUSED = tuple(
    ipaddress.ip_network(network)
    for network in (
        "169.254.0.0/16",  # link-local; metadata of AWS, Google Cloud, Azure and others
        "fe80::/10",  # link-local
        "fd00:ec2::/32",  # AWS metadata over IPv6
        "100.100.100.200/32",  # Alibaba Cloud metadata
        "168.63.129.16/32",  # Azure's host
        "192.0.0.192/32",  # Oracle Cloud metadata
    )
)
NAT64 = ipaddress.ip_network("64:ff9b::/96")


class RefusedAddress(Exception):  # noqa: N818  (the name of a state)
    """The address is link-local or a cloud's metadata service."""


def is_refused(address: Address) -> bool:
    """Whether an address is link-local or a metadata service, also inside an IPv6 address (mapped, 6to4, NAT64)."""
    if isinstance(address, ipaddress.IPv6Address):
        wrapped = address.ipv4_mapped or address.sixtofour
        if wrapped is None and address in NAT64:
            wrapped = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if wrapped is not None:
            return is_refused(wrapped)
    return any(address in network for network in REFUSED)


async def addresses_of(host: str, port: int) -> list[str]:
    """The IP addresses of a host. Connect to these: a second look-up could return others.

    Raises :class:`RefusedAddress` when one of them is refused, and ``OSError`` when there is none. The setting
    ``PXBIN_ALLOW_LINK_LOCAL`` allows all.
    """
    infos = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(info[4][0]) for info in infos))
    if not settings.PXBIN.allow_link_local:
        for address in addresses:
            if is_refused(ipaddress.ip_address(address.partition("%")[0])):
                raise RefusedAddress(f"{host} is a link-local or metadata address ({address}), which pxbin does not call")
    return addresses
