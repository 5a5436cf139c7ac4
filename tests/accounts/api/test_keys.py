"""``/api/v1/keys``, ``/api/v1/bootstrap``, and what all of the management API has in common."""

import json
import re
import uuid

import msgspec
import pytest

from accounts.keys import WRONG_KIND, hash_key
from accounts.models import ApiKey, Owner
from tests.support.management import ManagementClient

pytestmark = pytest.mark.django_db

MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{0,5}[1-9])?Z")
SECRET = "bootstrap-secret-1"
MISSING_ID = str(uuid.UUID(int=7))


@pytest.fixture
def script() -> ManagementClient:
    return ManagementClient()


@pytest.fixture
def bootstrapping(settings) -> None:
    settings.PXBIN = msgspec.structs.replace(settings.PXBIN, management_bootstrap_key=SECRET)


# --- authentication -------------------------------------------------------------------------------------------------------


def test_refusals_of_the_management_key_are_plain_strings(script):
    client = script.create("/keys", name="c")["key"]
    revoked = script.create("/keys", type="management")
    script.send("DELETE", f"/keys/{revoked['id']}")
    headers = [{"accept": "*/*"}, {"x_api_key": "pxm_unknown"}, {"x_api_key": client}, {"x_api_key": revoked["key"]}]
    assert [script.send("GET", "/keys", None, **key_headers) for key_headers in headers] == [
        (401, {"error": "Missing API key"}),
        (401, {"error": "Invalid API key"}),
        (401, {"error": WRONG_KIND["management"]}),
        (403, {"error": "API key is deactivated"}),
    ]


def test_a_bearer_token_is_accepted_but_x_api_key_takes_precedence(script):
    assert script.send("GET", "/keys", authorization=f"Bearer {script.key}").status == 200
    assert script.send("GET", "/keys", x_api_key="pxm_no", authorization=f"Bearer {script.key}").status == 401


def test_a_read_only_key_cannot_write():
    reader = ManagementClient(permissions=("read",))
    assert reader.send("GET", "/keys").status == 200
    assert reader.send("POST", "/keys", {}) == (403, {"error": "API key lacks the permission 'write'"})


# --- bodies and responses -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"name"', b"1", b"null", b"\xff", b"[" * 100_000])
def test_a_body_that_is_not_a_json_object_creates_nothing(script, body):
    response = script.raw("POST", "/keys", body)
    assert response.status_code == 400
    assert json.loads(response.content)["error"]["message"].startswith("Invalid JSON body")
    assert not ApiKey.objects.exists()


@pytest.mark.parametrize("body", [b'{"name": "t"} and more', b' \n{"name": "t"}{"name": "u"}', b'{"name": "s", "name": "t"}'])
def test_what_follows_the_first_value_is_ignored(script, body):
    assert json.loads(script.raw("POST", "/keys", body).content)["data"]["name"] == "t"


def test_unknown_fields_are_ignored_and_named(script):
    response = script.raw("POST", "/keys", b'{"name": "t", "rate_limits": 5, "\\u00e4": 1}')
    assert (response.status_code, response["X-Pxbin-Ignored"]) == (201, "rate_limits (did you mean rate_limit?), \\xe4")
    assert "X-Pxbin-Ignored" not in script.raw("POST", "/keys", b'{"name": "t"}')


def test_unknown_parameters_of_a_query_are_ignored_and_named_too(script):
    accepted = script.raw("GET", "/keys?page=1&per_page=2&type=llm")
    key_id = script.create("/keys", name="t")["id"]
    unknown = [script.raw("GET", path) for path in ("/keys?limit=2&per_pages=2", "/logs/?page=1&until=x", f"/keys/{key_id}?types=llm")]
    assert "X-Pxbin-Ignored" not in accepted
    assert [(response.status_code, response["X-Pxbin-Ignored"]) for response in unknown] == [
        (200, "limit, per_pages (did you mean per_page?)"),
        (200, "until"),
        (200, "types (did you mean type?)"),
    ]
    body = script.raw("POST", "/keys?dry=1", b'{"name": "t", "rate_limits": 5}')
    assert body["X-Pxbin-Ignored"] == "rate_limits (did you mean rate_limit?), dry"


