"""`manage.py import_pxbin`: a Go pxbin's database, with the tables and ciphertexts that its contract describes."""

import base64
import json
import subprocess
import sys
import uuid
from datetime import UTC, datetime
from decimal import Decimal
from io import StringIO

import psycopg
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.core.management import CommandError, call_command

from accounts import keys
from accounts.models import ApiKey, ManagementKey
from billing.models import Price, RequestLog
from tests.support.fake_upstream import json_reply
from tests.support.gateway import ROOT, Gateway, clean_environment
from upstreams.models import Model, Route, Upstream, UpstreamCredential
from upstreams.secrets import store, vault

pytestmark = [pytest.mark.django_db, pytest.mark.slow]

PASSPHRASE = "0123456789abcdef"
SCHEMA = """
CREATE TABLE upstreams (id UUID PRIMARY KEY, name TEXT NOT NULL, base_url TEXT NOT NULL, api_key_encrypted TEXT NOT NULL,
  is_active BOOL NOT NULL DEFAULT true, priority INT NOT NULL DEFAULT 0, created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
  updated_at TIMESTAMPTZ NOT NULL DEFAULT now(), format TEXT NOT NULL DEFAULT 'openai');
CREATE TABLE models (id UUID PRIMARY KEY, name TEXT NOT NULL UNIQUE, display_name TEXT, provider TEXT NOT NULL DEFAULT 'openai',
  input_cost_per_million NUMERIC(12,6) NOT NULL DEFAULT 0, output_cost_per_million NUMERIC(12,6) NOT NULL DEFAULT 0,
  is_active BOOL NOT NULL DEFAULT true, created_at TIMESTAMPTZ NOT NULL DEFAULT now(), updated_at TIMESTAMPTZ NOT NULL DEFAULT now(),
  upstream_id UUID REFERENCES upstreams);
CREATE TABLE llm_api_keys (id UUID PRIMARY KEY, key_hash TEXT NOT NULL UNIQUE, key_prefix TEXT NOT NULL, name TEXT NOT NULL DEFAULT '',
  is_active BOOL NOT NULL DEFAULT true, rate_limit INT, last_used_at TIMESTAMPTZ, metadata JSONB DEFAULT '{}',
  created_at TIMESTAMPTZ NOT NULL DEFAULT now(), updated_at TIMESTAMPTZ NOT NULL DEFAULT now());
CREATE TABLE management_api_keys (id UUID PRIMARY KEY, key_hash TEXT NOT NULL UNIQUE, key_prefix TEXT NOT NULL,
  name TEXT NOT NULL DEFAULT '', is_active BOOL NOT NULL DEFAULT true, permissions TEXT[] NOT NULL DEFAULT '{read}',
  last_used_at TIMESTAMPTZ, created_at TIMESTAMPTZ NOT NULL DEFAULT now(), updated_at TIMESTAMPTZ NOT NULL DEFAULT now());
CREATE TABLE request_logs (id UUID PRIMARY KEY, llm_key_id UUID REFERENCES llm_api_keys, timestamp TIMESTAMPTZ NOT NULL,
  method TEXT NOT NULL, path TEXT NOT NULL, model TEXT, input_format TEXT NOT NULL, upstream_id UUID REFERENCES upstreams,
  status_code INT, latency_ms INT, input_tokens INT, output_tokens INT, cost NUMERIC(12,8), error_message TEXT,
  request_metadata JSONB DEFAULT '{}', created_at TIMESTAMPTZ NOT NULL DEFAULT now(), cache_creation_tokens INT DEFAULT 0,
  cache_read_tokens INT DEFAULT 0, overhead_us INT DEFAULT 0);
"""
CLIENT_KEY, SCRIPT_KEY = "pxb_" + "0" * 40, "pxm_" + "1" * 40
KEY_ID, SCRIPT_ID, UPSTREAM_ID, OTHER_ID, MODEL_ID, LOG_ID = (uuid.UUID(int=number) for number in range(1, 7))
BEGAN = datetime(2026, 2, 19, 12, 30, 0, 250000, UTC)


def encrypted(text):
    """As pxbin stores a key."""
    nonce = bytes(range(12))
    return base64.b64encode(nonce + AESGCM(vault.derive(PASSPHRASE)).encrypt(nonce, text.encode(), None)).decode()


