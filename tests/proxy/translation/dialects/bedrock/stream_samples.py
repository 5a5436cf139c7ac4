"""One stream that the tests of this dialect share."""

from proxy.translation.canonical import (
    Event,
    Finished,
    Message,
    PartDelta,
    PartEnded,
    PartStarted,
    Request,
    Started,
    Text,
    Usage,
    UsageReported,
)
from proxy.translation.dialects.base import EncodeContext
from proxy.translation.dialects.bedrock.dialect import DIALECT
from proxy.translation.framing.sse import Frame

REQUEST = Request(model="claude", messages=(Message("user", (Text("Hi"),)),), family="anthropic", stream=True)
CONTEXT = EncodeContext(id="0" * 24, created=0, model="claude", request=REQUEST, seal_key=b"a secret", input_estimate=5)
USAGE = Usage(fresh=3, cache_read=2, output=4, service_tier="standard")
EVENTS: list[Event] = [
    Started("x", "y", Usage(fresh=3, cache_read=2)),
    PartStarted(0, Text("")),
    PartDelta(0, "Hé"),
    PartEnded(0),
    UsageReported(USAGE),
    Finished(),
]


def frames_of(*events: Event) -> list[Frame]:
    machine = DIALECT.encoder(CONTEXT)
    return [frame for event in events for frame in machine.feed(event)]


def bytes_of(*events: Event) -> bytes:
    return b"".join(DIALECT.framing.write(frame) for frame in frames_of(*events))
