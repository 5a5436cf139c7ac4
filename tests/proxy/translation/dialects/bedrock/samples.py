"""Requests that the tests of this dialect share, and what the codec makes of them."""

import json
from typing import Any

from proxy.translation.canonical import Message, Request, Text
from proxy.translation.dialects.base import EncodeTarget
from proxy.translation.dialects.bedrock.dialect import DIALECT, opener
from proxy.translation.quirks import Quirks

KEY = b"a secret"
HI = Message("user", (Text("Hi"),))
BODY = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 5, "messages": [{"role": "user", "content": "Hi"}]}


def encode_target(model: str = "anthropic.claude-x-v1:0", **settings: Any) -> EncodeTarget:
    return EncodeTarget(model=model, dialect="bedrock", **settings)


def encoded(quirks: Quirks | None = None, messages: tuple[Message, ...] = (HI,), **settings: Any) -> dict[str, Any]:
    request = Request(**{"model": "m", "messages": messages, "family": "anthropic", "max_tokens": 5, **settings})
    return json.loads(DIALECT.encode_request(request, encode_target(quirks=quirks or Quirks(), stream=True)))


def opened(**fields: Any) -> Any:
    return opener("the-model", stream=True)(json.dumps(BODY | fields).encode())
