"""The cost of tokens."""

from decimal import Decimal

import msgspec
import pytest

from billing.rates import CLASSES, Rates, compute_cost, make_prices, read_tiers
from proxy.translation.usage import Usage, UsagePart

BASE = {
    "input": Decimal(3),
    "output": Decimal(15),
    "cache_read": Decimal("0.3"),
    "cache_write_5m": Decimal("3.75"),
    "cache_write_1h": Decimal(6),
}
LONG = {"above": 200_000, "input": "6", "output": "22.5", "cache_read": "0.6"}


def cost(usage: Usage, rates=BASE, tiers=None) -> str:
    amount = compute_cost(usage, make_prices(rates, tiers))
    return "unknown" if amount is None else f"{amount.normalize():f}"


def test_each_class_is_billed_once_at_its_own_rate():
    assert cost(Usage(fresh=1)) == "0.000003"
    assert cost(Usage(output=1)) == "0.000015"
    assert cost(Usage(cache_read=1)) == "0.0000003"
    assert cost(Usage(cache_write_5m=1)) == "0.00000375"
    assert cost(Usage(cache_write_1h=1)) == "0.000006"
    assert cost(Usage(fresh=1, output=1, cache_read=1, cache_write_5m=1, cache_write_1h=1)) == "0.00002805"


def test_reasoning_is_part_of_the_output_and_not_billed_again():
    assert cost(Usage(output=100, reasoning=90)) == cost(Usage(output=100))


def test_no_tokens_cost_nothing():
    assert cost(Usage()) == "0"
    assert cost(Usage(), rates={}) == "0"


def test_a_class_that_was_used_and_has_no_rate_makes_the_cost_unknown():
    assert cost(Usage(fresh=1), rates={"output": Decimal(1)}) == "unknown"
    assert cost(Usage(output=1), rates={"input": Decimal(1)}) == "unknown"
    assert cost(Usage(fresh=1), rates={"input": Decimal(1)}) == "0.000001"


def test_a_rate_of_zero_is_free_not_unknown():
    assert cost(Usage(fresh=10, output=10, cache_read=5), rates={"input": Decimal(0), "output": Decimal(0)}) == "0"


def test_unknown_cache_rates_fall_back_and_never_to_zero():
    assert cost(Usage(cache_read=1), rates={"input": Decimal(2)}) == "0.000002"
    assert cost(Usage(cache_write_5m=1), rates={"input": Decimal(2)}) == "0.000002"
    assert cost(Usage(cache_write_1h=1), rates={"input": Decimal(2)}) == "0.000002"
    assert cost(Usage(cache_write_1h=1), rates={"input": Decimal(2), "cache_write_5m": Decimal(3)}) == "0.000003"
    assert cost(Usage(cache_read=1), rates={"output": Decimal(2)}) == "unknown"


@pytest.mark.parametrize(
    ("usage", "amount"),
    [
        (Usage(fresh=200_000), "0.6"),
        (Usage(fresh=200_001), "1.200006"),
        (Usage(fresh=1, cache_read=200_000), "0.120006"),
        (Usage(fresh=1, cache_write_5m=100_000, cache_write_1h=100_000), "0.975006"),
        (Usage(fresh=200_001, output=2), "1.200051"),
    ],
)
def test_a_long_prompt_is_billed_whole_at_its_tier(usage, amount):
    assert cost(usage, tiers={"prompt": [LONG]}) == amount


def test_of_several_prompt_tiers_the_highest_passed_counts_and_keeps_what_it_does_not_name():
    tiers = {"prompt": [{"above": 30, "input": "30"}, {"above": 10, "input": "10", "output": "100"}]}
    prices = make_prices(BASE, tiers)
    assert [(prices.for_usage(Usage(fresh=tokens)).input, prices.for_usage(Usage(fresh=tokens)).output) for tokens in (10, 11, 30, 31)] == [
        (3, 15),
        (10, 100),
        (10, 100),
        (30, 100),
    ]


def test_the_service_tier_is_the_one_that_the_answer_names():
    tiers = {"service": {"flex": {"input": "1"}, "Priority": {"input": "9", "output": "30"}}}
    prices = make_prices(BASE, tiers)
    rates_by_tier = {name: prices.for_usage(Usage(service_tier=name)) for name in (None, "default", "flex", "FLEX", "priority")}
    assert {name: (rates.input, rates.output) for name, rates in rates_by_tier.items()} == {
        None: (3, 15),
        "default": (3, 15),
        "flex": (1, 15),
        "FLEX": (1, 15),
        "priority": (9, 30),
    }


def test_a_flat_rate_of_a_service_tier_holds_for_long_prompts_too_and_its_own_prompt_tiers_win():
    tiers = {"prompt": [LONG], "service": {"flex": {"input": "1"}, "slow": {"output": "2", "prompt": [{"above": 500_000, "output": "4"}]}}}
    prices = make_prices(BASE, tiers)

    def rates(tier: str, tokens: int) -> Rates:
        return prices.for_usage(Usage(fresh=tokens, service_tier=tier))

    assert (rates("flex", 300_000).input, rates("flex", 300_000).output) == (1, Decimal("22.5"))
    assert [(rates("slow", tokens).input, rates("slow", tokens).output) for tokens in (1, 300_000, 600_000)] == [(3, 2), (6, 2), (6, 4)]


