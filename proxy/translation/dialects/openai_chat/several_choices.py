"""Answers with several choices from an upstream that streams although the client does not, or the other way round.

The canonical form has one choice. An answer with several of them is therefore converted choice by choice, between a client and
an upstream of this dialect only.
"""

from __future__ import annotations

from typing import Any

import msgspec

from proxy.translation import json_wire
from proxy.translation.accumulate import accumulate, replay
from proxy.translation.canonical import Event
from proxy.translation.dialects.base import EncodeContext, error_object
from proxy.translation.dialects.openai_chat.response_decode import decode_response
from proxy.translation.dialects.openai_chat.response_encode import encode_response
from proxy.translation.dialects.openai_chat.stream_decode import ChatStreamDecoder
from proxy.translation.dialects.openai_chat.stream_encode import ChatStreamEncoder
from proxy.translation.framing.sse import Frame
from proxy.translation.quirks import Quirks


def stream_of_choices(body: bytes, quirks: Quirks, context: EncodeContext) -> list[Frame] | None:
    """The frames of a stream with all choices of a whole response; ``None`` if it has fewer than two.

    Raises :class:`~proxy.translation.errors.UpstreamFailed` for a choice that cannot be decoded.
    """
    value = error_object(body)
    choices = _choices(value)
    if len(choices) < 2:
        return None
    frames: list[Frame] = []
    for index, choice in sorted(choices.items()):
        response = decode_response(json_wire.encode(value | {"choices": [choice | {"index": 0}]}), quirks)
        encoder = ChatStreamEncoder(context, index)
        del frames[len(frames) - _frames_after_choices(context) if frames else 0 :]
        frames += [frame for event in replay(response) for frame in encoder.feed(event)]
    return frames


def _frames_after_choices(context: EncodeContext) -> int:
    """The frames at the end of a stream that belong to no choice: the usage, if the client asked for it, and ``[DONE]``."""
    return 2 if context.request.include_usage else 1


def response_of_choices(frames: list[Frame], quirks: Quirks, context: EncodeContext) -> bytes | None:
    """The body of a whole response with all choices of a stream; ``None`` if it has fewer than two.

    Raises :class:`~proxy.translation.errors.UpstreamFailed` for a stream that fails.
    """
    chunks = [(frame, error_object(frame.data)) for frame in frames]
    indexes = sorted({index for _, chunk in chunks for index in _choices(chunk)})
    if len(indexes) < 2:
        return None
    bodies = [msgspec.json.decode(_body_of_choice(chunks, index, quirks, context)) for index in indexes]
    choices = [body["choices"][0] | {"index": index} for index, body in zip(indexes, bodies, strict=True)]
    return json_wire.encode(bodies[0] | {"choices": choices})


def _body_of_choice(chunks: list[tuple[Frame, Any]], index: int, quirks: Quirks, context: EncodeContext) -> bytes:
    decoder = ChatStreamDecoder(quirks)
    events: list[Event] = []
    for frame, chunk in chunks:
        if _choices(chunk):
            own = [choice | {"index": 0} for at, choice in _choices(chunk).items() if at == index]
            frame = Frame(json_wire.encode(chunk | {"choices": own}), frame.event)  # noqa: PLW2901 - the chunk for this choice
        events += decoder.feed(frame)
    return encode_response(accumulate(events + decoder.close()), context)


def _choices(value: Any) -> dict[int, dict[str, Any]]:
    """The choices of a response or chunk by their index; the place in the list where a server leaves it out."""
    choices = value.get("choices") if isinstance(value, dict) else None
    if not isinstance(choices, list):
        return {}
    indexes = ((choice.get("index"), place, choice) for place, choice in enumerate(choices) if isinstance(choice, dict))
    return {index if isinstance(index, int) else place: choice for index, place, choice in indexes}
