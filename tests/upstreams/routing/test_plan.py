from decimal import Decimal

import msgspec
import pytest

from proxy.translation.quirks import DEFAULT
from upstreams.catalog.entries import CredentialEntry, ModelEntry, RouteEntry, UpstreamEntry
from upstreams.catalog.snapshot import Catalogue
from upstreams.routing.decision import Choice, SkipReason
from upstreams.routing.live_state import RoutingState
from upstreams.routing.plan import Requirements, plan, session_of
from upstreams.routing.remote_objects import Holder


def upstream(name, *keys, **fields):
    credentials = tuple(CredentialEntry(id=key.rstrip("!"), is_disabled=key.endswith("!")) for key in keys)
    return UpstreamEntry(id=name, name=name, base_url="http://x", dialect="openai_chat", credentials=credentials, **fields)


def route(name, to, **fields):
    return RouteEntry(id=name, upstream=to, remote_name="r", quirks=DEFAULT, **fields)


def model(name, *routes, **fields):
    ordered = sorted(routes, key=lambda entry: (entry.priority, entry.upstream.priority, -entry.weight))
    return ModelEntry(id=f"id-{name}", name=name, routes=tuple(ordered), **fields)


A, B, C = upstream("a", "a1"), upstream("b", "b1"), upstream("c", "c1")


class Planner:
    """A routing state, and plans made with it."""

    def __init__(self):
        self.state = RoutingState(breaker_threshold=3, breaker_seconds=30, clock=lambda: 1000.0)

    def plan(self, *models, is_allowed=lambda resolved: True, price_of=lambda *ids: None, **requirements):
        catalogue = Catalogue([(entry, True) for entry in models])
        return plan(
            catalogue.find(models[0].name),
            catalogue,
            requirements=Requirements(**requirements),
            state=self.state,
            is_allowed=is_allowed,
            price_of=price_of,
        )

    def credentials(self, *models, **options):
        """The order in which the credentials are tried."""
        return [target.credential_id for target in self.plan(*models, **options).targets]

    def skips(self, *models, **options):
        return [(skip.upstream or skip.model, skip.reason, skip.text) for skip in self.plan(*models, **options).skips]


@pytest.fixture
def planner():
    return Planner()


def test_routes_go_by_their_priority_then_their_upstreams_then_by_weight(planner):
    late, heavy = upstream("late", "l", priority=1), upstream("heavy", "h")
    routes = (route("1", A, priority=2), route("2", late), route("3", B, weight=1), route("4", heavy, weight=5))
    assert planner.credentials(model("m", *routes)) == ["h", "b1", "l", "a1"]


def test_fallbacks_come_depth_first_and_cycles_end(planner):
    models = (
        model("m", route("1", A), fallbacks=("x", "missing", "y")),
        model("x", route("2", B), fallbacks=("z", "m")),
        model("y", route("3", upstream("d", "d1")), fallbacks=("x",)),
        model("z", route("4", C)),
    )
    assert planner.credentials(*models) == ["a1", "b1", "c1", "d1"]


def test_fallbacks_that_the_client_key_may_not_use_are_left_out(planner):
    models = (model("m", route("1", A), fallbacks=("x", "y")), model("x", route("2", B)), model("y", route("3", C)))
    assert planner.credentials(*models, is_allowed=lambda resolved: resolved.requested != "x") == ["a1", "c1"]
    assert planner.skips(*models, is_allowed=lambda resolved: resolved.requested != "x") == [
        ("x", SkipReason.MODEL_NOT_ALLOWED, "not allowed for this key")
    ]


def test_the_plan_explains_its_first_target_if_it_has_several(planner):
    def choice(requested, **requirements):
        return planner.plan(requested, **requirements).choice

    alone, several = model("one", route("1", A)), model("m", route("1", A), route("2", B), strategy="latency")
    assert choice(alone) is None
    assert choice(several) == Choice(text="strategy latency", model="r", upstream="a", credential="a1")
    planner.state.pin_session("b1", session_of("s", several))
    assert choice(several, session="s") == Choice(text="session kept", model="r", upstream="b", credential="b1")
    for key in ("a1", "b1"):
        planner.state.start_cooldown(f"key:{key}", 9)
    assert choice(several).text == "nothing better is left"


