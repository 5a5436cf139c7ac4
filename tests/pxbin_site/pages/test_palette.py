"""The command palette: what a text finds, and only what the user may see."""

import pytest
from django.contrib.auth.models import Permission
from django.core.cache import cache
from django.utils import timezone

from accounts.models import ApiKey
from billing.models import RequestLog
from upstreams.models import Model, Upstream

pytestmark = pytest.mark.django_db


def found(client, text):
    results = client.get("/admin/search/", {"s": text, "extended": "1"}).context["results"]
    return [(result.title, result.description) for result in results]


@pytest.fixture(autouse=True)
def rows():
    cache.clear()  # the theme stores results
    ApiKey.objects.create(name="acme key", key_hash="0" * 64, key_prefix="pxb_acme")
    Model.objects.create(name="acme-large")
    Upstream.objects.create(name="acme", base_url="http://127.0.0.1:9")
    fields = {"method": "POST", "path": "/", "input_format": "openai", "latency_ms": 1, "overhead_us": 1, "status_code": 200}
    RequestLog.objects.create(
        request_id="r1", response_id="chatcmpl-AbC", timestamp=timezone.now(), model="acme-large", outcome="finished", **fields
    )


def test_objects_and_actions_are_found_by_name(admin_client):
    assert found(admin_client, "acme") == [
        ("acme key (pxb_acme…)", "API key"),
        ("acme-large", "model"),
        ("acme", "upstream"),
        ("Switch acme off", "Action"),
    ]


def test_requests_are_found_by_an_id_in_any_case_and_pages_by_title(admin_client):
    assert found(admin_client, "CHATCMPL-abc") == [("r1", "Request: acme-large finished")]
    assert found(admin_client, "simulator") == [("Routing simulator", "Page")]


def test_only_what_the_user_may_view_is_found(client, django_user_model):
    user = django_user_model.objects.create_user("viewer", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_model"))
    client.force_login(user)
    assert found(client, "acme") == [("acme-large", "model")]
