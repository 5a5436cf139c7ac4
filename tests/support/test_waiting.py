"""Waiting ends with what was waited for, or with a sentence."""

import itertools

import pytest

from tests.support.waiting import eventually, eventually_async, expect_soon


def test_what_the_condition_returns_comes_back():
    numbers = itertools.count()
    assert eventually(lambda: (number := next(numbers)) > 2 and number, every=0.001) == 3


async def test_a_condition_may_be_a_coroutine():
    numbers = itertools.count()

    async def third():
        return next(numbers) == 2

    assert await eventually_async(third, every=0.001) is True


def test_the_error_names_what_did_not_happen():
    with pytest.raises(AssertionError, match=r"no row within 0\.01 s; last seen: \[\]"):
        eventually(list, seconds=0.01, message="no row")
    with pytest.raises(AssertionError, match=r"after 0\.01 s it is still\n1\nand not\n2"):
        expect_soon(lambda: 1, 2, seconds=0.01)
