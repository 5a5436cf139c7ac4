import pytest

from accounts.keys import Key
from accounts.limits.limiter import Limiter
from accounts.limits.memory_counts import MemoryCounts
from proxy.translation.errors import ClientMistake
from tests.support.leases import lease


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def limiter(clock):
    return Limiter(MemoryCounts(clock), clock=clock)


def refusal(limiter, key):
    with pytest.raises(ClientMistake) as caught:
        lease(limiter, key)
    failure = caught.value.failure
    return failure.kind, failure.message, failure.headers


def test_keys_without_limits_are_not_counted(limiter):
    assert not limiter.applies_to(Key(id="a"))
    assert [limiter.applies_to(Key(id="a", **{limit: 1})) for limit in ("rate_limit", "token_limit", "concurrency_limit")] == [True] * 3


def test_a_full_bucket_allows_a_minutes_requests_at_once_and_refills_steadily(limiter, clock):
    key = Key(id="a", rate_limit=30)
    for _ in range(30):
        lease(limiter, key).release()
    assert refusal(limiter, key) == ("rate_limit", "This key may send 30 requests per minute", {"retry-after": "2"})
    clock.now += 2.0
    lease(limiter, key).release()
    assert refusal(limiter, key)[0] == "rate_limit"


def test_keys_do_not_share_their_limits(limiter):
    lease(limiter, Key(id="a", rate_limit=1)).release()
    lease(limiter, Key(id="b", rate_limit=1)).release()
    assert refusal(limiter, Key(id="a", rate_limit=1))[0] == "rate_limit"


def test_concurrent_requests_are_counted_until_they_end(limiter):
    key = Key(id="a", concurrency_limit=2)
    first, _ = lease(limiter, key), lease(limiter, key)
    assert refusal(limiter, key) == ("rate_limit", "This key may have 2 requests running at once", {"retry-after": "1"})
    first.release()
    first.release()
    lease(limiter, key)
    assert refusal(limiter, key)[0] == "rate_limit"


def test_a_refused_request_is_not_charged(limiter, clock):
    key = Key(id="a", rate_limit=2, concurrency_limit=1)
    held = lease(limiter, key)
    for _ in range(5):
        refusal(limiter, key)
    held.release()
    lease(limiter, key).release()
    assert refusal(limiter, key)[1] == "This key may send 2 requests per minute"


def test_tokens_are_charged_at_the_end_and_delay_the_next_request(limiter, clock):
    key = Key(id="a", token_limit=600)
    lease(limiter, key).release(tokens=1199)
    assert refusal(limiter, key) == ("rate_limit", "This key may use 600 tokens per minute", {"retry-after": "60"})
    clock.now += 60.0
    lease(limiter, key)


def test_a_changed_limit_applies_from_the_next_request(limiter):
    lease(limiter, Key(id="a", rate_limit=1)).release()
    for _ in range(2):
        lease(limiter, Key(id="a", rate_limit=2)).release()
    assert refusal(limiter, Key(id="a", rate_limit=2))[1] == "This key may send 2 requests per minute"


def test_full_buckets_are_dropped(limiter, clock):
    for number in range(1000):
        lease(limiter, Key(id=str(number), rate_limit=10, token_limit=10)).release(tokens=5)
    clock.now += 61.0
    lease(limiter, Key(id="last", rate_limit=10)).release()
    counts = limiter.counts
    assert (len(counts._requests.by_key), len(counts._tokens.by_key), counts.running) == (1, 1000, {})
    clock.now += 1.0
    lease(limiter, Key(id="last", token_limit=10)).release()
    assert list(counts._tokens.by_key) == ["last"]


def test_the_gateway_can_limit_every_key_per_second(clock):
    limiter = Limiter(MemoryCounts(clock), clock=clock, rps=2.0)
    unlimited, limited = Key(id="a"), Key(id="b", rate_limit=1)
    for _ in range(4):  # twice the rate at once
        lease(limiter, unlimited).release()
    assert refusal(limiter, unlimited) == ("rate_limit", "A key may send 2 requests per second here", {"retry-after": "1"})
    clock.now += 0.5
    lease(limiter, unlimited).release()
    assert refusal(limiter, unlimited)[0] == "rate_limit"
    lease(limiter, limited).release()
    assert refusal(limiter, limited)[1] == "This key may send 1 requests per minute"
    lease(limiter, Key(id="")).release()


def test_a_burst_may_be_smaller_than_the_rate(clock):
    limiter = Limiter(MemoryCounts(clock), clock=clock, rps=10.0, burst=1)
    lease(limiter, Key(id="a")).release()
    assert refusal(limiter, Key(id="a"))[0] == "rate_limit"
    clock.now += 61.0
    lease(limiter, Key(id="b")).release()
    assert list(limiter._per_second.by_key) == ["b"]
