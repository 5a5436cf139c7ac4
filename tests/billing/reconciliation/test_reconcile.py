"""`manage.py reconcile`, in both databases: no difference where there is none, and every one that is made."""

import io
import json

import msgspec
import pytest
from django.core.management import CommandError, call_command

from accounts.common.uuid7 import new_id
from billing.models import RequestLog, Rollup
from billing.reconciliation import ledger
from billing.request_log import writer
from billing.request_log.entry import AttemptEntry
from billing.request_log.spool import Segment, Spool
from pxbin_site.settings import PXBIN
from tests.billing.conftest import entry
from tests.billing.request_log.test_writer import write_entries
from tests.billing.rollups.test_writing import various
from upstreams.models import Upstream

pytestmark = pytest.mark.usefixtures("database")
START = 1_796_083_200
"""2026-12-01 in Unix seconds."""


def reconcile(*arguments):
    output = io.StringIO()
    try:
        call_command("reconcile", *arguments, stdout=output)
    except SystemExit as end:
        return output.getvalue(), end.code
    return output.getvalue(), 0


@pytest.fixture(autouse=True)
def _own_spool(monkeypatch, tmp_path, settings):
    settings.PXBIN = msgspec.structs.replace(PXBIN, data_dir=tmp_path)


def test_sums_of_the_writer_have_no_difference(spool):
    write_entries(spool, *various(100))
    writer.drain_spool(spool)
    text, code = reconcile("--exit-code")
    assert (text.splitlines(), code) == (
        ["rollups and rows: 0 differences", "rows and journal: 0 missing rows, 0 waiting lines, 0 lines in quarantine"],
        0,
    )


def test_a_wrong_sum_a_missing_row_and_a_wrong_day_are_found(spool):
    write_entries(spool, *(entry(timestamp=START * 1_000_000, cost=5, input_tokens=1) for _ in range(3)))
    writer.drain_spool(spool)
    Rollup.objects.filter(seconds=3600).update(cost_rest=14)
    RequestLog.objects.filter(pk=RequestLog.objects.values("pk")[:1]).delete()
    differences = [(one.bucket, one.measure, one.rollup, one.rows) for one in ledger.rollups_against_rows()]
    assert [one for one in differences if one[1] in ("requests", "cost_rest")] == [
        ("hour", "requests", 3, 2),
        ("hour", "cost_rest", 14, 10),
        ("day", "cost_rest", 15, 14),
    ]
    assert reconcile("--exit-code")[1] == 3


def test_lines_of_the_journal_are_compared_with_rows(spool):
    waiting, committed = entry(), [entry(), entry()]
    segment = Segment("b" * 32, [msgspec.json.encode(one) for one in committed])
    writer.write_segments([segment], Spool(spool))
    RequestLog.objects.filter(pk=committed[0].id).delete()
    spool.mkdir(exist_ok=True)
    (spool / f"{segment.id}.sealed").write_bytes(b"\n".join([*segment.lines, b""]))
    (spool / f"{'a' * 32}.sealed").write_bytes(msgspec.json.encode(waiting) + b"\n")
    Spool(spool).quarantine("c" * 32, [(b"not json", "no JSON")])
    assert ledger.rows_against_journal(spool) == ledger.JournalReport(waiting=1, missing=[committed[0].id], rejected=1)


def test_calls_are_compared_with_the_bill(spool, tmp_path):
    upstream = Upstream.objects.create(name="openai", base_url="http://x/v1")

    def call(**fields):
        values = {"timestamp": START * 1_000_000 + 5, "upstream_id": str(upstream.pk), "remote_model": "gpt-5", "status_code": 200}
        return AttemptEntry(**{**values, "input_tokens": 60, "cache_read_tokens": 40, "output_tokens": 20, **fields})

    lost = {
        "input_tokens": 0,
        "cache_read_tokens": 0,
        "output_tokens": 0,
        "status_code": None,
        "outcome": "failed",
        "error_type": "timeout",
    }
    log_id = new_id()
    write_entries(
        spool, entry(tries=[call()]), entry(tries=[call()], usage_estimated=True), entry(id=log_id, tries=[call(**lost)]),
        entry(tries=[call(remote_model="o3")]), entry(tries=[call(upstream_id=new_id())]),
    )  # fmt: skip
    writer.drain_spool(spool)
    result = {"model": "gpt-5", "input_tokens": 260, "input_cached_tokens": 80, "output_tokens": 45, "num_model_requests": 3}
    path = tmp_path / "usage.json"
    path.write_text(json.dumps({"data": [{"start_time": START, "results": [result]}]}))
    text, code = reconcile("--upstream", "openai", "--export", str(path), "--json", "--exit-code")
    report = json.loads(text)
    lines = [(line["model"], line["quantity"], line["ours"], line["billed"], line["is_explained"]) for line in report["provider"]]
    assert lines == [
        ("gpt-5", "requests", "2", "3", True),
        ("gpt-5", "input tokens", "200", "260", True),
        ("gpt-5", "output tokens", "40", "45", True),
        ("o3", "requests", "1", "0", False),
        ("o3", "input tokens", "100", "0", False),
        ("o3", "output tokens", "20", "0", False),
    ]
    assert [(call["log_id"], call["error_type"]) for call in report["unanswered"]] == [(log_id, "timeout")]
    assert code == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--export", "x"], "--export needs --upstream, the name of the upstream whose bill it is"),
        (["--export", "x", "--upstream", "nobody"], "There is no upstream 'nobody'"),
    ],
)
def test_an_export_needs_its_upstream(arguments, message):
    with pytest.raises(CommandError, match=message):
        reconcile(*arguments)
