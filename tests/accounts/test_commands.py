import json
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from accounts import keys
from accounts.models import ApiKey, KeyDefaults, ManagementKey
from tests.support.gateway import ROOT, clean_environment
from tests.support.settings import with_config

pytestmark = pytest.mark.django_db


def create_key(*arguments):
    out = StringIO()
    call_command("create_key", *arguments, stdout=out)
    return out.getvalue()


def test_a_key_is_printed_alone_on_a_line():
    arguments = ("laptop", "--rate-limit", "60", "--token-limit", "1000", "--concurrency-limit", "2", "--owner", "anna")
    plaintext = create_key(*arguments, "--model", "gpt-5", "--model", "claude-*", "--expires-at", "2027-01-31T00:00:00Z")
    row = ApiKey.objects.get()
    assert (plaintext.strip(), row.key_hash) == (plaintext.rstrip("\n"), keys.hash_key(plaintext.strip()))
    assert (row.name, row.rate_limit, row.token_limit, row.concurrency_limit, str(row.owner)) == ("laptop", 60, 1000, 2, "anna")
    assert (row.allowed_models, row.expires_at) == (["gpt-5", "claude-*"], datetime(2027, 1, 31, tzinfo=UTC))


def test_a_key_with_a_budget_and_pools_and_the_newer_names_of_limits():
    create_key(
        "agent", "--tokens-per-minute", "500", "--max-concurrency", "3", "--budget-usd", "2.5", "--budget-period", "daily", "--pool", "p"
    )
    row = ApiKey.objects.get()
    budget = row.budgets.get()
    assert (row.token_limit, row.concurrency_limit, [pool.name for pool in row.pools.all()]) == (500, 3, ["p"])
    assert (str(budget.amount_usd), budget.period, budget.mode) == ("2.500000000000", "daily", "hard")


def test_a_key_gets_the_default_limits():
    KeyDefaults.objects.create(rate_limit=9)
    create_key("laptop")
    create_key("tablet", "--rate-limit", "3")
    assert sorted(ApiKey.objects.values_list("name", "rate_limit")) == [("laptop", 9), ("tablet", 3)]


def test_a_key_without_options_may_do_everything():
    create_key("laptop")
    row = ApiKey.objects.get()
    assert (row.allowed_models, row.rate_limit, row.expires_at) == (None, None, None)


@pytest.mark.parametrize(
    ("options", "permissions"),
    [
        (("--management",), ["read", "write"]),
        (("--type", "management"), ["read", "write"]),
        (("--type=management", "--read-only"), ["read"]),
    ],
)
def test_management_keys(options, permissions):
    row = keys.authenticate_management(create_key("script", *options).strip())
    assert (row, row.permissions) == (ManagementKey.objects.get(), permissions)


def test_a_key_in_json_has_its_id():
    issued = json.loads(create_key("laptop", "--json"))
    row = ApiKey.objects.get()
    assert keys.hash_key(issued.pop("key")) == row.key_hash
    created_at = f"{row.created_at:%Y-%m-%dT%H:%M:%SZ}"
    assert issued == {"type": "llm", "id": str(row.id), "name": "laptop", "key_prefix": row.key_prefix, "created_at": created_at}


def run(*arguments):
    out = StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


def test_keys_are_listed_with_their_states():
    client = keys.issue("llm", name="laptop", rate_limit=60)[1]
    expired = keys.issue("llm", name="old")[1]
    ApiKey.objects.filter(pk=expired.pk).update(expires_at=timezone.now() - timedelta(days=1))
    script = keys.issue("management", name="script", is_active=False)[1]
    lines = [line.split() for line in run("list_keys").splitlines()]
    assert lines[0] == ["ID", "PREFIX", "TYPE", "NAME", "STATUS", "CREATED", "LAST", "USED"]
    assert [line[:5] for line in lines[1:]] == [
        [str(expired.id), expired.key_prefix, "llm", "old", "expired"],
        [str(client.id), client.key_prefix, "llm", "laptop", "active"],
        [str(script.id), script.key_prefix, "management", "script", "revoked"],
    ]
    listed = json.loads(run("list_keys", "--json", "--type", "llm", "--active"))
    assert [(key["id"], key["type"], key["name"], key["rate_limit"], key["status"]) for key in listed] == [
        (str(client.id), "llm", "laptop", 60, "active")
    ]
    assert client.key_hash not in run("list_keys", "--json")


@pytest.mark.parametrize("kind", ["llm", "management"])
@pytest.mark.parametrize("attribute", ["id", "key_prefix"])
def test_a_key_is_revoked_by_its_id_or_prefix(kind, attribute):
    row = keys.issue(kind, name="laptop")[1]
    assert run("revoke_key", str(getattr(row, attribute))) == f"laptop ({row.key_prefix}…) is revoked\n"
    row.refresh_from_db()
    assert row.is_active is False
    assert run("revoke_key", str(row.id)) == f"laptop ({row.key_prefix}…) was revoked already\n"
    assert json.loads(run("revoke_key", str(row.id), "--json")) == {
        "id": str(row.id),
        "key_prefix": row.key_prefix,
        "name": "laptop",
        "status": "deactivated",
    }


