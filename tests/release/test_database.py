"""Databases that the release has left, on SQLite and PostgreSQL: they are migrated, and everything in them still means the same."""

import re

import httpx
import pytest

from tests.release import doors, restoring
from tests.release.installation import at_least
from tests.support.fake_upstream import json_reply

SNAPSHOT = restoring.load("api.json")
PLAINTEXT = restoring.load("plaintext.json")
PATHS = [path for path in SNAPSHOT if path.startswith("/")]
OWN_TABLES = ("accounts_", "billing_", "upstreams_", "auth_", "django_admin_log", "django_session")
SECTIONS = {
    "accounts/apikey/": "limited",
    "accounts/managementkey/": "disabled management",
    "upstreams/upstream/": "three keys",
    "upstreams/upstreamcredential/": "three-3",
    "upstreams/model/": "full-*",
    "upstreams/route/": "remote-*",
    "billing/price/": "priced-by-hand",
    "billing/requestlog/": "nobody-knows-this",
    "billing/requestpayload/": "2026",
}
"""Lists of the admin, with something that each one shows."""


def ask(gateway, model, key, **headers):
    body = {"model": model, "max_tokens": 30, "messages": [{"role": "user", "content": "Hi"}]}
    return gateway.http.post(f"{gateway.url}/v1/messages", headers={"x-api-key": key, **headers}, json=body, timeout=30)


def test_migrations_keep_every_row(installation):
    tables = [name for name in installation.tables() if name.startswith(OWN_TABLES)]
    before = {name: installation.rows(name) for name in tables}
    assert [name for name, rows in before.items() if not rows] == [
        "auth_group", "auth_group_permissions", "auth_user_groups", "auth_user_user_permissions",
    ]  # fmt: skip
    installation.manage("migrate", "--no-input")
    installation.manage("migrate", "--check")
    for name, rows in before.items():
        columns = {column: doors.column(name, column) for column in rows[0]} if rows else {}
        migrated = [{column: row[today] for column, today in columns.items() if today} for row in installation.rows(name)]
        due = [{column: row[column] for column, today in columns.items() if today} for row in rows]
        if name == "auth_permission":  # has rows for new tables too
            migrated = [row for row in migrated if row in due]
        assert sorted(migrated, key=repr) == sorted(due, key=repr), name


@pytest.mark.parametrize("path", PATHS)
def test_the_api_shows_what_it_showed(untouched, path):
    current, released = untouched.api("GET", path), SNAPSHOT[path]
    if path.startswith("/keys"):  # these tests use keys, which is noted
        current, released = ([{**row, "last_used_at": None} for row in rows] for rows in (current, released))
    assert at_least(current, released) == released


def test_the_api_shows_the_tries_of_each_request(untouched):
    released = SNAPSHOT["tries"]
    current = {log_id: untouched.api("GET", f"/logs/{log_id}")["tries"] for log_id in released}
    assert at_least(current, released) == released
    assert {len(tries) for tries in released.values()} == {0, 1, 2, 3}


@pytest.mark.parametrize("section", SECTIONS)
def test_a_session_of_the_admin_goes_on_and_sees_every_list(untouched, section):
    with httpx.Client(base_url=untouched.url, cookies={"sessionid": PLAINTEXT["keys"]["admin_session"]}, timeout=30) as browser:
        page = browser.get(f"/admin/{section}")
    assert page.status_code == 200
    assert SECTIONS[section] in page.text


def test_the_admin_shows_the_history_of_a_row(untouched):
    (row,) = [row for row in SNAPSHOT["/upstreams"] if row["name"] == "listing"]
    with httpx.Client(base_url=untouched.url, cookies={"sessionid": PLAINTEXT["keys"]["admin_session"]}, timeout=30) as browser:
        page = browser.get(f"/admin/upstreams/upstream/{row['id']}/history/")
    assert page.status_code == 200
    assert "http://127.0.0.1:9" in page.text