@pytest.mark.parametrize(
    ("tiers", "complaint"),
    [
        ([], None),
        ({}, None),
        (None, None),
        ([1], 'Tiers are an object with "prompt", "service" and "geo".'),
        ({"promt": []}, 'Tiers are an object with "prompt", "service" and "geo".'),
        ({"prompt": {}}, '"prompt" is a list of objects with a whole number "above" and rates.'),
        ({"prompt": [{"input": 1}]}, '"prompt" is a list of objects with a whole number "above" and rates.'),
        ({"prompt": [{"above": True, "input": 1}]}, '"prompt" is a list of objects with a whole number "above" and rates.'),
        ({"prompt": [{"above": 1, "imput": 1}]}, f"There is no class of tokens called imput; there are {', '.join(CLASSES)}."),
        ({"service": {"flex": {"input": "cheap"}}}, "Rates are numbers."),
        ({"service": {"flex": {"input": -1}}}, "Rates are not negative."),
        ({"service": {"flex": {"input": "inf"}}}, "Rates are not negative."),
        ({"service": {"flex": 1}}, '"service" maps the name of a service tier to its rates.'),
    ],
)
def test_malformed_tiers_are_refused_with_a_sentence(tiers, complaint):
    if complaint is None:
        assert read_tiers(tiers) == ([], {})
        return
    with pytest.raises(ValueError) as refused:
        read_tiers(tiers)
    assert str(refused.value) == complaint


AUDIO = {"input": Decimal("2.5"), "output": Decimal(10), "input_audio": Decimal(32), "output_audio": Decimal(64)}


def test_audio_costs_its_own_rates():
    usage = Usage(fresh=117, output=592, input_audio=100, output_audio=482)
    assert cost(usage, rates=AUDIO) == "0.0351905"


def test_audio_without_a_rate_of_its_own_is_not_billed_as_text():
    assert cost(Usage(fresh=2, input_audio=1)) == "unknown"
    assert cost(Usage(output=2, output_audio=1)) == "unknown"


def test_images_cost_their_own_rates_or_those_of_text():
    usage = Usage(fresh=3, output=5, input_image=2, output_image=4)
    assert cost(usage, rates={"input": Decimal(1), "output": Decimal(10)}) == "0.000053"
    assert (
        cost(usage, rates={"input": Decimal(1), "output": Decimal(10), "input_image": Decimal(5), "output_image": Decimal(40)})
        == "0.000181"
    )


def test_searches_cost_a_rate_for_a_thousand():
    searched = Usage(fresh=1, server_tools={"web_search_requests": 3, "web_fetch_requests": 9})
    assert cost(searched, rates={**BASE, "web_search": Decimal(10)}) == "0.030003"
    assert cost(searched) == "unknown"
    assert cost(Usage(fresh=1, server_tools={"web_fetch_requests": 9})) == "0.000003"


def test_the_fast_mode_costs_what_the_service_tier_of_that_name_does():
    usage = Usage(fresh=1, service_tier="standard", speed="fast")
    assert cost(usage, tiers={"service": {"fast": {"input": "18"}}}) == "0.000018"
    assert cost(usage) == "unknown"
    assert cost(Usage(fresh=1, speed="standard")) == "0.000003"


def test_a_geography_multiplies_the_cost():
    assert cost(Usage(fresh=1, inference_geo="US"), tiers={"geo": {"us": "1.1"}}) == "0.0000033"
    assert cost(Usage(fresh=1, inference_geo="eu"), tiers={"geo": {"us": "1.1"}}) == "0.000003"


def test_the_factor_of_an_upstream_multiplies_the_cost():
    assert compute_cost(Usage(fresh=1_000_000), msgspec.structs.replace(make_prices(BASE), factor=Decimal("0.8"))) == Decimal("2.4")


def part(model, **counts) -> UsagePart:
    return UsagePart(kind="x", model=model, usage=Usage(**counts))


def test_each_part_costs_the_price_of_the_model_that_it_names():
    ours, other = make_prices({"input": Decimal(1), "output": Decimal(10)}), make_prices({"input": Decimal(5), "output": Decimal(25)})
    compaction = Usage(fresh=100, output=20, parts=(part(None, fresh=180_000, output=3500),))
    assert compute_cost(compaction, ours) == Decimal("0.2153")
    advised = Usage(fresh=100, output=20, parts=(part("other", fresh=10, output=2),))
    assert compute_cost(advised, ours, {"other": other}.get) == Decimal("0.0003") + Decimal("0.0001")
    assert [compute_cost(advised, ours), compute_cost(Usage(parts=(part("", fresh=1),)), ours, {"": other}.get)] == [None, None]


def test_each_part_has_the_prompt_tier_of_its_own_length():
    prices = make_prices(BASE, {"prompt": [LONG]})
    usage = Usage(fresh=150_000, parts=(part(None, fresh=150_000),))
    assert compute_cost(usage, prices) == Decimal("0.9")


def test_a_usage_that_was_not_measured_has_no_known_cost():
    assert compute_cost(Usage(is_measured=False), make_prices(BASE)) is None


@pytest.mark.parametrize(
    ("geo", "complaint"),
    [
        ([], '"geo" maps the name of an inference geography to a factor.'),
        ({"us": "dear"}, "Factors are numbers."),
        ({"us": -1}, "Factors are not negative."),
    ],
)
def test_malformed_factors_are_refused_with_a_sentence(geo, complaint):
    with pytest.raises(ValueError) as refused:
        make_prices(BASE, {"geo": geo})
    assert str(refused.value) == complaint
