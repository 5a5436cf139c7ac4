"""Sample values of the vendors' request types, built from the installed SDKs' ``TypedDict`` classes.

:func:`elements` walks a type and yields every field, every member of a union and every literal value once for each place where its
class may stand, as an :class:`Element`: two values of the whole type that differ in nothing else.
"""

from __future__ import annotations

import base64
import types
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal, NotRequired, Required, Union, get_args, get_origin, get_type_hints, is_typeddict

import msgspec
from typing_extensions import is_typeddict as is_extended_typeddict

SCHEMA = {"type": "object", "properties": {"trace": {"type": "string"}}, "required": ["trace"], "additionalProperties": False}
PDF = "JVBERi0xLjQKdHJhY2U="
PNG = base64.b64encode(b"\x89PNG trace").decode()
SPECIAL: dict[str, Any] = {
    "data": PNG,
    "url": "https://e.test/trace",
    "image_url": "https://e.test/trace",
    "file_url": "https://e.test/trace",
    "server_url": "https://e.test/trace",
    "file_data": f"data:application/pdf;base64,{PDF}",
    "arguments": '{"trace":1}',
    "input_schema": SCHEMA,
    "parameters": SCHEMA,
    "schema": SCHEMA,
    "max_tokens": 50_000,
    "max_completion_tokens": 5000,
    "max_output_tokens": 5000,
    "budget_tokens": 2000,
    "n": 2,
    "top_logprobs": 3,
    "parallel_tool_calls": False,
}
"""Values by the name of the field, where not every value of its type is valid."""
OTHER: dict[str, Any] = {"arguments": '{"trace":2}', "data": base64.b64encode(b"\x89PNG other").decode(), "budget_tokens": 20_000}
"""Second values of such fields."""
SKIPPED = frozenset({"model", "betas", "workspace_id", "stream"})
"""Fields that name no content: the model, the switch for streaming, and what the SDK sends as headers."""

_Whole = Callable[[Any], Any]


class Element(msgspec.Struct, frozen=True):
    """``name``: class, field and, in parentheses, the type of the value. ``path``: its place, with ``[]`` for indexes.

    ``value`` is a whole request in which the field is ``sample``; in ``other`` it is missing, or another one if it is required.
    """

    name: str
    path: str
    sample: Any
    value: Any
    other: Any


# --- types -------------------------------------------------------------------------------------------------------------


def is_dict_type(hint: Any) -> bool:
    return is_typeddict(hint) or is_extended_typeddict(hint)


def bare(hint: Any) -> Any:
    """A type without ``Required``, ``NotRequired`` and ``Annotated``."""
    while get_origin(hint) in (Required, NotRequired, Annotated):
        hint = get_args(hint)[0]
    return hint


def members(hint: Any) -> list[Any]:
    """The members of a union, without ``None`` and what is no JSON."""
    hint = bare(hint)
    if get_origin(hint) in (Union, types.UnionType):
        return [member for part in get_args(hint) for member in members(part)]
    is_json = hint in (str, int, float, bool, object, Any, list) or is_dict_type(hint) or get_origin(hint) is not None
    return [hint] if is_json and hint is not type(None) else []


def item_type(hint: Any) -> Any | None:
    """The type of the items if ``hint`` is a list."""
    origin = get_origin(hint)
    return get_args(hint)[0] if origin not in (None, Literal, dict) and len(get_args(hint)) == 1 else None


def fields(kind: Any) -> dict[str, tuple[Any, bool]]:
    """The fields of a dict type by their name in JSON: the type, and whether the field is required."""
    hints = get_type_hints(kind, include_extras=True)
    return {_alias(name, hint): (bare(hint), _is_required(hint, is_total=name in kind.__required_keys__)) for name, hint in hints.items()}


def _is_required(hint: Any, *, is_total: bool) -> bool:
    """``__required_keys__`` misses a ``Required`` in the text of an annotation."""
    while get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    return get_origin(hint) is Required or (is_total and get_origin(hint) is not NotRequired)


def _alias(name: str, hint: Any) -> str:
    while get_origin(hint) in (Required, NotRequired):
        hint = get_args(hint)[0]
    notes = get_args(hint)[1:] if get_origin(hint) is Annotated else ()
    return next((note.alias for note in notes if getattr(note, "alias", None)), name)


# --- values ------------------------------------------------------------------------------------------------------------


