"""Estimates of input tokens: of texts by their length, of images by their size, of requests by their parts."""

import base64
import struct

import msgspec
import pytest

from proxy.translation.canonical import Document, Image, Message, Reasoning, Request, Source, Text, Tool, ToolCall, ToolResult
from proxy.translation.token_estimate import (
    IMAGE_UNKNOWN,
    PDF_PAGE,
    PER_MESSAGE,
    PER_TOOL,
    TOOL_PREAMBLE,
    estimate_image_tokens,
    estimate_input_tokens,
    estimate_text_tokens,
)


@pytest.mark.parametrize(("text", "tokens"), [("", 0), ("a", 1), ("abcd", 1), ("abcde", 2), ("\u4f60\u597d", 2), ("ab\u4f60", 2)])
def test_a_token_is_four_ascii_characters_or_one_other(text: str, tokens: int) -> None:
    assert estimate_text_tokens(text) == tokens


def png(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + struct.pack(">II", width, height)


def gif(width: int, height: int) -> bytes:
    return b"GIF89a" + struct.pack("<HH", width, height)


def jpeg(width: int, height: int) -> bytes:
    app0 = b"\xff\xe0" + struct.pack(">H", 16) + b"\0" * 14
    return b"\xff\xd8" + app0 + b"\xff\xc0" + struct.pack(">HBHH", 17, 8, height, width) + b"\0" * 12


def webp_extended(width: int, height: int) -> bytes:
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"RIFF\0\0\0\0WEBPVP8X" + b"\0" * 8 + size


def webp_lossy(width: int, height: int) -> bytes:
    return b"RIFF\0\0\0\0WEBPVP8 " + b"\0" * 10 + struct.pack("<HH", width, height)


def webp_lossless(width: int, height: int) -> bytes:
    bits = (width - 1) | (height - 1) << 14
    return b"RIFF\0\0\0\0WEBPVP8L" + b"\0" * 5 + bits.to_bytes(4, "little")


@pytest.mark.parametrize("create_image", [png, gif, jpeg, webp_extended, webp_lossy, webp_lossless])
def test_an_image_counts_by_its_size_in_every_format(create_image: object) -> None:
    assert estimate_image_tokens(base64.b64encode(create_image(750, 500)).decode()) == 500  # type: ignore[operator]


@pytest.mark.parametrize(("size", "tokens"), [((1, 1), 1), ((3136, 1568), 1600), ((1568, 100), 209), ((0, 10), IMAGE_UNKNOWN)])
def test_large_images_are_scaled_down_and_every_image_counts(size: tuple[int, int], tokens: int) -> None:
    assert estimate_image_tokens(base64.b64encode(png(*size)).decode()) == tokens


@pytest.mark.parametrize("data", ["", "aGVsbG8=", "not base64!", base64.b64encode(b"\xff\xd8\xff").decode()])
def test_an_image_of_unknown_size_counts_as_a_large_one(data: str) -> None:
    assert estimate_image_tokens(data) == IMAGE_UNKNOWN


def request(*parts: object, **fields: object) -> Request:
    return Request(model="m", family="anthropic", messages=(Message("user", parts),), **fields)  # type: ignore[arg-type]


def test_every_part_of_a_message_counts() -> None:
    parts = (Text("abcd"), Reasoning("abcdefgh"), ToolCall("1", "name", "{}"), ToolResult("1", (Text("abcd"),)))
    assert estimate_input_tokens(request(*parts)) == PER_MESSAGE + 1 + 2 + (PER_TOOL + 1 + 1) + (PER_TOOL + 1)


def test_system_text_and_tools_count() -> None:
    tool = Tool(name="name", description="abcd", schema=msgspec.Raw(b'{"a":1}'))
    assert (
        estimate_input_tokens(request(system=(Text("abcd"),), tools=(tool,))) == 2 * PER_MESSAGE + 1 + TOOL_PREAMBLE + PER_TOOL + 1 + 1 + 2
    )


def test_documents_count_by_their_pages_or_their_text() -> None:
    pdf = base64.b64encode(b"%PDF /Type/Pages /Type /Page /Type /Page").decode()
    documents = (
        Document(Source("base64", pdf, "application/pdf")),
        Document(Source("text", "abcd")),
        Document(Source("url", "https://x/y.pdf")),
    )
    assert estimate_input_tokens(request(*documents)) == PER_MESSAGE + 2 * PDF_PAGE + 1 + PDF_PAGE


def test_an_image_by_url_counts_as_a_large_one() -> None:
    assert estimate_input_tokens(request(Image(Source("url", "https://x/y.png")))) == PER_MESSAGE + IMAGE_UNKNOWN


def test_another_counter_counts_the_texts() -> None:
    assert estimate_input_tokens(request(Text("two words")), lambda text: len(text.split())) == PER_MESSAGE + 2
