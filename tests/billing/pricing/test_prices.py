"""Which price counts, and the sources of prices."""

import json
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.test.utils import CaptureQueriesContext

from accounts import cache_revisions
from accounts.models import Revision
from billing import rates
from billing.models import Price
from billing.pricing import price_book, sources, sync
from billing.pricing.price_book import ModelPrice, PriceKey
from billing.pricing.sources import ListedPrice
from billing.request_log.late_prices import LatePrices
from proxy.translation.canonical import Usage
from tests.billing.conftest import entry
from upstreams.models import Model, Route, Upstream

pytestmark = pytest.mark.usefixtures("database")

SONNET = {
    "rates": {
        "input": Decimal(3),
        "output": Decimal(15),
        "cache_read": Decimal("0.3"),
        "cache_write_5m": Decimal("3.75"),
        "cache_write_1h": Decimal(6),
    },
    "tiers": {
        "prompt": [{"above": 200000, "input": "6", "output": "22.5", "cache_read": "0.6", "cache_write_5m": "7.5", "cache_write_1h": "12"}]
    },
}


def upstream(name="u", base_url="http://127.0.0.1:9/v1") -> Upstream:
    return Upstream.objects.create(name=name, base_url=base_url)


def listed(amount: int, source="genai-prices", version="1") -> ListedPrice:
    return ListedPrice(rates={"input": Decimal(amount), "output": Decimal(2 * amount)}, tiers={}, source=source, version=version)


def source(**prices: ListedPrice):
    """A source that knows these names anywhere."""
    return lambda name, base_url: prices.get(name)


def active(**fields) -> list[tuple[str, str | None, int]]:
    rows = Price.objects.filter(is_active=True, **fields).order_by("created_at")
    return [(row.source, row.upstream and row.upstream.name, int(row.input)) for row in rows]


class TestTheBook:
    def test_knows_nothing_at_first(self):
        assert price_book.load().find(PriceKey("m", "u", "r")) is None

    def test_prefers_what_was_entered_by_hand_then_what_is_more_specific(self):
        priced_upstream, model = upstream(), Model.objects.create(name="m")
        places = [
            {"model": model, "upstream": priced_upstream, "source": "manual"},
            {"model": model, "source": "manual"},
            {"name": "remote", "upstream": priced_upstream, "source": "manual"},
            {"name": "remote", "source": "manual"},
            {"model": model, "upstream": priced_upstream, "source": "genai-prices"},
            {"model": model, "source": "litellm"},
            {"name": "remote", "upstream": priced_upstream, "source": "genai-prices"},
            {"name": "remote", "source": "genai-prices"},
        ]
        rows = [Price.objects.create(input=number, **key_fields) for number, key_fields in enumerate(places)]
        for row in rows:
            match = price_book.load().find(PriceKey(str(model.pk), str(priced_upstream.pk), "remote"))
            assert (match.id, match.rates.input) == (str(row.pk), row.input)
            row.is_active = False
            row.save()
        assert price_book.load().find(PriceKey(str(model.pk), str(priced_upstream.pk), "remote")) is None

    def test_of_two_for_the_same_thing_the_later_one_counts(self):
        Price.objects.create(name="m", input=1)
        later = Price.objects.create(name="m", input=2)
        Price.objects.filter(pk=later.pk).update(created_at=datetime.now().astimezone() + timedelta(seconds=1))
        assert price_book.load().find(PriceKey("", "", "m")).rates.input == 2

    def test_knows_which_prices_are_overruled(self):
        priced_upstream, model = upstream(), Model.objects.create(name="m")
        rows = [
            Price.objects.create(input=number, **key_fields)
            for number, key_fields in enumerate(
                [
                    {"model": model, "source": "genai-prices"},
                    {"model": model, "source": "manual"},
                    {"model": model, "upstream": priced_upstream, "source": "litellm"},
                    {"model": model, "upstream": priced_upstream, "source": "manual"},
                    {"name": "remote", "source": "genai-prices"},
                ]
            )
        ]
        book = price_book.load()
        assert [book.is_overruled(row) for row in rows] == [True, False, True, False, False]

    def test_is_not_read_from_the_database_by_requests(self, database):
        Price.objects.create(name="m", input=1)
        price_book.refresh()
        Price.objects.create(name="other", input=2)
        with CaptureQueriesContext(database) as queries:
            assert price_book.current().find(PriceKey("", "", "m")).rates.input == 1
        assert len(queries) == 0

    def test_is_refreshed_when_the_revision_changes(self):
        cache_revisions.poll()
        Price.objects.create(name="m", input=7, tiers={"prompt": [{"above": 10, "input": "8"}]})
        cache_revisions.poll()
        match = price_book.current().find(PriceKey("", "", "m"))
        assert rates.compute_cost(Usage(fresh=11), match) == Decimal("0.000088")


