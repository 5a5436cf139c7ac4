"""``/api/v1/routes``."""

import pytest

from tests.support.management import ManagementClient

pytestmark = pytest.mark.django_db


@pytest.fixture
def script() -> ManagementClient:
    return ManagementClient()


@pytest.fixture
def upstream_id(script) -> str:
    return script.create("/upstreams", name="u", base_url="http://127.0.0.1:9")["id"]


@pytest.fixture
def model_id(script) -> str:
    return script.create("/models", name="m")["id"]


def without_times(row: dict) -> dict:
    return {name: value for name, value in row.items() if name not in ("created_at", "updated_at")}


def test_a_route_shows_what_was_set_and_null_clears_it(script, model_id, upstream_id):
    fields = {
        "model_id": model_id, "upstream_id": upstream_id, "remote_name": "there", "priority": 3, "weight": 2, "is_active": False,
        "context_window": 9, "capabilities": {"tools": False},
    }  # fmt: skip
    created = script.create("/routes", **fields)
    assert without_times(created) == {"id": created["id"], "vanished_at": None, **fields}
    assert script.send("PATCH", f"/routes/{created['id']}", dict.fromkeys(fields)).body == {"data": {"status": "updated"}}
    cleared = {"remote_name": "", "context_window": None, "capabilities": {}}
    assert without_times(script.get(f"/routes/{created['id']}")) == {"id": created["id"], "vanished_at": None, **fields, **cleared}


@pytest.mark.parametrize("missing", ["model_id", "upstream_id"])
def test_a_route_needs_a_model_and_an_upstream(script, model_id, upstream_id, missing):
    fields = {"model_id": model_id, "upstream_id": upstream_id, missing: ""}
    assert script.send("POST", "/routes", fields).error == (400, "invalid_request", "model_id and upstream_id are required")


def test_routes_are_filtered_by_model_and_by_upstream(script, model_id, upstream_id):
    other_id = script.create("/models", name="other", upstream_id=upstream_id)["id"]
    route_id = script.create("/routes", model_id=model_id, upstream_id=upstream_id)["id"]
    assert [row["model_id"] for row in script.get("/routes")] == [model_id, other_id]
    assert [row["id"] for row in script.get(f"/routes?model_id={model_id}")] == [route_id]
    assert len(script.get(f"/routes?upstream_id={upstream_id}")) == 2
    assert script.get(f"/routes?upstream_id={model_id}") == []
    assert script.send("GET", "/routes?model_id=x").error == (400, "invalid_request", "Invalid ID format")


def test_a_duplicate_route_is_a_conflict(script):
    upstream_id = script.create("/upstreams", name="u", base_url="http://127.0.0.1:9")["id"]
    model_id = script.create("/models", name="m", upstream_id=upstream_id)["id"]
    refusal = script.send("POST", "/routes", {"model_id": model_id, "upstream_id": upstream_id}).error
    assert refusal == (409, "conflict", "The model already has a route to this upstream with the same remote name.")
