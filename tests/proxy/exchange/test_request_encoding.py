"""Compressed request bodies: what is decoded, and what is refused with which status."""

import gzip
import sys
import zlib

import brotli
import pytest
from django.test import override_settings

from proxy.exchange.http_request import HttpRequest
from proxy.exchange.request_encoding import QUICK_OUTPUT, decode_body
from proxy.translation.errors import ClientMistake, GatewayError
from pxbin_site.conf.config import Config

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MEGA = 1 << 20
BODY = b'{"model": "echo", "text": "' + b"some words " * 2000 + b'"}'
LARGE = bytes(range(256)) * (20 * MEGA // 256)
RAW_DEFLATE = zlib.compressobj(wbits=-zlib.MAX_WBITS)
ENCODED = {
    "gzip": gzip.compress(BODY),
    "X-GZip": gzip.compress(BODY),
    "deflate": zlib.compress(BODY),
    "Deflate": RAW_DEFLATE.compress(BODY) + RAW_DEFLATE.flush(),
    "zstd": zstd.compress(BODY),
    "br": brotli.compress(BODY),
    "identity": BODY,
    "": BODY,
    "gzip, zstd": zstd.compress(gzip.compress(BODY)),
    "identity, gzip": gzip.compress(BODY[:100]) + gzip.compress(b"") + gzip.compress(BODY[100:]),
}


def request(body: bytes, encoding: str) -> HttpRequest:
    headers = [(b"content-encoding", encoding.encode()), (b"x-other", b"1")]
    return HttpRequest(method="POST", path="/v1/messages", body=body, raw_headers=headers)


@pytest.mark.parametrize("encoding", ENCODED)
async def test_a_body_is_replaced_by_its_content_and_the_header_goes(encoding):
    http = request(ENCODED[encoding], encoding)
    await decode_body(http)
    assert (http.body, dict(http.headers)) == (BODY, {"x-other": "1"})


async def test_a_body_without_an_encoding_stays():
    http = HttpRequest(method="POST", path="/v1/messages", body=BODY)
    await decode_body(http)
    assert http.body == BODY


@pytest.mark.parametrize("encode", [gzip.compress, zstd.compress])
async def test_a_large_body_is_decoded_in_batches_and_counted(encode):
    counted = []
    http = request(encode(LARGE), "gzip" if encode is gzip.compress else "zstd")
    compressed = len(http.body)
    http.count_body = lambda size: counted.append(size) or True
    await decode_body(http)
    assert http.body == LARGE
    assert counted == [*sorted(counted[:-1]), len(LARGE)]
    assert counted[0] >= compressed + QUICK_OUTPUT
    assert counted[-2] == compressed + len(LARGE)


SQUEEZED = gzip.compress(BODY)


@pytest.mark.parametrize(
    ("body", "encoding", "kind"),
    [
        (SQUEEZED, "compress", "unsupported_encoding"),
        (SQUEEZED, "gzip, aws-chunked", "unsupported_encoding"),
        (SQUEEZED, "gzip, gzip, gzip, gzip", "unsupported_encoding"),
        (BODY, "gzip", "invalid_request"),
        (BODY, "zstd", "invalid_request"),
        (BODY, "br", "invalid_request"),
        (SQUEEZED, "zstd", "invalid_request"),
        (SQUEEZED[:-9], "gzip", "invalid_request"),
        (zstd.compress(BODY)[:-4], "zstd", "invalid_request"),
        (SQUEEZED + b"trailing", "gzip", "invalid_request"),
        (zstd.compress(BODY) + b"trailing", "zstd", "invalid_request"),
        (gzip.compress(b"") * 1500 + SQUEEZED, "gzip", "invalid_request"),
        (SQUEEZED[:-8] + b"\0" * 8, "gzip", "invalid_request"),
        (gzip.compress(bytes(40 * MEGA)), "gzip", "too_large"),
        (zstd.compress(bytes(40 * MEGA)), "zstd", "too_large"),
        (zstd.compress(gzip.compress(bytes(40 * MEGA))), "gzip, zstd", "too_large"),
    ],
)
async def test_what_cannot_be_decoded_is_a_mistake_of_the_client(body, encoding, kind):
    with pytest.raises(ClientMistake) as caught:
        await decode_body(request(body, encoding))
    assert caught.value.failure.kind == kind


@override_settings(PXBIN=Config(max_body_bytes=1000))
async def test_the_limit_of_bodies_holds_for_their_content():
    http = request(gzip.compress(bytes(1000)), "gzip")
    await decode_body(http)
    assert http.body == bytes(1000)
    with pytest.raises(ClientMistake, match="too large once it is decoded"):
        await decode_body(request(gzip.compress(bytes(1001)), "gzip"))


async def test_without_memory_for_the_decoded_body_the_response_is_503_with_retry_after():
    http = request(SQUEEZED, "gzip")
    http.count_body = lambda size: size < len(BODY)
    with pytest.raises(GatewayError) as caught:
        await decode_body(http)
    assert (caught.value.failure.kind, caught.value.failure.headers) == ("overloaded", {"retry-after": "5"})
