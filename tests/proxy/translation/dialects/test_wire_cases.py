"""Every folder in tests/cases/<dialect>: what the wire means in the canonical form (see tests/support/cases.py)."""

from __future__ import annotations

import pytest

from proxy.translation.accumulate import accumulate
from proxy.translation.canonical import Failed
from proxy.translation.dialects.registry import REGISTRY
from proxy.translation.errors import ClientMistake
from tests.support.cases import ROOT, SEAL_KEY, SPLITS, WireCase, canonical_as_json, events_of, folders_with

DIALECTS = list(REGISTRY)


def both_in(first: str, second: str) -> list[tuple[str, str]]:
    return [folder for folder in folders_with(DIALECTS, first) if WireCase(*folder).has(second)]


@pytest.mark.parametrize(("dialect", "name"), both_in("request.json", "request.canonical.json"))
def test_a_request_means_this(dialect: str, name: str) -> None:
    case, speaks = WireCase(dialect, name), REGISTRY[dialect]
    request = speaks.decode_request(speaks.open_request(case.read("request.json")), SEAL_KEY)
    assert canonical_as_json(request) == case.json("request.canonical.json")


@pytest.mark.parametrize(("dialect", "name"), both_in("request.json", "refusal.json"))
def test_a_request_is_refused(dialect: str, name: str) -> None:
    case, speaks = WireCase(dialect, name), REGISTRY[dialect]
    with pytest.raises(ClientMistake) as caught:
        speaks.decode_request(speaks.open_request(case.read("request.json")), SEAL_KEY)
    failure = caught.value.failure
    assert {"param": failure.param, "message": failure.message} == case.json("refusal.json")


@pytest.mark.parametrize(("dialect", "name"), both_in("response.json", "response.canonical.json"))
def test_an_answer_means_this(dialect: str, name: str) -> None:
    case = WireCase(dialect, name)
    response = REGISTRY[dialect].decode_response(case.read("response.json"), case.quirks)
    assert canonical_as_json(response) == case.json("response.canonical.json")


@pytest.mark.parametrize("size", SPLITS)
@pytest.mark.parametrize(("dialect", "name"), both_in("stream.sse", "events.json"))
def test_a_stream_means_this_in_any_split(dialect: str, name: str, size: int) -> None:
    case = WireCase(dialect, name)
    events = events_of(REGISTRY[dialect], case.read("stream.sse"), case.quirks, size=size)
    assert canonical_as_json(events) == case.json("events.json")


@pytest.mark.parametrize(("dialect", "name"), both_in("stream.sse", "response.json"))
def test_a_stream_folds_into_its_twin(dialect: str, name: str) -> None:
    case, speaks = WireCase(dialect, name), REGISTRY[dialect]
    events = events_of(speaks, case.read("stream.sse"), case.quirks, size=1_000_000)
    assert not any(isinstance(event, Failed) for event in events)
    assert accumulate(events) == speaks.decode_response(case.read("response.json"), case.quirks)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_folder_says_what_it_shows_and_proves_something(dialect: str) -> None:
    proofs = {"request.canonical.json", "refusal.json", "response.canonical.json", "events.json"}
    for folder in (ROOT / dialect).glob("*/"):
        names = {file.name for file in folder.iterdir()}
        assert "notes.md" in names, folder.name
        assert names & proofs or {"stream.sse", "response.json"} <= names, folder.name
