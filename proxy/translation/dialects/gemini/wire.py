"""Shapes of generateContent bodies: contents, parts and candidates (docs/wire-formats.md, section 16.3).

The names are those of protobuf's JSON, in which the API also accepts every name in snake case: ``system_instruction``, ``inline_data``.
:func:`in_camel_case` turns these into the names below before a body is decoded.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec
from msgspec import Raw

from proxy.translation import json_wire
from proxy.translation.unread import NotingDecoder

FAMILY = "gemini"
ABSENT = Raw(b"")
"""The value of a field that is not in the body."""

_SNAKE = re.compile(rb'"[a-z]+(?:_[a-z]+)+"\s*:')
_INNER_UNDERSCORE = re.compile(r"_([a-z])")
_FREE_VALUES = frozenset({"args", "response", "parameters", "parametersJsonSchema", "responseJsonSchema", "responseSchema", "labels"})
"""Fields whose values are the client's own objects, or schemas, and keep their keys."""


class Blob(msgspec.Struct, gc=False):
    """Media in base64 of either alphabet."""

    mimeType: str = ""  # noqa: N815 -- the name on the wire; so below
    data: str = ""
    displayName: str | None = None  # noqa: N815


class FileData(msgspec.Struct, gc=False):
    """Media by URL."""

    fileUri: str = ""  # noqa: N815
    mimeType: str = ""  # noqa: N815
    displayName: str | None = None  # noqa: N815


class FunctionCall(msgspec.Struct, gc=False):
    """A tool call. Older models send no ``id``."""

    name: str | None = None
    id: str | None = None
    args: Raw = ABSENT


class FunctionResponsePart(msgspec.Struct, gc=False):
    """Media in a tool result."""

    inlineData: Blob | None = None  # noqa: N815
    fileData: FileData | None = None  # noqa: N815


class FunctionResponse(msgspec.Struct, gc=False):
    """A tool result; ``response`` is an object."""

    name: str | None = None
    id: str | None = None
    response: Raw = ABSENT
    parts: list[FunctionResponsePart] | None = None


class Part(msgspec.Struct, gc=False):
    """A part: one of the fields from ``text`` to ``toolResponse`` is set."""

    text: str | None = None
    inlineData: Blob | None = None  # noqa: N815
    fileData: FileData | None = None  # noqa: N815
    functionCall: FunctionCall | None = None  # noqa: N815
    functionResponse: FunctionResponse | None = None  # noqa: N815
    executableCode: Raw = ABSENT  # noqa: N815
    codeExecutionResult: Raw = ABSENT  # noqa: N815
    toolCall: Raw = ABSENT  # noqa: N815
    toolResponse: Raw = ABSENT  # noqa: N815
    thought: bool | None = None
    thoughtSignature: str | None = None  # noqa: N815
    mediaResolution: Raw = ABSENT  # noqa: N815
    videoMetadata: Raw = ABSENT  # noqa: N815


HOST_PARTS = ("executableCode", "codeExecutionResult", "toolCall", "toolResponse")
"""Fields of parts that only the vendor's own tools make."""


class Content(msgspec.Struct, gc=False):
    """A turn; without a ``role`` it is the user's."""

    role: str | None = None
    parts: list[Part] | None = None


CONTENTS: NotingDecoder[list[Content]] = NotingDecoder(list[Content])
INSTRUCTION: NotingDecoder[Content | str] = NotingDecoder(Content | str)
HEADS = msgspec.json.Decoder(list[dict[str, Raw]])
ARRAY = msgspec.json.Decoder(list[Raw])
OBJECT = msgspec.json.Decoder(dict[str, Raw])


def is_present(raw: Raw) -> bool:
    """Whether a field is in the body and not ``null``."""
    return bool(raw) and bytes(raw) != b"null"


def in_camel_case(raw: Raw, *, at: str) -> Raw:
    """The JSON with its names in camel case; the same object if it has none in snake case. Schemas and arguments keep their keys."""
    if _SNAKE.search(raw) is None:
        return raw
    return Raw(json_wire.encode(_renamed(json_wire.decode_value(raw, at=at))))


def _renamed(value: Any) -> Any:
    if isinstance(value, list):
        return [_renamed(item) for item in value]
    if not isinstance(value, dict):
        return value
    renamed = {}
    for key, item in value.items():
        name = camel_case(key)
        renamed[name] = item if name in _FREE_VALUES else _renamed(item)
    return renamed


def camel_case(name: str) -> str:
    """``inline_data`` as ``inlineData``."""
    return _INNER_UNDERSCORE.sub(lambda match: match[1].upper(), name) if "_" in name else name


_URL_SAFE = str.maketrans("-_", "+/")


def standard_base64(text: str) -> str:
    """Base64 of the standard alphabet with its padding; the SDKs send the alphabet for URLs."""
    plain = text.translate(_URL_SAFE)
    missing = -len(plain) % 4
    return plain + "=" * missing if missing < 3 else plain  # no base64 lacks three: the upstream refuses it


_GENERATION = re.compile(r"gemini-(\d+)")


def generation(model: str) -> int:
    """The generation in a model's name (2 for ``gemini-2.5-pro``); 3 for other names: endpoints follow the newest API."""
    match = _GENERATION.search(model)
    return int(match[1]) if match else 3
