import pytest

from upstreams.routing.circuit_breaker import Breakers, BreakerState


@pytest.fixture
def breakers(clock):
    return Breakers(threshold=3, open_seconds=30, clock=clock)


@pytest.fixture
def opened(breakers):
    for _ in range(3):
        breakers.record_failure("u")
    return breakers


def test_the_states_have_the_names_of_the_management_api():
    assert [str(state) for state in BreakerState] == ["closed", "open", "half_open"]


def test_it_opens_after_consecutive_failures(breakers):
    assert [breakers.record_failure("u") for _ in range(3)] == [0, 0, 1030]
    assert (breakers.state("u"), breakers.open_until("u"), breakers.state("other")) == (BreakerState.OPEN, 1030, BreakerState.CLOSED)


def test_a_success_resets_the_count_of_failures(breakers):
    for _ in range(2):
        breakers.record_failure("u")
    assert breakers.record_success("u") is False
    assert [breakers.record_failure("u") for _ in range(2)] == [0, 0]


def test_it_lets_one_probe_through_and_closes_with_its_success(opened, clock):
    clock.now += 30
    assert opened.state("u") is BreakerState.HALF_OPEN
    opened.begin_probe("u")
    assert opened.state("u") is BreakerState.OPEN
    assert opened.record_success("u") is True
    assert opened.state("u") is BreakerState.CLOSED


def test_a_probe_that_takes_as_long_as_the_breaker_is_open_lets_the_next_one_through(opened, clock):
    clock.now += 30
    opened.begin_probe("u")
    clock.now += 30
    assert opened.state("u") is BreakerState.HALF_OPEN


def test_a_failed_probe_opens_it_again(opened, clock):
    clock.now += 30
    opened.begin_probe("u")
    opened.record_failure("u")
    clock.now += 29
    assert opened.state("u") is BreakerState.OPEN
    clock.now += 1
    assert opened.state("u") is BreakerState.HALF_OPEN


def test_an_abandoned_probe_lets_the_next_request_probe(opened, clock):
    clock.now += 30
    opened.begin_probe("u")
    opened.abandon_probe("u")
    assert opened.state("u") is BreakerState.HALF_OPEN


def test_the_first_byte_closes_it_and_one_failure_opens_it_again(opened):
    assert opened.record_first_byte("u") is True
    assert (opened.state("u"), opened.record_first_byte("u")) == (BreakerState.CLOSED, False)
    opened.record_failure("u")
    assert opened.state("u") is BreakerState.OPEN


def test_another_process_opens_it_for_at_least_as_long(opened):
    opened.apply_open("u", 1020)
    opened.apply_open("other", 1020)
    assert opened.open_breakers() == [("u", 1030), ("other", 1020)]
