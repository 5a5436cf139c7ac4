"""Models that come and go: what an upstream lists becomes models, what it lists no longer is marked."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from tests.support.fake_upstream import json_reply
from upstreams import beat, discovery, tasks
from upstreams.models import Model, Route, Upstream

pytestmark = pytest.mark.django_db


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
    assert beat.schedule(health_check_seconds=0, discover_seconds=0) == {}
    assert list(beat.schedule(health_check_seconds=300, discover_seconds=0)) == ["upstreams.health_check"]
