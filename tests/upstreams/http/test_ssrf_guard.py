import ipaddress

import msgspec
import pytest

from upstreams.http.ssrf_guard import RefusedAddress, addresses_of, is_refused

REFUSED = [
    "169.254.169.254",
    "169.254.0.1",
    "fe80::1",
    "fd00:ec2::254",
    "100.100.100.200",
    "168.63.129.16",
    "::ffff:169.254.169.254",
    "2002:a9fe:a9fe::1",
    "64:ff9b::169.254.169.254",
]
CALLED = ["127.0.0.1", "::1", "10.0.0.1", "192.168.1.1", "8.8.8.8", "2001:4860:4860::8888", "100.64.0.1", "fd00::1"]


@pytest.mark.parametrize("address", REFUSED)
def test_metadata_services_and_link_local_addresses_are_not_called(address):
    assert is_refused(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", CALLED)
def test_local_and_public_addresses_are_called(address):
    assert not is_refused(ipaddress.ip_address(address))


@pytest.mark.parametrize("host", ["169.254.169.254", "0xA9FEA9FE", "2852039166"])
async def test_however_the_address_is_written_it_is_called_only_where_the_operator_allows_it(host, settings):
    with pytest.raises(RefusedAddress):
        await addresses_of(host, 80)
    settings.PXBIN = msgspec.structs.replace(settings.PXBIN, allow_link_local=True)
    assert await addresses_of(host, 80) == ["169.254.169.254"]


async def test_a_host_is_called_at_the_addresses_that_were_looked_at():
    assert "127.0.0.1" in await addresses_of("localhost", 80)
