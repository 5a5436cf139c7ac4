"""Data URLs and text files."""

from __future__ import annotations

import pytest

from proxy.translation.canonical import Source
from proxy.translation.media import as_text, data_url, decoded_text, is_web_url, media_type_of, parse_data_url


@pytest.mark.parametrize(
    ("url", "source"),
    [
        ("data:image/png;base64,AAAA", Source("base64", "AAAA", "image/png")),
        ("data:image/jpg;base64,AAAA", Source("base64", "AAAA", "image/jpeg")),
        ("DATA:Image/JPG;name=a;b.jpg;BASE64,AAAA", Source("base64", "AAAA", "image/jpeg")),
        ("data:text/plain;charset=utf-8;base64,AAAA", Source("base64", "AAAA", "text/plain")),
        ("data:,hello", Source("base64", "aGVsbG8=", "text/plain")),
        ("data:text/csv,a%2Cb", Source("base64", "YSxi", "text/csv")),
        ("data:application/pdf;base64,AA%3D%3D", Source("base64", "AA==", "application/pdf")),
        ("data:image/png;base64,", None),
        ("data:image/png;base64", None),
        ("data:", None),
        ("", None),
        ("https://example.com/a.png", None),
        ("data:image/png;base64,\u00fc", None),
    ],
)
def test_a_data_url_is_read(url: str, source: Source | None) -> None:
    assert parse_data_url(url) == source


def test_a_data_url_is_written() -> None:
    assert data_url(Source("base64", "AAAA", "image/png")) == "data:image/png;base64,AAAA"


@pytest.mark.parametrize(("url", "answer"), [("http://a", True), ("HTTPS://a", True), ("ftp://a", False), ("httpx", False), ("", False)])
def test_only_http_urls_can_be_fetched(url: str, answer: bool) -> None:
    assert is_web_url(url) is answer


def test_a_media_type_loses_case_and_parameters() -> None:
    assert media_type_of("Image/JPG; q=1") == "image/jpeg"


def test_a_text_file_becomes_its_text_and_others_stay() -> None:
    pdf = Source("base64", "JVBERi0=", "application/pdf")
    assert as_text(Source("base64", "77u/R3LDvMOfZQ==", "text/plain")) == Source("text", "Grüße", "text/plain")
    assert as_text(pdf) is pdf
    assert as_text(Source("base64", "/w==", "text/plain")) is None
    assert decoded_text(Source("base64", "A", "text/plain")) is None
