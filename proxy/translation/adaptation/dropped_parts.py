"""What a translation leaves out of the conversation, as paths in the client's body (see :mod:`~proxy.translation.adaptation.dropped`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from proxy.translation.canonical import CacheMark, Document, Image, Opaque, Part, Reasoning, Request, Text, ToolCall, ToolResult
from proxy.translation.dialects.base import Dialect, EncodeTarget
from proxy.translation.unread import path_pattern

_Features = set[tuple[str, str]]
"""Features (names of fields of ``Places``, some with a value after a dot), each with the name of its place there."""


class Translation(msgspec.Struct, frozen=True, kw_only=True):
    """One request on its way: ``fields`` of the client's body, the ``request`` decoded from it, ``body`` for the target."""

    client: Dialect
    fields: Mapping[str, msgspec.Raw]
    request: Request
    target: Dialect
    destination: EncodeTarget
    body: Mapping[str, Any]


def dropped_parts(translation: Translation) -> Iterator[tuple[str, str]]:
    """The paths of the parts, and of the fields of parts, that the target's dialect leaves out.

    With the path of a vendor's own part comes its type; its text may still be sent.
    """
    request, target = translation.request, translation.target
    features: _Features = set()
    late: list[Opaque | Reasoning] = []
    native = _add_features(request.system, "system" if "system" in translation.fields else "part", features)
    for message in request.messages:
        if message.name is not None:
            features.add(("name", "message"))
        own = _add_features(message.parts, "part", features)
        if message.role == "system":
            late += own
        native += own
    if request.output is not None:
        features.update((f"output_{name}", "output") for name in ("name", "strict", "description") if getattr(request.output, name))
    if not native and not features:
        return
    left_out = target.leaves_out(request, translation.destination)
    if "late_system" in left_out:
        yield from ((path_pattern(part.at), part.type) for part in late if isinstance(part, Opaque))
    for part in native:
        if not target.keeps(part, request, translation.destination):
            if isinstance(part, Opaque):
                yield path_pattern(part.at), part.type
            else:
                features.add(("reasoning", ""))
    yield from ((path, "") for path in _feature_paths(translation, features, left_out))


def _feature_paths(translation: Translation, features: _Features, left_out: frozenset[str]) -> Iterator[str]:
    places, is_foreign = translation.client.places, translation.request.family != translation.target.family
    for feature, where in features:
        kind, _, name = feature.partition(".")
        if kind == "native" and is_foreign:
            yield f"{getattr(places, where)}.{name}"
        elif feature in left_out:
            suffix = f".{name}" if kind == "cache" and name else ""
            yield from (path + suffix for path in _paths(translation, kind, where))


def _add_features(parts: Iterable[Part], where: str, features: _Features) -> list[Opaque | Reasoning]:
    """Add what the parts have that some dialects do not, and return the parts that only their own vendor understands."""
    native: list[Opaque | Reasoning] = []
    for part in parts:
        if isinstance(part, Text):
            if part.cache is not None:
                _add_mark(part.cache, where, features)
            if part.citations:
                features.add(("citations", where))
            continue
        if isinstance(part, Opaque | Reasoning):
            native.append(part)
            continue
        if (mark := getattr(part, "cache", None)) is not None:
            _add_mark(mark, where, features)
        if isinstance(part, Image | ToolCall | ToolResult) and part.native:
            features.update((f"native.{name}", where) for name in part.native)
        if isinstance(part, ToolResult):
            native += _add_features(part.content, "result", features)
        elif isinstance(part, Image | Document):
            features.update((feature, where) for feature in _media_features(part))
    return native


def _add_mark(mark: CacheMark, where: str, features: _Features) -> None:
    native = bytes(mark.native)
    features.add(("cache", where))
    features.update((f"cache.{name}", where) for name in ("ttl", "scope") if b'"%b"' % name.encode() in native)


def _media_features(part: Image | Document) -> Iterator[str]:
    if isinstance(part, Image):
        if part.detail is not None:
            yield from ("detail", f"detail.{part.detail}")
        return
    if part.context:
        yield f"context.{part.source.kind}"
    if part.title:
        yield f"title.{part.source.kind}"
    native = bytes(part.native)
    if b'"citations":{' in native:
        yield "citations"
    if b'"cache_control"' in native or b'"cited_text"' in native:
        yield "source"  # the text of its blocks is sent without them


def _paths(translation: Translation, feature: str, where: str) -> Iterator[str]:
    places, bodies = translation.client.places, translation.fields.values()
    names: tuple[str, ...] = getattr(places, feature)
    for name in names:
        # Where clients have several names for it: those that this one uses.
        if len(names) == 1 or any(b'"%b"' % name.rpartition(".")[2].encode() in bytes(raw) for raw in bodies):
            yield f"{getattr(places, where)}.{name}" if where else name
