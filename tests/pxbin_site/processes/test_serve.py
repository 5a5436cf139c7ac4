"""`manage.py serve` as an operator meets it: the first start, settings, refusals, stores."""

import re
import shlex
import signal as signals
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

from pxbin_site.conf import secrets_file
from pxbin_site.conf.config import Config, ConfigurationError
from pxbin_site.management.commands import serve
from pxbin_site.processes import bootstrap
from tests.pxbin_site.processes.asking import HELLO, ask
from tests.support.gateway import ROOT, Gateway, clean_environment, failed_start
from tests.support.ports import free_port
from tests.support.waiting import PATIENCE, eventually

pytestmark = pytest.mark.slow


def readme_curls(gateway):
    """The curl commands of the README's set-up, against this gateway."""
    commands = re.findall(r"^curl (?:[^\n]*\\\n)*[^\n]*$", (ROOT / "README.md").read_text(), re.MULTILINE)
    names = {"$PXBIN_KEY": gateway.client_key, "$SCRIPT_KEY": gateway.management_key, "http://127.0.0.1:8080": gateway.url}
    for command in commands:
        filled = command
        for name, value in names.items():
            filled = filled.replace(name, value)
        yield shlex.split(filled.replace("\\\n", " "))


def test_the_first_start_prints_what_is_needed_once(gateway):
    assert re.search(r"^admin user: admin  password: \S{12,}$", gateway.output, re.MULTILINE)
    assert len(set(re.findall(r"pxb_[0-9a-f]{40}", gateway.output))) == 1
    assert len(re.findall(r"pxm_[0-9a-f]{40}", gateway.output)) == 1
    assert f"curl {gateway.url}/v1/messages" in gateway.output
    assert "brought up to date" not in gateway.output


def test_the_curls_of_the_readme_work(gateway):
    answers = [subprocess.run([*command, "-sS"], capture_output=True, text=True, check=True).stdout for command in readme_curls(gateway)]
    assert len(answers) == 3
    assert '"content":[{"type":"text","text":"Hello","citations":null}]' in answers[0]
    assert '"message":{"role":"assistant","content":"Hello"' in answers[1]
    assert '"name": "local"' in answers[2]


def test_the_row_of_a_request_is_written(gateway):
    answer = ask(gateway, {**HELLO, "model": "echo-anthropic"})
    assert answer.status_code == 200
    assert gateway.row_of(answer.headers["x-request-id"])["model"] == "echo-anthropic"


async def test_no_request_is_accepted_before_the_worker_has_loaded():
    """Otherwise the row of the first request would wait for the worker."""
    waited_for = []

    class Starting:
        def wait_ready(self, seconds):
            waited_for.append(seconds)
            return True

    await serve.Command()._await_worker(Starting())
    assert waited_for == [serve.WORKER_SECONDS]


def test_arguments_win_over_settings_and_start_is_ignored():
    port = free_port()
    with Gateway.started("start", "--host", "127.0.0.1", "--port", str(port), "--log-level", "debug") as gateway:
        assert gateway.url == f"http://127.0.0.1:{port}"
        assert ask(gateway).status_code == 200
        assert {child.cmdline()[-1] for child in psutil.Process(gateway.process.pid).children()} == {"--log-level=debug"}


def test_all_that_is_written_is_in_the_data_directory(gateway):
    with Gateway.started() as second:
        assert ask(second).status_code == 200
        assert second.url != gateway.url
        assert ask(second, {**HELLO, "model": "echo-anthropic"}).status_code == 200
        opened = {Path(file.path) for file in psutil.Process(second.process.pid).open_files()}
        outside = {path for path in opened if not path.is_relative_to(second.data_dir)}
        assert outside == set()
        assert {path.name for path in second.data_dir.iterdir()} >= {"pxbin.sqlite3", "secrets.json", "spool"}


def test_keys_of_providers_become_upstreams_that_an_admin_can_remove():
    with Gateway.started(OPENAI_API_KEY="sk-first", GROQ_API_KEY="gsk-first") as gateway:
        assert {row["name"]: row["base_url"] for row in gateway.api("GET", "/upstreams")} == {
            "echo": "echo://openai",
            "echo-anthropic": "echo://anthropic",
            "openai": "https://api.openai.com/v1",
            "groq": "https://api.groq.com/openai/v1",
        }
        assert "sk-first" not in gateway.output
        [groq] = [row for row in gateway.api("GET", "/upstreams") if row["name"] == "groq"]
        gateway.api("DELETE", f"/upstreams/{groq['id']}")
        gateway.stop()
        gateway.variables["XAI_API_KEY"] = "xai-later"
        gateway.restart()
        assert {row["name"] for row in gateway.api("GET", "/upstreams")} == {"echo", "echo-anthropic", "openai", "xai"}


