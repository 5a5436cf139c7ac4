"""Values and functions that the tests of this dialect share."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from proxy.translation.canonical import Message, Request, Text
from proxy.translation.dialects.base import EncodeContext, EncodeTarget
from proxy.translation.dialects.openai_responses.dialect import DIALECT
from proxy.translation.quirks import Quirks, merged

KEY = b"the secret of the tests"
CONTEXT_ID = "0123456789abcdef01234567"


def body(**fields: Any) -> bytes:
    """A request body of a Responses client."""
    return msgspec.json.encode({"model": "m", "input": "hi", **fields})


def decoded(**fields: Any) -> Request:
    return DIALECT.decode_request(DIALECT.open_request(body(**fields)), KEY)


def messages(*items: Any, **fields: Any) -> tuple[Message, ...]:
    """The messages of an input."""
    return decoded(input=list(items), **fields).messages


def request(*parts: Any, family: str = "anthropic", **fields: Any) -> Request:
    """A canonical request; ``parts`` are messages, or texts of the user."""
    messages = tuple(part if isinstance(part, Message) else Message("user", (Text(part),)) for part in parts or ("hi",))
    return Request(model="m", messages=messages, family=family, **fields)


def encoded(request: Request, *, model: str = "up", upstream: str = "up-1", stream: bool = False, **quirks: Any) -> dict[str, Any]:
    """The body for a Responses upstream, parsed."""
    target = EncodeTarget(model=model, dialect="openai_responses", upstream=upstream, stream=stream, quirks=merged(quirks))
    parsed: dict[str, Any] = json.loads(DIALECT.encode_request(request, target))
    return parsed


def target(**fields: Any) -> EncodeTarget:
    return EncodeTarget(model="up", dialect="openai_responses", upstream="up-1", **fields)


def context(request: Request | None = None, model: str = "m") -> EncodeContext:
    return EncodeContext(id=CONTEXT_ID, created=1_800_000_000, model=model, request=request or decoded(), seal_key=KEY)


QUIRKS = Quirks()
