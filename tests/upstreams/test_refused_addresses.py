import ipaddress

import msgspec
import pytest
from django.core.exceptions import ValidationError

from upstreams.models import Upstream, base_url
from upstreams.refused_addresses import is_refused, is_refused_host

REFUSED = [
    "169.254.169.254",
    "169.254.0.1",
    "169.254.170.2",
    "fe80::1",
    "febf::1",
    "fd00:ec2::254",
    "fd00:ec2::23",
    "fd20:ce::254",
    "fd00:42::42",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "::ffff:169.254.169.254",
    "::169.254.169.254",
    "::ffff:0:169.254.169.254",
    "2002:a9fe:a9fe::1",
    "2002:6464:64c8::1",
    "64:ff9b::169.254.169.254",
    "64:ff9b:1::169.254.169.254",
    "2001:0:4136:e378:8000:63bf:5601:5601",
    "2001:db8::5efe:169.254.169.254",
    "2001:db8::200:5efe:169.254.169.254",
]
ALLOWED_ADDRESSES = [
    "127.0.0.1", "::1", "::", "10.0.0.1", "192.168.1.1", "172.16.0.1", "8.8.8.8", "100.64.0.1", "fd00::1", "::ffff:127.0.0.1",
    "2001:4860:4860::8888", "64:ff9b::8.8.8.8", "2002:808:808::1",
]  # fmt: skip
NOTATIONS = [
    "169.254.169.254", "169.254.169.254.", "2852039166", "0xA9FEA9FE", "0xa9.0xfe.0xa9.0xfe", "0251.0376.0251.0376", "169.254.43518",
    "169.16689662", "[::ffff:a9fe:a9fe]", "[fe80::1%25eth0]", "[FD00:EC2::254]", "metadata.google.internal", "METADATA.google.internal.",
]  # fmt: skip


@pytest.mark.parametrize("address", REFUSED)
def test_link_local_and_metadata_addresses_are_refused_also_inside_ipv6_addresses(address):
    assert is_refused(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ALLOWED_ADDRESSES)
def test_loopback_private_and_public_addresses_are_not_refused(address):
    assert not is_refused(ipaddress.ip_address(address))


@pytest.mark.parametrize("host", NOTATIONS)
def test_a_base_url_with_a_refused_address_in_any_notation_is_not_saved(host):
    assert is_refused_host(host)
    with pytest.raises(ValidationError, match="cloud metadata services"):
        base_url(f"http://{host}/v1")


@pytest.mark.parametrize("host", ["127.0.0.1", "0x7f.1", "[::1]", "10.1.2.3", "api.openai.com", "metadata.example.com", "xn--tda.example"])
def test_other_hosts_are_saved(host):
    assert not is_refused_host(host)
    base_url(f"http://{host}:8080/v1")


def test_a_refused_address_is_saved_where_the_setting_allows_it(settings):
    settings.PXBIN = msgspec.structs.replace(settings.PXBIN, allow_link_local=True)
    url = "http://169.254.169.254/v1"
    assert Upstream._meta.get_field("base_url").clean(url, None) == url