def test_bad_settings_are_all_named_and_nothing_starts(tmp_path):
    status, stderr = failed_start(tmp_path / "data", PXBIN_LISTEN_ADDR="8080", PXBIN_LOG_FORMAT="xml", PXBIN_DATABASE_SCHEMA="1;2")
    assert status == 2
    assert stderr.splitlines() == [
        "The settings have problems:",
        "- PXBIN_LISTEN_ADDR='8080': must look like :8080 or 127.0.0.1:8080",
        "- PXBIN_DATABASE_SCHEMA='1;2': must match [a-z_][a-z0-9_]*",
        "- PXBIN_LOG_FORMAT='xml': must be one of json, text",
    ]
    assert not (tmp_path / "data").exists()


def test_without_the_key_of_the_stored_credentials_the_start_fails_with_instructions_and_writes_nothing():
    with Gateway.started(OPENAI_API_KEY="sk-stored") as gateway:
        gateway.stop()
        secrets = gateway.data_dir / "secrets.json"
        secrets.rename(gateway.data_dir / "elsewhere")
        for variables in ({}, {"PXBIN_ENCRYPTION_KEY": "quite another passphrase"}):
            status, stderr = failed_start(gateway.data_dir, **variables)
            assert status == 1
            assert "OPENAI_API_KEY of upstream openai" in stderr
            assert f"back into {gateway.data_dir}, or set PXBIN_ENCRYPTION_KEY" in stderr
            assert "manage.py rotate_encryption_key --forget" in stderr
            assert "Traceback" not in stderr
            assert not secrets.exists()
        command = [sys.executable, str(ROOT / "manage.py"), "rotate_encryption_key", "--forget", "--yes"]
        subprocess.run(command, env=clean_environment(PXBIN_DATA_DIR=str(gateway.data_dir)), capture_output=True, check=True)
        assert not secrets.exists()
        gateway.restart()  # the variable is still set, so its key is stored again
        [row] = [row for row in gateway.api("GET", "/credentials") if row["name"] == "OPENAI_API_KEY"]
        assert (row["disabled_reason"], row["is_active"]) == (None, True)
        assert secrets.exists()


def test_an_address_in_use_is_reported_in_one_sentence(gateway, tmp_path):
    status, stderr = failed_start(tmp_path, PXBIN_LISTEN_ADDR=f"127.0.0.1:{gateway.port}")
    reason = "Address already in use; PXBIN_LISTEN_ADDR=127.0.0.1:8081 chooses another"
    assert (status, stderr) == (1, f"CommandError: Cannot listen on 127.0.0.1:{gateway.port}: {reason}\n")


@pytest.mark.django_db
def test_an_upgrade_says_how_many_migrations_it_brought(monkeypatch):
    assert bootstrap.migrate() == []
    monkeypatch.setattr(bootstrap.schema_check, "check", lambda _: None)  # which sees that the table exists already
    recorder = MigrationRecorder(connection)
    last = MigrationLoader(connection).graph.leaf_nodes("billing")[0]
    recorder.record_unapplied(*last)
    monkeypatch.setattr(bootstrap, "call_command", lambda *_, **__: recorder.record_applied(*last))
    assert bootstrap.migrate() == ["the database was brought up to date (migrations applied: 1)"]


@pytest.mark.parametrize("port", ["70000", "-5", "http"])
def test_what_is_no_port_is_refused(port):
    with pytest.raises(CommandError, match=f"argument --port: must be a whole number from 0 to 65535, not '{port}'"):
        call_command("serve", f"--port={port}")


def test_a_second_gateway_on_the_same_data_directory_is_warned(gateway, tmp_path):
    config = Config(data_dir=tmp_path)
    with bootstrap.lock_data_dir(config) as first, bootstrap.lock_data_dir(config) as second:
        assert (first, second) == (True, False)
    with bootstrap.lock_data_dir(config) as third:
        assert third
    with bootstrap.lock_data_dir(Config(data_dir=gateway.data_dir)) as beside:
        assert not beside


