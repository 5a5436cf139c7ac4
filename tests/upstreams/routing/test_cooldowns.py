import pytest

from upstreams.routing.cooldowns import FORGET_SECONDS, PROBE_SECONDS, Cooldowns, CooldownScope, named_route, subject_of

CANDIDATE = ("c", "r1", "u")


@pytest.fixture
def cooldowns(clock):
    return Cooldowns(clock)


def test_subjects_have_the_names_that_are_stored_in_redis():
    ids = {"upstream_id": "u", "credential_id": "c", "route_id": "r"}
    assert {scope.name: subject_of(scope, **ids) for scope in CooldownScope} == {
        "ROUTE": "key:c@r",
        "CREDENTIAL": "key:c",
        "UPSTREAM": "upstream:u",
    }


def test_a_credential_that_cools_on_one_route_does_not_cool_on_others(cooldowns, clock):
    cooldowns.start("key:c@r1", 1010)
    assert (cooldowns.until("c", "r1", "u"), cooldowns.until("c", "r2", "u")) == (1010, 0)
    clock.now = 1010
    assert cooldowns.until("c", "r1", "u") == 0


@pytest.mark.parametrize("subject", ["key:c", "upstream:u"])
def test_a_credential_or_an_upstream_cools_on_all_routes(cooldowns, subject):
    cooldowns.start(subject, 1010)
    assert {cooldowns.until("c", route, "u") for route in ("r1", "r2")} == {1010}


def test_a_cooldown_is_extended_and_never_shortened(cooldowns):
    assert [cooldowns.start("key:c", until) for until in (1010, 1005, 1010, 1020)] == [True, False, False, True]
    assert cooldowns.until(*CANDIDATE) == 1020


def test_after_a_cooldown_only_the_probe_is_sent_until_it_succeeds_or_its_time_is_over(cooldowns, clock):
    cooldowns.start("key:c@r1", 1010)
    clock.now = 1010
    cooldowns.begin_probe(*CANDIDATE)
    assert cooldowns.until(*CANDIDATE) == 1010 + PROBE_SECONDS
    clock.now = 1010 + PROBE_SECONDS
    assert cooldowns.until(*CANDIDATE) == 0
    cooldowns.begin_probe(*CANDIDATE)
    cooldowns.record_success(*CANDIDATE)
    cooldowns.begin_probe(*CANDIDATE)
    assert cooldowns.until(*CANDIDATE) == 0


def test_an_abandoned_probe_lets_the_next_request_probe(cooldowns, clock):
    cooldowns.start("key:c@r1", 1010)
    clock.now = 1010
    cooldowns.begin_probe(*CANDIDATE)
    cooldowns.abandon_probe(*CANDIDATE)
    assert cooldowns.until(*CANDIDATE) == 0


def test_a_failed_probe_cools_again(cooldowns, clock):
    cooldowns.start("key:c@r1", 1010)
    clock.now = 1010
    cooldowns.begin_probe(*CANDIDATE)
    cooldowns.start("key:c@r1", 1015)
    assert cooldowns.until(*CANDIDATE) == 1015


def test_a_success_of_a_request_that_was_sent_before_does_not_end_a_cooldown(cooldowns):
    cooldowns.start("key:c@r1", 1010)
    cooldowns.record_success(*CANDIDATE)
    assert cooldowns.until(*CANDIDATE) == 1010


def test_the_latest_end_of_a_credentials_cooldowns(cooldowns):
    for subject, until in (("key:c@r1", 1010), ("key:c@r2", 1030), ("key:c2", 1090), ("upstream:u", 1060)):
        cooldowns.start(subject, until)
    assert (cooldowns.credential_until("c"), cooldowns.credential_until("c", "u")) == (1030, 1060)


def test_active_cooldowns_have_not_ended(cooldowns, clock):
    cooldowns.start("key:a", 1010)
    cooldowns.start("key:b", 1020)
    clock.now = 1010
    assert cooldowns.active() == [("key:b", 1020)]


def test_cooldowns_that_ended_long_ago_are_removed(cooldowns, clock):
    cooldowns.start("key:c", 1010)
    clock.now = 1010 + FORGET_SECONDS
    cooldowns.start("key:other", clock.now + 1)
    cooldowns.begin_probe(*CANDIDATE)
    assert (cooldowns.credential_until("c"), cooldowns.until(*CANDIDATE)) == (0, 0)


def test_the_number_of_cooldowns_is_bounded_because_clients_choose_names(cooldowns, monkeypatch):
    monkeypatch.setattr("upstreams.routing.cooldowns.MAX_COOLDOWNS", 3)
    for number in range(5):
        cooldowns.start(subject_of(CooldownScope.ROUTE, credential_id="c", route_id=named_route("r", f"typo-{number}")), 1010)
    names = [subject for subject, _ in cooldowns.active()]
    assert names == [f"key:c@{named_route('r', f'typo-{number}')}" for number in (2, 3, 4)]


@pytest.mark.parametrize("name", ["m" * 100_000, "\ud800", "", "a/b:c@d"])
def test_the_name_of_a_cooldown_is_short_whatever_a_client_asks_for(name):
    assert len(named_route("r", name)) == len("r/") + 16
