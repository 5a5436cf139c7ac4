"""The text of a wrapped custom tool, read while its JSON arrives."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.translation.adaptation.custom_tool_input import InputUnwrapper


def unwrapped(pieces: list[str]) -> str:
    unwrapper = InputUnwrapper()
    return "".join([unwrapper.feed(piece) for piece in pieces] + [unwrapper.close()])


def in_pieces(text: str, size: int) -> list[str]:
    return [text[start : start + size] for start in range(0, len(text), size)]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("ascii_only", [True, False])
@given(st.text(alphabet=st.characters(codec="utf-8")))
def test_any_text_in_any_pieces_comes_out_as_it_went_in(size: int, ascii_only: bool, text: str) -> None:
    arguments = json.dumps({"input": text}, ensure_ascii=ascii_only)
    assert unwrapped(in_pieces(arguments, size)) == text


def test_text_is_sent_before_the_json_is_complete() -> None:
    unwrapper = InputUnwrapper()
    assert [unwrapper.feed(piece) for piece in ['{"inp', 'ut": "*** Beg', "in\\", "nnow", '"}']] == ["", "*** Beg", "in", "\nnow", ""]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ('{"note": 1, "input": "x"}', "x"),
        ('{ "input" : "spaced" }', "spaced"),
        ('{"input": {"a": 1}}', '{"input": {"a": 1}}'),
        ("not json", "not json"),
        ("{}", ""),
        ("", ""),
        ('"only a string"', '"only a string"'),
        ('{"input": "broken off', "broken off"),
        ('{"input": "lone \\ud83d end"}', "lone \ufffd end"),
    ],
)
@pytest.mark.parametrize("size", [1, 4, 1000])
def test_other_shapes_are_kept_unchanged(arguments: str, text: str, size: int) -> None:
    assert unwrapped(in_pieces(arguments, size)) == text
