"""Tool names that a target accepts, mapped from and to the client's names.

A namespace is flattened to ``ns__name``; characters outside ``[a-zA-Z0-9_-]`` become ``_``; a name that is too long keeps
its beginning and ends in eight hexadecimal digits of its SHA-256 (docs/wire-formats.md, section 7.5). The mapping
depends on the conversation alone, so that the history of the next turn gets the same names without any state.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence

import msgspec

from proxy.translation.canonical import HostedTool, Request, Tool, ToolCall

_ILLEGAL = re.compile(r"[^a-zA-Z0-9_-]")
NAMESPACE_SEPARATOR = "__"


class ToolOrigin(msgspec.Struct, frozen=True):
    """A tool under the client's name."""

    name: str
    namespace: str = ""
    kind: str = "function"


def flat_name(tool: Tool | HostedTool) -> str:
    """The name of a tool, preceded by its namespace if it has one."""
    namespace = "" if isinstance(tool, HostedTool) else tool.namespace
    return f"{namespace}{NAMESPACE_SEPARATOR}{tool.name}" if namespace else tool.name


def tools_by_entry(entry: str, tools: Sequence[Tool | HostedTool]) -> list[Tool | HostedTool]:
    """The tools that an ``entry`` of a list of allowed tools means: by flat name, else by namespace or by the name inside one."""
    exact = [tool for tool in tools if entry == flat_name(tool) or (isinstance(tool, HostedTool) and entry == tool.type)]
    return exact or [tool for tool in tools if isinstance(tool, Tool) and entry in (tool.namespace, tool.name)]


def legal_name(full: str, limit: int) -> str:
    """``full`` in at most ``limit`` legal characters."""
    name = _ILLEGAL.sub("_", full)
    return name if len(name) <= limit else shortened_name(full, limit)


def shortened_name(full: str, limit: int) -> str:
    """The shortened form of ``full``: for a limit of 64, its first 55 characters, ``_`` and 8 hexadecimal digits."""
    return f"{_ILLEGAL.sub('_', full)[: limit - 9]}_{hashlib.sha256(full.encode()).hexdigest()[:8]}"


class ToolNames:
    """The names of one request's tools at one target."""

    def __init__(self, *, limit: int, flatten: bool) -> None:
        self.origins: dict[str, ToolOrigin] = {}
        self._sent: dict[tuple[str, str], str] = {}
        self._limit = limit
        self._flatten = flatten

    def learn(self, request: Request) -> None:
        """Name every tool of a request. Tools whose name needs no change come first, so that no other tool gets their name."""
        for origin in sorted(_origins_in(request), key=self._is_changed):
            self._add(origin)

    def sent(self, name: str, namespace: str = "") -> str:
        """The target's name of a tool, also of one that is not in the list of tools."""
        return self._sent.get((namespace, name)) or self._add(ToolOrigin(name, namespace))

    def origin(self, wire_name: str, namespace: str = "") -> ToolOrigin | None:
        """The client's tool for a name in a response. A name without a namespace matches where only one namespace has it."""
        if namespace:
            names = [name for (space, name), sent_name in self._sent.items() if (space, sent_name) == (namespace, wire_name)]
            return ToolOrigin(names[0], namespace, "") if names else None
        matched = self.origins.get(wire_name)
        if matched is None:
            bare = [origin for origin in self.origins.values() if origin.name == wire_name]
            matched = bare[0] if len(bare) == 1 else None
        return matched

    def _full(self, origin: ToolOrigin) -> str:
        if origin.namespace and self._flatten:
            return f"{origin.namespace}{NAMESPACE_SEPARATOR}{origin.name}"
        return origin.name

    def _is_changed(self, origin: ToolOrigin) -> bool:
        return legal_name(self._full(origin), self._limit) != origin.name

    def _add(self, origin: ToolOrigin) -> str:
        key = (origin.namespace, origin.name)
        if key in self._sent:
            return self._sent[key]
        full = self._full(origin)
        name = legal_name(full, self._limit)
        if name in self.origins and self._flatten:
            name = shortened_name(full, self._limit)
        self._sent[key] = name
        self.origins.setdefault(name, origin)
        return name


def _origins_in(request: Request) -> Iterable[ToolOrigin]:
    for tool in request.tools:
        if isinstance(tool, Tool):
            yield ToolOrigin(tool.name, tool.namespace, tool.kind)
    for message in request.messages:
        if message.role == "assistant":
            for part in message.parts:
                if isinstance(part, ToolCall):
                    yield ToolOrigin(part.name, part.namespace, part.kind)