def test_the_slower_of_two_first_starts_reports_the_other_before_it_checks_its_keys(tmp_path, monkeypatch):
    quick, slow = (secrets_file.complete(Config(data_dir=tmp_path)) for _ in range(2))
    secrets_file.store(quick)
    monkeypatch.setattr(bootstrap, "is_set_up", lambda: pytest.fail("the keys are judged"))
    with pytest.raises(ConfigurationError, match="another gateway has just been set up here; start this one again"):
        bootstrap.store_secrets(slow)


def test_an_unreachable_database_is_reported_in_one_sentence(tmp_path):
    status, stderr = failed_start(tmp_path, PXBIN_DATABASE_URL="postgresql://nobody:secret-word@127.0.0.1:1/none")
    assert status == 1
    assert stderr.splitlines()[-1].startswith("CommandError: The database cannot be used: ")
    assert "Connection refused" in stderr
    assert "secret-word" not in stderr


def test_a_fault_in_the_addresses_shows_at_the_start(tmp_path):
    (tmp_path / "broken_urls.py").write_text("import pxbin_site.no_such_module\n")
    program = (
        "import sys; sys.argv = ['manage.py', 'serve']; import pxbin_site.settings as site; site.ROOT_URLCONF = 'broken_urls';"
        "from manage import main; main()"
    )
    variables = {
        "PXBIN_DATA_DIR": str(tmp_path / "data"),
        "PXBIN_LISTEN_ADDR": "127.0.0.1:0",
        "DJANGO_SETTINGS_MODULE": "pxbin_site.settings",
    }
    process = subprocess.run(
        [sys.executable, "-c", program],
        env=clean_environment(**variables, PYTHONPATH=f"{ROOT}:{tmp_path}"),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert process.returncode == 1
    assert "No module named 'pxbin_site.no_such_module'" in process.stderr
    assert "pxbin serves at" not in process.stdout


def test_ctrl_c_during_the_start_is_one_line(tmp_path):
    starting = subprocess.Popen(
        [sys.executable, str(ROOT / "manage.py"), "serve"],
        env=clean_environment(PXBIN_DATA_DIR=str(tmp_path / "data"), PXBIN_LISTEN_ADDR="127.0.0.1:0"),
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )
    eventually(psutil.Process(starting.pid).children, every=0.01)  # it prepares the database now
    starting.send_signal(signals.SIGINT)
    try:
        assert (starting.communicate(timeout=PATIENCE)[1], starting.returncode) == ("stopped by Ctrl-C\n", 130)
    finally:
        starting.kill()


def test_an_interrupt_that_python_dropped_is_noticed_by_the_next_step():
    command = serve.Command()
    with suppress(KeyboardInterrupt):
        command.interrupt(signals.SIGINT, None)
    with pytest.raises(KeyboardInterrupt):
        command._await_worker(None).send(None)


def test_postgresql_in_a_schema_of_its_own_and_for_those_with_its_secrets(postgres_url, tmp_path):
    import psycopg

    with psycopg.connect(postgres_url, autocommit=True) as direct:
        direct.execute("CREATE TABLE public.django_migrations (id int, app text, name text, applied timestamptz)")
    with Gateway.started(PXBIN_DATABASE_URL=postgres_url, PXBIN_DATABASE_SCHEMA="gateway") as gateway:
        assert ask(gateway).status_code == 200
        assert [row["model"] for row in gateway.logs(1)] == ["echo"]
    with psycopg.connect(postgres_url) as direct:
        schemas = direct.execute("SELECT table_schema, count(*) > 10 FROM information_schema.tables GROUP BY 1").fetchall()
        assert {name: has_tables for name, has_tables in schemas if name in {"public", "gateway"}} == {"public": False, "gateway": True}
    status, stderr = failed_start(tmp_path / "other", PXBIN_DATABASE_URL=postgres_url, PXBIN_DATABASE_SCHEMA="gateway")
    assert (status, stderr.splitlines()) == (
        2,
        ["The settings have problems:", f"- {bootstrap.DIFFERENT_SECRETS.format(directory=tmp_path / 'other')}"],
    )


def test_rows_reach_the_worker_through_redis(redis_url, postgres_url):
    with Gateway.started(PXBIN_REDIS_URL=redis_url, PXBIN_DATABASE_URL=postgres_url) as gateway:
        for _ in range(5):
            assert ask(gateway).status_code == 200
        assert len(gateway.logs(5)) == 5
