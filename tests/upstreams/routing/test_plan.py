from decimal import Decimal

import msgspec
import pytest

from proxy.translation.quirks import DEFAULT
from upstreams.catalog.entries import CredentialEntry, ModelEntry, RouteEntry, UpstreamEntry
from upstreams.catalog.snapshot import Catalogue
from upstreams.routing.live_state import RoutingState
from upstreams.routing.plan import Requirements, plan, session_of


def upstream(name, *keys, **fields):
    credentials = tuple(CredentialEntry(id=key.rstrip("!"), is_disabled=key.endswith("!")) for key in keys)
    return UpstreamEntry(id=name, name=name, base_url="http://x", dialect="openai_chat", credentials=credentials, **fields)


def route(name, to, **fields):
    return RouteEntry(id=name, upstream=to, remote_name="r", quirks=DEFAULT, **fields)


def model(name, *routes, **fields):
    ordered = sorted(routes, key=lambda each: (each.priority, each.upstream.priority, -each.weight))
    return ModelEntry(id=f"id-{name}", name=name, routes=tuple(ordered), **fields)


A, B, C = upstream("a", "a1"), upstream("b", "b1"), upstream("c", "c1")


class Asking:
    """A standing, and plans made with it."""

    def __init__(self):
        self.standing = RoutingState(threshold=3, rest=30, clock=lambda: 1000.0)

    def plan(self, *models, allowed=lambda found: True, price_of=lambda *ids: None, **needs):
        catalogue = Catalogue([(each, True) for each in models])
        found = catalogue.find(models[0].name)
        return plan(found, catalogue, needs=Requirements(**needs), standing=self.standing, allowed=allowed, price_of=price_of)

    def keys(self, *models, **options):
        return [target.key_id for target in self.plan(*models, **options).targets]

    def reasons(self, *models, **options):
        return [(skip.get("upstream", skip["model"]), skip["skipped"]) for skip in self.plan(*models, **options).skips]


@pytest.fixture
def asking():
    return Asking()


def test_routes_go_by_their_priority_then_their_upstreams_then_by_weight(asking):
    late, heavy = upstream("late", "l", priority=1), upstream("heavy", "h")
    routes = (route("1", A, priority=2), route("2", late), route("3", B, weight=1), route("4", heavy, weight=5))
    assert asking.keys(model("m", *routes)) == ["h", "b1", "l", "a1"]


def test_fallbacks_come_depth_first_and_cycles_end(asking):
    models = (
        model("m", route("1", A), fallbacks=("x", "missing", "y")),
        model("x", route("2", B), fallbacks=("z", "m")),
        model("y", route("3", upstream("d", "d1")), fallbacks=("x",)),
        model("z", route("4", C)),
    )
    assert asking.keys(*models) == ["a1", "b1", "c1", "d1"]


def test_fallbacks_that_the_key_may_not_use_are_left_out(asking):
    models = (model("m", route("1", A), fallbacks=("x", "y")), model("x", route("2", B)), model("y", route("3", C)))
    assert asking.keys(*models, allowed=lambda found: found.requested != "x") == ["a1", "c1"]
    assert asking.reasons(*models, allowed=lambda found: found.requested != "x") == [("x", "not allowed for this key")]


def test_the_plan_says_why_its_first_came_first_where_there_was_a_choice(asking):
    def why(wanted, **needs):
        return asking.plan(wanted, **needs).chosen

    alone, several = model("one", route("1", A)), model("m", route("1", A), route("2", B), strategy="latency")
    assert why(alone) is None
    assert why(several) == {"upstream": "a", "key": "a1", "model": "r", "chosen": "strategy latency"}
    asking.standing.served("b1", session_of("s", several))
    assert why(several, session="s") == {"upstream": "b", "key": "b1", "model": "r", "chosen": "session kept"}
    for key in ("a1", "b1"):
        asking.standing.cool(f"key:{key}", 9)
    assert why(several)["chosen"] == "nothing better is left"


@pytest.mark.parametrize("ability", ["images", "tools", "audio"])
def test_what_lacks_a_needed_capability_is_excluded(asking, ability):
    wanted = model("m", route("1", A, capabilities={ability: False}), route("2", B, capabilities={ability: True}), route("3", C))
    assert asking.keys(wanted, capabilities=frozenset({ability})) == ["b1", "c1"]
    assert asking.keys(wanted) == ["a1", "b1", "c1"]
    assert asking.reasons(wanted, capabilities=frozenset({ability})) == [("a", f"takes no {ability}")]


