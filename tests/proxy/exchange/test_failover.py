"""Which target is tried next, tested with attempts that call no upstream."""

from types import SimpleNamespace

import pytest

from accounts.last_used import LastUse
from proxy.exchange.failover import Failover
from proxy.exchange.upstream_call import UpstreamCall
from proxy.translation.errors import ClientMistake, Failure, UpstreamFailed
from upstreams.catalog.entries import CredentialEntry, ModelEntry, RouteEntry, UpstreamEntry
from upstreams.models import Upstream, UpstreamCredential
from upstreams.routing import credential_state
from upstreams.routing.decision import Skip, SkipReason
from upstreams.routing.live_state import RoutingState
from upstreams.routing.plan import Plan, Target


class FakeAttempt:
    """An attempt without a body, whose request was sent. ``received``: the headers of the response."""

    def __init__(self, target, received=None):
        self.target = target
        self.call = UpstreamCall(target, {})
        self.call.received = received or {}
        self.call.opening = SimpleNamespace(is_sent=True)

    def can_retry_with_repaired_history(self, failure):
        return False


def target(name, *, key=None, remote_name="r", model_name="m", **fields):
    upstream = UpstreamEntry(id=name, name=name, base_url="http://x", dialect="openai_chat", retry_base_delay=0.01, **fields)
    route = RouteEntry(id=f"route-{name}", upstream=upstream, remote_name="" if "*" in model_name else "r")
    model = ModelEntry(id="m", name=model_name, routes=(route,))
    credential = CredentialEntry(id=key or f"key-{name}")
    return Target(model=model, route=route, upstream=upstream, credential=credential, remote_name=remote_name, quirks=upstream.quirks)


@pytest.fixture(autouse=True)
def _no_database(monkeypatch):
    """What is written to the database is tested elsewhere."""
    monkeypatch.setattr("upstreams.routing.credential_state.store_credential_cooldown", lambda key, until: None)
    monkeypatch.setattr(credential_state, "credentials_used", LastUse(UpstreamCredential))
    monkeypatch.setattr(credential_state, "upstreams_answered", LastUse(Upstream, "answered_at"))


@pytest.fixture
def state():
    return RoutingState(breaker_threshold=100, clock=lambda: 1000.0)


def upstream_error(status, kind="upstream_error"):
    return UpstreamFailed(Failure(kind=kind, status=status, message="so it goes"), answered=True)


def no_connection():
    return UpstreamFailed(Failure(kind="connect", message="No connection"))


async def fail_attempts(attempts, *errors):
    """The names of the upstreams that are tried while each attempt fails with one of `errors`, and the name of the next one."""
    names = []
    for error in errors:
        chosen = await attempts.next()
        names.append(chosen.upstream.name)
        attempts.record_failure(attempts.start(FakeAttempt(chosen)), error)
    following = await attempts.next()
    return names, following and following.upstream.name


async def test_the_keys_that_were_tried_were_used(state):
    attempts = Failover(Plan([target("a"), target("b"), target("c")], []), state, request_id="1")
    await fail_attempts(attempts, upstream_error(500))
    assert credential_state.credentials_used._used == {"key-a", "key-b"}


async def test_the_upstreams_that_answered_are_noted(state):
    attempts = Failover(Plan([target("a"), target("b")], []), state, request_id="1")
    await fail_attempts(attempts, upstream_error(500))
    attempts.record_success(attempts.start(FakeAttempt(target("b"))))
    assert credential_state.upstreams_answered._used == {"b"}


async def test_every_candidate_once_in_order(state):
    attempts = Failover(Plan([target("a"), target("b")], []), state, request_id="1")
    assert await fail_attempts(attempts, upstream_error(500), upstream_error(429, "rate_limit")) == (["a", "b"], None)


async def test_a_connection_that_fails_before_the_first_byte_is_retried_once_on_a_new_connection(state):
    attempts = Failover(Plan([target("a"), target("b")], []), state, request_id="1")
    assert await fail_attempts(attempts, no_connection(), no_connection(), upstream_error(500)) == (["a", "a", "b"], None)


async def test_a_connection_that_was_renewed_already_is_not_renewed_again(state):
    attempts = Failover(Plan([target("a"), target("b")], []), state, request_id="1")
    error = UpstreamFailed(Failure(kind="network", message="broke"), reconnected=True)
    assert await fail_attempts(attempts, error) == (["a"], "b")


async def test_retries_come_when_no_other_is_left_and_as_often_as_the_upstream_wants(state):
    attempts = Failover(Plan([target("a", max_retries=2), target("b", max_retries=1)], []), state, request_id="1")
    errors = [upstream_error(503, "overloaded")] * 5
    assert await fail_attempts(attempts, *errors) == (["a", "b", "a", "b", "a"], None)


