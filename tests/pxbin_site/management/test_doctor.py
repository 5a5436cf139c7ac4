"""`manage.py doctor`: a finding for everything that is wrong, and what to do about it."""

import json
import os
import time
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError

from accounts import keys
from accounts.common.uuid7 import new_id
from billing.models import RequestLog
from pxbin_site.management.doctor import processes, stores
from pxbin_site.processes import heartbeat
from tests.support.fake_upstream import json_reply
from tests.support.ports import free_port
from tests.support.settings import with_config, with_encryption
from upstreams.models import Model, Route, Upstream, UpstreamCredential
from upstreams.secrets import store

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def installation(tmp_path, upstream):
    """A gateway that answers, with a worker and beat that have just given a sign of life, and one key of each kind."""
    upstream.otherwise(json_reply({"status": "ok"}))
    with with_config(data_dir=tmp_path, listen_addr=f"127.0.0.1:{upstream.port}", unknown_variables=()):
        for process in heartbeat.Process:
            heartbeat.write(process)
        keys.issue("llm", name="laptop")
        keys.issue("management", name="script")
        yield


@pytest.fixture
def provider(second_upstream):
    second_upstream.otherwise(json_reply({"data": [{"id": "m"}]}))
    row = Upstream.objects.create(name="acme", base_url=second_upstream.url)
    Route.objects.create(model=Model.objects.create(name="m"), upstream=row)
    return row


def findings(*options):
    """Every finding that is not ok, as name, status, message and remedy."""
    out = StringIO()
    healthy = True
    try:
        call_command("doctor", "--json", *options, stdout=out)
    except CommandError:
        healthy = False
    report = json.loads(out.getvalue())
    has_failures = any(check["status"] == "failed" for check in report["checks"])
    assert (report["healthy"], healthy) == (not has_failures, not has_failures)
    return [tuple(check.values()) for check in report["checks"] if check["status"] != "ok"]


def test_nothing_is_wrong_with_a_healthy_gateway(provider, capsys):
    assert findings() == []
    call_command("doctor")
    lines = capsys.readouterr().out.splitlines()
    names = ["settings", "database", "redis", "disk", "spool", "clock", "gateway", "worker", "beat", "keys", "keys", "secrets", "upstreams"]
    assert [line.split()[:2] for line in lines] == [["ok", f"{name}:"] for name in [*names, "models"]]


def test_a_dead_database_is_a_finding_and_the_rest_is_checked(provider, monkeypatch):
    def unreachable():
        raise OperationalError("connection refused\nis it running?")

    for module in ("stores", "configuration"):
        monkeypatch.setattr(f"pxbin_site.management.doctor.{module}.is_set_up", unreachable)
    assert findings() == [
        ("database", "failed", "SQLite: connection refused is it running?", "Start the database, or correct PXBIN_DATA_DIR"),
    ]


def test_a_dead_redis_is_a_finding(provider):
    with with_config(redis_url=f"redis://127.0.0.1:{free_port()}/0"):
        found = findings()
    assert [(name, status) for name, status, _, _ in found] == [("redis", "failed"), ("worker", "failed"), ("beat", "failed")]
    assert found[0][3] == "Start Redis, or correct PXBIN_REDIS_URL; until then processes share no state"


@pytest.mark.parametrize("process", list(heartbeat.Process))
def test_a_process_without_a_sign_of_life_is_a_finding(process, provider, tmp_path):
    path = tmp_path / heartbeat.DIRECTORY / process
    path.write_text(str(time.time() - 100))
    [(name, status, message, remedy)] = findings()
    assert (name, status, message.split(":")[0]) == (process, "failed", "gave its last sign of life 100 s ago")
    assert remedy == "Run `manage.py serve` with PXBIN_CELERY=1, or `manage.py work` beside it"
    path.unlink()
    [(_, _, message, _)] = findings()
    assert message.startswith("gave no sign of life yet: ")


def test_a_stopped_gateway_and_another_program_at_its_address_are_findings(provider, upstream):
    with with_config(listen_addr=f"127.0.0.1:{free_port()}"):
        [(name, status, message, _)] = findings()
        assert (name, status, message.split(" at ")[0]) == ("gateway", "warning", "nothing answers")
    for reply in (json_reply({"hello": "world"}), json_reply([], status=404)):
        upstream.reply(reply)
        [(name, status, message, _)] = findings()
        assert (name, status, message) == ("gateway", "failed", f"another program answers at http://127.0.0.1:{upstream.port}")


def test_the_addresses_of_all_interfaces_are_called_on_loopback(provider, upstream):
    with with_config(listen_addr=f":{upstream.port}"):
        assert [finding.message for finding in processes.gateway()] == [f"serves at http://127.0.0.1:{upstream.port}"]