@pytest.mark.parametrize("ability", ["images", "tools", "audio"])
def test_targets_without_a_required_capability_are_left_out(planner, ability):
    requested = model("m", route("1", A, capabilities={ability: False}), route("2", B, capabilities={ability: True}), route("3", C))
    assert planner.credentials(requested, capabilities=frozenset({ability})) == ["b1", "c1"]
    assert planner.credentials(requested) == ["a1", "b1", "c1"]
    assert planner.skips(requested, capabilities=frozenset({ability})) == [("a", SkipReason.CAPABILITY_MISSING, f"takes no {ability}")]


def test_targets_that_cool_are_broken_disabled_or_too_small_come_last_in_this_order(planner):
    broken, off = upstream("broken", "k"), upstream("off", "o!")
    routes = [route(str(n), to) for n, to in enumerate((off, broken, A, B))]
    requested = model("m", route("small", C, context_window=10), *routes)
    for _ in range(3):
        planner.state.record_failure("broken")
    planner.state.start_cooldown("key:a1", 7)
    assert planner.credentials(requested, tokens=50) == ["b1", "a1", "k", "o", "c1"]
    assert planner.skips(requested, tokens=50) == [
        ("c", SkipReason.CONTEXT_WINDOW_TOO_SMALL, "about 50 tokens do not fit 10"),
        ("off", SkipReason.CREDENTIAL_DISABLED, "key disabled"),
        ("broken", SkipReason.BREAKER_OPEN, "circuit breaker open"),
        ("a", SkipReason.COOLING, "cooling for 7.0 s"),
    ]


def test_a_cooling_upstream_is_tried_with_all_its_credentials_when_nothing_else_is_left(planner):
    planner.state.start_cooldown("upstream:u", 60)
    assert planner.credentials(model("m", route("1", upstream("u", "k1", "k2", "k3")))) == ["k1", "k2", "k3"]


def test_a_new_session_takes_the_credential_after_the_last_used_one_that_does_not_cool(planner):
    requested = model("m", route("1", upstream("u", "k1", "k2", "k3")))
    planner.state.record_sent(upstream_id="u", credential_id="k1", route_id="r")
    assert planner.credentials(requested) == ["k2", "k3", "k1"]
    planner.state.start_cooldown("key:k2@1", 9)
    assert planner.credentials(requested) == ["k3", "k1", "k2"]


def test_a_session_keeps_its_credential_unless_it_cools_or_others_have_a_better_priority(planner):
    requested = model("m", route("1", A), route("2", upstream("u", "k1", "k2")), route("3", C, priority=5))
    planner.state.pin_session("k2", session_of("s", requested))
    assert planner.credentials(requested, session="s") == ["k2", "a1", "k1", "c1"]
    planner.state.start_cooldown("key:k2", 9)
    assert planner.credentials(requested, session="s") == ["a1", "k1", "c1", "k2"]
    planner.state.pin_session("c1", session_of("s", requested))
    assert planner.credentials(requested, session="s") == ["a1", "k1", "c1", "k2"]


def test_a_session_returns_to_a_preferred_credential_of_its_upstream_that_has_recovered(planner):
    keys = (CredentialEntry(id="first"), CredentialEntry(id="spare", priority=5), CredentialEntry(id="twin", priority=5))
    requested = model("m", route("1", A), route("2", msgspec.structs.replace(upstream("u"), credentials=keys)))
    planner.state.start_cooldown("key:first", 9)
    planner.state.pin_session("twin", session_of("s", requested))
    assert planner.credentials(requested, session="s") == ["twin", "a1", "spare", "first"]
    planner.state.clear_cooldowns("first", "u")
    assert planner.credentials(requested, session="s") == ["first", "twin", "a1", "spare"]


