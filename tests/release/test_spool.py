"""Segments that the release has left in the spool become the rows that they became there."""

from tests.release import doors, restoring
from tests.release.installation import at_least

EXPECTED = {row["id"]: {**row, "created_at": None} for row in restoring.load("spool.json")}


def logs_without_times(gateway):
    return {log_id: {**gateway.api("GET", f"/logs/{log_id}"), "created_at": None} for log_id in EXPECTED}


def test_segments_of_the_release_become_rows_once(installation):
    installation.manage("migrate", "--no-input")
    before = len(installation.rows(doors.LOGS))
    for _ in range(2):  # the second time they are known by their ids
        spool = installation.take_spool()
        installation.manage("flush_journal")
        assert [path.name for path in spool.iterdir() if path.suffix in (".sealed", ".live", ".new")] == []
        assert not (spool / "quarantine").exists()
        assert len(installation.rows(doors.LOGS)) == before + len(EXPECTED)
    with installation.served() as gateway:
        assert at_least(logs_without_times(gateway), EXPECTED) == EXPECTED
    outcomes = {row["outcome"] for row in EXPECTED.values()}
    assert outcomes == {"finished", "failed", "cancelled", "rejected"}
    assert [row[doors.column(doors.PAYLOADS, "request_body")] for row in installation.rows(doors.PAYLOADS)] == ['{"a": "ü"}'] * 2


def test_a_line_is_read_and_written_again_without_a_loss():
    lines = [line for path in sorted((restoring.FILES / "spool").iterdir()) for line in path.read_bytes().split(b"\n")[:-1]]
    assert len(lines) == len(EXPECTED)
    for line in lines:
        released = restoring.json.loads(line)
        assert at_least(doors.rewritten_line(line), released) == released
