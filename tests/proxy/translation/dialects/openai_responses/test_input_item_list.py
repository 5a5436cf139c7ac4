"""Pages of a stored turn's input items."""

import msgspec
import pytest

from proxy.translation.dialects.openai_responses.input_item_list import list_input_items
from proxy.translation.errors import ClientMistake


def raws(*items):
    return [msgspec.Raw(msgspec.json.encode(item)) for item in items]


ITEMS = raws(
    {"role": "user", "content": "a"},
    {"type": "message", "id": "msg_own", "role": "assistant", "content": "b", "status": "incomplete"},
    {"type": "function_call_output", "call_id": "c1", "output": "d"},
)


def ids(**options):
    listed = list_input_items(ITEMS, "resp_1", **options)
    return [item["id"] for item in listed["data"]], listed["has_more"]


def test_listed_items_are_complete():
    first, second, third = list_input_items(ITEMS, "resp_1", order="asc")["data"]
    assert first == {
        "id": first["id"],
        "role": "user",
        "content": [{"type": "input_text", "text": "a"}],
        "type": "message",
        "status": "completed",
    }
    assert second == {
        "id": "msg_own",
        "type": "message",
        "role": "assistant",
        "content": [{"type": "output_text", "text": "b", "annotations": []}],
        "status": "incomplete",
    }
    assert third == {"id": third["id"], "type": "function_call_output", "call_id": "c1", "output": "d"}
    assert (first["id"][:4], third["id"][:5]) == ("msg_", "item_")


def test_pages_follow_one_another():
    (one, two, three), _ = ids(order="asc")
    assert ids() == ([three, two, one], False)
    assert ids(order="asc", limit="2") == ([one, two], True)
    assert ids(order="asc", limit="2", after=two) == ([three], False)
    assert ids(after=two) == ([one], False)


def test_an_empty_page():
    assert list_input_items([], "resp_1") == {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}


@pytest.mark.parametrize("invalid", [{"limit": "0"}, {"limit": "101"}, {"limit": "x"}, {"order": "up"}, {"after": "nobody"}])
def test_invalid_values_are_refused(invalid):
    with pytest.raises(ClientMistake) as raised:
        list_input_items(ITEMS, "resp_1", **invalid)
    assert raised.value.failure.param == next(iter(invalid))