class TestAPrice:
    @pytest.mark.parametrize(
        ("fields", "field"),
        [({}, "__all__"), ({"name": "m", "tiers": {"prompt": 1}}, "tiers"), ({"name": "m", "input": "x"}, "input")],
    )
    def test_that_is_invalid_is_refused(self, fields, field):
        with pytest.raises(ValidationError) as refused:
            Price(**fields).full_clean()
        assert list(refused.value.message_dict) == [field]


class TestManualPrices:
    def test_win_are_shown_and_replace_one_another(self):
        model = Model.objects.create(name="m")
        Price.objects.create(model=model, input=1, output=2, source="genai-prices")
        assert price_book.model_prices([model]) == {model.pk: ModelPrice(input=Decimal(1), output=Decimal(2), source="genai-prices")}
        price_book.set_manual(model, input_price=Decimal(3), output_price=Decimal("4.5"))
        price_book.set_manual(model, input_price=Decimal(5), output_price=Decimal("4.5"))
        assert price_book.model_prices([model]) == {model.pk: ModelPrice(input=Decimal(5), output=Decimal("4.5"), source="manual")}
        assert price_book.load().find(PriceKey(str(model.pk), "", "")).rates == rates.Rates(input=Decimal(5), output=Decimal("4.5"))
        assert Price.objects.filter(source="manual", is_active=True).count() == 1

    def test_of_zero_and_zero_are_taken_away(self):
        model = Model.objects.create(name="m")
        Price.objects.create(model=model, input=1, output=2, source="genai-prices")
        price_book.set_manual(model, input_price=Decimal(3), output_price=Decimal(4))
        price_book.set_manual(model, input_price=Decimal(0), output_price=Decimal(0))
        assert price_book.model_prices([model])[model.pk].source == "genai-prices"

    def test_of_many_models_are_shown_with_one_query(self, database):
        models = [Model.objects.create(name=f"m{number}") for number in range(3)]
        for model in models[:2]:
            Price.objects.create(model=model, input=1, output=2, upstream=upstream(model.name))
        with CaptureQueriesContext(database) as queries:
            assert set(price_book.model_prices(models)) == {models[0].pk, models[1].pk}
        assert len(queries) == 1


class TestGenaiPrices:
    def test_know_every_class_and_the_long_prompts(self):
        match = sources.look_up_genai_price("claude-sonnet-4-5-20250929", "https://api.anthropic.com")
        assert {"rates": match.rates, "tiers": match.tiers} == SONNET
        assert (match.source, match.version.split()[0]) == ("genai-prices", "genai-prices")

    def test_know_service_tiers(self):
        match = sources.look_up_genai_price("gpt-5", "https://api.openai.com/v1")
        assert match.tiers["service"]["flex"] == {"input": "0.625", "output": "5", "cache_read": "0.0625"}
        rates.read_tiers(match.tiers)

    def test_are_those_of_the_provider_at_the_address_or_else_of_the_maker(self):
        makers = sources.look_up_genai_price("deepseek-chat", "http://127.0.0.1:9/v1")
        assert makers.rates["input"] > 0
        assert sources.look_up_genai_price("claude-sonnet-4-5", "http://localhost") == sources.look_up_genai_price(
            "claude-sonnet-4-5", "https://api.anthropic.com"
        )

    @pytest.mark.parametrize("name", ["test-model", "echo", "m1", "", "no/such"])
    def test_do_not_guess(self, name):
        assert sources.look_up_genai_price(name, "http://127.0.0.1:9/v1") is None


