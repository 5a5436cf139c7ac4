"""kill -9 of web processes and writers at any moment: what was acknowledged is in the log and in the sums, once."""

import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from billing.models import RequestAttempt, RequestLog
from billing.request_log import writer
from tests.billing.rollups import sums
from tests.support.gateway import ROOT, clean_environment
from tests.support.sizes import PROOF
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow

ROUNDS = 50 if PROOF else 3
PER_ROUND = 100
"""Entries that are acknowledged at least before the processes are killed."""
SCRIPT = str(Path(__file__).with_name("killed.py"))


class Victim:
    """A process that will be killed; `printed` has every complete line of its output."""

    def __init__(self, role: str, spool: Path, variables: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, SCRIPT, role, str(spool)],
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env=clean_environment(PYTHONPATH=str(ROOT), DJANGO_SETTINGS_MODULE="pxbin_site.settings", **variables),
        )
        self.printed: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.printed.extend(line.decode().strip() for line in self.process.stdout if line.endswith(b"\n"))

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join()
        assert self.process.stdout is not None
        self.process.stdout.close()


def test_nothing_is_lost_and_nothing_is_doubled(database, postgresql_url, spool, tmp_path):
    url = f"sqlite:///{database.settings_dict['NAME']}" if database.vendor == "sqlite" else postgresql_url
    variables = {"PXBIN_DATA_DIR": str(tmp_path), "PXBIN_DATABASE_URL": url}
    chance = random.Random(7)
    acknowledged: list[str] = []
    for _ in range(ROUNDS):
        emptier = Victim("write", spool, variables)
        eventually(lambda: emptier.printed == ["ready"])  # noqa: B023
        appenders = [Victim("append", spool, variables) for _ in range(2)]
        eventually(lambda: all(appender.printed for appender in appenders))  # noqa: B023
        needed = chance.randint(PER_ROUND, 6 * PER_ROUND)
        eventually(lambda: sum(len(appender.printed) for appender in appenders) >= needed, every=0.005)  # noqa: B023
        for victim in chance.sample([emptier, *appenders], 3):
            victim.kill()
        acknowledged += [entry_id for appender in appenders for entry_id in appender.printed]
    writer.drain_spool(spool, wait=True)

    logged = {str(log_id) for log_id in RequestLog.objects.values_list("id", flat=True)}
    assert len(acknowledged) >= PER_ROUND * ROUNDS
    assert set(acknowledged) - logged == set()
    # Of each appender killed, one entry may have been written and not acknowledged.
    assert len(logged - set(acknowledged)) <= 2 * ROUNDS
    assert RequestAttempt.objects.count() == RequestLog.objects.count()
    assert sums.from_rollups() == sums.from_rows()
    assert [path.name for path in spool.iterdir() if path.suffix in (".live", ".sealed")] == []
