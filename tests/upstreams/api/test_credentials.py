"""``/api/v1/credentials``."""

import pytest

from tests.support.management import ManagementClient
from upstreams.models import UpstreamCredential
from upstreams.secrets import store

pytestmark = pytest.mark.django_db


@pytest.fixture
def script() -> ManagementClient:
    return ManagementClient()


@pytest.fixture
def upstream_id(script) -> str:
    return script.create("/upstreams", name="u", base_url="http://127.0.0.1:9")["id"]


def test_a_credential_shows_everything_but_its_key(script, upstream_id):
    fields = {"upstream_id": upstream_id, "name": "second", "access_key_id": "AK", "priority": 5, "is_active": False}
    created = script.create("/credentials", **fields, api_key="sk-1")
    assert {name: value for name, value in created.items() if name not in ("created_at", "updated_at")} == {
        "id": created["id"], "cooling_until": None, "disabled_reason": None, "last_used_at": None, **fields,
    }  # fmt: skip
    assert store.decrypt(UpstreamCredential.objects.get().secret_encrypted) == "sk-1"


def test_a_session_token_is_stored_with_its_key_and_never_shown(script, upstream_id):
    created = script.create("/credentials", upstream_id=upstream_id, access_key_id="ASIA", api_key="secret", session_token="token")
    assert "session_token" not in created
    assert store.split_secret(store.decrypt(UpstreamCredential.objects.get().secret_encrypted)) == ("secret", "token")
    script.send("PATCH", f"/credentials/{created['id']}", {"api_key": "another"})
    assert store.split_secret(store.decrypt(UpstreamCredential.objects.get().secret_encrypted)) == ("another", "")
    refusal = script.send("PATCH", f"/credentials/{created['id']}", {"session_token": "token"}).error
    assert refusal == (400, "invalid_request", "session_token needs api_key, the secret access key that it belongs to")


@pytest.mark.parametrize("missing", ["upstream_id", "api_key"])
def test_a_credential_needs_an_upstream_and_a_key(script, upstream_id, missing):
    fields = {"upstream_id": upstream_id, "api_key": "sk-1", missing: ""}
    assert script.send("POST", "/credentials", fields).error == (400, "invalid_request", "upstream_id and api_key are required")


def test_null_and_a_blank_key_change_nothing(script, upstream_id):
    created = script.create("/credentials", upstream_id=upstream_id, name="n", access_key_id="AK", api_key="sk-1", priority=1)
    fields = dict.fromkeys(["upstream_id", "name", "access_key_id", "priority", "is_active"])
    script.send("PATCH", f"/credentials/{created['id']}", {**fields, "api_key": ""})
    assert {**script.get(f"/credentials/{created['id']}"), "updated_at": ""} == {**created, "updated_at": ""}
    assert store.decrypt(UpstreamCredential.objects.get().secret_encrypted) == "sk-1"


def test_is_active_enables_a_credential_that_the_gateway_disabled(script, upstream_id):
    created = script.create("/credentials", upstream_id=upstream_id, api_key="sk-1")
    UpstreamCredential.objects.update(disabled_reason="refused")
    assert script.get(f"/credentials/{created['id']}")["disabled_reason"] == "refused"
    script.send("PATCH", f"/credentials/{created['id']}", {"is_active": True})
    assert script.get(f"/credentials/{created['id']}")["disabled_reason"] is None


def test_credentials_are_filtered_by_upstream(script, upstream_id):
    other_id = script.create("/upstreams", name="other", base_url="http://127.0.0.1:9", api_key="sk-2")["id"]
    script.create("/credentials", upstream_id=upstream_id, api_key="sk-1")
    assert [row["upstream_id"] for row in script.get("/credentials")] == [other_id, upstream_id]
    assert [row["upstream_id"] for row in script.get(f"/credentials?upstream_id={upstream_id}")] == [upstream_id]