def test_the_password_of_the_admin_is_accepted(untouched):
    with httpx.Client(base_url=untouched.url, follow_redirects=True, timeout=30) as browser:
        login = browser.get("/admin/login/")
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', login.text)
        form = {"csrfmiddlewaretoken": token[1], "username": "admin", "password": PLAINTEXT["keys"]["admin_password"]}
        entered = browser.post("/admin/login/", data=form, headers={"referer": str(login.url)})
    assert (entered.status_code, entered.url.path) == (200, "/admin/")


def test_keys_of_the_release_have_the_same_access(untouched):
    keys = PLAINTEXT["keys"]
    names = ("client", "limited", "disabled", "expired", "management")
    assert {name: ask(untouched, "echo", keys[name]).status_code for name in names} == {
        "client": 200, "limited": 200, "disabled": 403, "expired": 401, "management": 401,
    }  # fmt: skip
    assert ask(untouched, "seal-anthropic-x", keys["limited"]).status_code == 404
    statuses = {}
    for name in ("management", "reader", "disabled management", "client"):
        for method in ("GET", "POST"):
            answer = untouched.http.request(method, f"{untouched.url}/api/v1/models", headers={"x-api-key": keys[name]}, json={})
            statuses[name, method] = answer.status_code
    assert statuses == {
        ("management", "GET"): 200, ("management", "POST"): 400, ("reader", "GET"): 200, ("reader", "POST"): 403,
        ("disabled management", "GET"): 403, ("disabled management", "POST"): 403, ("client", "GET"): 401, ("client", "POST"): 401,
    }  # fmt: skip


def test_a_stored_response_is_read_and_continued(untouched):
    stored = PLAINTEXT["keys"]["stored_response"]
    headers = untouched.client_headers
    stored_response = untouched.http.get(f"{untouched.url}/v1/responses/{stored}", headers=headers).json()
    items = untouched.http.get(f"{untouched.url}/v1/responses/{stored}/input_items", headers=headers).json()["data"]
    request = {"model": "echo", "input": "third turn", "previous_response_id": stored, "store": False}
    third = untouched.http.post(f"{untouched.url}/v1/responses", headers=headers, json=request).json()
    assert (stored_response["id"], stored_response["output"][0]["content"][0]["text"], third["status"]) == (
        stored,
        "second turn",
        "completed",
    )
    texts = [item["content"] if isinstance(item["content"], str) else item["content"][0]["text"] for item in items]
    assert sorted(texts) == ["first turn", "first turn", "second turn"]


def secrets(installation, passphrase):
    names = {row["id"]: row["name"] for row in installation.rows(doors.UPSTREAMS)}
    rows = installation.rows(doors.CREDENTIALS)
    return {
        f"{names[row['upstream_id']]}/{row['name']}": doors.opened(row["secret_encrypted"], passphrase)
        for row in rows
        if row["secret_encrypted"]
    }


def test_stored_credentials_are_decrypted_and_encrypted_anew(installation):
    passphrase = restoring.load("secrets.json")["encryption_key"]
    listing = {"listing/default": "sk-listing"}
    assert secrets(installation, passphrase) == PLAINTEXT["secrets"] | listing
    installation.manage("migrate", "--no-input")
    another = "another test encryption key"
    installation.manage("rotate_encryption_key", PXBIN_ENCRYPTION_KEY=another, PXBIN_ENCRYPTION_KEYS_OLD=passphrase)
    assert secrets(installation, another) == PLAINTEXT["secrets"] | listing


def test_upstreams_are_called_with_their_keys(served, upstream):
    (row,) = [row for row in SNAPSHOT["/upstreams"] if row["name"] == "anthropic"]
    served.api("PATCH", f"/upstreams/{row['id']}", json={"base_url": upstream.url})
    usage = {"input_tokens": 5, "output_tokens": 2}
    answer = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn", "stop_sequence": None}
    upstream.reply(json_reply({**answer, "content": [{"type": "text", "text": "well"}], "usage": usage}))
    assert ask(served, "seal-anthropic", served.client_key).status_code == 200
    (received,) = upstream.requests
    assert (received.header("x-api-key"), received.json()["model"]) == ("sk-anthropic", "remote")
