"""Validation errors of msgspec in plain words."""

from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Meta

from proxy.translation.type_errors import explain


class Fields(msgspec.Struct, forbid_unknown_fields=True):
    count: Annotated[int, Meta(ge=1)] | None = None
    kind: Literal["a", "b"] = "a"
    needed: list[dict[str, Any]] | str = ""


class Needy(msgspec.Struct):
    name: str


@pytest.mark.parametrize(
    ("shape", "body", "expected"),
    [
        (str, b"1", ("must be a string, not an integer", "")),
        (Fields, b"[]", ("must be an object, not an array", "")),
        (Fields, b'{"count": "1"}', ("must be an integer, not a string", "count")),
        (Fields, b'{"count": 1.5}', ("must be an integer, not a decimal number", "count")),
        (Fields, b'{"count": 0}', ("must be an integer of at least 1", "count")),
        (Fields, b'{"needed": 1}', ("must be a string or an array, not an integer", "needed")),
        (Fields, b'{"needed": [{}, null]}', ("must be an object, not null", "needed.1")),
        (Fields, b'{"kind": "c"}', ("'c' is not an allowed value", "kind")),
        (Fields, b'{"size": 1}', ("unknown field", "size")),
        (list[Needy], b"[{}]", ("Field required", "0.name")),
        (dict[str, bool], b'{"a": 1}', ("must be true or false, not an integer", "")),
        (float, b"true", ("must be a number, not a boolean", "")),
        (Annotated[float, Meta(gt=0)], b"-1", ("must be a number of more than 0.0", "")),
        (Annotated[str, Meta(max_length=2)], b'"abc"', ("must be a string of at most 2 characters", "")),
        (Annotated[list[int], Meta(min_length=2)], b"[1]", ("must be an array of at least 2 items", "")),
        (dict[str, Any], b'{"a": 1e999}', ("the number is too large", "")),
        (Annotated[str, Meta(pattern="^a")], b'"b"', ("the value is not valid", "")),
    ],
)
def test_a_validation_error_is_explained_with_the_path_of_its_field(shape: Any, body: bytes, expected: tuple[str, str]) -> None:
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.json.decode(body, type=shape)
    assert explain(caught.value) == expected
