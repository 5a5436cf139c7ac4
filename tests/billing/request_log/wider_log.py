"""Run by `test_columns` in a copy of the code whose structs have the further fields `region` and `tags`: write a request and read it."""

import json
import os
import time
from pathlib import Path

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "pxbin_site.settings"
django.setup()

from accounts.common.uuid7 import new_id  # noqa: E402  (after `setup`)
from billing.api import log_items, logs  # noqa: E402
from billing.models import RequestLog  # noqa: E402
from billing.outcomes import Outcome  # noqa: E402
from billing.request_log import writer  # noqa: E402
from billing.request_log.entry import AttemptEntry, Meter, finish_entry  # noqa: E402
from billing.request_log.journal import Journal  # noqa: E402

spool = Path(os.environ["PXBIN_DATA_DIR"]) / "spool"
meter = Meter(id=new_id(), timestamp=time.time_ns() // 1000, started=0, dialect="anthropic", region="eu")
entry = finish_entry(meter, ended=1, outcome=Outcome.FINISHED, status=200)
entry.tries = [AttemptEntry(timestamp=entry.timestamp, tags=["a", "b"])]
journal = Journal(spool, schedule=lambda seconds, work: None)
journal.append(entry)
journal.close()
rows_written = writer.drain_spool(spool)
row = RequestLog.objects.get()
attempt = row.tries.get()
report = {
    "written": rows_written,
    "columns": [row.region, attempt.tags],
    "items": [log_items.log_item(row)["region"], log_items.attempt_item(attempt)["tags"]],
    "openapi": logs.LogItem.model_json_schema()["properties"]["region"],
    "quarantined": (spool / "quarantine").exists(),
}
print(json.dumps(report))
