"""Run as a process by test_kills.py, to be killed: `append SPOOL` or `write SPOOL`."""

import asyncio
import os
import sys
import time
from pathlib import Path


async def append(spool: Path) -> None:
    """Append entries as fast as possible; a name is printed to standard output after its entry was appended."""
    from accounts.common.uuid7 import new_id
    from billing.request_log.entry import AttemptEntry, LogEntry
    from billing.request_log.journal import Journal

    journal = Journal(spool, schedule=asyncio.get_running_loop().call_later)
    while True:
        for _ in range(50):
            entry_id = new_id()
            now = time.time_ns() // 1000
            journal.append(
                LogEntry(
                    id=entry_id,
                    timestamp=now,
                    model=f"m{now % 3}",
                    input_tokens=now % 1000,
                    cost=now,
                    latency_ms=now % 700,
                    tries=[AttemptEntry(timestamp=now)],
                    error_message="x" * 3000,
                )
            )
            os.write(1, entry_id.encode() + b"\n")
        await asyncio.sleep(0.001)


def write(spool: Path) -> None:
    """Empty the spool again and again."""
    import django

    django.setup()
    from billing.request_log import writer

    os.write(1, b"ready\n")
    while True:
        writer.drain_spool(spool)


if __name__ == "__main__":
    directory = Path(sys.argv[2])
    if sys.argv[1] == "append":
        asyncio.run(append(directory))
    else:
        write(directory)
