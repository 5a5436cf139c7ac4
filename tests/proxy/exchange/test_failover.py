"""Which target is tried next, told with attempts that never leave the process."""

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


class Tried:
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
    """What is written down beside the memory has tests of its own."""
    monkeypatch.setattr("upstreams.routing.credential_state.store_credential_cooldown", lambda key, until: None)
    monkeypatch.setattr(credential_state, "credentials_used", LastUse(UpstreamCredential))
    monkeypatch.setattr(credential_state, "upstreams_answered", LastUse(Upstream, "answered_at"))


@pytest.fixture
def standing():
    return RoutingState(breaker_threshold=100, clock=lambda: 1000.0)


def upstream_said(status, kind="upstream_error"):
    return UpstreamFailed(Failure(kind=kind, status=status, message="so it goes"), answered=True)


def no_connection():
    return UpstreamFailed(Failure(kind="connect", message="No connection"))


async def tried(attempts, *errors):
    """The names of those that are tried while each fails as `errors` say; then who would be next."""
    names = []
    for error in errors:
        chosen = await attempts.next()
        names.append(chosen.upstream.name)
        attempts.record_failure(attempts.start(Tried(chosen)), error)
    following = await attempts.next()
    return names, following and following.upstream.name


async def test_the_keys_that_were_tried_were_used(standing):
    attempts = Failover(Plan([target("a"), target("b"), target("c")], []), standing, request_id="1")
    await tried(attempts, upstream_said(500))
    assert credential_state.credentials_used._used == {"key-a", "key-b"}


async def test_the_upstreams_that_answered_are_noted(standing):
    attempts = Failover(Plan([target("a"), target("b")], []), standing, request_id="1")
    await tried(attempts, upstream_said(500))
    attempts.record_success(attempts.start(Tried(target("b"))))
    assert credential_state.upstreams_answered._used == {"b"}


async def test_every_candidate_once_in_order(standing):
    attempts = Failover(Plan([target("a"), target("b")], []), standing, request_id="1")
    assert await tried(attempts, upstream_said(500), upstream_said(429, "rate_limit")) == (["a", "b"], None)


async def test_without_a_byte_of_an_answer_the_same_one_is_tried_once_on_a_fresh_connection(standing):
    attempts = Failover(Plan([target("a"), target("b")], []), standing, request_id="1")
    assert await tried(attempts, no_connection(), no_connection(), upstream_said(500)) == (["a", "a", "b"], None)


async def test_a_connection_that_was_renewed_already_is_not_renewed_again(standing):
    attempts = Failover(Plan([target("a"), target("b")], []), standing, request_id="1")
    error = UpstreamFailed(Failure(kind="network", message="broke"), reconnected=True)
    assert await tried(attempts, error) == (["a"], "b")


async def test_retries_come_when_no_other_is_left_and_as_often_as_the_upstream_wants(standing):
    attempts = Failover(Plan([target("a", max_retries=2), target("b", max_retries=1)], []), standing, request_id="1")
    errors = [upstream_said(503, "overloaded")] * 5
    assert await tried(attempts, *errors) == (["a", "b", "a", "b", "a"], None)


@pytest.mark.parametrize("status", [500, 529])
async def test_other_statuses_are_not_retried(standing, status):
    attempts = Failover(Plan([target("a", max_retries=3)], []), standing, request_id="1")
    assert await tried(attempts, upstream_said(status)) == (["a"], None)


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_the_clients_mistake_ends_it_and_cools_nothing(standing, status):
    attempts = Failover(Plan([target("a"), target("b")], []), standing, request_id="1")
    attempt = attempts.start(Tried(await attempts.next()))
    with pytest.raises(UpstreamFailed):
        attempts.record_failure(attempt, upstream_said(status, "invalid_request"))
    assert standing.cooldowns.credential_until("key-a") == 0


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
async def test_how_long_a_limited_key_cools(standing, cooldown, received, until):
    attempts = Failover(Plan([target("a", cooldown=cooldown)], []), standing, request_id="1")
    attempts.record_failure(attempts.start(Tried(await attempts.next(), received)), upstream_said(429, "rate_limit"))
    assert standing.cooldowns.until("key-a", "route-a", "a") == pytest.approx(until)
    assert standing.cooldowns.until("key-a", "another route", "a") == 0


