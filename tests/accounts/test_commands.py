from datetime import UTC, datetime
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from accounts import keys
from accounts.models import ApiKey, ManagementKey

pytestmark = pytest.mark.django_db


def printed(*arguments):
    out = StringIO()
    call_command("create_key", *arguments, stdout=out)
    return out.getvalue()


def test_a_key_is_printed_alone_on_a_line():
    arguments = ("laptop", "--rate-limit", "60", "--token-limit", "1000", "--concurrency-limit", "2")
    plaintext = printed(*arguments, "--model", "gpt-5", "--model", "claude-*", "--expires-at", "2027-01-31T00:00:00Z")
    row = ApiKey.objects.get()
    assert (plaintext.strip(), row.key_hash) == (plaintext.rstrip("\n"), keys.hash_of(plaintext.strip()))
    assert (row.name, row.rate_limit, row.token_limit, row.concurrency_limit) == ("laptop", 60, 1000, 2)
    assert (row.allowed_models, row.expires_at) == (["gpt-5", "claude-*"], datetime(2027, 1, 31, tzinfo=UTC))


def test_a_key_without_options_may_do_everything():
    printed("laptop")
    row = ApiKey.objects.get()
    assert (row.allowed_models, row.rate_limit, row.expires_at) == (None, None, None)


@pytest.mark.parametrize(("options", "permissions"), [((), ["read", "write"]), (("--read-only",), ["read"])])
def test_management_keys(options, permissions):
    row = keys.authenticate_management(printed("script", "--management", *options).strip())
    assert (row, row.permissions) == (ManagementKey.objects.get(), permissions)


@pytest.mark.parametrize("options", [("--rate-limit", "0"), ("--expires-at", "tomorrow"), ("--expires-at", "2027-13-45T00:00:00Z")])
def test_bad_options_make_no_key(options):
    with pytest.raises(CommandError):
        printed("laptop", *options)
    assert not ApiKey.objects.exists()
