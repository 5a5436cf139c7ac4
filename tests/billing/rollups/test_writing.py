"""The writer adds what it writes to the rollups, in both databases: every request once, and every pico-dollar."""

import random
from datetime import date

import msgspec
import pytest
from django.db import OperationalError

from accounts.common.uuid7 import new_id
from billing.models import Price, RequestLog, Rollup, RollupModel, RollupSeries
from billing.money import MAX_PICO
from billing.request_log import rerate, writer
from billing.request_log.counted_models import CountedModels
from billing.request_log.spool import Segment, Spool
from billing.rollups import known_names, store
from billing.rollups.counting import Counting
from billing.rollups.known_names import KnownNames
from tests.billing.conftest import entry
from tests.billing.request_log.test_writer import write_entries
from tests.billing.rollups import sums
from upstreams.models import Model

pytestmark = pytest.mark.usefixtures("database")

KEYS = [new_id() for _ in range(3)]
UPSTREAMS = [new_id() for _ in range(2)]
ENDS = [*[(200, "finished")] * 5, (404, "rejected"), (429, "rejected"), (502, "failed"), (499, "cancelled")]


def various(number, *, seed=1):
    """Requests of three days, with all outcomes and with all kinds of costs."""
    chance = random.Random(seed)
    for _ in range(number):
        status, outcome = chance.choice(
            [(200, "finished")] * 5 + [(404, "rejected"), (429, "rejected"), (502, "failed"), (499, "cancelled")]
        )
        yield entry(
            id=new_id(),
            timestamp=1_790_000_000_000_000 + chance.randrange(3 * 86_400_000_000),
            api_key_id=chance.choice([*KEYS, None]),
            owner=chance.choice(["", "ann"]),
            tags=chance.choice([None, {"team": "a"}, {"team": "b", "app": "x"}]),
            model=chance.choice(["m1", "m2"]),
            upstream_id=chance.choice(UPSTREAMS) if outcome != "rejected" else None,
            status_code=status,
            outcome=outcome,
            attempts=0 if outcome == "rejected" else 1,
            latency_ms=chance.randrange(5000),
            overhead_us=chance.randrange(5000),
            ttft_ms=chance.choice([None, 5, 100]),
            input_tokens=chance.choice([0, 7, 2**31 - 1]),
            cache_read_tokens=chance.choice([0, 11]),
            output_tokens=chance.choice([0, 13]),
            usage_estimated=chance.choice([True, False]),
            cost=chance.choice([None, 0, 1, 123_456_789_012_345, MAX_PICO]),
        )


def test_rollups_are_the_sums_of_the_rows(spool):
    for seed in (1, 2):
        write_entries(spool, *various(300, seed=seed))
        writer.drain_spool(spool)
    assert sums.from_rollups() == sums.from_rows()
    assert sums.margins() == sums.margins_of_rows()
    assert RequestLog.objects.count() == 600


def test_distributions_are_those_of_all_requests_and_of_each_key_model_upstream_and_owner(spool):
    write_entries(
        spool,
        entry(timestamp=1_790_000_000_000_000, api_key_id=KEYS[0], latency_ms=5, overhead_us=70, ttft_ms=3, owner="ann"),
        entry(timestamp=1_790_000_001_000_000, api_key_id=KEYS[0], latency_ms=5, overhead_us=71),
    )
    writer.drain_spool(spool)
    both = ({5: 2}, {67: 2}, {3: 1})
    one = ({5: 1}, {67: 1}, {3: 1})
    key = KEYS[0].replace("-", "")
    values = {("", ""): both, ("key", key): both, ("model", "m1"): both, ("owner", "ann"): one}
    starts = {300: 1_789_999_800, 3600: 1_789_999_200, 86_400: 1_789_948_800}
    assert sums.distributions() == {
        (seconds, start, *value): counts for seconds, start in starts.items() for value, counts in values.items()
    }


def test_an_entry_that_comes_twice_counts_once(spool):
    encoded = [msgspec.json.encode(one) for one in various(20)]
    reader = Spool(spool)
    for lines in (encoded, encoded[:7], [*encoded, *encoded]):
        writer.write_segments([Segment(new_id().replace("-", ""), lines)], reader)
    assert sums.from_rollups() == sums.from_rows()
    assert sum(rollup.requests for rollup in sums.combinations(86_400)) == 20