def test_rows_from_the_future_show_a_wrong_clock(provider):
    required = {"status_code": 200, "outcome": "finished", "latency_ms": 1, "overhead_us": 1}
    RequestLog.objects.create(id=new_id(), timestamp=datetime.now(UTC) + timedelta(hours=1), path="/", model="m", **required)
    [(name, status, message, _)] = findings()
    assert (name, status) == ("clock", "failed")
    assert message.startswith("the newest request of the log is from ")


@pytest.mark.parametrize(("offset", "words"), [(0, None), (60, "60 s behind Redis"), (-60, "60 s ahead of Redis")])
def test_clocks_are_compared(offset, words):
    found = list(stores._compare_clock("Redis", time.time() + offset))
    assert [finding.message for finding in found] == ([f"this machine is {words}"] if words else [])


@pytest.mark.parametrize(("free", "status"), [(50 * 1024**2, "failed"), (500 * 1024**2, "warning"), (2 * 1024**3, None)])
def test_a_full_disk_is_a_finding(provider, monkeypatch, free, status):
    usage = stores.shutil.disk_usage(".")
    monkeypatch.setattr(stores.shutil, "disk_usage", lambda _: usage._replace(free=free))
    assert [found[:2] for found in findings()] == ([("disk", status)] if status else [])


def test_a_missing_data_directory_is_a_finding(tmp_path):
    with with_config(data_dir=tmp_path / "none"):
        assert [finding.message for finding in stores.disk()] == [f"{tmp_path}/none does not exist"]


def test_waiting_and_rejected_segments_are_findings(provider, tmp_path):
    spool = tmp_path / "spool"
    (spool / "quarantine").mkdir(parents=True)
    waiting = spool / f"{'0' * 32}.sealed"
    waiting.write_text("{}\n")
    assert [finding.message for finding in stores.spool()] == ["1 segments wait"]
    os.utime(waiting, (time.time() - 100, time.time() - 100))
    (spool / "quarantine" / "1.jsonl").write_text("x")
    assert [found[:3] for found in findings()] == [
        ("spool", "failed", "1 segments of the log wait, the oldest since 100 s"),
        ("spool", "warning", "1 segments had lines that are not log entries"),
    ]


def test_missing_and_expiring_keys_are_findings(provider):
    row = keys.issue("llm", name="soon", expires_at=datetime.now(UTC) + timedelta(days=2))[1]
    assert [found[:3] for found in findings()] == [("keys", "warning", f"{row} expires at {row.expires_at:%Y-%m-%d %H:%M} UTC")]
    for table in keys.TABLES.values():
        table.objects.update(is_active=False)
    assert [found[2:] for found in findings()] == [
        ("there are no client keys that can be used", "Run `manage.py create_key NAME`"),
        ("there are no management keys that can be used", "Run `manage.py create_key NAME --type management`"),
    ]


def test_secrets_of_another_encryption_key_are_findings(provider):
    with with_encryption("another passphrase"):
        credential = UpstreamCredential(upstream=provider, name="old")
        store.set_secret(credential, "sk-1")
        credential.save()
    found = findings("--offline")
    assert [(name, status) for name, status, _, _ in found] == [("secrets", "failed")]
    assert found[0][2].startswith("credential old of upstream acme: ")


def test_one_dead_upstream_of_several_is_a_finding(provider, second_upstream):
    Upstream.objects.create(name="dead", base_url=f"http://127.0.0.1:{free_port()}")
    [(name, status, message, remedy)] = findings()
    assert (name, status, remedy) == ("upstreams", "failed", "Check its base URL and key: `manage.py test_upstream dead`")
    assert message.startswith("dead: Failed to reach upstream: ")
    calls = len(second_upstream.requests)
    assert findings("--offline") == []
    assert len(second_upstream.requests) == calls


def test_disabled_keys_of_an_upstream_and_idle_models_are_findings(provider):
    UpstreamCredential.objects.create(upstream=provider, name="old", is_active=False, disabled_reason="the upstream answered 401")
    Model.objects.create(name="lost")
    found = findings("--offline")
    assert [found[:3] for found in found] == [
        ("upstreams", "failed", "acme: key old is disabled: the upstream answered 401"),
        ("upstreams", "failed", "acme: all its keys are switched off"),
        ("models", "warning", "without an active route: lost"),
    ]


def test_a_misspelt_setting_is_a_finding(provider):
    with with_config(unknown_variables=("PXBIN_DATADIR",)):
        assert findings() == [
            ("settings", "warning", "PXBIN_DATADIR is not a setting.", "Check the spelling; .env.example lists all settings.")
        ]
