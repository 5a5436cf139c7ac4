"""Segments become rows: every entry once, in both databases, also when a process is killed."""

import os

import msgspec
import pytest
from django.db import OperationalError

from accounts.common.uuid7 import new_id
from billing.models import CommittedSegment, RequestAttempt, RequestLog, RequestPayload
from billing.outcomes import Outcome
from billing.request_log import writer
from billing.request_log.entry import AttemptEntry, PayloadEntry
from billing.request_log.journal import Journal
from billing.request_log.spool import Segment, Spool
from tests.billing.conftest import entry

pytestmark = pytest.mark.usefixtures("database")


def write_entries(spool, *entries) -> None:
    """Leave a sealed segment of these entries in the spool."""
    journal = Journal(spool, schedule=lambda seconds, work: None)
    for log_entry in entries:
        journal.append(log_entry)
    journal.close()


def logged() -> list[str]:
    return sorted(str(log_id) for log_id in RequestLog.objects.values_list("id", flat=True))


FULL = {
    "request_id": "client's own \\ id\t1",
    "method": "POST",
    "path": "/v1/messages",
    "dialect": "anthropic",
    "input_format": "anthropic",
    "upstream_dialect": "openai_chat",
    "stream": True,
    "api_key_id": "0b0e1c52-1111-4222-8333-944445555666",
    "key_prefix": "pxb_abcd",
    "key_name": "größte „Maschine“",
    "owner": "anna",
    "session_id": "s1",
    "trace_id": "t1",
    "response_id": "msg_1",
    "reason": "The key may not use it.",
    "tags": {"team": "größte"},
    "client_ip": "2001:db8::1",
    "user_agent": "claude-cli/2.0 (external, cli)",
    "model": "claude-sonnet-4-5",
    "remote_model": "gpt-5",
    "upstream_id": "1b0e1c52-1111-4222-8333-944445555666",
    "upstream_name": "openai",
    "status_code": 200,
    "upstream_status": 200,
    "outcome": "failed",
    "error_type": "network",
    "error_message": 'line one\nline "two" \\N \\. end',
    "attempts": 2,
    "latency_ms": 1234,
    "overhead_us": 456,
    "ttft_ms": 78,
    "input_tokens": 1,
    "cache_read_tokens": 2,
    "cache_write_5m_tokens": 3,
    "cache_write_1h_tokens": 4,
    "output_tokens": 5,
    "reasoning_tokens": 1,
    "input_audio_tokens": 1,
    "output_audio_tokens": 2,
    "input_image_tokens": 3,
    "output_image_tokens": 4,
    "server_tool_use": {"web_search_requests": 2},
    "usage_parts": [{"kind": "compaction", "input_tokens": 9}],
    "usage_estimated": True,
    "service_tier": "priority",
    "speed": "fast",
    "inference_geo": "us",
    "cost_source": "reported_cost",
    "price_id": "2b0e1c52-1111-4222-8333-944445555666",
    "price_version": "genai-prices 1",
    "request_metadata": {"user": "ü", "n": [1, None]},
    "routing": [{"skipped": "b", "reason": "cooling"}],
}


def test_every_field_of_an_entry_arrives(spool):
    log_entry = entry(**FULL, cost=12_345_678_901_234_567, reported_cost=1)
    write_entries(spool, log_entry)
    assert writer.drain_spool(spool) == 1
    row = RequestLog.objects.get()
    ids = {"api_key_id", "upstream_id", "price_id"}
    stored = {name: str(value) if name in ids else value for name, value in vars(row).items()}
    assert {name: stored[name] for name in FULL} == FULL
    assert (str(row.id), row.timestamp.isoformat(), str(row.cost), f"{row.reported_cost:f}") == (
        log_entry.id,
        "2026-09-21T14:13:20.123456+00:00",
        "12345.678901234567",
        "0.000000000001",
    )


def test_unknown_values_are_null(spool):
    write_entries(spool, entry())
    writer.drain_spool(spool)
    row = RequestLog.objects.get()
    unknown = ("api_key_id", "upstream_id", "upstream_status", "ttft_ms", "cost", "price_id", "request_metadata", "routing")
    assert [getattr(row, name) for name in unknown] == [None] * len(unknown)


