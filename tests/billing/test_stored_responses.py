"""Stored turns for `previous_response_id`: their keys, chains and expiry."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from billing import stored_responses
from billing.models import StoredResponse
from billing.stored_responses import Turn

pytestmark = pytest.mark.django_db

MINE, OTHER = "11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222"


def turn(name, previous="", key=MINE):
    return Turn(id=name, api_key_id=key, previous_id=previous, model="m", input=f'["{name}"]', response='{"output":[]}')


def keep(*turns, seconds=60):
    for each in turns:
        stored_responses.save_turn(each, seconds=seconds)


def test_a_turn_is_found_only_by_its_key():
    keep(turn("a"))
    assert (stored_responses.find_turn("a", MINE), stored_responses.find_turn("a", OTHER), stored_responses.find_turn("b", MINE)) == (
        turn("a"),
        None,
        None,
    )


def test_a_turn_saved_twice_is_replaced_but_not_by_another_key():
    keep(turn("a"), Turn(id="a", api_key_id=MINE, model="n"))
    assert (stored_responses.find_turn("a", MINE).model, StoredResponse.objects.count()) == ("n", 1)
    with pytest.raises(IntegrityError), transaction.atomic():
        keep(turn("a", key=OTHER))
    assert stored_responses.find_turn("a", MINE).model == "n"


def test_the_newest_turn_with_an_item_is_found():
    keep(turn("a"), turn("b", key=OTHER))
    stored_responses.save_turn(Turn(id="c", api_key_id=MINE, model="m", input="[]", response='{"output":[{"id":"msg_1"}]}'), seconds=60)
    stored_responses.save_turn(Turn(id="d", api_key_id=MINE, model="m", input='[{"id":"msg_1"}]'), seconds=60)
    turns = [stored_responses.find_turn_with_item(item, MINE) for item in ("msg_1", "msg_", "a", "b")]
    assert [each and each.id for each in turns] == ["d", None, "a", None]
    assert stored_responses.find_turn_with_item("msg_1", OTHER) is None


def test_a_chain_is_in_order_and_its_expiry_is_extended():
    keep(turn("a"), turn("b", "a"), turn("c", "b"), seconds=5)
    assert stored_responses.load_chain("c", MINE, seconds=500) == [turn("a"), turn("b", "a"), turn("c", "b")]
    later = timezone.now() + timedelta(seconds=400)
    assert StoredResponse.objects.filter(expires_at__gt=later).count() == 3
    assert stored_responses.load_chain("c", OTHER, seconds=500) is None


def test_a_chain_with_a_gap_is_none():
    keep(turn("a"), turn("b", "a"), turn("c", "b"))
    assert (stored_responses.delete_turn("b", OTHER), stored_responses.delete_turn("b", MINE), stored_responses.delete_turn("b", MINE)) == (
        False,
        True,
        False,
    )
    assert (stored_responses.load_chain("c", MINE, seconds=5), stored_responses.load_chain("a", MINE, seconds=5)) == (None, [turn("a")])


def test_a_turn_that_refers_to_itself_does_not_loop_for_ever(monkeypatch):
    monkeypatch.setattr(stored_responses, "LONGEST_CHAIN", 5)
    keep(turn("a", "a"))
    assert stored_responses.load_chain("a", MINE, seconds=5) is None


def test_expired_turns_are_not_found_and_are_deleted(monkeypatch):
    monkeypatch.setattr(stored_responses, "BATCH_ROWS", 2)
    keep(turn("a"), turn("b"), turn("c"), seconds=-1)
    keep(turn("d"))
    assert (stored_responses.find_turn("a", MINE), stored_responses.delete_expired(), stored_responses.delete_expired()) == (None, 3, 0)
    assert stored_responses.find_turn("d", MINE) == turn("d")
