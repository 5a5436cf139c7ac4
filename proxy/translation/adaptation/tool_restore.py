"""The way back: a reply's tool calls under the names, namespaces and kinds of the client's tools.

A custom tool travels as a function with one string, ``{"input": "…"}``; its text is unwrapped while it streams. A structured
output that was emulated by a forced tool comes back as text, and the turn ends as an ordinary one.
"""

from __future__ import annotations

from itertools import chain

import msgspec

from proxy.translation.accumulate import accumulate, replay
from proxy.translation.adaptation.custom_tool_input import Unwrapper
from proxy.translation.adaptation.tool_names import ToolNames, ToolOrigin
from proxy.translation.canonical import Event, Finished, PartDelta, PartEnded, PartStarted, Response, Text, ToolCall, settled

JSON_OUTPUT = "json_output"
"""Name of the tool that stands for a JSON schema at upstreams that know none."""

replace = msgspec.structs.replace


class Restorer:
    """A recipe made once a request; ``stream()`` gives a machine for one reply."""

    def __init__(self, names: ToolNames, *, wraps: bool, emulated: bool) -> None:
        self.names = names
        self.wraps = wraps
        self.emulated = emulated

    def stream(self) -> StreamRestorer:
        return StreamRestorer(self)

    def response(self, response: Response) -> Response:
        """A whole answer led back."""
        machine = self.stream()
        return accumulate(chain.from_iterable(machine.feed(event) for event in replay(response)))


class StreamRestorer:
    """Feed it the decoder's events; it returns those for the encoder."""

    def __init__(self, recipe: Restorer) -> None:
        self._recipe = recipe
        self._unwrapping: dict[int, Unwrapper] = {}
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
        if isinstance(event, Finished) and self._recipe.emulated and not self._has_calls:
            return [Finished(settled(event.finish, has_calls=False))]
        return [event]

    def _head(self, index: int, call: ToolCall) -> Text | ToolCall:
        if self._recipe.emulated and call.name == JSON_OUTPUT:
            return Text("")
        self._has_calls = True
        origin = self._recipe.names.origin(call.name, call.namespace) or ToolOrigin(call.name, call.namespace)
        if origin.kind == "custom" and self._recipe.wraps:
            self._unwrapping[index] = Unwrapper()
            return replace(call, name=origin.name, namespace=origin.namespace, kind="custom")
        return replace(call, name=origin.name, namespace=origin.namespace)
