"""Commands as an operator runs them: in processes of their own, without a terminal, with and without a database."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.gateway import ROOT, clean_environment
from tests.support.ports import free_port
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow
NEEDING_A_DATABASE = (
    "setup", "create_key x", "list_keys --json", "revoke_key x", "add_upstream x --preset groq", "test_upstream x", "discover_models",
    "import_models x y", "sync_prices", "logs --follow", "rerate --since 2026-01-01", "flush_journal", "rotate_encryption_key",
)  # fmt: skip


def started(*arguments, **variables):
    return subprocess.Popen(
        [sys.executable, str(ROOT / "manage.py"), *arguments],
        env=clean_environment(**variables),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell's background process ignores the signal, and so would this one.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509  (no thread of this process holds a lock)
    )


def run(*arguments, **variables):
    process = started(*arguments, **variables)
    stdout, stderr = process.communicate(timeout=90)
    return process.returncode, stdout, stderr


@pytest.mark.parametrize("command", NEEDING_A_DATABASE)
def test_without_a_database_a_command_ends_with_one_line(command, tmp_path):
    url = f"postgresql://pxbin:planted-password@127.0.0.1:{free_port()}/pxbin"
    status, stdout, stderr = run(*command.split(), PXBIN_DATA_DIR=str(tmp_path), PXBIN_DATABASE_URL=url)
    assert (status, stdout) == (1, "")
    assert "The database cannot be used: " in stderr
    assert stderr.count("\n") == 1
    assert "Traceback" not in stderr
    assert "planted-password" not in stderr


def test_the_doctor_reports_a_dead_database_in_json(tmp_path):
    url = f"postgresql://pxbin:planted-password@127.0.0.1:{free_port()}/pxbin"
    status, stdout, stderr = run("doctor", "--json", PXBIN_DATA_DIR=str(tmp_path), PXBIN_DATABASE_URL=url)
    report = json.loads(stdout)
    assert (status, report["healthy"]) == (1, False)
    assert [check["status"] for check in report["checks"] if check["name"] == "database"] == ["failed"]
    assert stderr.startswith("CommandError: Something does not work: database")
    assert "planted-password" not in stdout + stderr


def test_set_up_prints_the_first_keys_once_and_an_older_database_is_named(tmp_path):
    variables = {"PXBIN_DATA_DIR": str(tmp_path)}
    status, stdout, stderr = run("setup", "--json", **variables)
    created = json.loads(stdout)
    assert status == 0
    assert stderr.endswith("migrations are applied, which takes some seconds …\n")
    assert sorted(created) == ["admin_name", "admin_password", "client_key", "management_key", "migrated", "upstreams"]
    assert (created["admin_name"], created["client_key"][:4], created["management_key"][:4]) == ("admin", "pxb_", "pxm_")
    assert (len(created["admin_password"]), created["upstreams"], created["migrated"]) == (20, [], False)
    assert run("setup", **variables) == (0, "nothing was missing\n", "")
    listed = json.loads(run("list_keys", "--json", **variables)[1])
    assert [key["key_prefix"] for key in listed] == [created["client_key"][:8], created["management_key"][:8]]
    run("migrate", "billing", "zero", **variables)
    assert run("logs", **variables) == (
        1,
        "",
        "The database cannot be used: no such table: billing_requestlog; `manage.py setup` brings its tables up to date\n",
    )


def test_following_ends_at_ctrl_c_without_a_traceback(tmp_path):
    variables = {"PXBIN_DATA_DIR": str(tmp_path), "PYTHONUNBUFFERED": "1"}
    assert run("setup", **variables)[0] == 0
    process = started("logs", "--follow", "--json", **variables)
    eventually(lambda: _waits(process.pid), message="logs --follow does not wait")
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=30)
    assert (process.returncode, stdout, stderr) == (130, "", "stopped by Ctrl-C\n")


def _waits(pid):
    """Whether a process sleeps with its modules loaded; before that it uses the processor all the time."""
    path = Path(f"/proc/{pid}/stat")
    before = path.read_text().split()[13]
    time.sleep(0.3)
    fields = path.read_text().split()
    return fields[2] == "S" and int(fields[13]) - int(before) <= 2 and int(fields[13]) > 30


def test_a_reader_that_ends_early_causes_no_traceback(tmp_path):
    variables = {"PXBIN_DATA_DIR": str(tmp_path)}
    assert run("setup", **variables)[0] == 0
    process = started("list_keys", **variables)
    process.stdout.close()
    stderr = process.stderr.read()
    process.stderr.close()
    assert process.wait(30) == 1
    assert stderr == ""
