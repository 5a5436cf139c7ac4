import pytest

from upstreams.routing.cooldowns import PROBE_SECONDS
from upstreams.routing.live_state import AFFINITY_SECONDS, RoutingState, StateChange


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def standing(clock):
    return RoutingState(threshold=3, rest=30, clock=clock)


def test_a_key_that_cools_on_a_route_is_well_on_others(standing, clock):
    assert standing.cool("key:k@r1", 10) == 1010
    assert (standing.cooldowns.until("k", "r1", "u"), standing.cooldowns.until("k", "r2", "u")) == (1010, 0)
    clock.now = 1010
    assert standing.cooldowns.until("k", "r1", "u") == 0


@pytest.mark.parametrize("subject", ["key:k", "upstream:u"])
def test_a_key_or_an_upstream_that_cools_does_so_on_every_route(standing, subject):
    standing.cool(subject, 10)
    assert {standing.cooldowns.until("k", route, "u") for route in ("r1", "r2")} == {1010}


def test_what_has_rested_is_tried_by_one_request_first(standing, clock):
    """The others go elsewhere until that one has an answer, is put to rest again, or has had its time."""
    k = {"upstream": "u", "key": "k", "route": "r1"}

    def until():
        return standing.cooldowns.until("k", "r1", "u")

    standing.cool("key:k@r1", 10)
    standing.began(**k)  # of a request that was sent before
    assert until() == 1010
    clock.now = 1010
    assert until() == 0
    standing.sent(**k)
    assert until() == 1010 + PROBE_SECONDS
    standing.left(**k)
    assert until() == 0
    standing.sent(**k)
    standing.cool("key:k@r1", 5)
    assert until() == 1015
    clock.now = 1015
    standing.sent(**k)
    standing.began(**k)
    standing.sent(**k)
    assert until() == 0


def test_a_breaker_closes_with_the_first_word_and_opens_again_with_the_first_break(standing, clock):
    for _ in range(3):
        standing.upstream_failed("u")
    clock.now += 30
    standing.sent(upstream="u", key="k", route="r")
    assert standing.breakers.state("u") == "open"
    standing.began(upstream="u", key="k", route="r")
    assert standing.breakers.state("u") == "closed"
    standing.upstream_failed("u")
    assert standing.breakers.state("u") == "open"


def test_a_probe_whose_client_leaves_makes_room_for_the_next(standing, clock):
    for _ in range(3):
        standing.upstream_failed("u")
    clock.now += 30
    standing.sent(upstream="u", key="k", route="r")
    standing.left(upstream="u", key="k", route="r")
    assert standing.breakers.state("u") == "half_open"


def test_turns_that_come_before_a_sessions_first_answer_go_the_same_way(standing):
    told: list[StateChange] = []
    standing.publish = told.append
    for key in ("k1", "k2"):
        standing.sent(upstream="u", key=key, route="r", session="s")
    assert standing.sessions.key_of("s") == "k1"
    standing.served("k2", "s")
    assert (standing.sessions.key_of("s"), [change.kind for change in told]) == ("k2", ["used", "used", "session"])


def test_a_long_session_is_told_again_before_the_others_forget_it(standing, clock):
    told: list[StateChange] = []
    standing.publish = told.append
    for _ in range(4):
        standing.served("k", "s")
        clock.now += AFFINITY_SECONDS * 0.4
    assert len(told) == 2


def test_everything_that_holds_can_be_told_again(standing, clock):
    other = RoutingState(threshold=3, clock=clock)
    standing.cool("key:k@r", 10)
    standing.cool("key:gone", 0)
    standing.sent(upstream="u", key="k", route="r2")
    standing.served("k", "s")
    for _ in range(3):
        standing.upstream_failed("u")
    for change in standing.holding():
        other.learnt(change)
    assert other.holding() == standing.holding()
    assert [change.kind for change in other.holding()] == ["cooling", "broken", "used", "session"]


def test_the_latest_end_of_a_keys_cooldowns_is_shown(standing):
    standing.cool("key:k@r1", 10)
    standing.cool("key:k@r2", 30)
    standing.cool("key:k@r2", 5)
    standing.cool("key:k2", 90)
    standing.cool("upstream:u", 60)
    assert (standing.cooldowns.key_until("k"), standing.cooldowns.key_until("k", "u")) == (1030, 1060)


def test_clearing_a_key_clears_its_routes_its_upstream_and_its_breaker(standing):
    standing.cool("key:k@r1", 10)
    standing.cool("key:k", 10)
    standing.cool("upstream:u", 10)
    standing.cool("key:k2", 10)
    for _ in range(3):
        standing.upstream_failed("u")
    standing.clear("k", "u")
    assert (standing.cooldowns.until("k", "r1", "u"), standing.cooldowns.key_until("k2"), standing.breakers.state("u")) == (
        0,
        1010,
        "closed",
    )


def test_a_breaker_opens_after_failures_in_a_row_lets_one_probe_through_and_closes(standing, clock):
    for _ in range(2):
        standing.upstream_failed("u")
    standing.upstream_answered("u")
    for _ in range(3):
        assert standing.breakers.state("u") == "closed"
        standing.upstream_failed("u")
    assert standing.breakers.state("u") == "open"
    clock.now += 30
    assert standing.breakers.state("u") == "half_open"
    standing.breakers.probes("u")
    assert standing.breakers.state("u") == "open"
    standing.upstream_answered("u")
    assert standing.breakers.state("u") == "closed"


def test_a_failed_probe_opens_the_breaker_again(standing, clock):
    for _ in range(3):
        standing.upstream_failed("u")
    clock.now += 30
    standing.breakers.probes("u")
    standing.upstream_failed("u")
    clock.now += 29
    assert standing.breakers.state("u") == "open"
    clock.now += 1
    assert standing.breakers.state("u") == "half_open"


def test_a_session_keeps_its_key_until_it_is_silent_for_too_long(standing, clock):
    standing.served("k", "s")
    clock.now += AFFINITY_SECONDS - 1
    assert standing.sessions.key_of("s") == "k"
    standing.served("k", "s")
    clock.now += AFFINITY_SECONDS + 1
    assert standing.sessions.key_of("s") is None


def test_others_hear_of_every_change_once_and_come_to_the_same_standing(standing, clock):
    told: list[StateChange] = []
    standing.publish = told.append
    standing.cool("key:k@r", 10)
    for _ in range(3):
        standing.upstream_failed("u")
    for _ in range(5):
        standing.served("k", "s")
    assert [change.kind for change in told] == ["cooling", "broken", "session"]
    other = RoutingState(threshold=3, rest=30, clock=clock)
    for change in told:
        other.learnt(change)
    assert (other.cooldowns.until("k", "r", "u"), other.breakers.state("u"), other.sessions.key_of("s")) == (1010, "open", "k")
    other.publish = told.append
    standing.upstream_answered("u")
    standing.clear("k", "u")
    for change in told[3:]:
        other.learnt(change)
    assert (other.cooldowns.until("k", "r", "u"), other.breakers.state("u"), len(told)) == (0, "closed", 5)


def test_latency_is_a_moving_average_and_turns_count_up(standing):
    standing.first_token("r", 1.0)
    standing.first_token("r", 2.0)
    assert (standing.latency("r"), standing.latency("unknown")) == (pytest.approx(1.3), 0.0)
    assert [standing.turn("m") for _ in range(3)] == [0, 1, 2]
