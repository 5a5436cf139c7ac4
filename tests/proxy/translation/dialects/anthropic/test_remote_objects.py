"""Objects at Anthropic that a Messages request names, and those that its response made."""

import msgspec
import pytest

from proxy.translation.accumulate import accumulate
from proxy.translation.canonical import Finish
from proxy.translation.dialects.anthropic.dialect import DIALECT
from proxy.translation.dialects.anthropic.remote_objects import OBJECTS
from proxy.translation.dialects.object_api import MadeObject
from proxy.translation.framing.sse import Frame
from proxy.translation.quirks import DEFAULT


def fields(**values):
    return {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in values.items()}


def named(references):
    return [(reference.field, reference.id, reference.details) for reference in references]


@pytest.mark.parametrize("container", ["container_1", {"id": "container_1", "skills": []}])
def test_a_request_names_its_container_and_the_turn_that_it_continues(container):
    thread = {"type": "continue", "previous_message_id": "msg_1"}
    assert named(OBJECTS.references(fields(container=container, thread=thread, messages=[]))) == [
        ("container", "container_1", None),
        ("thread.previous_message_id", "msg_1", {"error_code": "thread_not_found"}),
    ]


def test_a_new_thread_or_container_names_nothing():
    assert OBJECTS.references(fields(container={"skills": []}, thread={"type": "create"})) == []


def test_files_are_named_in_content():
    content = [{"type": "document", "source": {"type": "file", "file_id": "file_1"}}, {"type": "container_upload", "file_id": "file_2"}]
    references = OBJECTS.nested_references(fields(messages=[{"role": "user", "content": content}]))
    assert named(references) == [("messages", "file_1", None), ("messages", "file_2", None)]


def test_only_the_messages_of_a_thread_are_kept():
    assert [OBJECTS.keeps_response(fields(**request)) for request in ({}, {"thread": None}, {"thread": {"type": "create"}})] == [
        False,
        False,
        True,
    ]


RESULT = {
    "type": "bash_code_execution_tool_result",
    "tool_use_id": "srvtoolu_1",
    "content": {"type": "bash_code_execution_result", "content": [{"type": "bash_code_execution_output", "file_id": "file_1"}]},
}
CONTAINER = {"id": "container_1", "expires_at": "2026-12-01T00:00:00Z", "skills": None}


def test_a_response_has_made_its_container_and_the_files_of_its_code():
    natives = [msgspec.json.encode(RESULT), b'{"type":"web_search_tool_result","content":[{"file_id":"file_2"}]}']
    assert OBJECTS.made_in(Finish(native={"anthropic": {"container": CONTAINER}}), natives) == [
        MadeObject("container_1"),
        MadeObject("file_1", is_nested=True),
    ]
    assert OBJECTS.made_in(Finish(native={"anthropic": {"container": ["container_1"]}}), []) == []


def test_the_container_is_read_from_whole_responses_and_from_streams():
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": "end_turn"}
    whole = DIALECT.decode_response(msgspec.json.encode({**message, "stop_sequence": None, "container": CONTAINER}), DEFAULT)
    decoder = DIALECT.decoder(DEFAULT)
    events = [
        {"type": "message_start", "message": {**message, "stop_reason": None}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn", "container": CONTAINER}, "usage": {"output_tokens": 1}},
        {"type": "message_stop"},
    ]
    streamed = accumulate(event for frame in events for event in decoder.feed(Frame(msgspec.json.encode(frame), frame["type"])))
    assert [whole.finish, streamed.finish] == [Finish(native={"anthropic": {"container": CONTAINER}})] * 2
