"""Which fields of a JSON value its decoder did not read."""

from __future__ import annotations

import json
from typing import Any, ClassVar

import msgspec
import pytest

from proxy.translation.errors import ClientMistake
from proxy.translation.unread import MAX_UNREAD, NotingDecoder, path_pattern, says_nothing


class Leaf(msgspec.Struct):
    READ_TYPES: ClassVar = frozenset({None, "leaf"})
    UNREAD: ClassVar = frozenset({"label"})

    type: str | None = None
    text: str = ""
    label: Any = None
    renamed: int | None = msgspec.field(default=None, name="async")
    leaves: list[Leaf] = []


class Tree(msgspec.Struct):
    OPEN: ClassVar = True

    leaves: str | list[Leaf] | None = None
    raw: msgspec.Raw = msgspec.Raw(b"")


TREE: NotingDecoder[Tree] = NotingDecoder(Tree)
LEAVES: NotingDecoder[list[Leaf]] = NotingDecoder(list[Leaf])


@pytest.mark.parametrize(
    ("leaf", "unread"),
    [
        ('{"text":"a","async":1}', set()),
        ('{"text":"a","label":null}', set()),
        ('{"text":"a","label":[]}', set()),
        ('{"text":"a","label":"b"}', {"leaves[].label"}),
        ('{"text":"a","other":1e999}', {"leaves[].other"}),
        ('{"text":"a","other":null,"more":[],"most":{}}', set()),
        ('{"leaves":[{"other":1}]}', {"leaves[].leaves[].other"}),
        (
            '{"leaves":[{"leaves":[{"leaves":[{"other":1}]}],"more":1}]}',
            {"leaves[].leaves[].more", "leaves[].leaves[].leaves[].leaves[].other"},
        ),
        ('{"type":"leaf","other":1}', {"leaves[].other"}),
        ('{"type":"another","other":1}', set()),
    ],
)
def test_fields_without_a_place_are_named_by_their_paths(leaf: str, unread: set[str]) -> None:
    paths: set[str] = set()
    value = LEAVES.decode(f"[{leaf}]".encode(), paths, at="leaves")
    assert (len(value), paths) == (1, unread)


def test_the_search_ends_where_a_client_invents_thousands_of_names() -> None:
    paths: set[str] = set()
    LEAVES.decode(json.dumps([{f"name{item}-{key}": 1 for key in range(300)} for item in range(100)]).encode(), paths, at="leaves")
    assert MAX_UNREAD < len(paths) <= 2 * MAX_UNREAD


def test_indexes_of_the_given_path_are_left_out() -> None:
    paths: set[str] = set()
    LEAVES.decode(b'[{"other":1}]', paths, at="trees.3.leaves")
    assert paths == {"trees[].leaves[].other"}


def test_an_open_struct_keeps_other_keys_and_its_structs_do_not() -> None:
    paths: set[str] = set()
    TREE.decode(b'{"leaves":[{"other":1}],"more":1,"raw":{"x":1}}', paths, at="")
    read = TREE.decode_strictly(b'{"leaves":"text","more":1}')
    assert (paths, read and read.leaves) == ({"leaves[].other"}, "text")


def test_a_value_that_is_read_whole_is_decoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LEAVES, "note", None)
    assert [leaf.text for leaf in LEAVES.decode(b'[{"text":"a"}]', set(), at="")] == ["a"]


def test_a_field_of_a_wrong_type_is_a_mistake_of_the_client() -> None:
    with pytest.raises(ClientMistake) as caught:
        LEAVES.decode(b'[{"text":1,"other":1}]', set(), at="leaves")
    assert caught.value.failure.param == "leaves.0.text"


@pytest.mark.parametrize(
    ("path", "pattern"),
    [("messages.0.content.12", "messages[].content[]"), ("tools.3.input_schema", "tools[].input_schema"), ("top_k", "top_k"), ("", "")],
)
def test_a_path_without_indexes(path: str, pattern: str) -> None:
    assert path_pattern(path) == pattern


def test_what_says_nothing() -> None:
    assert [value for value in (None, [], {}, 0, False, "", [0]) if says_nothing(value)] == [None, [], {}]