@pytest.mark.parametrize("status", [500, 529])
async def test_other_statuses_are_not_retried(state, status):
    attempts = Failover(Plan([target("a", max_retries=3)], []), state, request_id="1")
    assert await fail_attempts(attempts, upstream_error(status)) == (["a"], None)


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_the_clients_mistake_ends_it_and_cools_nothing(state, status):
    attempts = Failover(Plan([target("a"), target("b")], []), state, request_id="1")
    attempt = attempts.start(FakeAttempt(await attempts.next()))
    with pytest.raises(UpstreamFailed):
        attempts.record_failure(attempt, upstream_error(status, "invalid_request"))
    assert state.cooldowns.credential_until("key-a") == 0


@pytest.mark.parametrize(
    ("cooldown", "received", "until"),
    [
        (60, {}, 1060),
        (60, {"retry-after": "5"}, 1005),
        (5, {"retry-after": "60"}, 1060),
        (60, {"retry-after": "0"}, 0),
        (60, {"x-ratelimit-reset-requests": "20ms"}, 1000.02),
        (0, {"retry-after": "60"}, 0),
    ],
)
async def test_how_long_a_limited_key_cools(state, cooldown, received, until):
    attempts = Failover(Plan([target("a", cooldown=cooldown)], []), state, request_id="1")
    attempts.record_failure(attempts.start(FakeAttempt(await attempts.next(), received)), upstream_error(429, "rate_limit"))
    assert state.cooldowns.until("key-a", "route-a", "a") == pytest.approx(until)
    assert state.cooldowns.until("key-a", "another route", "a") == 0


async def test_a_refused_credential_of_the_client_says_nothing_of_ours(state):
    attempts = Failover(Plan([target("a", pass_client_credentials=True)], []), state, request_id="1")
    error = UpstreamFailed(Failure(kind="authentication", status=401, message="no"), retryable=False, answered=True)
    attempt = attempts.start(FakeAttempt(await attempts.next()))
    with pytest.raises(UpstreamFailed):
        attempts.record_failure(attempt, error)
    assert state.cooldowns.credential_until("key-a") == 0


async def test_a_rate_limit_is_reported_rather_than_a_server_error(state):
    attempts = Failover(Plan([target("a"), target("b"), target("c")], []), state, request_id="1")
    await fail_attempts(attempts, upstream_error(500), upstream_error(429, "rate_limit"), upstream_error(500))
    assert attempts.exhausted().failure.status == 429


async def test_an_incompatible_target_does_not_count_as_tried(state):
    attempts = Failover(Plan([target("a")], []), state, request_id="1")
    mistake = ClientMistake("No audio")
    attempts.skip_incompatible(attempts.start(FakeAttempt(await attempts.next())), mistake)
    assert (await attempts.next(), attempts.tried, attempts.exhausted()) == (None, [], mistake)


@pytest.mark.parametrize(
    ("reasons", "kind"),
    [
        ([SkipReason.CAPABILITY_MISSING], "invalid_request"),
        ([SkipReason.ANOTHER_UPSTREAM_CHOSEN, SkipReason.CAPABILITY_MISSING], "invalid_request"),
        ([SkipReason.CAPABILITY_MISSING, SkipReason.MODEL_NOT_ALLOWED], "overloaded"),
        ([], "overloaded"),
    ],
)
def test_why_no_upstream_was_asked(state, reasons, kind):
    attempts = Failover(Plan([], [Skip(reason=reason, text="", model="m") for reason in reasons]), state, request_id="1")
    assert attempts.exhausted().failure.kind == kind


# What a refusal is about


def refused(status, about, kind="permission", message="so it goes"):
    return UpstreamFailed(Failure(kind=kind, status=status, message=message, about=about), answered=True)


def cooling_subjects(state):
    return [subject for subject, _ in state.cooldowns.active()]


@pytest.fixture
def disabled(monkeypatch):
    """The ids of the credentials that are disabled."""
    ids = []
    monkeypatch.setattr(credential_state, "disable", lambda upstream, credential, reason: ids.append(credential.id) or True)
    return ids


@pytest.mark.parametrize("status", [400, 401, 403, 404])
async def test_a_refusal_of_the_request_goes_to_the_next_upstream_and_to_no_other_key(state, disabled, status):
    plan = Plan([target("a", key="a1"), target("a", key="a2"), target("b")], [])
    attempts = Failover(plan, state, request_id="1")
    assert await fail_attempts(attempts, refused(status, "request")) == (["a"], "b")
    assert (disabled, cooling_subjects(state)) == ([], [])
    assert [(skip.reason, skip.credential) for skip in attempts.skips] == [(SkipReason.SAME_RESPONSE, "a2")]


async def test_a_refusal_of_the_request_is_sent_once_where_there_is_no_other_upstream(state, disabled):
    attempts = Failover(Plan([target("a", key=f"a{number}") for number in range(5)], []), state, request_id="1")
    assert await fail_attempts(attempts, refused(403, "request")) == (["a"], None)
    assert (attempts.exhausted().failure.message, disabled, cooling_subjects(state)) == ("so it goes", [], [])


