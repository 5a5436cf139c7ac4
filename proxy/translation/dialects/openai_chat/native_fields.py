"""Fields of an answer that only some Chat servers have, and only Chat clients read (docs/wire-formats.md, section 8.1).

Perplexity's sources stand beside the choices (``citations``, ``search_results``), Groq's ``executed_tools`` and the ``audio`` of OpenAI's
models in the message. They are kept in ``Finish.native`` for answers that are encoded anew for a Chat client.
"""

from __future__ import annotations

from typing import Any

import msgspec

from proxy.translation.canonical import Finish
from proxy.translation.dialects.openai_chat.wire_request import FAMILY, MessageState

_RESPONSE, _MESSAGE = "response", "message"
_JOINED = frozenset({"data", "transcript"})
"""Fields of ``audio`` that a stream sends in pieces."""


class NativeResponse(msgspec.Struct):
    """The fields of a response or a chunk."""

    citations: Any = None
    search_results: Any = None


class NativeMessage(MessageState):
    """The fields of a message or a delta, besides those with state."""

    audio: Any = None
    executed_tools: Any = None


class NativeFields:
    """The fields of one answer, collected from its chunks or taken from its whole body."""

    def __init__(self) -> None:
        self._response: dict[str, Any] = {}
        self._message: dict[str, Any] = {}

    def add_response(self, response: NativeResponse) -> None:
        """Keep the fields of a response or chunk; later ones replace earlier ones."""
        if response.citations is not None:
            self._response["citations"] = response.citations
        if response.search_results is not None:
            self._response["search_results"] = response.search_results

    def add_message(self, message: NativeMessage) -> None:
        """Keep the fields of a message, or join those of a delta with the ones before."""
        if message.audio is not None:
            self._message["audio"] = _joined_audio(self._message.get("audio"), message.audio)
        if message.executed_tools is not None:
            self._message["executed_tools"] = _joined_tools(self._message.get("executed_tools"), message.executed_tools)

    def kept_in(self, finish: Finish) -> Finish:
        """``finish`` with the fields."""
        if not self._response and not self._message:
            return finish
        return msgspec.structs.replace(finish, native={FAMILY: {_RESPONSE: self._response, _MESSAGE: self._message}})


def _joined_audio(earlier: Any, later: Any) -> Any:
    if not isinstance(earlier, dict) or not isinstance(later, dict):
        return later
    joined = earlier | later
    for name in _JOINED & earlier.keys() & later.keys():
        if isinstance(earlier[name], str) and isinstance(later[name], str):
            joined[name] = earlier[name] + later[name]
    return joined


def _joined_tools(earlier: Any, later: Any) -> Any:
    """The entries of two deltas; an entry with the index of an earlier one completes it."""
    if not isinstance(earlier, list) or not isinstance(later, list):
        return later
    joined = list(earlier)
    for entry in later:
        index = entry.get("index") if isinstance(entry, dict) else None
        place = next((i for i, old in enumerate(joined) if index is not None and isinstance(old, dict) and old.get("index") == index), None)
        if place is None:
            joined.append(entry)
        else:
            joined[place] = joined[place] | entry
    return joined


def fields_of_response(finish: Finish) -> dict[str, Any]:
    """The fields beside the choices."""
    fields: dict[str, Any] = finish.native.get(FAMILY, {}).get(_RESPONSE, {})
    return fields


def fields_of_message(finish: Finish) -> dict[str, Any]:
    """The fields in the message."""
    fields: dict[str, Any] = finish.native.get(FAMILY, {}).get(_MESSAGE, {})
    return fields
