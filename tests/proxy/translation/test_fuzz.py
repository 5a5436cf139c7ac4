"""Anything at all, fed to every decoder: understood, or one of the project's own errors, and nothing else.

The bodies are the recorded cases of all dialects with pieces replaced, cut and exchanged, so that what is valid for one decoder
meets the others.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.exchange.prepare import Preparer
from proxy.translation.adaptation.adapt import adapt
from proxy.translation.canonical import Failed, Finished, Response
from proxy.translation.dialects.base import EncodeTarget
from proxy.translation.dialects.registry import REGISTRY
from proxy.translation.errors import ClientMistake, UpstreamFailed
from proxy.translation.quirks import DEFAULT, Quirks
from tests.support.cases import ROOT, events_of
from tests.support.sizes import examples

KEY = b"the secret of the pairs"
RECORDED = {
    file: [path.read_bytes() for name in REGISTRY for path in sorted((ROOT / name).glob(f"*/{file}"))]
    for file in ("request.json", "response.json", "stream.sse")
}
FUZZED = settings(max_examples=examples(150))

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=6)
json_values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3))


@st.composite
def bodies(draw: st.DrawFn, file: str) -> bytes:
    """A recorded body with some values exchanged for others, perhaps from another body; sometimes cut or not JSON at all."""
    try:
        body = json.loads(draw(st.sampled_from(RECORDED[file])))
    except ValueError:
        return draw(st.binary(max_size=40))
    donors = [value for value in map(_loaded, draw(st.lists(st.sampled_from(RECORDED[file]), max_size=1))) if value is not None]
    donated = [json.dumps(holder[key]) for value in donors for holder, key in _places(value)]
    for _ in range(draw(st.integers(0, 3))):
        holder, key = draw(st.sampled_from(_places(body) or [({"": None}, "")]))
        holder[key] = json.loads(draw(st.sampled_from(donated))) if donated and draw(st.booleans()) else draw(json_values)
    encoded = json.dumps(body).encode()
    return encoded[: draw(st.integers(0, len(encoded)))] if draw(st.integers(0, 9)) == 0 else encoded


def _loaded(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None


def _places(value: Any) -> list[tuple[Any, Any]]:
    places: list[tuple[Any, Any]] = []
    for key, inner in list(value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()):
        places.append((value, key))
        places += _places(inner)
    return places


@pytest.mark.parametrize("client", REGISTRY)
@given(body=bodies("request.json"), target=st.sampled_from(sorted(REGISTRY)))
@FUZZED
def test_a_request_is_carried_or_refused(client: str, body: bytes, target: str) -> None:
    sink, source = REGISTRY[client], REGISTRY[target]
    encode_target = EncodeTarget(model="up", dialect=target, upstream="up-1", stream=True)
    with suppress(ClientMistake):
        envelope = sink.open_for_model(body, "m")
        sink.patch_request(envelope, at_home(encode_target, client), KEY)
        request = sink.decode_request(envelope, KEY)
        adapted = adapt(request, encode_target, family=source.family, traits=source.traits)
        sent_body = json.loads(source.encode_request(adapted.request, encode_target))
        assert isinstance(sent_body, dict)
        dropped = Preparer(sink, envelope, KEY).prepare(source, encode_target).dropped
        assert list(dropped) == sorted(set(dropped))


def at_home(encode_target: EncodeTarget, dialect: str) -> EncodeTarget:
    return EncodeTarget(model=encode_target.model, dialect=dialect, upstream=encode_target.upstream, stream=encode_target.stream)


@pytest.mark.parametrize("upstream", REGISTRY)
@given(body=bodies("response.json") | st.binary(max_size=60))
@FUZZED
def test_an_answer_is_read_or_failed(upstream: str, body: bytes) -> None:
    with suppress(UpstreamFailed):
        assert isinstance(REGISTRY[upstream].decode_response(body, DEFAULT), Response)


@pytest.mark.parametrize("upstream", REGISTRY)
@given(status=st.integers(400, 599), body=bodies("response.json") | st.binary(max_size=60))
@FUZZED
def test_an_error_is_always_read(upstream: str, status: int, body: bytes) -> None:
    failure = REGISTRY[upstream].decode_error(status, {}, body)
    for client in REGISTRY.values():
        assert client.encode_error(failure, "request-1").status >= 400


@st.composite
def damaged_streams(draw: st.DrawFn) -> bytes:
    """A recorded stream of any dialect with its lines exchanged, repeated, cut and mixed with another's."""
    lines = draw(st.sampled_from(RECORDED["stream.sse"])).split(b"\n\n")
    other_lines = draw(st.sampled_from(RECORDED["stream.sse"])).split(b"\n\n")
    for _ in range(draw(st.integers(0, 3))):
        position = draw(st.integers(0, len(lines)))
        lines[position:position] = [draw(st.sampled_from([*other_lines, *lines]) | st.binary(max_size=20))]
    stream = b"\n\n".join(lines)
    return stream[: draw(st.integers(0, len(stream)))] if draw(st.booleans()) else stream


@pytest.mark.parametrize("upstream", REGISTRY)
@given(stream=damaged_streams() | st.binary(max_size=80), strange=st.booleans())
@FUZZED
def test_a_stream_has_one_end_and_raises_nothing(upstream: str, stream: bytes, strange: bool) -> None:
    quirks = Quirks(split_think_tags=True, names_in_pieces=True) if strange else DEFAULT
    events = events_of(REGISTRY[upstream], stream, quirks, size=max(1, len(stream)))
    ends = [event for event in events if isinstance(event, Finished | Failed)]
    assert ends == [events[-1]]