@pytest.mark.parametrize("status", [400, 401, 403])
async def test_a_refusal_of_the_credential_disables_it_and_the_next_key_is_tried(state, disabled, status):
    attempts = Failover(Plan([target("a", key="a1"), target("a", key="a2")], []), state, request_id="1")
    names, _ = await fail_attempts(attempts, refused(status, "credential", "upstream_auth"))
    assert (names, attempts.tried[-1].target.credential_id, disabled) == (["a"], "a1", ["a1"])


@pytest.mark.parametrize(("status", "kind"), [(401, "upstream_auth"), (403, "permission")])
async def test_a_refusal_that_says_nothing_cools_the_credential_and_disables_nothing(state, disabled, status, kind):
    attempts = Failover(Plan([target("a", key="a1"), target("a", key="a2")], []), state, request_id="1")
    await fail_attempts(attempts, refused(status, "", kind))
    assert (disabled, cooling_subjects(state)) == ([], ["key:a1"])


@pytest.mark.parametrize("status", [400, 402, 403])
async def test_an_account_without_balance_rests_and_the_next_upstream_answers(state, disabled, status):
    attempts = Failover(Plan([target("a"), target("b")], []), state, request_id="1")
    assert await fail_attempts(attempts, refused(status, "credential", "billing", "Go to Plans & Billing")) == (["a"], "b")
    assert (disabled, cooling_subjects(state)) == ([], ["key:key-a"])


@pytest.mark.parametrize("order", [("billing", "upstream_error"), ("upstream_error", "billing"), ("billing", "billing")])
async def test_the_text_about_the_account_is_not_shown_where_there_was_a_fallback(state, order):
    attempts = Failover(Plan([target("a"), target("b")], []), state, request_id="1")
    texts = {"billing": "Go to Plans & Billing", "upstream_error": "broken"}
    await fail_attempts(attempts, *(refused(402 if kind == "billing" else 500, "", kind, texts[kind]) for kind in order))
    message = "broken" if "upstream_error" in order else "The upstreams of this model have no balance or quota left"
    assert attempts.exhausted().failure.message == message


async def test_a_failure_of_a_clients_own_credential_causes_no_cooldown(state, disabled):
    attempts = Failover(Plan([target("a", pass_client_credentials=True), target("b")], []), state, request_id="1")
    await fail_attempts(attempts, refused(402, "credential", "billing"))
    assert (disabled, cooling_subjects(state)) == ([], [])


@pytest.mark.parametrize(("status", "kind"), [(404, "model_not_found"), (429, "rate_limit"), (503, "overloaded")])
async def test_a_cooldown_at_a_route_of_a_pattern_is_limited_to_the_remote_name(state, status, kind):
    typo = target("a", model_name="p/*", remote_name="p/typo")
    attempts = Failover(Plan([typo], []), state, request_id="1")
    await fail_attempts(attempts, upstream_error(status, kind))
    valid = target("a", model_name="p/*", remote_name="p/good")
    until = [state.cooldowns.until(t.credential_id, t.cooldown_route, t.upstream.id) for t in (typo, valid)]
    assert (until[0] > 1000, until[1]) == (True, 0)


async def test_an_unknown_remote_name_is_tried_with_one_credential_of_each_upstream(state):
    names = {"model_name": "p/*", "remote_name": "p/typo"}
    plan = Plan([target("a", key="a1", **names), target("a", key="a2", **names), target("b", **names)], [])
    assert await fail_attempts(Failover(plan, state, request_id="1"), upstream_error(404, "model_not_found")) == (["a"], "b")


async def test_a_model_that_one_key_does_not_have_is_tried_with_the_next_key(state):
    attempts = Failover(Plan([target("a", key="a1"), target("a", key="a2")], []), state, request_id="1")
    assert await fail_attempts(attempts, upstream_error(404, "model_not_found")) == (["a"], "a")


@pytest.mark.parametrize("reconnected", [True, False])
async def test_an_upstream_that_breaks_connections_gets_a_request_at_most_twice_with_all_its_keys(state, reconnected):
    plan = Plan([target("a", key="a1", max_retries=3), target("a", key="a2", max_retries=3), target("b")], [])
    broken = [UpstreamFailed(Failure(kind="network", message="broke"), reconnected=reconnected) for _ in range(1 if reconnected else 2)]
    attempts = Failover(plan, state, request_id="1")
    assert await fail_attempts(attempts, *broken) == (["a"] * len(broken), "b")
    attempts.record_failure(attempts.start(FakeAttempt(target("b"))), upstream_error(500))
    assert await attempts.next() is None


async def test_a_redirect_rests_nothing(state):
    attempts = Failover(Plan([target("a", key="a1"), target("a", key="a2"), target("b")], []), state, request_id="1")
    assert await fail_attempts(attempts, upstream_error(301, "bad_gateway")) == (["a"], "b")
    assert (cooling_subjects(state), state.breakers.open_breakers()) == ([], [])
