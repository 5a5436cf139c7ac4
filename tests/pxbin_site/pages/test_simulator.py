"""The simulator: what would happen to a request now, and why."""

import pytest

from accounts.models import ApiKey
from upstreams.catalog import snapshot
from upstreams.models import Model, Route, Upstream

pytestmark = pytest.mark.django_db

PAGE = "/admin/simulator/"


@pytest.fixture
def model():
    row = Model.objects.create(name="large", aliases=["big"])
    for priority, name in enumerate(("first", "second")):
        upstream = Upstream.objects.create(name=name, base_url=f"http://127.0.0.1:{priority + 8}")
        Route.objects.create(
            model=row, upstream=upstream, remote_name=f"{name}-large", priority=priority, context_window=1000 * (priority + 1)
        )
    snapshot.refresh()
    yield row
    snapshot._current = snapshot.Catalogue()


def simulated(client, **query):
    return client.get(PAGE, query).context["result"]


def test_the_order_of_the_attempts_is_that_of_the_routes(admin_client, model):
    result = simulated(admin_client, model="big")
    assert result.targets == [("first", "", "first-large"), ("second", "", "second-large")]
    assert result.verdict.startswith("first would be called first, as first-large, because: ")


def test_a_prompt_that_is_too_long_for_a_route_puts_it_back_with_the_reason(admin_client, model):
    result = simulated(admin_client, model="large", tokens="1500")
    assert [target[0] for target in result.targets] == ["second", "first"]
    assert [(skip[0], "1,000" in skip[3] or "1000" in skip[3]) for skip in result.skips] == [("first", True)]


def test_refusals_have_their_true_reason(admin_client, model):
    key = ApiKey.objects.create(name="k", key_hash="0" * 64, allowed_models=["other"])
    assert simulated(admin_client, model="large", key=str(key.pk)).verdict == "404: the key may not use large."
    assert simulated(admin_client, model="nobody").verdict == "404: no model has this name or alias, and no pattern matches it."
    Upstream.objects.update(is_active=False)
    snapshot.refresh()
    result = simulated(admin_client, model="large")
    assert result.verdict == "503: no route of large is usable."
    assert [skip[3] for skip in result.skips] == ["the upstream is switched off"] * 2
