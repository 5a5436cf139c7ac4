import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from accounts.budget_entries import entry_of
from accounts.limits.windows import Settled, window_of
from accounts.models import Budget, Owner, Pool
from billing import spend
from billing.request_log import writer
from billing.request_log.entry import LogEntry
from billing.request_log.journal import Journal
from tests.support.settings import with_config

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 12, 2, 12, tzinfo=UTC)
KEY, OTHER = str(uuid.uuid4()), str(uuid.uuid4())


def entry(cost, *, key=KEY, owner="", hours_ago=1.0):
    moment = NOW - timedelta(hours=hours_ago)
    described = {"model": "m", "dialect": "anthropic", "input_format": "anthropic", "input_tokens": 1, "attempts": 1}
    return LogEntry(id=str(uuid.uuid4()), timestamp=int(moment.timestamp() * 1e6), api_key_id=key, owner=owner, cost=cost, **described)


@pytest.fixture
def spool(tmp_path):
    with with_config(data_dir=tmp_path):
        yield tmp_path / "spool"


def put(spool, *entries):
    journal = Journal(spool, schedule=lambda seconds, work: None)
    for log_entry in entries:
        journal.append(log_entry)
    journal.close()


def windows():
    owner, pool = Owner.named("anna"), Pool.named("agents")
    rows = [
        (Budget(scope="owner", owner=owner, amount_usd=Decimal(1), period="daily"), ()),
        (Budget(scope="pool", pool=pool, amount_usd=Decimal(1), period="daily"), (KEY, OTHER)),
        (Budget(scope="global", amount_usd=Decimal(1), period="daily"), ()),
        (Budget(scope="global", amount_usd=Decimal(1), period="total"), ()),
    ]
    return [window_of(entry_of(row, members), NOW.timestamp()) for row, members in rows]


ENTRIES = (entry(1, owner="anna"), entry(20, key=OTHER), entry(300, key=str(uuid.uuid4())), entry(4000, owner="anna", hours_ago=30))
EXPECTED = [1, 21, 321, 4321]


def test_requests_count_from_the_spool_and_from_the_database_alike(spool):
    put(spool, *ENTRIES)
    assert spend.spent(windows(), dict)[0] == EXPECTED
    writer.drain_spool(spool)
    assert spend.spent(windows(), dict)[0] == EXPECTED


def test_a_request_in_several_places_counts_once(spool):
    put(spool, *ENTRIES[:2])
    writer.drain_spool(spool)
    put(spool, *ENTRIES)
    captured = {log.id: Settled(log.api_key_id, log.owner, log.timestamp / 1e6, log.cost) for log in ENTRIES[1:]}
    captured[str(uuid.uuid4())] = Settled(KEY, "anna", NOW.timestamp(), 50_000)
    sums, counted = spend.spent(windows(), lambda: captured)
    assert (sums, set(counted)) == ([50_001, 50_021, 50_321, 54_321], set(captured))


def test_the_sums_are_exact(spool):
    put(spool, *(entry(10**15 + 1) for _ in range(50)))
    writer.drain_spool(spool)
    assert spend.spent(windows()[3:], dict)[0] == [50 * (10**15 + 1)]


def test_requests_that_a_soft_budget_would_have_refused_are_counted(spool):
    marked = entry(1)
    marked.over_budget = True
    put(spool, marked, entry(1))
    writer.drain_spool(spool)
    assert spend.over_budget(windows()) == [0, 1, 1, 1]
