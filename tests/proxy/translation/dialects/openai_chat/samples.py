"""Values and functions that the tests of this dialect share."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from proxy.translation.adaptation.adapt import adapt
from proxy.translation.canonical import (
    Message,
    Part,
    Request,
    Source,
    Text,
)
from proxy.translation.dialects.base import EncodeContext, EncodeTarget
from proxy.translation.dialects.openai_chat.dialect import DIALECT
from proxy.translation.json_wire import Envelope
from proxy.translation.quirks import Quirks

KEY = b"a secret"
PNG = Source("base64", "iVBORw0KGgo=", "image/png")
PNG_URL = "data:image/png;base64,iVBORw0KGgo="
SCHEMA = msgspec.Raw(b'{"type":"object","zeta":1,"alpha":2}')
REQUEST = Request(model="m", messages=(Message("user", (Text("Hi"),)),), family="openai_chat")
CONTEXT = EncodeContext(id="0123456789abcdef01234567", created=1_800_000_000, model="claude", request=REQUEST, seal_key=KEY)
WITH_USAGE = msgspec.structs.replace(CONTEXT, request=msgspec.structs.replace(REQUEST, include_usage=True))
LEGACY = msgspec.structs.replace(CONTEXT, request=msgspec.structs.replace(REQUEST, extra={"functions": msgspec.Raw(b"[]")}))


def target(*, stream: bool = False, ceiling: int | None = None, **quirks: Any) -> EncodeTarget:
    return EncodeTarget(model="up", dialect="openai_chat", stream=stream, max_output_tokens=ceiling, quirks=Quirks(**quirks))


def user(*parts: Part | str) -> Message:
    return Message("user", tuple(Text(part) if isinstance(part, str) else part for part in parts))


def assistant(*parts: Part | str) -> Message:
    return Message("assistant", tuple(Text(part) if isinstance(part, str) else part for part in parts))


def request(*messages: Message, family: str = "anthropic", **fields: Any) -> Request:
    return Request(model="m", messages=messages or (user("Hi"),), family=family, **fields)


def encoded_request(request: Request, *, stream: bool = False, ceiling: int | None = None, **quirks: Any) -> dict[str, Any]:
    """The adapted request, as a Chat upstream gets it."""
    encode_target = target(stream=stream, ceiling=ceiling, **quirks)
    adapted = adapt(request, encode_target, family=DIALECT.family, traits=DIALECT.traits)
    return json.loads(DIALECT.encode_request(adapted.request, encode_target))


def encoded_messages(*messages: Message, family: str = "anthropic", system: tuple[Text, ...] = (), **quirks: Any) -> list[dict[str, Any]]:
    return encoded_request(request(*messages, family=family, system=system), **quirks)["messages"]


def encoded_settings(
    family: str = "anthropic", *, stream: bool = False, ceiling: int | None = None, quirks: dict[str, Any] | None = None, **fields: Any
) -> dict[str, Any]:
    body = encoded_request(request(family=family, **fields), stream=stream, ceiling=ceiling, **(quirks or {}))
    del body["model"], body["messages"]
    return body


def open_request(body: dict[str, Any]) -> Envelope:
    return DIALECT.open_request(json.dumps(body).encode())