def fill(url, *, schema="public", base_url="https://api.openai.com", secret=None):
    secret = encrypted("sk-test-123") if secret is None else secret
    with psycopg.connect(url) as connection:
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        connection.execute(f"SET search_path TO {schema}")
        connection.execute(SCHEMA)
        upstream = "INSERT INTO upstreams (id, name, base_url, api_key_encrypted, format, priority) VALUES (%s, %s, %s, %s, %s, %s)"
        connection.execute(upstream, [UPSTREAM_ID, "openai", f"{base_url}/", secret, "openai", 5])
        connection.execute(upstream, [OTHER_ID, "openai", "https://api.anthropic.com", "sk-plain", "anthropic", 0])
        connection.execute(
            "INSERT INTO models (id, name, display_name, provider, input_cost_per_million, output_cost_per_million, upstream_id) "
            "VALUES (%s, 'gpt-4o', 'GPT 4o', 'openai', 2.5, 10, %s), (%s, 'claude-x', NULL, '', 0, 0, %s)",
            [MODEL_ID, UPSTREAM_ID, uuid.uuid4(), OTHER_ID],
        )
        connection.execute(
            "INSERT INTO llm_api_keys (id, key_hash, key_prefix, name, rate_limit, metadata) VALUES (%s, %s, 'pxb_0000', 'laptop', 60, %s)",
            [KEY_ID, keys.hash_key(CLIENT_KEY), json.dumps({"team": "a"})],
        )
        connection.execute(
            "INSERT INTO management_api_keys (id, key_hash, key_prefix, name, permissions) VALUES (%s, %s, 'pxm_1111', 'script', %s)",
            [SCRIPT_ID, keys.hash_key(SCRIPT_KEY), ["read", "write"]],
        )
        connection.execute(
            "INSERT INTO request_logs (id, llm_key_id, timestamp, method, path, model, input_format, upstream_id, status_code, latency_ms, "
            "input_tokens, output_tokens, cost, cache_read_tokens, cache_creation_tokens, overhead_us, error_message) "
            "VALUES (%s, %s, %s, 'POST', '/v1/messages', 'gpt-4o', 'anthropic', %s, 200, 1200, 10, 20, 0.000225, 3, 4, 50, '')",
            [LOG_ID, KEY_ID, BEGAN, UPSTREAM_ID],
        )
    return url


def import_pxbin(*arguments):
    out, errors = StringIO(), StringIO()
    call_command("import_pxbin", *arguments, stdout=out, stderr=errors)
    return out.getvalue()


def test_everything_but_the_log_is_imported_once(postgres_url):
    fill(postgres_url)
    report = import_pxbin(postgres_url, "--passphrase", PASSPHRASE)
    assert "sk-test-123" not in report
    assert list(Upstream.objects.order_by("name").values_list("pk", "name", "base_url", "dialect", "priority")) == [
        (UPSTREAM_ID, "openai", "https://api.openai.com", "openai_chat", 5),
        (OTHER_ID, "openai-2", "https://api.anthropic.com", "anthropic", 0),
    ]
    secrets = {row.upstream.name: store.decrypt(row.secret_encrypted) for row in UpstreamCredential.objects.all()}
    assert secrets == {"openai": "sk-test-123", "openai-2": "sk-plain"}
    assert all(row.secret_encrypted.startswith("v2:") for row in UpstreamCredential.objects.all())
    assert set(Model.objects.values_list("name", "display_name", "provider")) == {("gpt-4o", "GPT 4o", "openai"), ("claude-x", None, "")}
    assert set(Route.objects.values_list("model__name", "upstream__name", "remote_name")) == {
        ("gpt-4o", "openai", ""),
        ("claude-x", "openai-2", ""),
    }
    assert list(Price.objects.values_list("model__name", "input", "output")) == [("gpt-4o", Decimal("2.5"), Decimal(10))]
    key, script = ApiKey.objects.get(), ManagementKey.objects.get()
    assert (key.pk, key.name, key.key_prefix, key.rate_limit, key.metadata) == (KEY_ID, "laptop", "pxb_0000", 60, {"team": "a"})
    assert (script.pk, script.permissions, keys.authenticate_management(SCRIPT_KEY)) == (SCRIPT_ID, ["read", "write"], script)
    assert RequestLog.objects.count() == 0
    assert import_pxbin(postgres_url, "--passphrase", PASSPHRASE).splitlines()[-1] == "nothing to change"


