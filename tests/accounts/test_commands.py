import re
import subprocess
import sys
from datetime import UTC, datetime
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from accounts import keys
from accounts.models import ApiKey, ManagementKey
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


def test_a_key_without_options_may_do_everything():
    create_key("laptop")
    row = ApiKey.objects.get()
    assert (row.allowed_models, row.rate_limit, row.expires_at) == (None, None, None)


@pytest.mark.parametrize(("options", "permissions"), [((), ["read", "write"]), (("--read-only",), ["read"])])
def test_management_keys(options, permissions):
    row = keys.authenticate_management(create_key("script", "--management", *options).strip())
    assert (row, row.permissions) == (ManagementKey.objects.get(), permissions)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("laptop", "--rate-limit", "0"), "argument --rate-limit: must be a whole number, 1 or more, not '0'"),
        (("laptop", "--token-limit=-3"), "argument --token-limit: must be a whole number, 1 or more, not '-3'"),
        (("laptop", "--concurrency-limit", "many"), "argument --concurrency-limit: must be a whole number, 1 or more, not 'many'"),
        (("laptop", "--expires-at", "tomorrow"), "must be a date and time such as 2027-01-31T00:00:00Z, not 'tomorrow'"),
        (("laptop", "--expires-at", "2027-13-45T00:00:00Z"), "must be a date and time such as 2027-01-31T00:00:00Z"),
        (("laptop", "--expires-at", "2020-01-31T00:00:00Z"), "argument --expires-at: must be in the future"),
        ((" ",), "argument name: must not be empty"),
        (("laptop", "--read-only"), "--read-only: only for management keys, with --management"),
        (("script", "--management", "--rate-limit", "1", "--model", "a"), "--rate-limit, --model: only for client keys"),
    ],
)
def test_invalid_arguments_create_no_key(arguments, message):
    with pytest.raises(CommandError, match=re.escape(message)):
        create_key(*arguments)
    assert not ApiKey.objects.exists()
    assert not ManagementKey.objects.exists()


@pytest.mark.parametrize(
    "command", ["create_key x", "sync_prices", "flush_journal", "discover_models", "rotate_encryption_key", "work", "changepassword"]
)
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
