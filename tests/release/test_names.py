"""The names under which things are stored or sent stay: an older or newer process, or a message on its way, knows no others."""

import json

import pytest

from tests.release import doors, restoring

NAMES = restoring.load("names.json")
PROGRAM = f"""
import importlib, json
from django.conf import settings
from pxbin_site.celery import app
app.loader.import_default_modules()
importlib.import_module({doors.WORKER!r})
table = {{name: entry["task"] for name, entry in settings.CELERY_BEAT_SCHEDULE.items()}}
print(json.dumps({{"tasks": sorted(app.tasks), "beat": table, "queue": app.conf.task_default_queue, "routes": app.conf.task_routes}}))
"""


def names(sqlite, **variables):
    seconds = {"PXBIN_HEALTH_CHECK_SECONDS": "7", "PXBIN_DISCOVER_SECONDS": "9"}
    return json.loads(sqlite.manage("shell", "--no-imports", "-c", PROGRAM, **seconds, **variables).splitlines()[-1])


def test_tasks_their_queue_and_the_beat_table_keep_their_names(sqlite):
    alone, shared = names(sqlite), names(sqlite, PXBIN_REDIS_URL="redis://127.0.0.1:9/0")
    assert set(alone["tasks"]) >= set(NAMES["tasks"])
    assert (alone["queue"], alone["routes"]) == (NAMES["queue"], None)
    due = {name: entry["task"] for name, entry in NAMES["beat"].items()}
    assert {name: task for name, task in (alone["beat"] | shared["beat"]).items() if name in due} == due
    assert "drain spool" in alone["beat"]
    assert "drain spool" not in shared["beat"]


@pytest.mark.parametrize("kind", NAMES["journal"])
def test_lines_of_the_journal_keep_their_keys(kind):
    assert set(NAMES["journal"][kind]) - doors.journal_keys(kind) == set()
