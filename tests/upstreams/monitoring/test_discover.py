"""Models that come and go: what an upstream lists becomes models, what it lists no longer is marked."""

import asyncio
from datetime import timedelta
from io import StringIO
from threading import Event

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from tests.support.fake_upstream import json_reply
from tests.support.settings import with_config
from upstreams import schedule, tasks
from upstreams.models import Model, Route, Upstream
from upstreams.monitoring import discovery, probe

pytestmark = pytest.mark.django_db

NOTHING = {"created": 0, "vanished": 0, "returned": 0}


def listing(*names):
    return json_reply({"data": [{"id": name, "context_length": 1000} for name in names]})


@pytest.fixture
def provider(upstream):
    return Upstream.objects.create(name="provider", base_url=upstream.url)


def vanished(provider):
    return {route.remote_name: route.vanished_at is not None for route in provider.routes.all()}


def test_new_models_are_made_vanished_ones_marked_and_returning_ones_unmarked(upstream, provider):
    mine = Model.objects.create(name="mine")
    Route.objects.create(model=mine, upstream=provider, remote_name="b")
    upstream.reply(listing("a", "b"), listing("b", "c"), listing("a", "b", "c"))
    assert discovery.discover(provider) == {"created": 1, "vanished": 0, "returned": 0}
    assert discovery.discover(provider) == {"created": 1, "vanished": 1, "returned": 0}
    assert vanished(provider) == {"a": True, "b": False, "c": False}
    assert discovery.discover(provider) == {"created": 0, "vanished": 0, "returned": 1}
    assert vanished(provider) == {"a": False, "b": False, "c": False}
    assert sorted(Model.objects.values_list("name", "context_window")) == [("a", 1000), ("c", 1000), ("mine", None)]


def test_patterns_do_not_vanish(upstream, provider):
    Route.objects.create(model=Model.objects.create(name="x-*"), upstream=provider)
    upstream.reply(listing("a"))
    assert discovery.discover(provider)["vanished"] == 0


def test_an_empty_list_marks_nothing(upstream, provider):
    Route.objects.create(model=Model.objects.create(name="a"), upstream=provider, remote_name="a")
    upstream.reply(listing())
    with pytest.raises(discovery.DiscoveryFailed):
        discovery.discover(provider)
    assert vanished(provider) == {"a": False}


def test_the_task_goes_on_where_one_upstream_fails(upstream, second_upstream, provider):
    Upstream.objects.create(name="sick", base_url=second_upstream.url)
    upstream.otherwise(listing("a"))
    assert tasks.discover() == {"created": 1, "vanished": 0, "returned": 0}


def test_beats_of_several_processes_ask_an_upstream_once(upstream, provider):
    upstream.otherwise(listing("a"))
    with with_config(discover_seconds=60, health_check_seconds=60):
        assert [tasks.discover(), tasks.discover()] == [{"created": 1, "vanished": 0, "returned": 0}, NOTHING]
        assert [tasks.health_check(), tasks.health_check()] == [{"provider": True}, {}]
        assert [asked.method for asked in upstream.requests] == ["GET", "GET", "POST"]
        Upstream.objects.update(discovery_claimed_at=timezone.now() - timedelta(seconds=31))
        assert tasks.discover() == NOTHING
    assert len(upstream.requests) == 4


def test_models_that_somebody_makes_at_the_same_time_stop_no_other_upstream(upstream, second_upstream, provider, monkeypatch):
    Upstream.objects.create(name="second", base_url=second_upstream.url)
    Model.objects.create(name="a")
    upstream.otherwise(listing("a"))
    second_upstream.otherwise(listing("b"))
    known = iter([set(), {"a"}])
    monkeypatch.setattr(discovery, "taken_names", lambda _prefix: next(known))
    assert tasks.discover() == {"created": 1, "vanished": 0, "returned": 0}


def test_celery_goes_on_while_upstreams_are_asked_and_rings_for_nothing_meanwhile(monkeypatch):
    begun, go = [], Event()
    monkeypatch.setattr(discovery, "list_all", lambda upstreams: begun.append(upstreams) or (go.wait(10) and []))
    tasks.discover.apply()
    tasks.discover.apply()
    thread = tasks._threads["upstreams.discover"]
    assert thread.daemon
    go.set()
    thread.join()
    assert begun == [[]]


async def test_upstreams_are_asked_together_but_not_all_at_once():
    running, most = 0, 0

    async def question(number):
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return number

    assert await probe.gather_limited(question(number) for number in range(20)) == list(range(20))
    assert most == probe.MAX_PARALLEL


def test_the_command_asks_those_that_are_named(upstream, provider):
    upstream.otherwise(listing("a"))
    out = StringIO()
    call_command("discover_models", "provider", stdout=out)
    assert out.getvalue() == "provider: 1 new, 0 vanished, 0 returned\n"
    with pytest.raises(CommandError, match="There is no active upstream nobody"):
        call_command("discover_models", "nobody")


def test_the_command_fails_where_an_upstream_failed_and_asks_the_others_all_the_same(upstream, second_upstream, provider):
    Upstream.objects.create(name="a sick one", base_url=second_upstream.url)
    upstream.otherwise(listing("a"))
    out, err = StringIO(), StringIO()
    with pytest.raises(CommandError, match="No models from a sick one"):
        call_command("discover_models", stdout=out, stderr=err)
    assert out.getvalue() == "provider: 1 new, 0 vanished, 0 returned\n"
    assert err.getvalue().startswith("a sick one: ")


def test_beat_rings_what_has_an_interval():
    assert schedule.schedule(health_check_seconds=0, discover_seconds=0) == {}
    assert list(schedule.schedule(health_check_seconds=300, discover_seconds=0)) == ["upstreams.health_check"]