def test_written_segments_are_removed_and_their_ids_stored(spool):
    write_entries(spool, entry(), entry())
    (path,) = Spool(spool).sealed()
    assert writer.drain_spool(spool) == 2
    assert Spool(spool).sealed() == []
    assert [(segment.id.hex, segment.rows) for segment in CommittedSegment.objects.all()] == [(path.stem, 2)]


def test_a_writer_killed_between_commit_and_removal_writes_no_row_twice(spool, monkeypatch):
    entries = [entry() for _ in range(3)]
    write_entries(spool, *entries)
    with monkeypatch.context() as killed:
        killed.setattr(Spool, "remove", lambda self, path: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            writer.drain_spool(spool)
    assert len(Spool(spool).sealed()) == 1
    assert writer.drain_spool(spool) == 0
    assert (logged(), Spool(spool).sealed()) == (sorted(log_entry.id for log_entry in entries), [])


def test_a_writer_that_fails_before_the_commit_loses_nothing(spool, monkeypatch):
    entries = [entry(tries=[AttemptEntry(timestamp=1)], payload=PayloadEntry(client_body="{}")) for _ in range(3)]
    write_entries(spool, *entries)
    with monkeypatch.context() as broken:
        broken.setattr(CommittedSegment.objects, "bulk_create", lambda *args, **options: (_ for _ in ()).throw(OperationalError("gone")))
        with pytest.raises(OperationalError, match=r"^gone$"):
            writer.drain_spool(spool)
    assert [RequestLog.objects.count(), RequestAttempt.objects.count(), RequestPayload.objects.count()] == [0, 0, 0]
    assert writer.drain_spool(spool) == 3
    assert logged() == sorted(log_entry.id for log_entry in entries)


def test_an_entry_that_comes_in_two_segments_is_written_once(spool):
    log_entry, second_entry = entry(tries=[AttemptEntry(timestamp=1)], payload=PayloadEntry(client_body="{}")), entry()
    encoded = msgspec.json.encode(log_entry)
    reader = Spool(spool)
    assert writer.write_segments([Segment(new_id().replace("-", ""), [encoded, encoded, msgspec.json.encode(second_entry)])], reader) == 2
    assert writer.write_segments([Segment(new_id().replace("-", ""), [encoded])], reader) == 0
    assert [RequestLog.objects.count(), RequestAttempt.objects.count(), RequestPayload.objects.count()] == [2, 1, 1]


def test_attempts_and_payloads_go_into_their_own_tables(spool):
    first = AttemptEntry(
        timestamp=1_790_000_000_000_000,
        upstream_id="1b0e1c52-1111-4222-8333-944445555666",
        upstream_name="a",
        status_code=529,
        outcome=Outcome.FAILED,
        error_type="overloaded",
        error_message="try\nlater",
        latency_ms=5,
    )
    second = AttemptEntry(timestamp=1_790_000_000_500_000, upstream_name="b", status_code=200, ttft_ms=7, output_tokens=9, cost=10**12)
    log_entry = entry(
        tries=[first, second], payload=PayloadEntry(client_body='{"model": "m"}', delivered_answer="data: x\n\n", truncated=True)
    )
    write_entries(spool, log_entry)
    writer.drain_spool(spool)
    row = RequestLog.objects.get()
    assert [
        (
            attempt.number,
            str(attempt.upstream_id),
            attempt.upstream_name,
            attempt.status_code,
            attempt.outcome,
            attempt.error_message,
            attempt.ttft_ms,
            attempt.cost,
        )
        for attempt in row.tries.order_by("number")
    ] == [
        (1, "1b0e1c52-1111-4222-8333-944445555666", "a", 529, "failed", "try\nlater", None, None),
        (2, "None", "b", 200, "finished", "", 7, 1),
    ]
    assert (row.payload.client_body, row.payload.delivered_answer, row.payload.truncated) == ('{"model": "m"}', "data: x\n\n", True)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"not json", "JSON is malformed"),
        (b'{"timestamp": 1}', "missing required field `id`"),
        (b'{"id": "42", "timestamp": 1}', "'42' is not a UUID"),
        (b'{"id": "01a1fe03-4e07-7ebd-9e4e-4b6c57293a8c", "timestamp": "x"}', "Expected `int`, got `str`"),
        (b"\xff\xfe", "malformed"),
    ],
)
def test_a_line_that_is_not_an_entry_is_quarantined_and_the_others_are_written(spool, caplog, line, reason):
    before, after = entry(), entry()
    spool.mkdir()
    path = spool / f"{'c' * 32}.sealed"
    path.write_bytes(b"\n".join([msgspec.json.encode(before), line, msgspec.json.encode(after), b""]))
    assert writer.drain_spool(spool) == 2
    assert logged() == sorted([before.id, after.id])
    aside = (spool / "quarantine" / f"{'c' * 32}.jsonl").read_bytes().split(b"\n")
    assert aside[1:] == [line, b""]
    assert reason in aside[0].decode()
    assert "1 lines of segment" in caplog.text


