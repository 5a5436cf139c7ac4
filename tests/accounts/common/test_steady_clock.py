import time

import pytest

from accounts.common import steady_clock
from upstreams.routing.live_state import RoutingState


@pytest.fixture
def wall(monkeypatch):
    """The wall clock, set back or forward by so many seconds."""
    real = time.time

    def jump(seconds):
        monkeypatch.setattr(time, "time", lambda: real() + seconds)

    return jump


@pytest.mark.parametrize("seconds", [-3600, 3600])
def test_a_wall_clock_that_jumps_changes_no_pause(wall, seconds):
    state = RoutingState()
    until = state.start_cooldown("key:a", 2.0)
    wall(seconds)
    assert state.cooldowns.until("a", "", "") == until
    assert 0 < until - state.clock() <= 2.0


def test_times_are_exchanged_as_wall_time(wall):
    now = steady_clock.steady_time()
    assert steady_clock.wall_time_of(now) == now  # nothing has jumped: equal, so that they can be compared
    wall(-3600)
    assert steady_clock.wall_time_of(now) == pytest.approx(now - 3600, abs=5)
    assert steady_clock.steady_time_of(time.time() + 2) == pytest.approx(steady_clock.steady_time() + 2, abs=1)
