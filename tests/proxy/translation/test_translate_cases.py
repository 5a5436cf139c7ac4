"""Every folder in tests/cases/translate is a request and its reply on their way through the gateway.

A folder is called ``<client dialect>-<upstream dialect>-<what it shows>`` and holds ``client_request.json`` and
``upstream_request.json``, and then, as far as the case goes, ``upstream_response.json`` with ``client_response.json`` or
``upstream_stream.sse`` with ``client_stream.sse``. ``settings.json`` may give ``quirks``, ``max_output_tokens``,
the upstream's ``model``, ``client_streams`` where the client's path says so and not its body, and
``stream``: whether the upstream is asked to stream, if not as the client has asked. A request whose
``stream`` differs is encoded anew within one dialect, too.
``refusal.json`` in place of the upstream's files holds the ``param`` and the ``message`` of a 400. ``dropped.json`` lists what the
upstream does not get.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from proxy.exchange.prepare import Prepared, Preparer
from proxy.exchange.stream_pipeline import StreamPipeline
from proxy.translation.dialects.base import Dialect, EncodeContext, EncodeTarget
from proxy.translation.dialects.registry import REGISTRY
from proxy.translation.errors import ClientMistake
from proxy.translation.framing.sse import Frame
from proxy.translation.quirks import merged
from tests.support import cases

ROOT = cases.ROOT / "translate"
CASES = sorted(folder.name for folder in ROOT.iterdir() if folder.is_dir())
SEAL_KEY = b"the secret of the test cases"
REPLY_ID, CREATED = "0123456789abcdef01234567", 1_800_000_000


class Case:
    """One folder, with the request already prepared for its upstream."""

    def __init__(self, name: str) -> None:
        self.folder = ROOT / name
        client, upstream, _ = name.split("-", 2)
        self.sink, self.source = REGISTRY[client], REGISTRY[upstream]
        settings = json.loads(self.read("settings.json")) if self.has("settings.json") else {}
        self.quirks = merged(settings.get("quirks", {}))
        envelope = self.sink.open_for_model(self.read("client_request.json"), "client-model")
        if settings.get("client_streams"):
            envelope = msgspec.structs.replace(envelope, stream=True)
        self.model = envelope.model
        self.destination = EncodeTarget(
            model=settings.get("model", "upstream-model"),
            dialect=upstream,
            upstream="up-1",
            quirks=self.quirks,
            max_output_tokens=settings.get("max_output_tokens"),
            stream=settings.get("stream", envelope.stream),
        )
        self.preparer = Preparer(self.sink, envelope, SEAL_KEY)

    def has(self, name: str) -> bool:
        return (self.folder / name).exists()

    def read(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()

    def json(self, name: str) -> Any:
        return json.loads(self.read(name))

    def prepared(self) -> Prepared:
        return self.preparer.prepare(self.source, self.destination)

    def reply(self) -> EncodeContext:
        return EncodeContext(id=REPLY_ID, created=CREATED, model=self.model, request=self.preparer.request, seal_key=SEAL_KEY)

    def client_stream(self, size: int) -> list[Any]:
        prepared, reply = self.prepared(), self.reply()
        if prepared.relayed:
            pipe = StreamPipeline.passing_through(
                self.sink, quirks=self.quirks, context=reply, rename=self.model, hide_usage=prepared.hides_usage
            )
        else:
            restorer = prepared.restorer.stream() if prepared.restorer else None
            pipe = StreamPipeline(self.source, self.sink, quirks=self.quirks, context=reply, restorer=restorer)
        stream = self.read("upstream_stream.sse")
        sent_bytes = b"".join(pipe.feed(stream[start : start + size]) for start in range(0, len(stream), size)) + pipe.close()
        return events_of(sent_bytes, self.sink)


def events_of(stream: bytes, dialect: Dialect) -> list[Any]:
    """Frames as comparable values: the event line and the data, parsed where it is JSON."""
    reader = dialect.framing.reader()
    return [(frame.event, parsed(frame)) for frame in reader.feed(stream) + reader.close()]


def parsed(frame: Frame) -> Any:
    return "[DONE]" if frame.data == b"[DONE]" else json.loads(frame.data)


def with_file(name: str) -> list[str]:
    return [case for case in CASES if (ROOT / case / name).exists()]


@pytest.mark.parametrize("name", with_file("upstream_request.json"))
def test_the_upstream_gets_the_request(name: str) -> None:
    case = Case(name)
    assert json.loads(case.prepared().body) == case.json("upstream_request.json")


@pytest.mark.parametrize("name", with_file("dropped.json"))
def test_what_the_upstream_does_not_get_is_listed(name: str) -> None:
    prepared = Case(name).prepared()
    assert {"dropped": list(prepared.dropped), "details": list(prepared.details)} == Case(name).json("dropped.json")


@pytest.mark.parametrize("name", with_file("refusal.json"))
def test_the_request_is_refused(name: str) -> None:
    with pytest.raises(ClientMistake) as caught:
        Case(name).prepared()
    failure = caught.value.failure
    assert {"param": failure.param, "message": failure.message} == Case(name).json("refusal.json")


@pytest.mark.parametrize("name", with_file("client_response.json"))
def test_the_client_gets_the_answer(name: str) -> None:
    case = Case(name)
    prepared, raw = case.prepared(), case.read("upstream_response.json")
    if prepared.relayed:
        body = case.sink.patch_response(raw, case.model)
    else:
        response = case.source.decode_response(raw, case.quirks)
        restored = prepared.restorer.response(response) if prepared.restorer else response
        body = case.sink.encode_response(restored, case.reply())
    assert json.loads(body) == case.json("client_response.json")


@pytest.mark.parametrize("size", [1, 7, 1_000_000])
@pytest.mark.parametrize("name", with_file("client_stream.sse"))
def test_the_client_gets_the_stream_in_any_split(name: str, size: int) -> None:
    case = Case(name)
    assert case.client_stream(size) == events_of(case.read("client_stream.sse"), case.sink)


def test_every_folder_shows_something() -> None:
    proofs = ("upstream_request.json", "refusal.json", "client_response.json", "client_stream.sse")
    assert [name for name in CASES if not any((ROOT / name / proof).exists() for proof in proofs)] == []


def test_settings_name_only_quirks_that_exist() -> None:
    for name in with_file("settings.json"):
        try:
            merged(json.loads((ROOT / name / "settings.json").read_bytes()).get("quirks", {}))
        except msgspec.ValidationError as error:
            pytest.fail(f"{name}: {error}")