@pytest.mark.parametrize("fields", [{"name": 5}, {"rate_limit": "5"}, {"rate_limit": 1.5}, {"is_active": "yes"}, {"allowed_models": "a"}])
def test_a_wrong_type_is_named(script, fields):
    status, kind, message = script.send("POST", "/keys", fields).error
    assert (status, kind, message.split(": ")[:2]) == (400, "invalid_request", ["Invalid JSON body", next(iter(fields))])


def test_a_response_is_one_line_of_json(script):
    for response in (script.raw("GET", "/keys"), script.raw("GET", "/keys/none")):
        assert response["Content-Type"] == "application/json"
        assert response.content.endswith(b"}\n")


def test_paths_work_with_and_without_a_trailing_slash(script):
    assert script.send("GET", "/keys/") == script.send("GET", "/keys")
    assert script.send("POST", "/keys/", {"name": "slash"}).status == 201


# --- keys ---------------------------------------------------------------------------------------------------------------


def test_a_new_key_is_shown_once(script):
    created = script.create("/keys", name="laptop", rate_limit=7)
    assert set(created) == {"key", "id", "name", "key_prefix", "created_at"}
    assert re.fullmatch(r"pxb_[0-9a-f]{40}", created["key"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", created["created_at"])
    assert ApiKey.objects.get(pk=created["id"]).key_hash == hash_key(created["key"])
    key = script.get(f"/keys/{created['id']}")
    assert {name: value for name, value in key.items() if not name.endswith("_at")} == {
        "id": created["id"], "key_prefix": created["key"][:8], "name": "laptop", "is_active": True, "rate_limit": 7, "token_limit": None,
        "concurrency_limit": None, "allowed_models": None, "may_choose_upstream": False, "metadata": {}, "old_key_valid_until": None,
        "allowed_ips": None, "capture_payloads": False,
        "owner": None, "tokens_per_minute": None, "max_concurrency": None, "budget_usd": None, "budget_period": None, "budget_mode": None,
        "pools": [],
    }  # fmt: skip
    assert (key["expires_at"], key["last_used_at"]) == (None, None)
    assert MOMENT.fullmatch(key["created_at"])


def test_an_owner_is_created_when_a_key_first_names_it(script):
    created = [script.create("/keys", name=name, owner=owner)["id"] for name, owner in (("a", "research"), ("b", " research "), ("c", ""))]
    assert [script.get(f"/keys/{key_id}")["owner"] for key_id in created] == ["research", "research", None]
    assert list(Owner.objects.values_list("name", "kind")) == [("research", "user")]
    script.send("PATCH", f"/keys/{created[0]}", {"owner": None})
    script.send("PATCH", f"/keys/{created[1]}", {"name": "still owned"})
    assert [key["owner"] for key in script.get("/keys")] == [None, "research", None]


def test_the_name_of_an_owner_is_bounded(script):
    expected = "Invalid JSON body: owner: String should have at most 200 characters"
    assert script.send("POST", "/keys", {"owner": "x" * 201}).error == (400, "invalid_request", expected)


@pytest.mark.parametrize(("kind", "prefix"), [(None, "pxb_"), ("", "pxb_"), ("llm", "pxb_"), ("management", "pxm_")])
def test_the_type_selects_the_kind(script, kind, prefix):
    assert script.create("/keys", type=kind)["key"].startswith(prefix)


def test_another_type_is_refused(script):
    assert script.send("POST", "/keys", {"type": "x"}).error == (400, "invalid_request", "Invalid key type, must be 'llm' or 'management'")


def test_a_management_key_is_read_only_by_default(script):
    keys = [script.create("/keys", type="management", **fields) for fields in ({}, {"permissions": ["read", "write"]})]
    assert [script.get(f"/keys/{key['id']}")["permissions"] for key in keys] == [["read"], ["read", "write"]]
    assert script.send("POST", "/keys", {"type": "management", "permissions": ["admin"]}).status == 400


def test_keys_are_listed_newest_first_including_revoked_ones(script):
    created = [script.create("/keys", name=str(number))["id"] for number in range(3)]
    script.send("DELETE", f"/keys/{created[1]}")
    listed = script.send("GET", "/keys?type=anything")
    assert [(row["name"], row["is_active"]) for row in listed.data] == [("2", True), ("1", False), ("0", True)]
    assert listed.body["meta"] == {"total": 3, "page": 1, "per_page": 50}
    assert script.send("GET", "/keys?page=9&per_page=2").body == {"data": [], "meta": {"total": 3, "page": 9, "per_page": 2}}
    assert [row["name"] for row in script.get("/keys?type=management")] == ["tests"]


def test_null_clears_a_limit_and_means_unchanged_elsewhere(script):
    created = script.create("/keys", name="n", rate_limit=5, allowed_models=["a"])["id"]
    changes = {"name": None, "is_active": None, "rate_limit": None, "allowed_models": None}
    assert script.send("PATCH", f"/keys/{created}", changes).body == {"data": {"status": "updated"}}
    key = script.get(f"/keys/{created}")
    assert (key["name"], key["is_active"], key["rate_limit"], key["allowed_models"]) == ("n", True, None, None)


def test_without_a_type_both_kinds_are_searched(script):
    created = script.create("/keys", type="management")["id"]
    assert script.send("DELETE", f"/keys/{created}?type=llm").body == {"data": {"status": "deactivated"}}
    assert script.get(f"/keys/{created}")["is_active"] is True
    assert script.send("DELETE", f"/keys/{created}").body == {"data": {"status": "deactivated"}}
    assert script.get(f"/keys/{created}")["is_active"] is False


@pytest.mark.parametrize(("method", "status"), [("PATCH", "updated"), ("DELETE", "deactivated")])
@pytest.mark.parametrize("query", ["", "?type=llm", "?type=management"])
def test_a_change_of_an_unknown_key_is_answered_as_in_pxbin_with_a_warning(script, method, status, query):
    response = script.raw(method, f"/keys/{MISSING_ID}{query}", b"{}")
    assert (response.status_code, json.loads(response.content)) == (200, {"data": {"status": status}})
    assert response.headers["X-Pxbin-Warning"] == "there is no key with this id"


def test_an_unknown_key_is_not_found(script):
    assert script.send("GET", f"/keys/{MISSING_ID}").error == (404, "not_found", "Key not found")


@pytest.mark.parametrize("method", ["PATCH", "DELETE", "GET"])
def test_a_malformed_id(script, method):
    assert script.send(method, "/keys/x", {} if method == "PATCH" else None).error == (400, "invalid_request", "Invalid ID format")


@pytest.mark.parametrize(
    ("expires_at", "expected"),
    [
        ("2030-01-31T12:00:00Z", "2030-01-31T12:00:00Z"),
        ("2030-01-31T12:00:00+02:00", "2030-01-31T10:00:00Z"),
        ("2030-01-31", "2030-01-31T00:00:00Z"),
    ],
)
def test_the_expiry_is_shown_in_utc(script, expires_at, expected):
    assert script.get(f"/keys/{script.create('/keys', expires_at=expires_at)['id']}")["expires_at"] == expected


@pytest.mark.parametrize("expires_at", ["soon", "2030-13-01", "0001-01-01T00:00:00+02:00"])
def test_an_expiry_that_is_not_a_time_is_refused(script, expires_at):
    expected = "expires_at: write it as in RFC 3339, for example 2030-01-31T12:00:00Z"
    assert script.send("POST", "/keys", {"expires_at": expires_at}).error == (400, "invalid_request", expected)


# --- bootstrap -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "body", "prefix"),
    [
        ({"x_api_key": SECRET}, {"name": "a"}, "pxb_"),
        ({"x_api_key": SECRET}, {"type": "management"}, "pxm_"),
        ({"authorization": f"Bearer {SECRET}"}, {}, "pxb_"),
        ({"accept": "*/*"}, {"bootstrap_key": SECRET, "name": "admin"}, "pxm_"),
        ({"accept": "*/*"}, {"bootstrap_key": SECRET, "type": "llm"}, "pxb_"),
    ],
)
@pytest.mark.usefixtures("bootstrapping")
def test_both_forms_of_bootstrapping(script, headers, body, prefix):
    created = script.send("POST", "/bootstrap", body, **headers)
    assert created.status == 201
    assert created.data["key"].startswith(prefix)
    if prefix == "pxm_":
        assert script.get(f"/keys/{created.data['id']}")["permissions"] == ["read", "write"]


@pytest.mark.parametrize(
    ("header", "body"), [("x", {}), ("", {}), ("wr\u00f6ng", {}), ("", {"bootstrap_key": "x"}), ("x", {"bootstrap_key": SECRET})]
)
@pytest.mark.usefixtures("bootstrapping")
def test_a_wrong_secret_is_refused(script, header, body):
    assert script.send("POST", "/bootstrap", body, x_api_key=header).error == (401, "authentication_error", "Invalid bootstrap key")


def test_without_a_secret_there_is_no_bootstrapping(script):
    assert script.send("POST", "/bootstrap", {"bootstrap_key": ""}, accept="*/*").status == 404


# --- rotation -------------------------------------------------------------------------------------------------------------


def test_a_rotated_key_has_a_new_secret_and_its_old_id(script):
    created = script.create("/keys", name="laptop", rate_limit=5)
    status, body = script.send("POST", f"/keys/{created['id']}/rotate", {"grace_seconds": 60})
    rotated = body["data"]
    row = ApiKey.objects.get()
    assert (status, rotated) == (
        201,
        {
            "key": rotated["key"],
            "id": created["id"],
            "name": "laptop",
            "key_prefix": rotated["key"][:8],
            "created_at": created["created_at"],
            "old_key_valid_until": rotated["old_key_valid_until"],
        },
    )
    assert (row.key_hash, row.old_key_hash, row.rate_limit) == (hash_key(rotated["key"]), hash_key(created["key"]), 5)
    assert MOMENT.fullmatch(rotated["old_key_valid_until"])
    shown = script.send("GET", f"/keys/{created['id']}").body["data"]
    assert (shown["key_prefix"], shown["old_key_valid_until"]) == (rotated["key_prefix"], rotated["old_key_valid_until"])


@pytest.mark.parametrize("body", [None, {}, {"grace_seconds": None}, {"grace_seconds": 0}])
def test_without_a_grace_period_the_old_secret_ends(script, body):
    created = script.create("/keys")
    assert script.send("POST", f"/keys/{created['id']}/rotate", body).status == 201
    assert ApiKey.objects.get().old_key_hash is None


def test_a_management_key_rotates_too(script):
    created = script.create("/keys", type="management", permissions=["read", "write"])
    rotated = script.send("POST", f"/keys/{created['id']}/rotate?type=management", {"grace_seconds": 60}).body["data"]
    assert [script.send("GET", "/keys", x_api_key=secret).status for secret in (created["key"], rotated["key"])] == [200, 200]
    script.send("POST", f"/keys/{created['id']}/rotate", {})
    assert [script.send("GET", "/keys", x_api_key=secret).status for secret in (created["key"], rotated["key"])] == [401, 401]


@pytest.mark.parametrize("seconds", [-1, 10**9, "60"])
def test_a_bad_grace_period_is_named(script, seconds):
    created = script.create("/keys")
    status, kind, message = script.send("POST", f"/keys/{created['id']}/rotate", {"grace_seconds": seconds}).error
    assert (status, kind, "grace_seconds" in message) == (400, "invalid_request", True)


def test_only_a_valid_key_can_be_rotated(script):
    created = script.create("/keys")
    script.send("DELETE", f"/keys/{created['id']}")
    refused = script.send("POST", f"/keys/{created['id']}/rotate", {}).error
    assert refused == (409, "conflict", "The key is revoked. Reactivate it first, or create a new one.")
    assert script.send("POST", f"/keys/{MISSING_ID}/rotate", {}).error == (404, "not_found", "Key not found")


# --- addresses ------------------------------------------------------------------------------------------------------------


def test_addresses_are_stored_as_they_were_written_and_cleared_by_null(script):
    key_id = script.create("/keys", allowed_ips=["10.0.0.0/8", "2001:db8::1"])["id"]
    assert script.get(f"/keys/{key_id}")["allowed_ips"] == ["10.0.0.0/8", "2001:db8::1"]
    assert script.send("PATCH", f"/keys/{key_id}", {"allowed_ips": None}).status == 200
    assert script.get(f"/keys/{key_id}")["allowed_ips"] is None


@pytest.mark.parametrize("ranges", [["10.0.0.0/33"], ["localhost"], [""], "10.0.0.1", [5]])
def test_what_is_no_address_is_refused_with_the_name_of_the_field(script, ranges):
    status, kind, message = script.send("POST", "/keys", {"allowed_ips": ranges}).error
    assert (status, kind, "allowed_ips" in message) == (400, "invalid_request", True)
    assert not ApiKey.objects.exists()
