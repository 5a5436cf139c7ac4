"""``/api/v1/audit``: who created, changed and deleted what."""

from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.utils import timezone

from accounts.models import ManagementKey
from tests.support.management import ManagementClient

pytestmark = pytest.mark.django_db

NEW_KEY = [("name", None, "tests"), ("permissions", None, ["read", "write"])]
LOCAL = {"name": "local", "base_url": "http://127.0.0.1:9/v1", "api_key": "sk-planted"}


@pytest.fixture
def script() -> ManagementClient:
    return ManagementClient()


def entries(script, query=""):
    return [
        (item["action"], item["object_type"], item["object_name"], item["actor"], [tuple(change.values()) for change in item["changes"]])
        for item in script.get(f"/audit{query}")
    ]


def test_changes_by_script_name_the_key_and_the_values(script):
    actor = {"type": "key", "name": f"{script.key[:8]} tests"}
    created = script.create("/models", name="m")["id"]
    script.send("PATCH", f"/models/{created}", {"display_name": "M", "context_window": 1000})
    script.send("DELETE", f"/models/{created}")
    deleted, changed, made = entries(script, f"?object_id={created}")
    assert changed == ("changed", "model", "m", actor, [("context_window", None, 1000), ("display_name", None, "M")])
    assert (made[:4], deleted[:4]) == (("created", "model", "m", actor), ("deleted", "model", "m", actor))
    assert ("name", None, "m") in made[4]
    assert ("name", "m", None) in deleted[4]


def test_the_secrets_of_upstreams_are_not_shown(script):
    script.create("/upstreams", **LOCAL)
    assert {kind for _, kind, *_ in entries(script)} == {"upstream", "upstreamcredential", "managementkey"}
    assert "sk-planted" not in script.raw("GET", "/audit").content.decode()


def test_an_admin_a_command_and_the_gateway_are_named(script):
    key = ManagementKey.objects.get()
    key._history_user = get_user_model().objects.create_superuser("ada", password="x")
    key.name = "renamed"
    key.save()
    call_command("create_key", "laptop")
    assert [(name, actor, changes) for _, kind, name, actor, changes in entries(script, "?object_type=managementkey") if kind] == [
        ("renamed", {"type": "user", "name": "ada"}, [("name", "tests", "renamed")]),
        ("tests", {"type": "system", "name": ""}, [("is_active", None, True), ("key_prefix", None, script.key[:8]), *NEW_KEY]),
    ]
    [(*_, actor, _)] = entries(script, "?object_type=apikey")
    assert actor == {"type": "command", "name": "manage.py create_key"}


def test_pages_and_filters(script):
    for name in "abc":
        script.create("/models", name=name)
    body = script.send("GET", "/audit?object_type=model&per_page=2&page=2").body
    assert (body["meta"], [item["object_name"] for item in body["data"]]) == ({"total": 3, "page": 2, "per_page": 2}, ["a"])
    assert [name for _, _, name, *_ in entries(script, "?action=created&object_type=model")] == ["c", "b", "a"]
    assert entries(script, "?action=deleted") == []
    tomorrow = (timezone.now() + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert entries(script, f"?from={tomorrow}") == []
    assert len(entries(script, f"?to={tomorrow}&object_type=model&object_id=&action=")) == 3


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("object_type=user", "Invalid object_type, must be one of apikey, managementkey, "),
        ("object_id=x", "Invalid ID format"),
        ("action=made", "Invalid action, must be one of created, changed, deleted"),
        ("from=x", "from: write it as in RFC 3339"),
    ],
)
def test_an_invalid_filter_is_refused(script, query, message):
    status, kind, text = script.send("GET", f"/audit?{query}").error
    assert (status, kind, text[: len(message)]) == (400, "invalid_request", message)


def test_reading_needs_a_key(script):
    assert script.send("GET", "/audit", x_api_key="pxm_none").status == 401
    assert ManagementClient(permissions=("read",)).send("GET", "/audit").status == 200
