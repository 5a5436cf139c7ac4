"""Blocks and items of another vendor's tools in an assistant's history become text (docs/wire-formats.md, section 6.3).

Encoders join the texts of an assistant message without a separator. The words of a search result are not the model's own; blank
lines keep them apart.
"""

from __future__ import annotations

import msgspec

from proxy.translation.canonical import Message, Opaque, Part, Request, Text

_BLANK_LINE = "\n\n"


def with_readable_history(request: Request, family: str) -> Request:
    """The request with the texts of those parts as :class:`Text` between blank lines; parts without a text stay."""
    if request.family == family or not any(_is_readable(part, family) for message in request.messages for part in message.parts):
        return request
    messages = tuple(
        msgspec.structs.replace(message, parts=_readable(message, family)) if message.role == "assistant" else message
        for message in request.messages
    )
    return msgspec.structs.replace(request, messages=messages)


def _is_readable(part: Part, family: str) -> bool:
    return isinstance(part, Opaque) and part.family != family and part.history and bool(part.text)


def _readable(message: Message, family: str) -> tuple[Part, ...]:
    parts: list[Part] = []
    before: Part | None = None  # the last part with a text
    for part in message.parts:
        if isinstance(part, Opaque) and _is_readable(part, family):
            parts.append(Text(part.text if before is None else _BLANK_LINE + part.text))
        elif isinstance(part, Text) and part.text and before is not None and _is_readable(before, family):
            parts.append(msgspec.structs.replace(part, text=_BLANK_LINE + part.text))
        else:
            parts.append(part)
        if _is_readable(part, family) or (isinstance(part, Text) and part.text):
            before = part
    return tuple(parts)
