"""Tool names that a target accepts, and the way back.

A namespace is flattened to ``ns__name``; characters outside ``[a-zA-Z0-9_-]`` become ``_``; a name that is too long keeps
its beginning and ends in eight hexadecimal digits of its SHA-256 (wire formats, section 7.5). The mapping is a function of
the conversation alone, so that the history of the next turn gets the same names without any state.
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
    """A tool as the client knows it."""

    name: str
    namespace: str = ""
    kind: str = "function"


def flat_name(tool: Tool | HostedTool) -> str:
    """The one name of a tool: with its namespace in front, if it has one."""
    namespace = "" if isinstance(tool, HostedTool) else tool.namespace
    return f"{namespace}{NAMESPACE_SEPARATOR}{tool.name}" if namespace else tool.name


def named(entry: str, tools: Sequence[Tool | HostedTool]) -> list[Tool | HostedTool]:
    """The tools that ``entry`` means in a list of allowed ones: by flat name, else by the name of a namespace or inside one."""
    exact = [tool for tool in tools if entry == flat_name(tool) or (isinstance(tool, HostedTool) and entry == tool.type)]
    return exact or [tool for tool in tools if isinstance(tool, Tool) and entry in (tool.namespace, tool.name)]


def legal(full: str, limit: int) -> str:
    """``full`` in legal characters and at most ``limit`` of them."""
    name = _ILLEGAL.sub("_", full)
    return name if len(name) <= limit else hashed(full, limit)


def hashed(full: str, limit: int) -> str:
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
        """Give every tool its name: first those that need no change, so that nobody else takes it from them."""
        known = list(_mentioned(request))
        for origin in sorted(known, key=self._is_changed):
            self._add(origin)

    def sent(self, name: str, namespace: str = "") -> str:
        """The name at the target of a tool, also of one that no list of tools mentions."""
        return self._sent.get((namespace, name)) or self._add(ToolOrigin(name, namespace))

    def origin(self, sent: str, namespace: str = "") -> ToolOrigin | None:
        """The client's tool behind a name in a reply; a bare name is understood where only one namespace has it."""
        if namespace:
            named = [name for (space, name), given in self._sent.items() if (space, given) == (namespace, sent)]
            return ToolOrigin(named[0], namespace, "") if named else None
        found = self.origins.get(sent)
        if found is None:
            bare = [origin for origin in self.origins.values() if origin.name == sent]
            found = bare[0] if len(bare) == 1 else None
        return found

    def _full(self, origin: ToolOrigin) -> str:
        if origin.namespace and self._flatten:
            return f"{origin.namespace}{NAMESPACE_SEPARATOR}{origin.name}"
        return origin.name

    def _is_changed(self, origin: ToolOrigin) -> bool:
        return legal(self._full(origin), self._limit) != origin.name

    def _add(self, origin: ToolOrigin) -> str:
        key = (origin.namespace, origin.name)
        if key in self._sent:
            return self._sent[key]
        full = self._full(origin)
        name = legal(full, self._limit)
        taken = self.origins.get(name)
        if taken is not None and self._flatten:
            name = hashed(full, self._limit)
        self._sent[key] = name
        self.origins.setdefault(name, origin)
        return name


def _mentioned(request: Request) -> Iterable[ToolOrigin]:
    for tool in request.tools:
        if isinstance(tool, Tool):
            yield ToolOrigin(tool.name, tool.namespace, tool.kind)
    for message in request.messages:
        if message.role == "assistant":
            for part in message.parts:
                if isinstance(part, ToolCall):
                    yield ToolOrigin(part.name, part.namespace, part.kind)
