from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from tests.support.settings import with_encryption
from upstreams import credentials, vault
from upstreams.models import Upstream, UpstreamCredential

pytestmark = pytest.mark.django_db

FIRST, SECOND = "first passphrase", "second passphrase"


def rotated():
    out = StringIO()
    call_command("rotate_encryption_key", stdout=out)
    return out.getvalue()


def test_the_command_rotates_and_counts():
    credential = UpstreamCredential(upstream=Upstream.objects.create(name="u", base_url="http://x"))
    with with_encryption(FIRST):
        credentials.set_secret(credential, "sk-1")
        credential.save()
    with with_encryption(SECOND), pytest.raises(CommandError, match="The stored credentials cannot be decrypted"):
        rotated()
    with with_encryption(SECOND, FIRST):
        assert rotated() == f"1 credentials encrypted anew; all are under key {vault.ring().current}.\n"
    with with_encryption(SECOND):
        credential.refresh_from_db()
        assert vault.decrypt(credential.secret_encrypted) == "sk-1"
