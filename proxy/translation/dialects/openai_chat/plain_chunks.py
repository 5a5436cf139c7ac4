"""The chunks of a stream that have a piece of text and nothing else: nearly all of them.

Their decoder is strict: a field that is not listed here, or a value that says more, belongs to the decoder of any chunk.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

import msgspec

_Empty = Annotated[list[Any], msgspec.Meta(max_length=0)] | None
"""``null`` or an empty list, by which some servers say that there is nothing."""


class _PlainDelta(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    content: Annotated[str, msgspec.Meta(min_length=1)]
    role: msgspec.Raw = msgspec.Raw()
    refusal: None = None
    reasoning: None = None
    reasoning_content: None = None
    reasoning_details: _Empty = None
    tool_calls: _Empty = None
    function_call: None = None
    annotations: _Empty = None


class _PlainChoice(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    delta: _PlainDelta
    index: Literal[0] | None = None
    finish_reason: None = None
    native_finish_reason: None = None
    stop_reason: None = None
    matched_stop: None = None
    logprobs: None = None
    token_ids: None = None


class PlainChunk(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A chunk with one piece of text."""

    choices: tuple[_PlainChoice]
    id: msgspec.Raw = msgspec.Raw()
    object: Literal["chat.completion.chunk"] | None = None
    created: msgspec.Raw = msgspec.Raw()
    model: msgspec.Raw = msgspec.Raw()
    provider: msgspec.Raw = msgspec.Raw()
    system_fingerprint: msgspec.Raw = msgspec.Raw()
    obfuscation: msgspec.Raw = msgspec.Raw()
    service_tier: str | None = None
    usage: None = None
    prompt_token_ids: None = None


decode_plain_chunk: Callable[[bytes], PlainChunk] = msgspec.json.Decoder(PlainChunk).decode
"""Raises as decoders of msgspec do for any other chunk."""