def test_an_entry_that_the_database_rejects_is_quarantined_and_the_others_are_written(spool):
    before, refused, after = entry(), entry(model="x" * 500, latency_ms=2**70), entry()
    write_entries(spool, before, refused, after)
    assert writer.drain_spool(spool) == 2
    assert logged() == sorted([before.id, after.id])
    (aside,) = (spool / "quarantine").iterdir()
    assert msgspec.json.decode(aside.read_bytes().split(b"\n")[1])["id"] == refused.id


def test_one_drain_writes_many_segments_and_those_of_killed_processes(spool):
    entries = [entry() for _ in range(1200)]
    write_entries(spool, *entries)
    dead = Journal(spool, schedule=lambda seconds, work: None)
    last = entry()
    dead.append(last)
    os.close(dead._file)
    assert writer.drain_spool(spool) == 1201
    assert logged() == sorted(log_entry.id for log_entry in [*entries, last])


def test_while_another_process_empties_the_spool_a_drain_does_nothing(spool):
    write_entries(spool, entry())
    with Spool(spool).claimed() as is_ours:
        assert is_ours
        assert writer.drain_spool(spool) == 0
    assert writer.drain_spool(spool) == 1


def test_a_drain_of_a_spool_that_does_not_exist_makes_it(spool):
    assert writer.drain_spool(spool) == 0


def test_attempts_of_requests_with_adjacent_ids_are_all_written(spool):
    ids = [f"0190b3b0-0000-7000-8000-00000000000{digit}" for digit in "123"]
    tries = [AttemptEntry(timestamp=1_000_000, upstream_name=name) for name in ("first", "second")]
    write_entries(spool, *(entry(id=log_id, tries=tries) for log_id in ids))
    assert writer.drain_spool(spool) == 3
    attempts = RequestAttempt.objects.order_by("log_id", "number").values_list("log_id", "number", "upstream_name")
    assert [(str(log_id), number, name) for log_id, number, name in attempts] == [
        (log_id, number, name) for log_id in ids for number, name in ((1, "first"), (2, "second"))
    ]
    assert not (spool / "quarantine").exists()


def test_foreign_names_folders_and_unreadable_segments_do_not_stop_the_log(spool, caplog):
    foreign = {"notahex.sealed", f"{'a' * 32}.sealed", f"{'b' * 32}.live", "notes.txt"}
    spool.mkdir()
    (spool / "notahex.sealed").write_bytes(b"a\n")
    (spool / f"{'a' * 32}.sealed").mkdir()
    (spool / f"{'b' * 32}.live").mkdir()
    (spool / "notes.txt").write_text("a note")
    requests = [entry(), entry()]
    for request in requests:
        write_entries(spool, request)
        assert writer.drain_spool(spool) == 1
    assert logged() == sorted(request.id for request in requests)
    assert {path.name for path in spool.iterdir()} == {*foreign, "writer.lock"}
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert sorted(warnings) == sorted(f"{spool / name} is not a segment of the log and is ignored" for name in foreign)