async def test_a_refused_credential_of_the_client_says_nothing_of_ours(standing):
    attempts = Failover(Plan([target("a", pass_client_credentials=True)], []), standing, request_id="1")
    error = UpstreamFailed(Failure(kind="authentication", status=401, message="no"), retryable=False, answered=True)
    attempt = attempts.start(Tried(await attempts.next()))
    with pytest.raises(UpstreamFailed):
        attempts.record_failure(attempt, error)
    assert standing.cooldowns.credential_until("key-a") == 0


async def test_the_client_is_told_of_what_passes_rather_than_of_what_does_not(standing):
    attempts = Failover(Plan([target("a"), target("b"), target("c")], []), standing, request_id="1")
    await tried(attempts, upstream_said(500), upstream_said(429, "rate_limit"), upstream_said(500))
    assert attempts.exhausted().failure.status == 429


async def test_what_cannot_carry_the_request_was_not_tried(standing):
    attempts = Failover(Plan([target("a")], []), standing, request_id="1")
    mistake = ClientMistake("No audio")
    attempts.skip_incompatible(attempts.start(Tried(await attempts.next())), mistake)
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
def test_why_no_upstream_was_asked(standing, reasons, kind):
    attempts = Failover(Plan([], [Skip(reason=reason, text="", model="m") for reason in reasons]), standing, request_id="1")
    assert attempts.exhausted().failure.kind == kind


# What a refusal is about


def refused(status, about, kind="permission", message="so it goes"):
    return UpstreamFailed(Failure(kind=kind, status=status, message=message, about=about), answered=True)


def resting(standing):
    return [subject for subject, _ in standing.cooldowns.active()]


@pytest.fixture
def disabled(monkeypatch):
    """The ids of the credentials that are disabled."""
    ids = []
    monkeypatch.setattr(credential_state, "disable", lambda upstream, credential, reason: ids.append(credential.id) or True)
    return ids


@pytest.mark.parametrize("status", [400, 401, 403, 404])
async def test_a_refusal_of_the_request_goes_to_the_next_upstream_and_to_no_other_key(standing, disabled, status):
    plan = Plan([target("a", key="a1"), target("a", key="a2"), target("b")], [])
    attempts = Failover(plan, standing, request_id="1")
    assert await tried(attempts, refused(status, "request")) == (["a"], "b")
    assert (disabled, resting(standing)) == ([], [])
    assert [(skip.reason, skip.credential) for skip in attempts.skips] == [(SkipReason.SAME_RESPONSE, "a2")]


async def test_a_refusal_of_the_request_is_sent_once_where_there_is_no_other_upstream(standing, disabled):
    attempts = Failover(Plan([target("a", key=f"a{number}") for number in range(5)], []), standing, request_id="1")
    assert await tried(attempts, refused(403, "request")) == (["a"], None)
    assert (attempts.exhausted().failure.message, disabled, resting(standing)) == ("so it goes", [], [])


@pytest.mark.parametrize("status", [400, 401, 403])
async def test_a_refusal_of_the_credential_disables_it_and_the_next_key_is_tried(standing, disabled, status):
    attempts = Failover(Plan([target("a", key="a1"), target("a", key="a2")], []), standing, request_id="1")
    names, _ = await tried(attempts, refused(status, "credential", "upstream_auth"))
    assert (names, attempts.tried[-1].target.credential_id, disabled) == (["a"], "a1", ["a1"])


@pytest.mark.parametrize(("status", "kind"), [(401, "upstream_auth"), (403, "permission")])
async def test_a_refusal_that_says_nothing_cools_the_credential_and_disables_nothing(standing, disabled, status, kind):
    attempts = Failover(Plan([target("a", key="a1"), target("a", key="a2")], []), standing, request_id="1")
    await tried(attempts, refused(status, "", kind))
    assert (disabled, resting(standing)) == ([], ["key:a1"])


