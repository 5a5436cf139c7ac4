"""Frames of Bedrock upstreams: exceptions and cut streams."""

import pytest

from proxy.translation.canonical import (
    Failed,
    Finished,
)
from proxy.translation.dialects.bedrock.dialect import DIALECT
from proxy.translation.errors import Failure
from proxy.translation.framing.sse import Frame
from proxy.translation.quirks import DEFAULT
from tests.proxy.translation.dialects.bedrock.stream_samples import EVENTS, bytes_of, frames_of
from tests.support.cases import events_of


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("throttlingException", "rate_limit"),
        ("modelStreamErrorException", "bad_gateway"),
        ("validationException", "invalid_request"),
        ("modelTimeoutException", "timeout"),
        ("internalServerException", "upstream_error"),
        ("serviceUnavailableException", "overloaded"),
        ("InternalFailure", "upstream_error"),
    ],
)
def test_an_exception_of_an_upstream_ends_the_stream(name: str, kind: str) -> None:
    machine = DIALECT.decoder(DEFAULT)
    events = machine.feed(Frame(b'{"message":"Oh"}', name))
    assert [(event.failure.kind, event.failure.message) for event in events if isinstance(event, Failed)] == [(kind, "Oh")]
    assert machine.feed(frames_of(*EVENTS)[0]) + machine.close() == []


def test_an_overflow_is_recognised_by_its_message() -> None:
    events = DIALECT.decoder(DEFAULT).feed(Frame(b'{"message":"Input is too long for requested model."}', "validationException"))
    assert isinstance(events[0], Failed)
    assert events[0].failure.kind == "context_length"


def test_an_exception_without_a_message_is_reported_by_name() -> None:
    events = DIALECT.decoder(DEFAULT).feed(Frame(b"", "throttlingException"))
    assert events == [Failed(Failure(kind="rate_limit", message="The upstream ended the stream with throttlingException"))]


def test_an_exception_after_the_end_is_ignored() -> None:
    machine = DIALECT.decoder(DEFAULT)
    for frame in frames_of(*EVENTS):
        machine.feed(frame)
    assert machine.feed(Frame(b'{"message":"late"}', "throttlingException")) + machine.close() == []


@pytest.mark.parametrize("cut", range(1, len(bytes_of(*EVENTS)), 17))
def test_a_cut_stream_fails(cut: int) -> None:
    events = events_of(DIALECT, bytes_of(*EVENTS)[:cut], DEFAULT, size=1_000_000)
    assert [type(event) for event in events if isinstance(event, Finished | Failed)] == [Failed]
