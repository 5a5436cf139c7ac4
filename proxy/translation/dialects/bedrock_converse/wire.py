"""Shapes of Converse bodies: messages and content blocks (docs/wire-formats.md, section 17.3). Blobs are base64."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from proxy.translation import json_wire
from proxy.translation.unread import NotingDecoder

FAMILY = "bedrock_converse"
ABSENT = Raw(b"")
"""The value of a field that is not in the body."""

EncodedBlock = dict[str, Any]
"""A content block that is being encoded."""


class Source(msgspec.Struct, gc=False):
    """Where media come from; ``s3Location`` and ``content`` stay JSON."""

    bytes: str | None = None
    text: str | None = None
    content: list[dict[str, Any]] | None = None
    s3Location: Raw = ABSENT  # noqa: N815 -- the name on the wire; so below


class Media(msgspec.Struct, gc=False):
    """An image, a document or a sound."""

    source: Source
    format: str | None = None
    name: str | None = None
    context: str | None = None
    citations: Raw = ABSENT


class ToolUse(msgspec.Struct, gc=False):
    """A tool call; ``type`` is set for tools that run at the provider."""

    toolUseId: str  # noqa: N815
    name: str
    input: Raw = ABSENT
    type: str | None = None


class ResultBlock(msgspec.Struct, gc=False):
    """A block of a tool result."""

    text: str | None = None
    json: Raw = ABSENT
    image: Media | None = None
    document: Media | None = None
    video: Raw = ABSENT
    searchResult: Raw = ABSENT  # noqa: N815


class ToolResult(msgspec.Struct, gc=False):
    """What the client returns for a call."""

    toolUseId: str  # noqa: N815
    content: list[ResultBlock] = []
    status: str | None = None
    type: str | None = None


class ReasoningText(msgspec.Struct, gc=False):
    """Visible reasoning."""

    text: str = ""
    signature: str | None = None


class ReasoningContent(msgspec.Struct, gc=False):
    """Reasoning: visible, or as a blob."""

    reasoningText: ReasoningText | None = None  # noqa: N815
    redactedContent: str | None = None  # noqa: N815


class CitationsContent(msgspec.Struct, gc=False):
    """Text with citations."""

    content: list[dict[str, Any]] = []
    citations: list[dict[str, Any]] = []


class Block(msgspec.Struct, gc=False):
    """A content block: one of the fields is set."""

    text: str | None = None
    image: Media | None = None
    document: Media | None = None
    audio: Media | None = None
    toolUse: ToolUse | None = None  # noqa: N815
    toolResult: ToolResult | None = None  # noqa: N815
    cachePoint: Raw = ABSENT  # noqa: N815
    reasoningContent: ReasoningContent | None = None  # noqa: N815
    citationsContent: CitationsContent | None = None  # noqa: N815
    guardContent: Raw = ABSENT  # noqa: N815
    searchResult: Raw = ABSENT  # noqa: N815
    video: Raw = ABSENT
    toolAddition: Raw = ABSENT  # noqa: N815
    toolRemoval: Raw = ABSENT  # noqa: N815


NATIVE_BLOCKS = ("guardContent", "searchResult", "video", "toolAddition", "toolRemoval")
"""Fields of blocks without a canonical part of their own."""
HISTORY_BLOCKS = frozenset({"toolAddition", "toolRemoval"})
"""Those of them that other families may drop."""


class Message(msgspec.Struct, gc=False):
    """A turn."""

    role: str
    content: list[Block]


class SystemBlock(msgspec.Struct, gc=False):
    """A block of the system prompt."""

    text: str | None = None
    cachePoint: Raw = ABSENT  # noqa: N815
    guardContent: Raw = ABSENT  # noqa: N815


MESSAGES: NotingDecoder[list[Message]] = NotingDecoder(list[Message])
SYSTEM: NotingDecoder[list[SystemBlock]] = NotingDecoder(list[SystemBlock])
BLOCK = msgspec.json.Decoder(Block)
ARRAY = msgspec.json.Decoder(list[Raw])
OBJECT = msgspec.json.Decoder(dict[str, Raw])

DOCUMENT_TYPES = {
    "pdf": "application/pdf",
    "csv": "text/csv",
    "doc": "application/msword",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xls": "application/vnd.ms-excel",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "html": "text/html",
    "txt": "text/plain",
    "md": "text/markdown",
}
"""The media type of each document format."""
IMAGE_FORMATS = frozenset({"png", "jpeg", "gif", "webp"})


def is_present(raw: Raw) -> bool:
    """Whether a field is in the body and not ``null``."""
    return bool(raw) and bytes(raw) != b"null"


def kind_of(raw: Raw, *, at: str) -> str:
    """The name of the first field of a block, which is its kind; empty for an empty block."""
    fields: dict[str, Raw] = json_wire.decode(raw, OBJECT, at=at)
    return next(iter(fields), "")
