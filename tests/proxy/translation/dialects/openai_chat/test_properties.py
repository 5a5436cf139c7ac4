"""Laws of the chat dialect, for generated bodies and streams."""

from __future__ import annotations

import json
from contextlib import suppress
from itertools import pairwise
from typing import Any

from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from proxy.translation.accumulate import Accumulator, accumulate, replay
from proxy.translation.canonical import (
    Event,
    Failed,
    Finish,
    Finished,
    Message,
    Part,
    PartDelta,
    PartEnded,
    PartStarted,
    Reasoning,
    Request,
    Response,
    Seal,
    Text,
    ToolCall,
    Usage,
    settled,
)
from proxy.translation.dialects.base import EncodeContext, EncodeTarget
from proxy.translation.dialects.openai_chat.dialect import DIALECT
from proxy.translation.errors import ClientMistake, UpstreamFailed
from proxy.translation.framing.sse import SSE, Frame
from proxy.translation.quirks import DEFAULT, Quirks
from tests.support.cases import ROOT, events_of
from tests.support.grammar_openai_chat import check, check_broken
from tests.support.sizes import examples

KEY = b"a secret"
REQUEST = Request(model="m", messages=(Message("user", (Text("Hi"),)),), family="openai_chat", include_usage=True)
CONTEXT = EncodeContext(id="0123456789abcdef01234567", created=1_800_000_000, model="m", request=REQUEST, seal_key=KEY)
CASES = ROOT / "openai_chat"
REQUESTS = [json.loads(file.read_bytes()) for file in sorted(CASES.glob("*/request.json"))]
ANSWERS = [json.loads(file.read_bytes()) for file in sorted(CASES.glob("*/response.json"))]
STREAMS = [file.read_bytes() for file in sorted(CASES.glob("*/stream.sse"))]
QUIRKS = [DEFAULT, Quirks(split_think_tags=True, names_in_pieces=True)]

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8)
names = st.sampled_from(
    [
        "role",
        "content",
        "type",
        "text",
        "url",
        "image_url",
        "name",
        "function",
        "arguments",
        "id",
        "index",
        "error",
        "message",
        "delta",
        "tool_calls",
    ]
)
json_values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names | st.text(max_size=5), inner, max_size=4)
)


