"""Which price counts, and the sources of prices."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.test.utils import CaptureQueriesContext

from accounts import cache_revisions
from accounts.models import Revision
from billing import rates
from billing.models import Price
from billing.pricing import price_book, sync
from billing.pricing.price_book import ModelPrice, PriceKey
from billing.pricing.sources import ListedPrice, Place, place_of
from billing.request_log.entry import AttemptEntry
from billing.request_log.late_prices import LatePrices
from proxy.translation.canonical import Usage
from proxy.translation.dialects.upstream_api import ListedModel
from tests.billing.conftest import entry
from tests.billing.pricing.test_litellm import CONTENT
from upstreams.models import Model, Route, Upstream
from upstreams.monitoring import discovery

pytestmark = pytest.mark.usefixtures("database")


def upstream(name="u", base_url="http://127.0.0.1:9/v1") -> Upstream:
    return Upstream.objects.create(name=name, base_url=base_url)


def listed(amount: int, source="genai-prices", version="1") -> ListedPrice:
    return ListedPrice(rates={"input": Decimal(amount), "output": Decimal(2 * amount)}, tiers={}, source=source, version=version)


def at(second: float) -> datetime:
    return datetime.fromtimestamp(1_700_000_000 + second, UTC)


def source(**prices: ListedPrice):
    """A source that knows these names anywhere."""
    return lambda name, place: prices.get(name)


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

    def test_a_price_of_all_models_of_an_upstream_comes_last(self):
        here, there = upstream(), upstream("elsewhere")
        Price.objects.create(name="*", upstream=here, input=0, output=0)
        book = price_book.load()
        assert book.find(PriceKey("m", str(here.pk), "anything")).is_free
        assert book.find(PriceKey("m", str(there.pk), "anything")) is None
        Price.objects.create(name="anything", input=3)
        assert price_book.load().find(PriceKey("m", str(here.pk), "anything")).rates.input == 3

    def test_a_price_counts_while_it_is_valid(self):
        for amount, start, end in ((1, 10, 20), (2, 20, None), (3, 30, None)):
            Price.objects.create(name="m", input=amount, valid_from=at(start), valid_until=end and at(end))
        book = price_book.load()
        valid_prices = [book.find(PriceKey("", "", "m"), at(second).timestamp()) for second in (9, 10, 19.5, 20, 29, 30, 99)]
        assert [prices and int(prices.rates.input) for prices in valid_prices] == [None, 1, 1, 2, 2, 3, 3]
        assert book.find_or_later(PriceKey("", "", "m"), at(0).timestamp()).rates.input == 1

    def test_a_price_of_the_future_waits(self):
        tomorrow = datetime.now().astimezone() + timedelta(days=1)
        Price.objects.create(name="m", input=1)
        Price.objects.create(name="m", input=2, valid_from=tomorrow)
        book = price_book.load()
        assert (book.find(PriceKey("", "", "m")).rates.input, book.find(PriceKey("", "", "m"), tomorrow.timestamp()).rates.input) == (1, 2)

    def test_replaced_prices_are_found_for_their_time_and_withdrawn_ones_never(self):
        Price.objects.create(name="m", input=1, is_active=False, valid_from=at(10), valid_until=at(20))
        Price.objects.create(name="m", input=2, is_active=False, valid_from=at(10))
        key = PriceKey("", "", "m")
        history, book = price_book.load(with_history=True), price_book.load()
        assert (history.find(key, at(15).timestamp()).rates.input, history.find(key, at(25).timestamp())) == (1, None)
        assert book.find(key, at(15).timestamp()) is None

    def test_the_factor_of_an_upstream_is_in_its_prices(self):
        here = upstream()
        Price.objects.create(name="m", input=2, output=4)
        cache_revisions.poll()
        before = price_book.combined_rate("", str(here.pk), "m")
        here.price_factor = Decimal("1.5")
        here.save()
        cache_revisions.poll()
        match = price_book.current().find(PriceKey("", str(here.pk), "m"))
        assert (rates.compute_cost(Usage(fresh=1_000_000), match), before, price_book.combined_rate("", str(here.pk), "m")) == (3, 6, 9)
        assert price_book.current().find(PriceKey("", "other", "m")).factor == 1

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
        old, new = Price.objects.order_by("created_at")
        assert (old.input, old.is_active, old.valid_until) == (3, False, new.valid_from)
        assert (new.input, new.is_active, new.valid_until) == (4, True, None)

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

        def differ(name, place):
            return listed(1 if place.base_url.endswith("1") else 2)

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
        assert sync.sync_model(model, [lambda name, place: listed(1)]) == 0


class TestModelsOfAList:
    """An import gives prices at once, also those of the list itself."""

    LIST = (
        ListedModel(name="acme/one", pricing={"prompt": "0.000002", "completion": "0.000004", "input_cache_read": "0.0000005"}),
        ListedModel(name="acme/two:free", pricing={"prompt": "0", "completion": "0"}),
        ListedModel(name="acme/auto", pricing={"prompt": "-1", "completion": "-1"}),
        ListedModel(name="claude-sonnet-4-5"),
    )

    def test_have_the_prices_that_it_states(self):
        discovery.apply_listing(upstream(), self.LIST)
        assert sorted(
            (row.model.name, row.source, row.input, row.output, row.cache_read) for row in Price.objects.filter(is_active=True)
        ) == [
            ("acme/one", "upstream", 2, 4, Decimal("0.5")),
            ("acme/two:free", "upstream", 0, 0, None),
            ("claude-sonnet-4-5", "genai-prices", 3, 15, Decimal("0.3")),
        ]

    def test_follow_a_changed_list(self):
        here = upstream()
        discovery.apply_listing(here, self.LIST[:1])
        discovery.apply_listing(here, [ListedModel(name="acme/one", pricing={"prompt": "0.000003", "completion": "0.000004"})])
        assert list(Price.objects.order_by("valid_from").values_list("input", "is_active")) == [(2, False), (3, True)]

    def test_of_another_remote_name_are_not_those_of_the_list(self):
        discovery.apply_listing(upstream(), self.LIST[:1])
        route = Route.objects.get()
        route.remote_name = "acme/other"
        route.save()
        sync.sync_all()
        assert sync.SOURCES[1]("acme/other", place_of(route.upstream, listed=route.listed_pricing, name="acme/other")) is None


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

        def counting(name, place):
            lookups.append((name, place))
            return listed(3)

        LatePrices([counting]).fill([log_entry, two])
        (row,) = Price.objects.all()
        assert (row.name, row.upstream, row.source) == ("claude-x", priced_upstream, "genai-prices")
        assert [(log_row.cost, log_row.price_id, log_row.price_version) for log_row in (log_entry, two)] == [
            (3_000_006_000_000, str(row.pk), "1")
        ] * 2
        assert lookups == [("claude-x", Place("", priced_upstream.base_url))]

    def test_leave_alone_what_is_priced_unknown_or_empty(self):
        upstream_id = str(upstream().pk)
        priced = entry(upstream_id=upstream_id, remote_model="a", input_tokens=1, cost=5)
        unknown = entry(upstream_id=upstream_id, remote_model="b", input_tokens=1)
        empty = entry(upstream_id=upstream_id, remote_model="a")
        without_upstream = entry(upstream_id="00000000-0000-4000-8000-000000000000", remote_model="a", input_tokens=1)
        LatePrices([source(a=listed(3))]).fill([priced, unknown, empty, without_upstream])
        assert [log_entry.cost for log_entry in (priced, unknown, empty, without_upstream)] == [5, None, None, None]

    def test_price_each_part_by_the_model_that_it_names(self):
        where = str(upstream().pk)
        parts = [{"kind": "advisor_message", "model": "dear", "input_tokens": 10}]
        log_entry = entry(upstream_id=where, remote_model="a", input_tokens=15, usage_parts=parts)
        unknown = entry(upstream_id=where, remote_model="a", input_tokens=15, usage_parts=[{**parts[0], "model": "?"}])
        LatePrices([source(a=listed(1), dear=listed(7))]).fill([log_entry, unknown])
        assert [(rated.cost, rated.cost_source) for rated in (log_entry, unknown)] == [(75_000_000, "price"), (None, "")]

    def test_price_each_attempt_and_their_sum(self):
        where = str(upstream().pk)
        tries = [
            AttemptEntry(timestamp=1, upstream_id=where, remote_model="a", input_tokens=1),
            AttemptEntry(timestamp=1, upstream_id=where, remote_model="b", input_tokens=1, usage_details={"input_audio_tokens": 1}),
            AttemptEntry(timestamp=1, upstream_id=where, remote_model="nothing"),
        ]
        log_entry = entry(upstream_id=where, remote_model="b", input_tokens=2, tries=tries)
        heard = ListedPrice(rates={"input": Decimal(1), "input_audio": Decimal(9)}, tiers={}, source="litellm", version="")
        LatePrices([source(a=listed(1))]).fill([log_entry])
        assert (log_entry.cost, [rated.cost for rated in tries]) == (None, [1_000_000, None, None])
        LatePrices([source(a=listed(1), b=heard)]).fill([log_entry])
        assert (log_entry.cost, [rated.cost for rated in tries]) == (10_000_000, [1_000_000, 9_000_000, None])

    def test_replace_a_cost_that_the_upstream_reported(self):
        where = str(upstream().pk)
        reported = entry(upstream_id=where, remote_model="a", input_tokens=1, cost=5, cost_source="reported_cost", reported_cost=5)
        older = entry(upstream_id=where, remote_model="a", input_tokens=1, cost=5)
        LatePrices([source(a=listed(3))]).fill([reported, older])
        assert [(rated.cost, rated.cost_source, rated.reported_cost) for rated in (reported, older)] == [
            (3_000_000, "price", 5),
            (5, "", None),
        ]

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
        file.write_bytes(CONTENT)
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
