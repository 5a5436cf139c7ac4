import msgspec
import pytest

from upstreams.routing.circuit_breaker import BreakerState
from upstreams.routing.live_state import ChangeKind, RoutingState, StateChange
from upstreams.routing.session_affinity import AFFINITY_SECONDS

IDS = {"upstream_id": "u", "credential_id": "c", "route_id": "r"}


def state_of(clock):
    return RoutingState(breaker_threshold=3, breaker_seconds=30, clock=clock)


@pytest.fixture
def state(clock):
    return state_of(clock)


@pytest.fixture
def published(state):
    changes: list[StateChange] = []
    state.publish = changes.append
    return changes


def open_breaker(state):
    for _ in range(3):
        state.record_failure("u")


def test_changes_have_the_form_that_other_versions_read_from_redis():
    assert {kind.name: kind.value for kind in ChangeKind} == {
        "COOLDOWN_STARTED": "cooling",
        "COOLDOWNS_CLEARED": "cleared",
        "BREAKER_OPENED": "broken",
        "BREAKER_CLOSED": "mended",
        "SESSION_PINNED": "session",
        "CREDENTIAL_USED": "used",
        "OBJECT_MADE": "made",
    }
    encoded = b'{"kind":"cooling","subject":"key:c","until":1010.0,"value":""}'
    assert msgspec.json.encode(StateChange(ChangeKind.COOLDOWN_STARTED, "key:c", 1010.0)) == encoded
    decoded = msgspec.json.decode(encoded, type=StateChange)
    assert (decoded, type(decoded.kind)) == (StateChange(ChangeKind.COOLDOWN_STARTED, "key:c", 1010.0), ChangeKind)


def test_after_a_cooldown_one_request_is_sent_first_and_its_first_byte_ends_the_cooldown(state, clock):
    state.start_cooldown("key:c@r", 10)
    clock.now = 1010
    state.record_sent(**IDS)
    assert state.cooldowns.until("c", "r", "u") > 1010
    state.record_first_byte(**IDS)
    assert state.cooldowns.until("c", "r", "u") == 0


def test_a_probe_whose_client_leaves_lets_the_next_request_probe(state, clock):
    state.start_cooldown("key:c@r", 10)
    open_breaker(state)
    clock.now += 30
    state.record_sent(**IDS)
    assert (state.breakers.state("u"), state.cooldowns.until("c", "r", "u") > 0) == (BreakerState.OPEN, True)
    state.record_abandoned(**IDS)
    assert (state.breakers.state("u"), state.cooldowns.until("c", "r", "u")) == (BreakerState.HALF_OPEN, 0)


def test_the_first_byte_closes_the_breaker_and_the_next_failure_opens_it_again(state, clock):
    open_breaker(state)
    clock.now += 30
    state.record_sent(**IDS)
    state.record_first_byte(**IDS)
    assert state.breakers.state("u") is BreakerState.CLOSED
    state.record_failure("u")
    assert state.breakers.state("u") is BreakerState.OPEN


def test_clearing_a_credential_clears_its_routes_its_upstream_and_its_breaker(state):
    for subject in ("key:c@r", "key:c", "upstream:u", "key:other"):
        state.start_cooldown(subject, 10)
    open_breaker(state)
    state.clear_cooldowns("c", "u")
    assert state.cooldowns.active() == [("key:other", 1010)]
    assert state.breakers.state("u") is BreakerState.CLOSED


def test_requests_before_the_first_response_of_a_session_use_the_same_credential(state, published):
    for credential in ("c1", "c2"):
        state.record_sent(upstream_id="u", credential_id=credential, route_id="r", session="s")
    assert state.sessions.credential_of("s") == "c1"
    state.pin_session("c2", "s")
    assert state.sessions.credential_of("s") == "c2"
    assert published == [
        StateChange(ChangeKind.CREDENTIAL_USED, "u", value="c1"),
        StateChange(ChangeKind.CREDENTIAL_USED, "u", value="c2"),
        StateChange(ChangeKind.SESSION_PINNED, "s", value="c2"),
    ]


def test_an_upstream_with_one_credential_publishes_no_use(state, published):
    state.record_sent(**IDS, has_others=False)
    assert (published, state.last_credential("u")) == ([], "")


def test_a_long_session_is_published_again_before_other_processes_forget_it(state, clock, published):
    for _ in range(4):
        state.pin_session("c", "s")
        clock.now += AFFINITY_SECONDS * 0.4
    assert published == [StateChange(ChangeKind.SESSION_PINNED, "s", value="c")] * 2


def test_every_change_is_published_once_and_brings_another_process_to_the_same_state(state, clock, published):
    state.start_cooldown("key:c@r", 10)
    open_breaker(state)
    for _ in range(5):
        state.pin_session("c", "s")
    assert published == [
        StateChange(ChangeKind.COOLDOWN_STARTED, "key:c@r", 1010),
        StateChange(ChangeKind.BREAKER_OPENED, "u", 1030),
        StateChange(ChangeKind.SESSION_PINNED, "s", value="c"),
    ]
    other_state = state_of(clock)
    for change in published:
        other_state.apply_remote(change)
    assert other_state.snapshot() == state.snapshot()

    published.clear()
    state.record_success("u")
    state.clear_cooldowns("c", "u")
    assert published == [StateChange(ChangeKind.BREAKER_CLOSED, "u"), StateChange(ChangeKind.COOLDOWNS_CLEARED, "c", value="u")]
    for change in published:
        other_state.apply_remote(change)
    assert other_state.snapshot() == state.snapshot() == [StateChange(ChangeKind.SESSION_PINNED, "s", value="c")]


def test_applied_changes_are_not_published_again(state, published):
    state.apply_remote(StateChange(ChangeKind.COOLDOWN_STARTED, "key:c", 1010))
    state.apply_remote(StateChange(ChangeKind.SESSION_PINNED, "s", value="c"))
    assert published == []


def test_a_snapshot_has_what_has_not_ended(state, clock):
    state.start_cooldown("key:c@r", 10)
    state.start_cooldown("key:ended", 0)
    state.record_sent(upstream_id="u", credential_id="c", route_id="r2")
    state.pin_session("c", "s")
    open_breaker(state)
    assert state.snapshot() == [
        StateChange(ChangeKind.COOLDOWN_STARTED, "key:c@r", 1010),
        StateChange(ChangeKind.BREAKER_OPENED, "u", 1030),
        StateChange(ChangeKind.CREDENTIAL_USED, "u", value="c"),
        StateChange(ChangeKind.SESSION_PINNED, "s", value="c"),
    ]
    other_state = state_of(clock)
    for change in state.snapshot():
        other_state.apply_remote(change)
    assert other_state.snapshot() == state.snapshot()


def test_latency_is_a_moving_average(state):
    state.record_first_token("r", 1.0)
    state.record_first_token("r", 2.0)
    assert (state.latency("r"), state.latency("unmeasured")) == (pytest.approx(1.3), 0.0)


def test_turns_count_up_for_each_model(state):
    assert [state.next_turn(model) for model in ("m", "m", "other", "m")] == [0, 1, 0, 2]