@st.composite
def mutated(draw: st.DrawFn, bodies: list[Any]) -> Any:
    """A valid body with one to three of its values replaced by anything, or taken out."""
    body = json.loads(json.dumps(draw(st.sampled_from(bodies))))
    for _ in range(draw(st.integers(1, 3))):
        holder, key = draw(st.sampled_from(places(body) or [(None, None)]))
        if holder is None:
            return draw(json_values)
        if draw(st.booleans()):
            holder[key] = draw(json_values)
        else:
            del holder[key]
    return body


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every ``(container, key)`` inside a JSON value."""
    places_found: list[tuple[Any, Any]] = []
    for key, element in list(value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()):
        places_found.append((value, key))
        places_found += places(element)
    return places_found


def is_grammatical(events: list[Event]) -> bool:
    """A part opens before its deltas and closes once, no delta is empty, and nothing follows the end."""
    open_request: set[int] = set()
    closed: set[int] = set()
    for event in events:
        if isinstance(event, PartStarted):
            assert event.index not in open_request
            open_request.add(event.index)
        elif isinstance(event, PartDelta):
            assert event.index in open_request - closed
            assert event.text
        elif isinstance(event, PartEnded):
            assert event.index in open_request - closed
            closed.add(event.index)
    assert [type(event) for event in events if isinstance(event, Finished | Failed)] == [type(events[-1])]
    return isinstance(events[-1], Failed) or open_request == closed


# --- nothing but our own errors --------------------------------------------------------------------------------------


@given(mutated(REQUESTS) | json_values)
@settings(max_examples=examples(400))
def test_a_request_is_understood_or_refused(body: Any) -> None:
    raw = json.dumps(body).encode()
    target = EncodeTarget(model="up", dialect="openai_chat", stream=True)
    try:
        envelope = DIALECT.open_request(raw)
        DIALECT.patch_request(envelope, target, KEY)
        request = DIALECT.decode_request(envelope, KEY)
        encoded = json.loads(DIALECT.encode_request(request, target))
    except ClientMistake:
        return
    assert (encoded["model"], encoded["stream"]) == ("up", True)


@given(st.binary(max_size=60))
def test_bytes_that_are_no_request_are_refused(body: bytes) -> None:
    with suppress(ClientMistake):
        assert DIALECT.open_request(body).model


@given(mutated(ANSWERS) | json_values, st.sampled_from(QUIRKS))
@settings(max_examples=examples(400))
def test_any_response_is_decoded_or_fails(body: Any, quirks: Quirks) -> None:
    try:
        response = DIALECT.decode_response(json.dumps(body).encode(), quirks)
    except UpstreamFailed:
        return
    assert isinstance(json.loads(DIALECT.encode_response(response, CONTEXT)), dict)


@given(st.integers(400, 599), st.binary(max_size=60) | json_values.map(lambda body: json.dumps(body).encode()))
@settings(max_examples=examples(300))
def test_any_error_body_is_a_failure_that_clients_can_read(status: int, body: bytes) -> None:
    failure = DIALECT.decode_error(status, {}, body)
    assert failure.message
    json.loads(DIALECT.encode_error(failure, "r").body)


@given(st.data(), st.sampled_from(QUIRKS))
@settings(max_examples=examples(400))
def test_any_chunks_give_a_grammatical_stream(data: st.DataObject, quirks: Quirks) -> None:
    chunks = [
        json.loads(line[5:])
        for line in data.draw(st.sampled_from(STREAMS)).splitlines()
        if line.startswith(b"data: {") and line.endswith(b"}")
    ]
    assume(chunks)
    decoder = DIALECT.decoder(quirks)
    events: list[Event] = []
    for chunk in data.draw(st.lists(mutated(chunks), max_size=6)):
        events += decoder.feed(Frame(json.dumps(chunk).encode(), data.draw(st.sampled_from(["", "", "message", "error"]))))
    events += decoder.close()
    assert is_grammatical(events)
    encoder = DIALECT.encoder(CONTEXT)
    encoded = b"".join(SSE.write(frame) for event in events for frame in encoder.feed(event))
    if isinstance(events[-1], Failed):
        check_broken(encoded)
    else:
        check(encoded, include_usage=True)


# --- streams ---------------------------------------------------------------------------------------------------------


@given(st.sampled_from(STREAMS), st.lists(st.integers(0, 5000), max_size=12), st.sampled_from(QUIRKS))
@settings(max_examples=examples(200))
def test_any_split_of_the_bytes_gives_the_same_events(stream: bytes, cuts: list[int], quirks: Quirks) -> None:
    reader, decoder = DIALECT.framing.reader(), DIALECT.decoder(quirks)
    events: list[Event] = []
    edges = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    for start, end in pairwise(edges):
        for frame in reader.feed(stream[start:end]):
            events += decoder.feed(frame)
    for frame in reader.close():
        events += decoder.feed(frame)
    assert events + decoder.close() == events_of(DIALECT, stream, quirks, size=len(stream))


@given(st.sampled_from(STREAMS), st.integers(0, 10_000))
@settings(max_examples=examples(300))
def test_a_stream_cut_before_its_finish_fails_and_never_succeeds(stream: bytes, cut: int) -> None:
    cut_stream = stream[: cut % (len(stream) + 1)]
    events = events_of(DIALECT, cut_stream, DEFAULT, size=max(1, len(cut_stream)))
    assert is_grammatical(events)
    is_finished = b'"finish_reason": "' in cut_stream or b"[DONE]" in cut_stream
    if not is_finished:
        assert isinstance(events[-1], Failed)


calls = st.lists(st.tuples(texts, st.dictionaries(texts, texts, max_size=3)), min_size=1, max_size=4)


@given(calls, st.data())
@settings(max_examples=examples(200))
@example([("a", {}), ("b", {})], None)
def test_any_interleaving_of_fragments_gives_the_calls(
    expected_calls: list[tuple[str, dict[str, str]]], data: st.DataObject | None
) -> None:
    """With an index on every fragment, an id and a name on the first one, in any order of the calls' fragments."""
    queues: list[list[dict[str, Any]]] = []
    for number, (name, arguments) in enumerate(expected_calls):
        text = json.dumps(arguments)
        size = data.draw(st.integers(1, len(text))) if data is not None else len(text)
        pieces = [text[start : start + size] for start in range(0, len(text), size)]
        first = {"index": number, "id": f"call_{number}", "type": "function", "function": {"name": name, "arguments": ""}}
        queues.append([first, *({"index": number, "function": {"arguments": piece}} for piece in pieces)])
    order: list[int] = []
    chunks: list[dict[str, Any]] = []
    while any(queues):
        waiting = [number for number, queue in enumerate(queues) if queue]
        number = data.draw(st.sampled_from(waiting)) if data is not None else waiting[0]
        if number not in order:
            order.append(number)
        chunks.append({"id": "x", "choices": [{"index": 0, "delta": {"tool_calls": [queues[number].pop(0)]}}]})
    chunks.append({"id": "x", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    stream = b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks) + b"data: [DONE]\n\n"
    events = events_of(DIALECT, stream, DEFAULT, size=len(stream))
    assert is_grammatical(events)
    response = accumulate(events)
    assert response.parts == tuple(
        ToolCall(f"call_{number}", expected_calls[number][0], json.dumps(expected_calls[number][1])) for number in order
    )
    assert response.finish == Finish(reason="tool_calls")


# --- there and back --------------------------------------------------------------------------------------------------

ids = st.uuids().map(lambda element: f"call_{element.hex[:12]}")
objects = st.dictionaries(texts, texts, max_size=3).map(json.dumps)


@st.composite
def answers(draw: st.DrawFn) -> Response:
    """An answer as a chat upstream gives it: reasoning, text, calls, each of them or none."""
    parts: list[Part] = []
    if draw(st.booleans()):
        parts.append(Reasoning(draw(texts), Seal("openai_chat", "")))
    if draw(st.booleans()):
        parts.append(Text(draw(texts)))
    parts += [ToolCall(call_id, draw(texts), draw(objects)) for call_id in draw(st.lists(ids, max_size=3, unique=True))]
    has_calls = any(isinstance(part, ToolCall) for part in parts)
    finish = settled(Finish(reason=draw(st.sampled_from(["end", "length", "tool_calls"]))), has_calls=has_calls)
    count = st.integers(0, 10_000)
    output = draw(count)
    usage = Usage(
        fresh=draw(count), cache_read=draw(count), cache_write_5m=draw(count), output=output, reasoning=draw(st.integers(0, output))
    )
    return Response(id=f"chatcmpl-{CONTEXT.id}", model="m", parts=tuple(parts), finish=finish, usage=usage)


@given(answers())
@settings(max_examples=examples(200))
def test_a_response_survives_its_wire(answer: Response) -> None:
    assert DIALECT.decode_response(DIALECT.encode_response(answer, CONTEXT), DEFAULT) == answer


@given(answers(), st.integers(1, 40))
@settings(max_examples=examples(200))
def test_a_response_survives_its_stream(answer: Response, size: int) -> None:
    encoder = DIALECT.encoder(CONTEXT)
    stream = b"".join(SSE.write(frame) for event in replay(answer) for frame in encoder.feed(event))
    check(stream, include_usage=True)
    assert accumulate(events_of(DIALECT, stream, DEFAULT, size=size)) == answer


@given(st.lists(texts, min_size=1, max_size=6), texts | st.just(""), texts)
@settings(max_examples=examples(300))
def test_thinking_in_tags_reads_the_same_whole_or_streamed(pieces: list[str], space: str, answer: str) -> None:
    quirks = Quirks(split_think_tags=True)
    content = f"<think>{''.join(pieces)}</think>{space}{answer}"
    response = DIALECT.decode_response(
        json.dumps({"choices": [{"message": {"content": content}, "finish_reason": "stop"}]}).encode(), quirks
    )
    decoder = DIALECT.decoder(quirks)
    accumulator = Accumulator()
    cut = [content[start : start + len(pieces)] for start in range(0, len(content), len(pieces))]
    for piece in [*cut, ""]:
        for event in decoder.feed(
            Frame(json.dumps({"choices": [{"delta": {"content": piece}, "finish_reason": None if piece else "stop"}]}).encode())
        ):
            accumulator.feed(event)
    for event in decoder.close():
        accumulator.feed(event)
    assert accumulator.response() == response


@given(mutated(REQUESTS))
@settings(max_examples=examples(200))
def test_a_request_passes_through_with_every_field_but_the_models_name(body: Any) -> None:
    raw = json.dumps(body).encode()
    try:
        envelope = DIALECT.open_request(raw)
    except ClientMistake:
        return
    assume(b"pxr1." not in raw)
    encoded = json.loads(DIALECT.patch_request(envelope, EncodeTarget(model="up", dialect="openai_chat", stream=envelope.stream), KEY))
    expected = body | {"model": "up"}
    if envelope.stream:
        expected["stream_options"] = (body.get("stream_options") or {}) | {"include_usage": True}
    else:
        expected.pop("stream_options", None)
    assert encoded == expected
