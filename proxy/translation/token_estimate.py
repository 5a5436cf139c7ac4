"""Estimated input tokens of a request: the sum over its parts, with an exchangeable counter for texts.

:func:`estimate_text_tokens` is the counter of the hot path (``message_start``, context windows): four ASCII characters or one other
character make a token. ``proxy.exchange.token_counting`` uses a BPE tokenizer for ``count_tokens``. Images count by size as
Anthropic documents it: width x height / 750 after scaling the longer side to 1568 pixels. A PDF page counts as 2,250 tokens, the
middle of the documented 1,500 to 3,000 (docs/wire-formats.md, section 13).
"""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Callable

from proxy.translation.canonical import Document, HostedTool, Image, Opaque, Part, Reasoning, Request, Text, Tool, ToolCall, ToolResult

Counter = Callable[[str], int]

PER_MESSAGE = 4
"""Role and separators of one message."""
PER_TOOL = 12
TOOL_PREAMBLE = 250
"""The system prompt that providers add to requests with tools (Anthropic documents 290 to 800 tokens by model, OpenAI less)."""
IMAGE_UNKNOWN = 1600
PDF_PAGE = 2250
_LONGEST_SIDE = 1568
_PIXELS_PER_TOKEN = 750
_HEAD_BYTES = 262_144


def estimate_text_tokens(text: str) -> int:
    """Tokens of a text by its length."""
    if text.isascii():
        return (len(text) + 3) // 4
    latin = len(text.encode("ascii", "ignore"))
    return (latin + 3) // 4 + (len(text) - latin)


def estimate_input_tokens(request: Request, count: Counter = estimate_text_tokens) -> int:
    """Input tokens of ``request``; ``count`` gives those of a text."""
    total = sum(count(text.text) for text in request.system) + (PER_MESSAGE if request.system else 0)
    if request.tools:
        total += TOOL_PREAMBLE + sum(_tool_tokens(tool, count) for tool in request.tools)
    for message in request.messages:
        total += PER_MESSAGE + sum(_part_tokens(part, count) for part in message.parts)
    return total


def _tool_tokens(tool: Tool | HostedTool, count: Counter) -> int:
    if isinstance(tool, HostedTool):
        return PER_TOOL + count(bytes(tool.native).decode("utf-8", "replace"))
    schema = "" if tool.schema is None else bytes(tool.schema).decode("utf-8", "replace")
    return PER_TOOL + count(tool.name) + count(tool.description or "") + count(schema)


def _part_tokens(part: Part, count: Counter) -> int:
    if isinstance(part, Text | Reasoning):
        return count(part.text)
    if isinstance(part, ToolCall):
        return PER_TOOL + count(part.name) + count(part.arguments)
    if isinstance(part, ToolResult):
        return PER_TOOL + sum(_part_tokens(inner, count) for inner in part.content)
    if isinstance(part, Image):
        return estimate_image_tokens(part.source.value) if part.source.kind == "base64" else IMAGE_UNKNOWN
    if isinstance(part, Document):
        return _document_tokens(part, count)
    return count(part.text) if isinstance(part, Opaque) else 0


def _document_tokens(document: Document, count: Counter) -> int:
    source = document.source
    if source.kind == "text":
        return count(source.value)
    if source.kind != "base64":
        return PDF_PAGE
    try:
        content = base64.b64decode(source.value)
    except (binascii.Error, ValueError):
        return PDF_PAGE
    pages = content.count(b"/Type/Page") + content.count(b"/Type /Page") - content.count(b"/Type/Pages") - content.count(b"/Type /Pages")
    return PDF_PAGE * max(pages, 1)


def estimate_image_tokens(data: str) -> int:
    """Tokens of an image in base64, by the size in its header; ``IMAGE_UNKNOWN`` if that cannot be read."""
    try:
        head = base64.b64decode(data[:_HEAD_BYTES] + "=" * (-len(data[:_HEAD_BYTES]) % 4))
    except (binascii.Error, ValueError):
        return IMAGE_UNKNOWN
    size = _image_size(head)
    if size is None or not all(size):
        return IMAGE_UNKNOWN
    width, height = size
    scale = min(1.0, _LONGEST_SIDE / max(width, height))
    return max(1, min(IMAGE_UNKNOWN, round(width * scale * height * scale / _PIXELS_PER_TOKEN)))


def _image_size(head: bytes) -> tuple[int, int] | None:
    """Width and height in pixels, from the first bytes of a PNG, GIF, WebP or JPEG."""
    if head.startswith(b"\x89PNG") and len(head) >= 24:
        return struct.unpack(">II", head[16:24])
    if head.startswith(b"GIF8") and len(head) >= 10:
        return struct.unpack("<HH", head[6:10])
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return _webp_size(head)
    return _jpeg_size(head) if head.startswith(b"\xff\xd8") else None


def _webp_size(head: bytes) -> tuple[int, int] | None:
    kind = head[12:16]
    if kind == b"VP8X" and len(head) >= 30:
        return int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1
    if kind == b"VP8 " and len(head) >= 30:
        width, height = struct.unpack("<HH", head[26:30])
        return width & 0x3FFF, height & 0x3FFF
    if kind == b"VP8L" and len(head) >= 25:
        bits = int.from_bytes(head[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    return None


def _jpeg_size(head: bytes) -> tuple[int, int] | None:
    """Width and height in the first start-of-frame segment (ITU T.81, B.2.2)."""
    at = 2
    while at + 9 < len(head) and head[at] == 0xFF:
        marker, length = head[at + 1], int.from_bytes(head[at + 2 : at + 4], "big")
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", head[at + 5 : at + 9])
            return width, height
        at += 2 + length
    return None