@pytest.mark.parametrize("status", [400, 402, 403])
async def test_an_account_without_balance_rests_and_the_next_upstream_answers(standing, disabled, status):
    attempts = Failover(Plan([target("a"), target("b")], []), standing, request_id="1")
    assert await tried(attempts, refused(status, "credential", "billing", "Go to Plans & Billing")) == (["a"], "b")
    assert (disabled, resting(standing)) == ([], ["key:key-a"])


@pytest.mark.parametrize("order", [("billing", "upstream_error"), ("upstream_error", "billing"), ("billing", "billing")])
async def test_the_text_about_the_account_is_not_shown_where_there_was_a_fallback(standing, order):
    attempts = Failover(Plan([target("a"), target("b")], []), standing, request_id="1")
    texts = {"billing": "Go to Plans & Billing", "upstream_error": "broken"}
    await tried(attempts, *(refused(402 if kind == "billing" else 500, "", kind, texts[kind]) for kind in order))
    message = "broken" if "upstream_error" in order else "The upstreams of this model have no balance or quota left"
    assert attempts.exhausted().failure.message == message


async def test_a_client_with_its_own_credential_rests_nothing_of_the_upstream(standing, disabled):
    attempts = Failover(Plan([target("a", pass_client_credentials=True), target("b")], []), standing, request_id="1")
    await tried(attempts, refused(402, "credential", "billing"))
    assert (disabled, resting(standing)) == ([], [])


@pytest.mark.parametrize(("status", "kind"), [(404, "model_not_found"), (429, "rate_limit"), (503, "overloaded")])
async def test_what_rests_at_a_route_that_passes_on_any_name_is_that_name(standing, status, kind):
    typo = target("a", model_name="p/*", remote_name="p/typo")
    attempts = Failover(Plan([typo], []), standing, request_id="1")
    await tried(attempts, upstream_said(status, kind))
    good = target("a", model_name="p/*", remote_name="p/good")
    until = [standing.cooldowns.until(t.credential_id, t.cooldown_route, t.upstream.id) for t in (typo, good)]
    assert (until[0] > 1000, until[1]) == (True, 0)


async def test_a_misspelt_name_is_sent_with_one_key_of_each_upstream(standing):
    names = {"model_name": "p/*", "remote_name": "p/typo"}
    plan = Plan([target("a", key="a1", **names), target("a", key="a2", **names), target("b", **names)], [])
    assert await tried(Failover(plan, standing, request_id="1"), upstream_said(404, "model_not_found")) == (["a"], "b")


async def test_a_model_that_one_key_does_not_have_is_tried_with_the_next_key(standing):
    attempts = Failover(Plan([target("a", key="a1"), target("a", key="a2")], []), standing, request_id="1")
    assert await tried(attempts, upstream_said(404, "model_not_found")) == (["a"], "a")


@pytest.mark.parametrize("reconnected", [True, False])
async def test_an_upstream_that_breaks_connections_gets_a_request_at_most_twice_with_all_its_keys(standing, reconnected):
    plan = Plan([target("a", key="a1", max_retries=3), target("a", key="a2", max_retries=3), target("b")], [])
    broken = [UpstreamFailed(Failure(kind="network", message="broke"), reconnected=reconnected) for _ in range(1 if reconnected else 2)]
    attempts = Failover(plan, standing, request_id="1")
    assert await tried(attempts, *broken) == (["a"] * len(broken), "b")
    attempts.record_failure(attempts.start(Tried(target("b"))), upstream_said(500))
    assert await attempts.next() is None


async def test_a_redirect_rests_nothing(standing):
    attempts = Failover(Plan([target("a", key="a1"), target("a", key="a2"), target("b")], []), standing, request_id="1")
    assert await tried(attempts, upstream_said(301, "bad_gateway")) == (["a"], "b")
    assert (resting(standing), standing.breakers.open_breakers()) == ([], [])
