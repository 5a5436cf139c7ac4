"""The wire cases of one dialect: folders of files in ``tests/cases/<dialect>/<case>/``.

A folder holds ``notes.md`` and any of: ``request.json`` with ``request.canonical.json`` (or ``refusal.json``: param and message of
the 400), ``response.json`` with ``response.canonical.json``, ``stream.sse`` with ``events.json``. ``settings.json`` may give
``quirks``. Where a folder has a response and a stream, the two are twins: the stream folds into the same answer.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from proxy.translation.canonical import Event
from proxy.translation.dialects.base import Dialect
from proxy.translation.quirks import Quirks, merged

ROOT = Path(__file__).parent.parent / "cases"
SEAL_KEY = b"the secret of the test cases"
SPLITS = (1, 7, 1_000_000)
"""Sizes of the pieces in which every stream is fed."""


def canonical_as_json(value: Any) -> Any:
    """A canonical value as plain JSON values: structs carry their class as ``is``, fields with their default are left out."""
    if isinstance(value, msgspec.Raw):
        return json.loads(bytes(value))
    if isinstance(value, msgspec.Struct):
        return {"is": type(value).__name__} | {name: canonical_as_json(inner) for name, inner in _changed_fields(value)}
    if isinstance(value, (list, tuple)):
        return [canonical_as_json(inner) for inner in value]
    if isinstance(value, dict):
        return {key: canonical_as_json(inner) for key, inner in value.items()}
    return value


def _changed_fields(value: msgspec.Struct) -> list[tuple[str, Any]]:
    changed: list[tuple[str, Any]] = []
    for field in msgspec.structs.fields(value):
        field_value = getattr(value, field.name)
        default = field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
        if default is msgspec.NODEFAULT or field_value != default:
            changed.append((field.name, field_value))
    return changed


class WireCase:
    """One folder."""

    def __init__(self, dialect: str, name: str) -> None:
        self.folder = ROOT / dialect / name
        self.quirks: Quirks = merged(self.json("settings.json").get("quirks", {})) if self.has("settings.json") else merged()

    def has(self, name: str) -> bool:
        return (self.folder / name).exists()

    def read(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()

    def json(self, name: str) -> Any:
        return json.loads(self.read(name))


def folders_with(dialects: list[str], file: str) -> list[tuple[str, str]]:
    """``(dialect, case)`` of every folder that has ``file``, for ``pytest.mark.parametrize``."""
    return [(dialect, folder.parent.name) for dialect in dialects for folder in sorted((ROOT / dialect).glob(f"*/{file}"))]


def events_of(dialect: Dialect, stream: bytes, quirks: Quirks, *, size: int) -> list[Event]:
    """The events of a whole stream that is read in pieces of ``size`` bytes."""
    reader, decoder = dialect.framing.reader(), dialect.decoder(quirks)
    events: list[Event] = []
    for start in range(0, len(stream), size):
        for frame in reader.feed(stream[start : start + size]):
            events += decoder.feed(frame)
    for frame in reader.close():
        events += decoder.feed(frame)
    return events + decoder.close()