def test_the_log_is_imported_once(postgres_url):
    fill(postgres_url, schema="gateway")
    arguments = (postgres_url, "--schema", "gateway", "--passphrase", PASSPHRASE, "--logs", "--json")
    first, second = (json.loads(import_pxbin(*arguments)) for _ in range(2))
    assert [(report["log_rows"], report["log_rows_written"], report["changed"]) for report in (first, second)] == [
        (1, 1, True),
        (1, 0, False),
    ]
    row = RequestLog.objects.get()
    assert (row.pk, row.timestamp, row.path, row.model, row.dialect) == (LOG_ID, BEGAN, "/v1/messages", "gpt-4o", "anthropic")
    assert (row.api_key_id, row.key_name, row.upstream_id, row.upstream_name) == (KEY_ID, "laptop", UPSTREAM_ID, "openai")
    assert (row.input_tokens, row.cache_read_tokens, row.cache_creation_tokens, row.output_tokens) == (10, 3, 4, 20)
    assert (row.cost, row.status_code, row.latency_ms, row.overhead_us, row.outcome) == (Decimal("0.000225"), 200, 1200, 50, "finished")


def test_a_dry_run_writes_nothing(postgres_url):
    fill(postgres_url)
    report = json.loads(import_pxbin(postgres_url, "--passphrase", PASSPHRASE, "--dry-run", "--json"))
    assert (report["applied"], report["summary"]) == (False, {"create": 11, "update": 0, "delete": 0})
    assert (Upstream.objects.count(), ApiKey.objects.count()) == (0, 0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "The keys of upstreams are encrypted"),
        (("--passphrase", "not the passphrase"), "upstream openai: its key cannot be decrypted; is the passphrase right?"),
        (("--passphrase-file", "/no/such/file"), "/no/such/file: cannot be read"),
        (("--schema", "elsewhere", "--passphrase", PASSPHRASE), "the schema elsewhere has no table upstreams"),
    ],
)
def test_what_cannot_be_read_is_refused_and_nothing_is_written(postgres_url, arguments, message):
    fill(postgres_url)
    with pytest.raises(CommandError) as refused:
        import_pxbin(postgres_url, *arguments)
    assert message in str(refused.value)
    assert Upstream.objects.count() == 0


def test_passphrases_come_from_a_file_or_the_environment(postgres_url, tmp_path, monkeypatch):
    fill(postgres_url)
    file = tmp_path / "passphrase"
    file.write_text(f"{PASSPHRASE}\n")
    import_pxbin(postgres_url, "--passphrase-file", str(file))
    monkeypatch.setenv("PXBIN_IMPORT_PASSPHRASE", PASSPHRASE)
    assert import_pxbin(postgres_url).splitlines()[-1] == "nothing to change"


@pytest.mark.parametrize("url", ["mysql://a/b", "postgresql://127.0.0.1:1/none"])
def test_a_database_that_does_not_answer_is_a_clear_error(url):
    with pytest.raises(CommandError) as refused:
        import_pxbin(url)
    assert "must begin with postgresql://" in str(refused.value) or "cannot be read" in str(refused.value)


def test_keys_of_old_open_the_door_of_a_running_gateway(postgres_url, upstream):
    fill(postgres_url, base_url=upstream.url)
    choice = {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
    upstream.otherwise(json_reply({"id": "1", "object": "chat.completion", "created": 1, "model": "gpt-4o", "choices": [choice]}))
    with Gateway.started() as gateway:
        command = [sys.executable, str(ROOT / "manage.py"), "import_pxbin", postgres_url]
        variables = clean_environment(PXBIN_DATA_DIR=str(gateway.data_dir), PXBIN_IMPORT_PASSPHRASE=PASSPHRASE)
        subprocess.run(command, env=variables, cwd=ROOT, check=True, capture_output=True)
        body = {"model": "gpt-4o", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
        answer = gateway.http.post(f"{gateway.url}/v1/messages", headers={"x-api-key": CLIENT_KEY}, json=body)
        assert (answer.status_code, upstream.requests[-1].header("authorization")) == (200, "Bearer sk-test-123")
        listed = gateway.http.get(f"{gateway.url}/api/v1/keys", headers={"authorization": f"Bearer {SCRIPT_KEY}"})
        assert str(KEY_ID) in [key["id"] for key in listed.json()["data"]]
