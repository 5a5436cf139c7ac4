"""Maps the tool calls of a response back to the names, namespaces and kinds of the client's tools.

A custom tool is sent as a function with one string argument, ``{"input": "…"}``; its text is unwrapped while it streams. A
structured output that was emulated by a forced tool call becomes text, and the turn ends without a tool call.
"""

from __future__ import annotations

from itertools import chain

import msgspec

from proxy.translation.accumulate import accumulate, replay
from proxy.translation.adaptation.custom_tool_input import InputUnwrapper
from proxy.translation.adaptation.tool_names import ToolNames, ToolOrigin
from proxy.translation.canonical import Event, Finished, PartDelta, PartEnded, PartStarted, Response, Text, ToolCall, settled

JSON_OUTPUT = "json_output"
"""Name of the tool that replaces a JSON schema at upstreams without structured output."""

replace = msgspec.structs.replace


class Restorer:
    """The mapping for one request; ``stream()`` starts one for the events of a response."""

    def __init__(self, names: ToolNames, *, wraps: bool, emulated: bool) -> None:
        self.names = names
        self.wraps = wraps
        self.emulated = emulated

    def stream(self) -> StreamRestorer:
        return StreamRestorer(self)

    def response(self, response: Response) -> Response:
        """Map a whole response."""
        stream = self.stream()
        return accumulate(chain.from_iterable(stream.feed(event) for event in replay(response)))


class StreamRestorer:
    """Takes the decoder's events and returns the encoder's."""

    def __init__(self, restorer: Restorer) -> None:
        self._restorer = restorer
        self._unwrapping: dict[int, InputUnwrapper] = {}
        self._has_calls = False

    def feed(self, event: Event) -> list[Event]:
        if isinstance(event, PartStarted) and isinstance(event.part, ToolCall):
            return [PartStarted(event.index, self._head(event.index, event.part))]
        if isinstance(event, PartDelta) and event.index in self._unwrapping:
            text = self._unwrapping[event.index].feed(event.text)
            return [PartDelta(event.index, text)] if text else []
        if isinstance(event, PartEnded) and event.index in self._unwrapping:
            rest = self._unwrapping.pop(event.index).close()
            return [PartDelta(event.index, rest), event] if rest else [event]
        if isinstance(event, Finished) and self._restorer.emulated and not self._has_calls:
            return [Finished(settled(event.finish, has_calls=False))]
        return [event]

    def _head(self, index: int, call: ToolCall) -> Text | ToolCall:
        if self._restorer.emulated and call.name == JSON_OUTPUT:
            return Text("")
        self._has_calls = True
        origin = self._restorer.names.origin(call.name, call.namespace) or ToolOrigin(call.name, call.namespace)
        if origin.kind == "custom" and self._restorer.wraps:
            self._unwrapping[index] = InputUnwrapper()
            return replace(call, name=origin.name, namespace=origin.namespace, kind="custom")
        return replace(call, name=origin.name, namespace=origin.namespace)