class TestAFileOfLiteLLM:
    CONTENT = json.dumps(
        {
            "sample_spec": {"input_cost_per_token": 1, "output_cost_per_token": 1},
            "fallback_generalizations": {"input_cost_per_token": 1},
            "m": {
                "mode": "responses",
                "input_cost_per_token": 3e-06,
                "output_cost_per_token": 1.5e-05,
                "cache_read_input_token_cost": 3e-07,
                "cache_creation_input_token_cost": 3.75e-06,
                "cache_creation_input_token_cost_above_1hr": 6e-06,
                "input_cost_per_token_above_200k_tokens": 6e-06,
                "output_cost_per_token_above_200k_tokens": 2.25e-05,
                "input_cost_per_token_flex": 1.5e-06,
                "input_cost_per_token_batches": 1e-06,
                "max_input_tokens": 200000,
                "supports_vision": True,
            },
            "free": {"mode": "chat", "input_cost_per_token": 0, "output_cost_per_token": 0},
            "odd": {"input_cost_per_token": "cheap", "output_cost_per_token": -1},
            "embedding": {"mode": "embedding", "input_cost_per_token": 1e-07, "output_cost_per_token": 0.0},
            "note": "not a model",
        }
    ).encode()

    def test_is_understood(self):
        look_up = sources.litellm_source(self.CONTENT, version="of May")
        match = look_up("m", "")
        expected = {"input": 3, "output": 15, "cache_read": Decimal("0.3"), "cache_write_5m": Decimal("3.75"), "cache_write_1h": 6}
        assert (match.rates, match.source, match.version) == (expected, "litellm", "of May")
        prompt, service = rates.read_tiers(match.tiers)
        assert prompt == [(200_000, {"input": Decimal(6), "output": Decimal("22.5")})]
        assert service == {"flex": ({"input": Decimal("1.5")}, [])}
        assert look_up("embedding", "").rates == {"input": Decimal("0.1"), "output": 0}
        assert [look_up(name, "") for name in ("sample_spec", "fallback_generalizations", "free", "odd", "note", "M", "")] == [None] * 7

    @pytest.mark.parametrize("content", [b"", b"[]", b"<html>"])
    def test_that_is_not_one_is_refused(self, content):
        with pytest.raises(ValueError, match=r"^not a price file"):
            sources.litellm_source(content, version="x")


class TestSynchronisation:
    def test_gives_models_prices_and_returns_their_number(self):
        priced_upstream = upstream()
        known_model, unknown = Model.objects.create(name="known"), Model.objects.create(name="unknown")
        for model in (known_model, unknown):
            Route.objects.create(model=model, upstream=priced_upstream, remote_name="" if model is known_model else "nobody")
        Price.objects.all().delete()
        assert sync.sync_all([source(known=listed(3))]) == {"models_updated": 1, "models_not_found": 1, "total_models": 2}
        assert active() == [("genai-prices", None, 3)]

    def test_writes_nothing_when_nothing_changed(self):
        Route.objects.create(model=Model.objects.create(name="m"), upstream=upstream())
        sync.sync_all([source(m=listed(3))])
        before = Revision.objects.get(pk="prices").number
        assert sync.sync_all([source(m=listed(3, version="2"))])["models_updated"] == 1
        assert sync.sync_all([])["models_not_found"] == 1
        assert Revision.objects.get(pk="prices").number == before
        assert active() == [("genai-prices", None, 3)]

    def test_keeps_the_old_price_for_the_rows_billed_at_it(self):
        model = Model.objects.create(name="m")
        sync.sync_model(model, [source(m=listed(3))])
        assert sync.sync_model(model, [source(m=listed(4))]) == 1
        assert list(Price.objects.order_by("created_at").values_list("input", "is_active")) == [(3, False), (4, True)]

    def test_leaves_prices_entered_by_hand(self):
        model = Model.objects.create(name="m")
        price_book.set_manual(model, input_price=Decimal(9), output_price=Decimal(9))
        sync.sync_model(model, [source(m=listed(3))])
        assert sorted(active()) == [("genai-prices", None, 3), ("manual", None, 9)]
        assert price_book.load().find(PriceKey(str(model.pk), "", "")).rates.input == 9

    def test_prices_each_upstream_apart_only_where_they_differ(self):
        model = Model.objects.create(name="m")
        cheap, dear = upstream("cheap", "http://127.0.0.1:1"), upstream("dear", "http://127.0.0.1:2")
        for priced_upstream in (cheap, dear):
            Route.objects.create(model=model, upstream=priced_upstream)

        def differ(name, base_url):
            return listed(1 if base_url.endswith("1") else 2)

        sync.sync_model(model, [differ])
        assert sorted(active()) == [("genai-prices", "cheap", 1), ("genai-prices", "dear", 2)]
        sync.sync_model(model, [source(m=listed(3))])
        assert active() == [("genai-prices", None, 3)]
        sync.sync_model(model, [differ])
        assert sorted(active()) == [("genai-prices", "cheap", 1), ("genai-prices", "dear", 2)]

    def test_asks_the_second_source_for_what_the_first_does_not_know(self):
        Model.objects.create(name="a")
        Model.objects.create(name="b")
        sync.sync_all([source(a=listed(1)), source(a=listed(8, "litellm"), b=listed(9, "litellm"))])
        assert sorted(active()) == [("genai-prices", None, 1), ("litellm", None, 9)]

    def test_does_not_price_patterns(self):
        model = Model.objects.create(name="claude-*")
        Route.objects.create(model=model, upstream=upstream())
        assert sync.sync_model(model, [lambda name, base_url: listed(1)]) == 0


