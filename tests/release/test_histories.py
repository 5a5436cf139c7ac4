"""Conversations that were begun with the release: what it sealed for the client is opened and sent to the upstream that wrote it."""

import pytest

from tests.release import restoring
from tests.release.playing import TARGETS, conversation, path_of, vendors_at
from tests.support.vendor_wires import Completion

HISTORIES = restoring.load("histories.json")


@pytest.fixture(scope="module")
def vendors(served, fake_loop):
    with vendors_at(served, fake_loop) as running:
        yield running


@pytest.mark.parametrize("case", HISTORIES, ids=lambda case: f"{case['client']}: {case['title']}")
def test_a_history_of_the_release_can_be_continued(served, vendors, case):
    received, refused = {}, {}
    for target in TARGETS:
        vendors[target].says(Completion("Well."))
        path, body = path_of(case["client"], target, case["request"])
        answer = served.http.post(served.url + path, headers=served.client_headers, json=body, timeout=30)
        assert answer.status_code == 200, answer.text
        received[target] = conversation(vendors[target].last)
        refused[target] = vendors[target].refused
    assert received == {target: due for targets, due in case["received"] for target in targets}
    assert set(map(tuple, refused.values())) == {()}


def test_the_histories_hold_seals_of_every_client():
    """What Chat Completions, Responses and Messages clients were given is signed by us; only then do the tests above mean anything."""
    sealed = {case["client"] for case in HISTORIES if "pxr1." in str(case["request"])}
    assert sealed == {"anthropic", "openai_chat", "openai_responses", "bedrock"}
