"""Objects at OpenAI that a Responses request names, and those that its response made."""

import msgspec
import pytest

from proxy.translation.canonical import Finish
from proxy.translation.dialects.object_api import MadeObject
from proxy.translation.dialects.openai_responses.remote_objects import OBJECTS


def fields(**values):
    return {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in values.items()}


def named(references):
    return [(reference.field, reference.id) for reference in references]


@pytest.mark.parametrize("conversation", ["conv_1", {"id": "conv_1"}])
def test_a_request_names_the_response_and_the_conversation_that_it_continues(conversation):
    references = OBJECTS.references(fields(previous_response_id="resp_1", conversation=conversation, input="hi"))
    assert named(references) == [("previous_response_id", "resp_1"), ("conversation", "conv_1")]
    assert [reference.code for reference in references] == ["previous_response_not_found", None]


@pytest.mark.parametrize("value", [None, 1, "", "two words", "x" * 201, {"name": "conv_1"}, ["conv_1"]])
def test_what_is_no_id_names_nothing(value):
    assert OBJECTS.references(fields(previous_response_id=value, conversation=value)) == []


def test_files_and_containers_are_named_in_input_and_tools():
    content = [
        {"type": "input_file", "file_id": "file-1"},
        {"type": "input_image", "file_id": "file-2"},
        {"type": "input_text", "text": '"file_id": "file-0"'},
        {"type": "input_file", "file_id": "file-1"},
    ]
    tools = [
        {"type": "code_interpreter", "container": "cntr_1"},
        {"type": "code_interpreter", "container": {"type": "auto", "file_ids": ["file-3", "file-4"]}},
        {"type": "shell", "environment": {"type": "container_reference", "container_id": "cntr_2"}},
        {"type": "image_generation", "input_image_mask": {"file_id": "file-5"}},
    ]
    assert named(OBJECTS.nested_references(fields(input=[{"role": "user", "content": content}], tools=tools))) == [
        ("input", "file-1"),
        ("input", "file-2"),
        ("tools", "file-5"),
        ("tools", "file-3"),
        ("tools", "file-4"),
        ("tools", "cntr_1"),
        ("tools", "cntr_2"),
    ]


def test_a_new_container_names_its_files():
    assert named(OBJECTS.nested_references(fields(name="c", file_ids=["file-1"]))) == [("file_ids", "file-1")]


def test_responses_are_kept_unless_the_request_forbids_it():
    assert [OBJECTS.keeps_response(fields(**request)) for request in ({}, {"store": True}, {"store": None}, {"store": False})] == [
        True,
        True,
        True,
        False,
    ]


def test_a_response_has_made_the_containers_of_its_calls():
    call = b'{"type":"code_interpreter_call","id":"ci_1","container_id":"cntr_1","code":"1","outputs":[]}'
    assert OBJECTS.made_in(Finish(), [call, b'{"type":"web_search_call","id":"ws_1"}']) == [MadeObject("cntr_1", is_nested=True)]
