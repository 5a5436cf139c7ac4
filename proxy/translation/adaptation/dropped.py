"""What a translation leaves out of a request, as paths in the client's body, for the log row.

Three things are compared with the target: the settings of the body, by the fields of the encoded body; the parts of the
conversation, by what the target's dialect says that it leaves out; and what the client's decoder did not read (``Request.unread``).
A path stands for everything below it; its indexes are ``[]``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any

import msgspec

from proxy.translation import json_wire
from proxy.translation.adaptation.dropped_parts import Translation, dropped_parts
from proxy.translation.canonical import HostedTool, Request, Tool
from proxy.translation.dialects.base import Dialect, Places
from proxy.translation.unread import path_pattern, says_nothing

MAX_PATHS = 50
"""The most paths of a log row."""

_ANY = msgspec.json.Decoder(float_hook=str)
_LONG = 64
"""Bytes; only a shorter value can be a default or an empty one."""


class Dropped(msgspec.Struct, frozen=True):
    """The sorted ``paths`` of what the target's body has no form of, and the sorted ``types`` of vendors' own parts among it."""

    paths: tuple[str, ...] = ()
    types: tuple[str, ...] = ()


NOTHING = Dropped()


def find_dropped(translation: Translation) -> Dropped:
    """Compare the target's body with the client's."""
    request = translation.request
    paths = {*request.unread, *_dropped_settings(translation)}
    if request.stop:
        paths.update(_dropped_stops(translation))
    if request.tools:
        paths.update(_dropped_tools(translation.client.places, request, translation.target, translation.body))
    parts = set(dropped_parts(translation))
    if not paths and not parts:
        return NOTHING
    paths.update(path for path, _ in parts)
    return Dropped(tuple(sorted(_without_inner(paths))), tuple(sorted({kind for _, kind in parts if kind})))


def shortened(paths: tuple[str, ...]) -> list[str]:
    """The paths for a log row: the first :data:`MAX_PATHS`, then the number of the others."""
    more = len(paths) - MAX_PATHS
    return [*paths[:MAX_PATHS], f"and {more} more"] if more > 0 else list(paths)


def _without_inner(paths: set[str]) -> Iterator[str]:
    """The paths without those below another one."""
    for path in paths:
        steps = path.split(".")
        if not any(".".join(steps[:length]) in paths for length in range(1, len(steps))):
            yield path


# --- settings ----------------------------------------------------------------------------------------------------------


def _dropped_settings(translation: Translation) -> list[str]:
    """The paths of the settings that the target's body does not hold."""
    places, fields, body = translation.client.places, translation.fields, translation.body
    settings = translation.target.places.settings
    targets = _target_fields(places, translation.target.places)
    dropped = []
    for path, value in _opened(fields, places):
        name, sent_as = targets.get(path) or (path, settings.get(path, (path,)))
        for field in sent_as:
            if _sends(body, field, value if field == path else None):
                break
        else:
            if not (_is_moved(name, translation) or _is_default(places, path, value) or places.served.get(path) in fields):
                dropped.append(path)
    return dropped


def _is_moved(name: str, translation: Translation) -> bool:
    """Whether a setting is sent as something else than a setting: an output format as a sentence or as a tool."""
    output = translation.request.output
    return name == "output" and output is not None and (output.kind == "json_object" or "tool_choice" in translation.body)


@cache
def _target_fields(places: Places, target: Places) -> dict[str, tuple[str, tuple[str, ...]]]:
    """For the path of each listed field of a client's body: the canonical setting, and the fields of the target's body that hold it."""
    settings = reversed(tuple(places.settings.items()))
    return {path: (name, target.settings.get(name, (name,))) for name, paths in settings for path in paths}


def _opened(fields: Mapping[str, msgspec.Raw], places: Places) -> Iterator[tuple[str, Any]]:
    """The settings of a client's body by path; objects that hold several settings are opened."""
    quiet, objects = places.quiet, places.objects
    for name, value in fields.items():
        if name in quiet:
            continue
        inner = json_wire.decode(value, _ANY, at=name) if name in objects else None
        if isinstance(inner, dict):
            yield from ((f"{name}.{key}", item) for key, item in inner.items() if f"{name}.{key}" not in quiet)
        else:
            yield name, value


def _sends(body: Mapping[str, Any], field: str, value: Any) -> bool:
    """Whether the target's body has a field. ``value``: what it must be if it is a switch; other values may be reduced."""
    name, _, inner = field.partition(".")
    if name not in body:
        return False
    sent = body[name]
    if inner:
        sent = json_wire.decode(sent, _ANY, at=name) if isinstance(sent, msgspec.Raw) else sent
        return isinstance(sent, dict) and inner in sent
    return not isinstance(sent, bool) or not isinstance(value, msgspec.Raw) or bytes(value) == (b"true" if sent else b"false")


def _is_default(places: Places, path: str, value: Any) -> bool:
    """Whether a setting says nothing, or what the API does anyway."""
    if isinstance(value, msgspec.Raw):
        if len(bytes(value)) > _LONG:
            return False
        value = json_wire.decode(value, _ANY, at=path)
    return says_nothing(value) or (path in places.defaults and places.defaults[path] == value)


def _dropped_stops(translation: Translation) -> Iterator[str]:
    """The stop sequences beyond those that the target takes."""
    body, places, target = translation.body, translation.client.places, translation.target.places
    field = next((field for field in target.settings.get("stop", ("stop",)) if field in body), None)
    if field is not None and len(body[field]) < len(translation.request.stop):
        yield f"{places.settings.get('stop', ('stop',))[0]}[]"


# --- tools -------------------------------------------------------------------------------------------------------------


def _dropped_tools(places: Places, request: Request, target: Dialect, body: Mapping[str, Any]) -> Iterator[str]:
    special: list[Tool] = []
    for tool in request.tools:
        if isinstance(tool, HostedTool):
            if tool.family != target.family or not _is_sent(tool, body):
                yield path_pattern(tool.at)
        elif tool.native or tool.strict or tool.cache is not None or tool.namespace_description:
            special.append(tool)
    if not special:
        return
    sent_tools = body.get("tools") or ()
    sent = set(_keys(sent_tools))
    loses_strict = sum(bool(tool.strict) for tool in special) > sum(map(_is_strict, sent_tools))
    for tool in special:
        entry = tool.at or places.tool
        at = f"{entry}.tools[]" if tool.namespace else entry
        if loses_strict and tool.strict:
            yield f"{at}.{places.strict}"
        yield from (f"{at}.{name}" for name in tool.native if name not in sent)
        if tool.cache is not None and not sent & {"cache_control", "prompt_cache_breakpoint"}:
            yield f"{at}.{places.cache[0]}"
        if tool.namespace_description and not target.traits.namespaces:
            yield f"{entry}.description"


def _is_sent(tool: HostedTool, body: Mapping[str, Any]) -> bool:
    return any(sent is tool.native for sent in (*(body.get("tools") or ()), *body.values()))


def _is_strict(tool: Any) -> int:
    """The number of strict tools in an entry of the encoded tools."""
    if not isinstance(tool, dict):
        return 0
    return sum(map(_is_strict, tool.get("tools") or ())) + (tool.get("function", tool).get("strict") is True)


def _keys(tools: Iterable[Any]) -> Iterator[str]:
    """The keys of the encoded tools, also of those in a namespace or a function."""
    for tool in tools:
        if isinstance(tool, dict):
            yield from tool
            yield from _keys(tool.get("tools") or ())
            yield from tool.get("function") or ()
