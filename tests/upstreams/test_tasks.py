"""Scheduled health checks and discovery."""

from datetime import timedelta
from threading import Event

import pytest
from django.utils import timezone

from tests.support.fake_upstream import json_reply
from tests.support.settings import with_config
from upstreams import schedule, tasks
from upstreams.models import Model, Upstream
from upstreams.monitoring import discovery

pytestmark = pytest.mark.django_db

NO_CHANGES = {"created": 0, "vanished": 0, "returned": 0}


def listing(*names):
    return json_reply({"data": [{"id": name, "context_length": 1000} for name in names]})


@pytest.fixture
def provider(upstream):
    return Upstream.objects.create(name="provider", base_url=upstream.url)


def test_discovery_continues_after_an_upstream_that_fails(upstream, second_upstream, provider):
    Upstream.objects.create(name="failing", base_url=second_upstream.url)
    upstream.otherwise(listing("a"))
    assert tasks.discover() == {"created": 1, "vanished": 0, "returned": 0}


def test_an_upstream_is_called_once_by_several_schedules(upstream, provider):
    upstream.otherwise(listing("a"))
    with with_config(discover_seconds=60, health_check_seconds=60):
        assert [tasks.discover(), tasks.discover()] == [{"created": 1, "vanished": 0, "returned": 0}, NO_CHANGES]
        assert [tasks.health_check(), tasks.health_check()] == [{"provider": True}, {}]
        assert [request.method for request in upstream.requests] == ["GET", "GET", "POST"]
        Upstream.objects.update(discovery_claimed_at=timezone.now() - timedelta(seconds=31))
        assert tasks.discover() == NO_CHANGES
    assert len(upstream.requests) == 4


def test_discovery_continues_after_a_model_that_another_process_creates_at_the_same_time(upstream, second_upstream, provider, monkeypatch):
    Upstream.objects.create(name="second", base_url=second_upstream.url)
    Model.objects.create(name="a")
    upstream.otherwise(listing("a"))
    second_upstream.otherwise(listing("b"))
    names_of_each_call = iter([set(), {"a"}])
    monkeypatch.setattr(discovery, "taken_names", lambda _prefix: next(names_of_each_call))
    assert tasks.discover() == {"created": 1, "vanished": 0, "returned": 0}


def test_a_task_returns_at_once_and_is_not_started_twice(monkeypatch):
    calls, finish = [], Event()
    monkeypatch.setattr(discovery, "list_all", lambda upstreams: calls.append(upstreams) or (finish.wait(10) and []))
    tasks.discover.apply()
    tasks.discover.apply()
    thread = tasks._threads["upstreams.discover"]
    assert thread.daemon
    finish.set()
    thread.join()
    assert calls == [[]]


def test_tasks_without_an_interval_are_not_scheduled():
    assert schedule.schedule(health_check_seconds=0, discover_seconds=0) == {}
    assert list(schedule.schedule(health_check_seconds=300, discover_seconds=0)) == ["upstreams.health_check"]