def test_a_session_has_a_credential_for_each_of_its_models(planner):
    to = upstream("u", "k1", "k2", "k3")
    large, small = model("large", route("1", to)), model("small", route("2", to))
    planner.state.pin_session("k2", session_of("s", large))
    planner.state.pin_session("k3", session_of("s", small))
    assert (planner.credentials(large, session="s")[0], planner.credentials(small, session="s")[0]) == ("k2", "k3")


def test_a_chosen_upstream_is_the_only_one(planner):
    requested = model("m", route("1", A), route("2", B))
    assert planner.credentials(requested, upstream="b") == ["b1"]
    assert planner.skips(requested, upstream="b") == [("a", SkipReason.ANOTHER_UPSTREAM_CHOSEN, "another upstream was chosen")]


def test_latency_puts_the_fastest_first_after_the_unmeasured(planner):
    requested = model("m", route("1", A), route("2", B), route("3", C), strategy="latency")
    planner.state.record_first_token("1", 2.0)
    planner.state.record_first_token("2", 0.5)
    assert planner.credentials(requested) == ["c1", "b1", "a1"]


def test_cost_puts_the_cheapest_first_and_the_unpriced_last(planner):
    requested = model("m", route("1", A), route("2", B), route("3", C), strategy="cost")
    prices = {"a": None, "b": Decimal(5), "c": Decimal("0.5")}
    assert planner.credentials(requested, price_of=lambda model_id, upstream_id, name: prices[upstream_id]) == ["c1", "b1", "a1"]


def test_round_robin_takes_each_route_in_turn_within_a_priority(planner):
    requested = model("m", route("1", A), route("2", B), route("3", C, priority=1), strategy="round_robin")
    assert {tuple(planner.credentials(requested)) for _ in range(6)} == {("a1", "b1", "c1"), ("b1", "a1", "c1")}


def test_weights_are_shares(planner):
    requested = model("m", route("1", A, weight=9), route("2", B, weight=1), route("3", C, weight=0), strategy="weighted")
    first = [planner.credentials(requested)[0] for _ in range(1000)]
    assert 820 < first.count("a1") < 980
    assert first.count("c1") == 0


# Remote objects


def test_only_the_holder_of_what_the_request_names_is_tried_whatever_the_strategy_says(planner):
    b = upstream("b", "b1", "b2")
    served = model("m", route("1", A), route("2", b, priority=5), route("3", C))
    assert planner.credentials(served, holder=Holder("b", "b2")) == ["b2"]
    assert planner.skips(served, holder=Holder("b", "b2")) == [
        (name, SkipReason.OBJECT_ELSEWHERE, "does not hold what the request names") for name in ("a", "c", "b")
    ]


def test_a_holder_that_no_route_leads_to_leaves_no_target(planner):
    plan = planner.plan(model("m", route("1", A)), holder=Holder("b", "b1"))
    assert (plan.targets, plan.retry_after) == ([], None)


def test_a_holder_that_cools_is_not_tried_and_no_other_either(planner):
    planner.state.start_cooldown("key:b1", 20)
    plan = planner.plan(model("m", route("1", A), route("2", B)), holder=Holder("b", "b1"))
    assert (plan.targets, plan.retry_after) == ([], 20.0)
    assert [(skip.upstream, skip.reason) for skip in plan.skips] == [("a", SkipReason.OBJECT_ELSEWHERE), ("b", SkipReason.COOLING)]


@pytest.mark.parametrize("credential", ["b1!", "b1"])
def test_a_holder_that_is_broken_or_refused_is_not_tried(planner, credential):
    b = upstream("b", credential)
    if credential == "b1":
        for _ in range(3):
            planner.state.record_failure("b")
    plan = planner.plan(model("m", route("1", A), route("2", b)), holder=Holder("b", "b1"))
    assert (plan.targets, plan.retry_after) == ([], None)


def test_a_holder_whose_context_window_seems_too_small_is_tried(planner):
    served = model("m", route("1", A, context_window=1_000_000), route("2", B, context_window=10))
    assert planner.credentials(served, holder=Holder("b", "b1"), tokens=100) == ["b1"]
