"""Health checks and circuit breakers on the pages of upstreams."""

import pytest

from tests.support.fake_upstream import json_reply
from tests.upstreams.admin.pages import add, messages_of
from upstreams.models import UpstreamCredential
from upstreams.routing import live_state
from upstreams.secrets import store

pytestmark = pytest.mark.django_db


def test_the_connection_can_be_tested(admin_client, upstream):
    row = add(base_url=upstream.url, test_model="m")
    path = f"/admin/upstreams/upstream/{row.pk}/change/"
    upstream.otherwise(json_reply({"data": [{"id": "m"}]}))
    (message,) = messages_of(admin_client.post(path, {"_command": "check"}))
    assert message.startswith("u is healthy: 1 model listed, m answered in ")
    upstream.otherwise(json_reply({}, status=500))
    response = admin_client.post("/admin/upstreams/upstream/", {"action": "check_health", "_selected_action": [str(row.pk)]})
    assert messages_of(response) == ["u: Completion returned 500"]
    for page in ("upstreams/upstream/", f"upstreams/upstream/{row.pk}/change/", ""):
        assert "Completion returned 500" in admin_client.get(f"/admin/{page}").content.decode()


@pytest.mark.django_db(transaction=True)
def test_a_health_check_shows_the_result_of_each_credential(admin_client, upstream):
    row = add(base_url=upstream.url, test_model="m")
    second = UpstreamCredential(upstream=row, name="second")
    store.set_secret(second, "sk-2")
    second.save()
    path = f"/admin/upstreams/upstream/{row.pk}/change/"
    refusal = {"error": {"message": "Incorrect API key provided", "code": "invalid_api_key"}}
    upstream.otherwise(
        lambda request: json_reply(refusal, status=401) if request.header("authorization") == "Bearer sk-2" else json_reply({})
    )
    assert messages_of(admin_client.post(path, {"_command": "check"})) == ["u: main is healthy; second was refused (401)."]
    reasons = list(row.credentials.order_by("name").values_list("disabled_reason", flat=True))
    assert reasons == ["", "the upstream answered 401: upstream authentication failed"]


def test_the_list_of_upstreams_shows_an_open_circuit_breaker(admin_client):
    row, state = add(), live_state.current()
    for _ in range(state.breakers.threshold):
        state.record_failure(str(row.pk))
    assert "breaker open" in admin_client.get("/admin/upstreams/upstream/").content.decode()
    state.record_success(str(row.pk))
    page = admin_client.get("/admin/upstreams/upstream/").content.decode()
    assert ("breaker open" in page, "untried" in page) == (False, True)
