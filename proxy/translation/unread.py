"""Fields of a JSON value that its decoder does not read.

Structs of the wire decode leniently: a key without a field is skipped. :class:`NotingDecoder` decodes with strict twins of the
structs first, which costs nothing beside the decoding. Only a value that they do not accept is searched for the fields that nobody
reads. A struct says with class variables what its fields do not: ``UNREAD``, the declared fields that requests ignore;
``READ_TYPES``, the values of ``type`` of which the fields are read (an object of any other type is kept whole); ``OPEN``, that keys
without a field are kept.

Paths have ``[]`` for every index: ``messages[].content[].caller``.
"""

from __future__ import annotations

import re
import types
from functools import cache
from itertools import islice
from typing import Annotated, Any, Generic, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from proxy.translation import json_wire

T = TypeVar("T")

MAX_UNREAD = 1_000
"""How many paths of unread fields are looked for: clients may invent names."""
_EMPTY = Annotated[list[Any], msgspec.Meta(max_length=0)] | None
_INDEX = re.compile(r"\.\d+(?=\.|$)")
_ANY = msgspec.json.Decoder(float_hook=str)
"""Decodes any JSON; numbers are of no interest, and some do not fit into a float."""


def says_nothing(value: Any) -> bool:
    """Whether a value is ``null`` or empty, so that nothing is lost without it."""
    return value is None or value in ([], {})


def path_pattern(at: str) -> str:
    """A path with ``[]`` for its indexes: ``messages.0.content.1`` becomes ``messages[].content[]``."""
    return _INDEX.sub("[]", at)


class NotingDecoder(Generic[T]):
    """A typed decoder that tells which fields it did not read."""

    def __init__(self, kind: Any) -> None:
        self._kind = kind
        self._strict: msgspec.json.Decoder[T] = msgspec.json.Decoder(strict_twin(kind))
        self._lenient: msgspec.json.Decoder[T] = msgspec.json.Decoder(kind)

    def decode_strictly(self, raw: bytes | msgspec.Raw) -> T | None:
        """The value if all of its fields are read; ``None`` otherwise, also for a value of another type."""
        try:
            return self._strict.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None

    def decode(self, raw: bytes | msgspec.Raw, unread: set[str], *, at: str) -> T:
        """The value; adds the paths of its unread fields. Raises as :func:`proxy.translation.json_wire.decode`."""
        value = self.decode_strictly(raw)
        if value is None:
            value = json_wire.decode(raw, self._lenient, at=at)
            self.note(raw, unread, at=at)
        return value

    def note(self, raw: bytes | msgspec.Raw, unread: set[str], *, at: str) -> None:
        """Add the paths of the unread fields in ``raw``, a value that can be decoded."""
        struct = _struct_in(self._kind)
        if struct is not None:
            paths: set[str] = set()
            _add_unread(json_wire.decode(raw, _ANY, at=at), struct, path_pattern(at), paths)
            unread.update(path.removeprefix(".") for path in paths)


def _add_unread(value: Any, struct: type[msgspec.Struct], at: str, paths: set[str]) -> None:
    if isinstance(value, list):
        at = f"{at}[]"
        items = value
    else:
        items = [value]
    read_names, nested_fields, read_types = _fields(struct)
    for item in items:
        if len(paths) > MAX_UNREAD:
            return
        if not isinstance(item, dict):
            if isinstance(item, list):
                _add_unread(item, struct, at, paths)
            continue
        if read_types is not None and item.get("type") not in read_types and "type" in item:
            continue
        if read_names is not None and not item.keys() <= read_names:
            unread = (f"{at}.{name}" for name in item.keys() - read_names if not says_nothing(item[name]))
            paths.update(islice(unread, MAX_UNREAD))
        for name, nested in nested_fields:
            inner = item.get(name)
            if inner.__class__ is list or inner.__class__ is dict:
                _add_unread(inner, nested, f"{at}.{name}", paths)


class _Fields(NamedTuple):
    """The names on the wire of the fields that are read, ``None`` if all keys are kept, and those with a struct inside."""

    read_names: frozenset[str] | None
    nested: tuple[tuple[str, type[msgspec.Struct]], ...]
    read_types: frozenset[str | None] | None


@cache
def _fields(struct: type[msgspec.Struct]) -> _Fields:
    hints = get_type_hints(struct)
    unread: frozenset[str] = getattr(struct, "UNREAD", frozenset())
    read = {field.encode_name: _struct_in(hints[field.name]) for field in msgspec.structs.fields(struct) if field.encode_name not in unread}
    nested = tuple((name, inner) for name, inner in read.items() if inner is not None)
    return _Fields(None if getattr(struct, "OPEN", False) else frozenset(read), nested, getattr(struct, "READ_TYPES", None))


def _struct_in(hint: Any) -> type[msgspec.Struct] | None:
    """The struct in a type such as ``str | list[Block] | None``."""
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return hint
    return next((struct for part in get_args(hint) if (struct := _struct_in(part)) is not None), None)


# --- strict twins ----------------------------------------------------------------------------------------------------


def strict_twin(kind: Any, within: tuple[type, ...] = ()) -> Any:
    """``kind`` with subclasses of its structs that refuse keys without a field, and a value of a field in ``UNREAD``.

    A struct inside itself is strict to the second level.
    """
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return kind if within.count(kind) > 1 else _strict_struct(kind, (*within, kind))
    inner = get_args(kind)
    if not inner or _struct_in(kind) is None:
        return kind
    twins = tuple(strict_twin(part, within) for part in inner)
    return Union[twins] if get_origin(kind) in (Union, types.UnionType) else get_origin(kind)[twins]  # noqa: UP007


def _strict_struct(struct: type[msgspec.Struct], within: tuple[type, ...]) -> type[msgspec.Struct]:
    hints = get_type_hints(struct)
    unread: frozenset[str] = getattr(struct, "UNREAD", frozenset())
    fields: list[tuple[str, Any, Any]] = []
    for field in msgspec.structs.fields(struct):
        hint = hints[field.name]
        default = msgspec.field(name=field.encode_name, **_default(field))
        if field.encode_name in unread:
            fields.append((field.name, _EMPTY, default))
        elif _struct_in(hint) is not None:
            fields.append((field.name, strict_twin(hint, within), default))
    config = struct.__struct_config__
    return msgspec.defstruct(
        struct.__name__,
        fields,
        bases=(struct,),
        kw_only=True,
        gc=config.gc,
        forbid_unknown_fields=not getattr(struct, "OPEN", False),
        module=struct.__module__,
    )


def _default(field: msgspec.structs.FieldInfo) -> dict[str, Any]:
    if field.default is not msgspec.NODEFAULT:
        return {"default": field.default}
    return {} if field.default_factory is msgspec.NODEFAULT else {"default_factory": field.default_factory}