class TestAModelThatIsMade:
    def test_has_its_price_at_once(self):
        model = Model.objects.create(name="ours")
        assert active() == []
        Route.objects.create(model=model, upstream=upstream(), remote_name="claude-sonnet-4-5")
        assert active(model=model) == [("genai-prices", None, 3)]

    def test_and_has_no_route_yet_is_looked_up_by_its_name(self):
        assert active(model=Model.objects.create(name="claude-sonnet-4-5")) == [("genai-prices", None, 3)]


class TestLatePrices:
    def test_price_a_name_that_came_through_a_pattern_when_it_turns_up(self):
        model, priced_upstream = Model.objects.create(name="claude-*"), upstream()
        facts = {"model_id": str(model.pk), "upstream_id": str(priced_upstream.pk), "remote_model": "claude-x"}
        log_entry, two = [entry(**facts, input_tokens=1_000_000, output_tokens=1) for _ in "12"]
        lookups = []

        def counting(name, base_url):
            lookups.append((name, base_url))
            return listed(3)

        LatePrices([counting]).fill([log_entry, two])
        (row,) = Price.objects.all()
        assert (row.name, row.upstream, row.source) == ("claude-x", priced_upstream, "genai-prices")
        assert [(log_row.cost, log_row.price_id, log_row.price_version) for log_row in (log_entry, two)] == [
            (3_000_006_000_000, str(row.pk), "1")
        ] * 2
        assert lookups == [("claude-x", priced_upstream.base_url)]

    def test_leave_alone_what_is_priced_unknown_or_empty(self):
        upstream_id = str(upstream().pk)
        priced = entry(upstream_id=upstream_id, remote_model="a", input_tokens=1, cost=5)
        unknown = entry(upstream_id=upstream_id, remote_model="b", input_tokens=1)
        empty = entry(upstream_id=upstream_id, remote_model="a")
        without_upstream = entry(upstream_id="00000000-0000-4000-8000-000000000000", remote_model="a", input_tokens=1)
        LatePrices([source(a=listed(3))]).fill([priced, unknown, empty, without_upstream])
        assert [log_entry.cost for log_entry in (priced, unknown, empty, without_upstream)] == [5, None, None, None]

    def test_find_what_was_entered_by_hand_since(self):
        upstream_id = str(upstream().pk)
        Price.objects.create(name="a", input=2)
        log_entry = entry(upstream_id=upstream_id, remote_model="a", input_tokens=10)
        LatePrices([]).fill([log_entry])
        assert log_entry.cost == 20_000_000


class TestTheCommand:
    def test_reads_a_price_file(self, tmp_path, capsys):
        Model.objects.create(name="m")
        Model.objects.create(name="n")
        file = tmp_path / "prices.json"
        file.write_bytes(TestAFileOfLiteLLM.CONTENT)
        call_command("sync_prices", file=file)
        assert capsys.readouterr().out == "1 of 2 models have prices, 1 are unknown\n"
        assert active() == [("litellm", None, 3)]

    def test_reports_an_error_in_it(self, tmp_path):
        file = tmp_path / "prices.json"
        file.write_text("<html>")
        with pytest.raises(CommandError, match=r"^not a price file"):
            call_command("sync_prices", file=file)
        with pytest.raises(CommandError, match="No such file"):
            call_command("sync_prices", file=tmp_path / "none")
        with pytest.raises(CommandError, match=r"^Failed to fetch pricing: "):
            call_command("sync_prices", url="http://127.0.0.1:9/prices.json")