def leaf(hint: Any, name: str, *, second: bool = False) -> Any:
    """A value of a plain type, or a second one."""
    special = OTHER if second else SPECIAL
    if name in special:
        return special[name]
    values: dict[Any, tuple[Any, Any]] = {
        bool: (True, False),
        int: (7777, 7778),
        float: (0.5, 0.25),
        str: (f"{name}trace", f"{name}other"),
    }
    return values.get(hint, ({f"{name}trace": "x"}, {f"{name}trace": "y"}))[second]


def minimal(hint: Any, name: str = "") -> Any:
    """The least value of a type."""
    kind = members(hint)[0]
    if is_dict_type(kind):
        return {key: minimal(inner, key) for key, (inner, required) in fields(kind).items() if required}
    if get_origin(kind) is Literal:
        return get_args(kind)[0]
    inner = item_type(kind)
    return leaf(kind, name) if inner is None else [minimal(inner, name)]


# --- elements ----------------------------------------------------------------------------------------------------------


def elements(kind: Any) -> Iterator[Element]:
    """The elements of a request type."""
    return _Walk().inside(kind, "", lambda value: value, ())


class _Walk:
    """Visits the fields of a class once below each class and each kind of message."""

    def __init__(self) -> None:
        self._visited: set[tuple[Any, ...]] = set()

    def inside(self, kind: Any, path: str, whole: _Whole, stack: tuple[Any, ...]) -> Iterator[Element]:
        place = (kind, *stack[-1:], *stack[1:2])
        if kind in stack or place in self._visited:
            return
        self._visited.add(place)
        base = minimal(kind)
        for name, (hint, required) in fields(kind).items():
            if name in SKIPPED:
                continue
            without = None if required else whole({key: value for key, value in base.items() if key != name})
            yield from _Field(self, name, f"{path}.{name}".strip("."), base, whole, without, (*stack, kind)).of(hint)


class _Field:
    """One field. ``without``: the whole value without it, ``None`` if it is required."""

    def __init__(self, walk: _Walk, name: str, path: str, base: Any, whole: _Whole, without: Any, stack: tuple[Any, ...]) -> None:
        self._walk, self._name, self._path, self._stack = walk, name, path, stack
        self._base, self._whole, self._without = base, whole, without

    def _put(self, value: Any) -> Any:
        return self._whole({**self._base, self._name: value})

    def _element(self, sample: Any, value: Any, other: Any, *, note: str = "", of_list: bool = False) -> Iterator[Element]:
        if value == other or sample in ({}, []):  # an empty object says nothing
            return
        owner, items = self._stack[-1].__name__, "[]" if of_list else ""
        yield Element(f"{owner}.{self._name}{items}{note}", self._path + items, sample, self._put([value] if of_list else value), other)

    def of(self, hint: Any) -> Iterator[Element]:
        for kind in members(hint):
            if get_origin(kind) is Literal:
                yield from self._literals(get_args(kind))
            elif is_dict_type(kind):
                value = minimal(kind)
                if self._without is not None:
                    yield from self._element(value, value, self._without, note=_tag(value))
                yield from self._walk.inside(kind, self._path, self._put, self._stack)
            elif (inner := item_type(kind)) is not None:
                yield from self._items(inner)
            else:
                other = self._put(leaf(kind, self._name, second=True)) if self._without is None else self._without
                value = leaf(kind, self._name)
                yield from self._element(value, value, other)

    def _literals(self, values: tuple[Any, ...]) -> Iterator[Element]:
        if self._name in ("type", "role"):
            return
        for index, value in enumerate(values):
            other = self._put(values[index - 1]) if self._without is None else self._without
            if self._without is not None or len(values) > 1:
                yield from self._element(value, value, other)

    def _items(self, hint: Any) -> Iterator[Element]:
        other = self._put([]) if self._without is None else self._without
        for kind in members(hint):
            values = get_args(kind) if get_origin(kind) is Literal else (minimal(kind, self._name),)
            for value in values:
                yield from self._element(value, value, other, note=_tag(value), of_list=True)
            if is_dict_type(kind):
                yield from self._walk.inside(kind, f"{self._path}[]", lambda inner: self._put([inner]), self._stack)


def _tag(value: Any) -> str:
    """How a member of a union is told from the others."""
    kind = (value.get("type") or value.get("role")) if isinstance(value, dict) else None
    return f" ({kind})" if kind else ""