@pytest.mark.parametrize("reference", ["nope", "", "00000000-0000-4000-8000-000000000000"])
def test_an_unknown_key_is_named(reference):
    row = keys.issue("llm", name="laptop")[1]
    with pytest.raises(CommandError, match=re.escape(f"There is no key {reference!r}; `manage.py list_keys` lists the keys")):
        run("revoke_key", reference)
    row.refresh_from_db()
    assert row.is_active is True


def test_a_prefix_of_two_keys_revokes_neither():
    for name in ("a", "b"):
        row = keys.issue("llm", name=name)[1]
        ApiKey.objects.filter(pk=row.pk).update(key_prefix="pxb_0000")
    with pytest.raises(CommandError, match="2 keys begin with pxb_0000"):
        run("revoke_key", "pxb_0000")
    assert ApiKey.objects.filter(is_active=True).count() == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("laptop", "--rate-limit", "0"), "argument --rate-limit: must be a whole number, 1 or more, not '0'"),
        (("laptop", "--token-limit=-3"), "argument --token-limit: must be a whole number, 1 or more, not '-3'"),
        (("laptop", "--concurrency-limit", "many"), "argument --concurrency-limit: must be a whole number, 1 or more, not 'many'"),
        (("laptop", "--token-limit", "5", "--tokens-per-minute", "6"), "tokens_per_minute: token_limit is an older name of it"),
        (("laptop", "--budget-usd", "much"), "budget_usd: must be an amount in USD of at least 0"),
        (("laptop", "--expires-at", "tomorrow"), "must be a date and time such as 2027-01-31T00:00:00Z, not 'tomorrow'"),
        (("laptop", "--expires-at", "2027-13-45T00:00:00Z"), "must be a date and time such as 2027-01-31T00:00:00Z"),
        (("laptop", "--expires-at", "2020-01-31T00:00:00Z"), "argument --expires-at: must be in the future"),
        ((" ",), "argument name: must not be empty"),
        (("laptop", "--read-only"), "--read-only: only for management keys, with --type management"),
        (("script", "--management", "--rate-limit", "1", "--model", "a"), "--rate-limit, --model: only for client keys"),
        (("script", "--type", "admin"), "argument --type: invalid choice: 'admin'"),
    ],
)
def test_invalid_arguments_create_no_key(arguments, message):
    with pytest.raises(CommandError, match=re.escape(message)):
        create_key(*arguments)
    assert not ApiKey.objects.exists()
    assert not ManagementKey.objects.exists()


@pytest.mark.parametrize(
    "command", ["create_key x", "sync_prices", "flush_journal", "discover_models", "rotate_encryption_key", "work", "changepassword",
     "list_keys", "revoke_key x", "add_upstream x", "test_upstream x", "import_models x y", "logs"],
)  # fmt: skip
def test_commands_without_a_gateway_name_its_place_and_write_nothing(tmp_path, monkeypatch, command):
    monkeypatch.setitem(connection.settings_dict, "NAME", str(tmp_path / "data" / "pxbin.sqlite3"))
    with with_config(data_dir=tmp_path / "data"), pytest.raises(CommandError) as caught:
        call_command(*command.split())
    assert str(caught.value) == f"There is no gateway in {tmp_path}/data yet; start it once, or set PXBIN_DATA_DIR"
    assert caught.value.returncode == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_same_in_a_process_of_its_own(tmp_path):
    process = subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), "create_key", "x"],
        env=clean_environment(PXBIN_DATA_DIR=str(tmp_path / "data")),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    message = f"CommandError: There is no gateway in {tmp_path}/data yet; start it once, or set PXBIN_DATA_DIR\n"
    assert (process.returncode, process.stdout, process.stderr) == (1, "", message)
    assert list(tmp_path.iterdir()) == []


def test_a_rotated_key_keeps_its_id_and_the_old_secret_for_a_while():
    plaintext, row = keys.issue("llm", name="laptop", rate_limit=5)
    rotated = run("rotate_key", str(row.id), "--grace-seconds", "60").strip()
    row.refresh_from_db()
    assert (row.key_hash, row.old_key_hash, row.rate_limit) == (keys.hash_key(rotated), keys.hash_key(plaintext), 5)
    shown = json.loads(run("rotate_key", row.key_prefix, "--json"))
    row.refresh_from_db()
    assert (shown["id"], keys.hash_key(shown["key"]), row.old_key_hash) == (str(row.id), row.key_hash, None)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nope",), "There is no key 'nope'"),
        (("{id}", "--grace-seconds", "-1"), "grace_seconds: must be between 0 and "),
        (("{id}", "--grace-seconds", "soon"), "argument --grace-seconds: invalid float value: 'soon'"),
    ],
)
def test_a_rotation_that_cannot_be_changes_nothing(arguments, message):
    row = keys.issue("llm", name="laptop")[1]
    with pytest.raises(CommandError, match=re.escape(message)):
        run("rotate_key", *(argument.format(id=row.id) for argument in arguments))
    assert ApiKey.objects.get().key_hash == row.key_hash


def test_a_revoked_key_is_not_rotated():
    row = keys.issue("llm", name="laptop", is_active=False)[1]
    with pytest.raises(CommandError, match="The key is revoked"):
        run("rotate_key", str(row.id))
