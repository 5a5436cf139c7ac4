"""Which target is tried next, told with attempts that never leave the process."""

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
    """An attempt without a body. ``received``: the headers of the response."""

    def __init__(self, target, received=None):
        self.target = target
        self.call = UpstreamCall(target, ())
        self.call.received = received or {}

    def can_retry_with_repaired_history(self, failure):
        return False


def target(name, **fields):
    upstream = UpstreamEntry(id=name, name=name, base_url="http://x", dialect="openai_chat", retry_base_delay=0.01, **fields)
    route = RouteEntry(id=f"route-{name}", upstream=upstream)
    model = ModelEntry(id="m", name="m", routes=(route,))
    key = CredentialEntry(id=f"key-{name}")
    return Target(model=model, route=route, upstream=upstream, credential=key, remote_name="r", quirks=upstream.quirks)


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
