"""Stored turns for `previous_response_id`: their keys, chains and expiry."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from billing import stored_responses
from billing.models import StoredResponse
from billing.stored_responses import Turn

pytestmark = pytest.mark.django_db

OWN_KEY, OTHER_KEY = "11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222"


def turn(name, previous="", key=OWN_KEY):
    return Turn(id=name, api_key_id=key, previous_id=previous, model="m", input=f'["{name}"]', response='{"output":[]}')


def keep(*turns, seconds=60):
    for stored_turn in turns:
        stored_responses.save_turn(stored_turn, seconds=seconds)


def test_a_turn_is_found_only_by_its_key():
    keep(turn("a"))
    assert (
        stored_responses.find_turn("a", OWN_KEY),
        stored_responses.find_turn("a", OTHER_KEY),
        stored_responses.find_turn("b", OWN_KEY),
    ) == (
        turn("a"),
        None,
        None,
    )


def test_a_turn_saved_twice_is_replaced_but_not_by_another_key():
    keep(turn("a"), Turn(id="a", api_key_id=OWN_KEY, model="n"))
    assert (stored_responses.find_turn("a", OWN_KEY).model, StoredResponse.objects.count()) == ("n", 1)
    with pytest.raises(IntegrityError), transaction.atomic():
        keep(turn("a", key=OTHER_KEY))
    assert stored_responses.find_turn("a", OWN_KEY).model == "n"


def test_the_newest_turn_with_an_item_is_found():
    keep(turn("a"), turn("b", key=OTHER_KEY))
    stored_responses.save_turn(Turn(id="c", api_key_id=OWN_KEY, model="m", input="[]", response='{"output":[{"id":"msg_1"}]}'), seconds=60)
    stored_responses.save_turn(Turn(id="d", api_key_id=OWN_KEY, model="m", input='[{"id":"msg_1"}]'), seconds=60)
    turns = [stored_responses.find_turn_with_item(item, OWN_KEY) for item in ("msg_1", "msg_", "a", "b")]
    assert [stored_turn and stored_turn.id for stored_turn in turns] == ["d", None, "a", None]
    assert stored_responses.find_turn_with_item("msg_1", OTHER_KEY) is None


def test_a_chain_is_in_order_and_its_expiry_is_extended():
    keep(turn("a"), turn("b", "a"), turn("c", "b"), seconds=5)
    assert stored_responses.load_chain("c", OWN_KEY, seconds=500) == [turn("a"), turn("b", "a"), turn("c", "b")]
    later = timezone.now() + timedelta(seconds=400)
    assert StoredResponse.objects.filter(expires_at__gt=later).count() == 3
    assert stored_responses.load_chain("c", OTHER_KEY, seconds=500) is None


def test_a_chain_with_a_gap_is_none():
    keep(turn("a"), turn("b", "a"), turn("c", "b"))
    assert (
        stored_responses.delete_turn("b", OTHER_KEY),
        stored_responses.delete_turn("b", OWN_KEY),
        stored_responses.delete_turn("b", OWN_KEY),
    ) == (
        False,
        True,
        False,
    )
    assert (stored_responses.load_chain("c", OWN_KEY, seconds=5), stored_responses.load_chain("a", OWN_KEY, seconds=5)) == (
        None,
        [turn("a")],
    )


def test_a_turn_that_refers_to_itself_does_not_loop_for_ever(monkeypatch):
    monkeypatch.setattr(stored_responses, "LONGEST_CHAIN", 5)
    keep(turn("a", "a"))
    assert stored_responses.load_chain("a", OWN_KEY, seconds=5) is None


def test_expired_turns_are_not_found_and_are_deleted(monkeypatch):
    monkeypatch.setattr(stored_responses, "BATCH_ROWS", 2)
    keep(turn("a"), turn("b"), turn("c"), seconds=-1)
    keep(turn("d"))
    assert (stored_responses.find_turn("a", OWN_KEY), stored_responses.delete_expired(), stored_responses.delete_expired()) == (None, 3, 0)
    assert stored_responses.find_turn("d", OWN_KEY) == turn("d")