def test_what_cools_is_broken_disabled_or_too_small_comes_last_the_most_hopeful_first(asking):
    broken, off = upstream("broken", "k"), upstream("off", "o!")
    routes = [route(str(n), to) for n, to in enumerate((off, broken, A, B))]
    wanted = model("m", route("small", C, context_window=10), *routes)
    for _ in range(3):
        asking.standing.upstream_failed("broken")
    asking.standing.cool("key:a1", 7)
    assert asking.keys(wanted, tokens=50) == ["b1", "a1", "k", "o", "c1"]
    assert asking.reasons(wanted, tokens=50) == [
        ("c", "about 50 tokens do not fit 10"),
        ("off", "key disabled"),
        ("broken", "circuit breaker open"),
        ("a", "cooling for 7.0 s"),
    ]


def test_the_other_keys_of_a_cooling_upstream_are_still_there(asking):
    asking.standing.cool("upstream:u", 60)
    assert asking.keys(model("m", route("1", upstream("u", "k1", "k2", "k3")))) == ["k1", "k2", "k3"]


def test_a_new_session_takes_the_healthy_key_after_the_last_used_one(asking):
    wanted = model("m", route("1", upstream("u", "k1", "k2", "k3")))
    asking.standing.sent(upstream="u", key="k1", route="r")
    assert asking.keys(wanted) == ["k2", "k3", "k1"]
    asking.standing.cool("key:k2@1", 9)
    assert asking.keys(wanted) == ["k3", "k1", "k2"]


def test_a_session_keeps_its_upstream_and_key_but_never_against_health_or_priority(asking):
    wanted = model("m", route("1", A), route("2", upstream("u", "k1", "k2")), route("3", C, priority=5))
    asking.standing.served("k2", session_of("s", wanted))
    assert asking.keys(wanted, session="s") == ["k2", "a1", "k1", "c1"]
    asking.standing.cool("key:k2", 9)
    assert asking.keys(wanted, session="s") == ["a1", "k1", "c1", "k2"]
    asking.standing.served("c1", session_of("s", wanted))
    assert asking.keys(wanted, session="s") == ["a1", "k1", "c1", "k2"]


def test_a_session_goes_back_to_a_preferred_key_of_its_upstream_that_has_recovered(asking):
    keys = (CredentialEntry(id="first"), CredentialEntry(id="spare", priority=5), CredentialEntry(id="twin", priority=5))
    wanted = model("m", route("1", A), route("2", msgspec.structs.replace(upstream("u"), credentials=keys)))
    asking.standing.cool("key:first", 9)
    asking.standing.served("twin", session_of("s", wanted))
    assert asking.keys(wanted, session="s") == ["twin", "a1", "spare", "first"]
    asking.standing.clear("first", "u")
    assert asking.keys(wanted, session="s") == ["first", "twin", "a1", "spare"]


def test_a_session_has_a_key_for_each_of_its_models(asking):
    to = upstream("u", "k1", "k2", "k3")
    large, small = model("large", route("1", to)), model("small", route("2", to))
    asking.standing.served("k2", session_of("s", large))
    asking.standing.served("k3", session_of("s", small))
    assert (asking.keys(large, session="s")[0], asking.keys(small, session="s")[0]) == ("k2", "k3")


def test_a_chosen_upstream_is_the_only_one(asking):
    wanted = model("m", route("1", A), route("2", B))
    assert asking.keys(wanted, upstream="b") == ["b1"]
    assert asking.reasons(wanted, upstream="b") == [("a", "another upstream was chosen")]


def test_latency_puts_the_fastest_first_and_tries_the_unknown(asking):
    wanted = model("m", route("1", A), route("2", B), route("3", C), strategy="latency")
    asking.standing.first_token("1", 2.0)
    asking.standing.first_token("2", 0.5)
    assert asking.keys(wanted) == ["c1", "b1", "a1"]


def test_cost_puts_the_cheapest_first_and_the_unpriced_last(asking):
    wanted = model("m", route("1", A), route("2", B), route("3", C), strategy="cost")
    prices = {"a": None, "b": Decimal(5), "c": Decimal("0.5")}
    assert asking.keys(wanted, price_of=lambda model_id, upstream_id, name: prices[upstream_id]) == ["c1", "b1", "a1"]


def test_round_robin_takes_each_route_in_turn_within_a_priority(asking):
    wanted = model("m", route("1", A), route("2", B), route("3", C, priority=1), strategy="round_robin")
    assert {tuple(asking.keys(wanted)) for _ in range(6)} == {("a1", "b1", "c1"), ("b1", "a1", "c1")}


def test_weights_are_shares(asking):
    wanted = model("m", route("1", A, weight=9), route("2", B, weight=1), route("3", C, weight=0), strategy="weighted")
    first = [asking.keys(wanted)[0] for _ in range(1000)]
    assert 820 < first.count("a1") < 980
    assert first.count("c1") == 0
