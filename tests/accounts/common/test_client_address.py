"""The client's address behind trusted proxies; headers of others are ignored."""

import pytest
from django.test import override_settings

from accounts.common.client_address import MAX_HOPS, client_address, is_within, parse_networks
from proxy.exchange.http_request import Headers
from pxbin_site.conf.config import Config

PROXIES = Config(trusted_proxies=("127.0.0.1/32", "10.0.0.0/8", "fd00::/8"))


@pytest.fixture(autouse=True)
def proxies():
    with override_settings(PXBIN=PROXIES):
        yield


@pytest.mark.parametrize(
    ("peer", "listed", "client"),
    [
        ("10.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", " 203.0.113.9 , 198.51.100.7 ", "198.51.100.7"),  # the client wrote the first one itself
        ("10.0.0.1", "198.51.100.7, 10.2.2.2, 127.0.0.1", "198.51.100.7"),
        ("10.0.0.1", "10.3.3.3, 10.2.2.2", "10.3.3.3"),  # a client within the trusted networks
        ("10.0.0.1", "198.51.100.7:5112", "198.51.100.7"),
        ("10.0.0.1", "2001:db8::5", "2001:db8::5"),
        ("10.0.0.1", "[2001:DB8::5]:443", "2001:db8::5"),
        ("10.0.0.1", "::ffff:198.51.100.7", "198.51.100.7"),
        ("::ffff:10.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("fd00::1", "198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "198.51.100.7, unknown", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.7, nonsense, 10.2.2.2", "10.2.2.2"),
        ("10.0.0.1", "198.51.100.7,", "10.0.0.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "010.001.001.001", "10.0.0.1"),  # octal or decimal: ambiguous, so no address
        ("10.0.0.1", "198.51.100.7" + ", 10.2.2.2" * MAX_HOPS, "10.2.2.2"),
        ("198.51.100.1", "203.0.113.9", "198.51.100.1"),
        ("::ffff:198.51.100.1", "203.0.113.9", "::ffff:198.51.100.1"),
        ("", "203.0.113.9", ""),
    ],
)
def test_the_right_most_address_that_is_no_trusted_proxy_is_the_client(peer, listed, client):
    assert client_address(peer, {"x-forwarded-for": listed}) == client


@pytest.mark.parametrize(
    ("forwarded", "client"),
    [
        ("for=198.51.100.7", "198.51.100.7"),
        ('for=203.0.113.9, For="198.51.100.7:80";proto=https;by=10.0.0.1', "198.51.100.7"),
        ('proto=https; for="[2001:db8::5]:80", for=10.2.2.2', "2001:db8::5"),
        ('for="a, for=203.0.113.9"', "10.0.0.1"),  # a comma within quotes separates nothing
        ("for=_hidden", "10.0.0.1"),
        ("proto=https", "10.0.0.1"),
        ("xfor=203.0.113.9", "10.0.0.1"),
        ("", "10.0.0.1"),
    ],
)
def test_forwarded_is_read_where_there_is_no_x_forwarded_for(forwarded, client):
    assert client_address("10.0.0.1", {"forwarded": forwarded}) == client
    assert client_address("10.0.0.1", {"forwarded": forwarded, "x-forwarded-for": "192.0.2.1"}) == "192.0.2.1"
    assert client_address("198.51.100.1", {"forwarded": forwarded}) == "198.51.100.1"


def test_repeated_headers_are_one_list():
    headers = Headers([(b"x-forwarded-for", b"203.0.113.9"), (b"X-Forwarded-For", b"198.51.100.7")])
    assert client_address("127.0.0.1", headers) == "198.51.100.7"


@override_settings(PXBIN=Config())
def test_without_the_setting_the_peer_is_the_client():
    assert client_address("127.0.0.1", {"x-forwarded-for": "203.0.113.9", "forwarded": "for=203.0.113.9"}) == "127.0.0.1"


@pytest.mark.parametrize(
    ("client", "expected"),
    [
        ("10.1.2.3", True), ("::ffff:10.1.2.3", True), ("192.0.2.1", True),
        ("192.0.2.2", False), ("2001:db8::5", True), ("2001:db9::", False),
        ("", False), ("unix", False),
    ],
)  # fmt: skip
def test_an_address_is_in_the_ranges_or_not(client, expected):
    assert is_within(client, parse_networks(["10.1.0.0/16", " 192.0.2.1", "2001:db8::1/32"])) is expected


def test_no_range_has_no_address():
    assert is_within("10.0.0.1", ()) is False
