"""A client key in the query becomes a header before anything reads the request."""

import pytest

from pxbin_site.server.query_key import moved

GOOGLE = b"x-goog-api-key"
HOST = (b"host", b"gateway")


@pytest.mark.parametrize(
    ("path", "query", "rest", "key"),
    [
        ("/v1beta/models/m:generateContent", b"key=pxb_1", b"", b"pxb_1"),
        ("/v1beta/models/m:streamGenerateContent", b"alt=sse&key=AIza-1&x=%20", b"alt=sse&x=%20", b"AIza-1"),
        ("/v1/models", b"key=pxb%5F1&key=pxb_2", b"", b"pxb_1"),
        ("/v1/models", b"key=", b"", b""),
        ("/team-a/v1beta/models", b"key=pxb_1", b"", b"pxb_1"),
    ],
)
def test_the_key_moves(path, query, rest, key):
    assert moved(path, query, [HOST]) == (rest, [HOST, (GOOGLE, key)])


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/v1/models", b"limit=2&monkey=pxb_1"),
        ("/api/v1/logs", b"key=pxb_1"),
        ("/admin/accounts/key/", b"key=pxb_1"),
        ("/health", b"key=pxb_1"),
        ("/team-a/any/path", b"key=of-another-api"),
    ],
)
def test_other_parameters_and_paths_stay_as_they_are(path, query):
    assert moved(path, query, [HOST]) is None


def test_a_header_that_is_there_stays():
    assert moved("/v1/models", b"key=pxb_1", [(GOOGLE, b"pxb_2")]) == (b"", [(GOOGLE, b"pxb_2")])