def test_a_writer_that_fails_leaves_neither_rows_nor_sums(spool, monkeypatch):
    write_entries(spool, *various(20))
    with monkeypatch.context() as broken:
        broken.setattr(store, "_add_distributions", lambda *arguments: (_ for _ in ()).throw(OperationalError("gone")))
        with pytest.raises(OperationalError, match=r"^gone$"):
            writer.drain_spool(spool)
    assert (RequestLog.objects.count(), Rollup.objects.count(), RollupSeries.objects.count()) == (0, 0, 0)
    assert writer.drain_spool(spool) == 20
    assert sums.from_rollups() == sums.from_rows()


def test_an_entry_that_the_database_rejects_is_not_counted(spool):
    write_entries(spool, entry(), entry(latency_ms=2**70), entry())
    assert writer.drain_spool(spool) == 2
    assert sums.from_rollups() == sums.from_rows()


def test_a_sum_is_larger_than_a_column_of_a_row(spool):
    write_entries(spool, *(entry(cost=MAX_PICO, input_tokens=1) for _ in range(5)))
    writer.drain_spool(spool)
    (day,) = sums.combinations(86_400)
    assert day.cost_micro * 10**6 + day.cost_rest == 5 * MAX_PICO


def test_savings_are_the_input_price_of_cached_tokens_less_their_own(spool):
    price = Price.objects.create(name="r", input="3", output="15", cache_read="0.3", cache_write_5m="3.75")
    write_entries(
        spool, entry(price_id=str(price.pk), cost=1, cache_read_tokens=1000, cache_write_5m_tokens=100), entry(cost=1, cache_read_tokens=5)
    )
    writer.drain_spool(spool)
    (day,) = sums.combinations(86_400)
    assert day.saved_micro * 10**6 + day.saved_rest == 1000 * 2_700_000 - 100 * 750_000


def counted(*entries):
    CountedModels().fill(entries)
    return [one.counted_model for one in entries]


def test_a_name_counts_once_a_call_of_it_has_succeeded():
    pattern = Model.objects.create(name="claude-*")
    of_pattern = {"model_id": str(pattern.pk), "model": "claude-x"}
    failed = {"outcome": "failed", "status_code": 502}
    assert counted(entry(**of_pattern, **failed), entry(model="nonsense", outcome="rejected", status_code=404), entry(model="")) == [
        "claude-*",
        "(unknown)",
        "",
    ]
    assert counted(entry(**of_pattern, **failed), entry(**of_pattern)) == ["claude-x", "claude-x"]
    assert counted(entry(**of_pattern, **failed)) == ["claude-x"]
    assert list(RollupModel.objects.values_list("name", flat=True)) == ["claude-x"]


def test_on_one_day_only_so_many_names_are_new(monkeypatch):
    monkeypatch.setattr(known_names, "MAX_NEW_NAMES", 2)
    KnownNames(RollupModel).add(["old", "older"], date(2020, 1, 1))
    pattern = Model.objects.create(name="*")
    names = ["a", "b", "c", "old"]
    assert counted(*(entry(model=name, model_id=str(pattern.pk)) for name in names)) == ["a", "b", "*", "old"]


def test_rating_again_changes_the_sums(spool):
    upstream_id = UPSTREAMS[0]
    first = entry(timestamp=1_790_000_000_000_000, upstream_id=None, model="free", cost=0, input_tokens=1)
    used = entry(timestamp=1_790_000_000_000_000, upstream_id=upstream_id, remote_model="r", attempts=1, input_tokens=1_000_000, cost=None)
    write_entries(spool, first, used)
    writer.drain_spool(spool)
    Price.objects.create(name="r", input="2", output="3", valid_from="2020-01-01T00:00:00Z")
    report = rerate.rerate(RequestLog.objects.get(pk=used.id).timestamp)
    assert report.changed == 1
    assert sums.from_rollups() == sums.from_rows()
    assert sum(rollup.cost_micro for rollup in sums.combinations(3600)) == 2_000_000


def test_tags_count_by_their_sorted_text_and_only_so_many_are_new(spool, monkeypatch):
    monkeypatch.setattr(known_names, "MAX_NEW_NAMES", 1)
    monkeypatch.setattr(writer, "_counting", Counting())
    write_entries(spool, entry(tags={"b": "2", "a": "1"}), entry(tags={"a": "1", "b": "2"}))
    writer.drain_spool(spool)
    write_entries(spool, entry(tags={"a": "9"}), entry(tags={"a": "1", "b": "2"}), entry())
    writer.drain_spool(spool)
    tags = dict(RollupSeries.objects.filter(scope="").values_list("tags", "pk"))
    numbers = {text: Rollup.objects.get(seconds=3600, series_id=pk).requests for text, pk in tags.items()}
    assert numbers == {'{"a":"1","b":"2"}': 3, "(other)": 1, "": 1}
