"""Requests that the tests of this dialect share, and what the encoder makes of them."""

import json
from typing import Any

import pytest
from msgspec import Raw

from proxy.translation.canonical import (
    CacheMark,
    Message,
    Request,
    Text,
    ToolCall,
    ToolResult,
)
from proxy.translation.dialects.anthropic.dialect import DIALECT
from proxy.translation.dialects.base import EncodeTarget
from proxy.translation.errors import ClientMistake
from proxy.translation.quirks import Quirks

KEY = b"a secret"
HI = Message("user", (Text("Hi"),))
MARK = CacheMark(Raw(b'{"type":"ephemeral","ttl":"1h"}'))
CALL = Message("assistant", (ToolCall("t1", "f", '{"a":1}'),))
RESULT = Message("user", (ToolResult("t1", (Text("done"),)),))


def encode_target(model: str = "claude-opus-4-5", **settings: Any) -> EncodeTarget:
    return EncodeTarget(model=model, dialect="anthropic", **settings)


def canonical_request(*messages: Message, family: str = "openai_chat", **settings: Any) -> Request:
    return Request(model="m", messages=messages or (HI,), family=family, **settings)


def encoded(reasoning_setting: Request, to: EncodeTarget | None = None) -> dict[str, Any]:
    return json.loads(DIALECT.encode_request(reasoning_setting, to or encode_target()))


def encode_messages(*messages: Message, quirks: Quirks | None = None, family: str = "openai_chat") -> list[Any]:
    return encoded(canonical_request(*messages, family=family), encode_target(quirks=quirks or Quirks()))["messages"]


def refusal(reasoning_setting: Request, to: EncodeTarget | None = None) -> tuple[str | None, str]:
    with pytest.raises(ClientMistake) as caught:
        DIALECT.encode_request(reasoning_setting, to or encode_target())
    return caught.value.failure.param, caught.value.failure.message
