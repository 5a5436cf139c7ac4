"""Chat streams and answers within the dialect: passed on as they came, but for the model's name (section 6.1)."""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec

from proxy.translation.framing.sse import Frame

_MODEL = re.compile(rb'"model"\s*:\s*"(?:[^"\\]|\\.)*"')
_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])


class _Ends(msgspec.Struct):
    choices: list[msgspec.Raw] | None = None
    usage: msgspec.Raw = msgspec.Raw(b"")


_ENDS = msgspec.json.Decoder(_Ends)


def relay(model: str | None, hide_usage: bool) -> Callable[[Frame], Frame | None]:
    """From the upstream's chunk to the client's: the model's name, and no usage chunk that nobody asked for."""
    name = None if model is None else msgspec.json.encode(model)
    theirs, ours = b"", b"" if name is None else b'"model":' + name

    def pass_on(frame: Frame) -> Frame | None:
        nonlocal theirs
        data = frame.data
        if hide_usage and b'"usage"' in data and _is_usage_only(data):
            return None
        if name is None:
            return frame
        if theirs and theirs in data and data.count(b'"model"') == 1:
            return Frame(data.replace(theirs, ours), frame.event)
        changed = renamed(data, name)
        if changed is data:
            return frame
        # Every chunk of a stream names the model in the same bytes: found once, they are replaced without a search for their end.
        found = _MODEL.search(data)
        theirs = found[0] if found else b""
        return Frame(changed, frame.event)

    return pass_on


def _is_usage_only(data: bytes) -> bool:
    try:
        ends = _ENDS.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return ends.choices == [] and bytes(ends.usage) not in (b"", b"null")


def renamed(data: bytes, name: bytes) -> bytes:
    """JSON with the top-level ``model`` replaced by ``name`` (a JSON string); other bytes unchanged.

    A quoted ``"model"`` before a colon is always a key, because quotes inside strings are escaped. Only where there are
    several such keys has the object to be taken apart.
    """
    if data.count(b'"model"') == 1:
        return _MODEL.sub(lambda _: b'"model":' + name, data, count=1)
    if b'"model"' not in data:
        return data
    try:
        fields = _FIELDS.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return data
    if "model" not in fields:
        return data
    fields["model"] = msgspec.Raw(name)
    return msgspec.json.encode(fields)
