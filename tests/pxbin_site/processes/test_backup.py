"""`manage.py backup` of a gateway that serves, and a gateway that starts on the copy."""

import shutil
import sqlite3
import subprocess
import sys
import threading

import pytest

from pxbin_site.processes.backup import BackupFailed, back_up
from tests.support.gateway import ROOT, Gateway, clean_environment

pytestmark = pytest.mark.slow
BODY = {"model": "echo", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}


def backup(data_dir, *arguments, **variables):
    command = [sys.executable, str(ROOT / "manage.py"), "backup", *map(str, arguments)]
    environment = clean_environment(PXBIN_DATA_DIR=str(data_dir), **variables)
    return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.e2e
def test_a_backup_of_a_running_gateway_can_be_restored(tmp_path):
    target = tmp_path / "copies" / "copy.sqlite3"
    with Gateway.started() as gateway:
        gateway.http.post(f"{gateway.url}/v1/messages", headers=gateway.client_headers, json=BODY)
        gateway.logs(1)
        ended = threading.Event()

        def write():
            while not ended.is_set():
                gateway.http.post(f"{gateway.url}/v1/messages", headers=gateway.client_headers, json=BODY)

        writer = threading.Thread(target=write)
        writer.start()
        result = backup(gateway.data_dir, target)
        ended.set()
        writer.join()
        assert (result.returncode, result.stdout) == (0, f"{target} ({target.stat().st_size:,} bytes)\n")
        secrets = gateway.data_dir / "secrets.json"
        assert result.stderr == f"Keep a copy of {secrets} elsewhere: without it the keys of upstreams in the backup cannot be decrypted.\n"
        assert [path.name for path in target.parent.iterdir()] == [target.name]
        assert target.stat().st_mode & 0o077 == 0
        assert backup(gateway.data_dir, target).stderr == f"CommandError: {target} exists already\n"

        gateway.stop()
        for leftover in gateway.data_dir.glob("pxbin.sqlite3-*"):
            leftover.unlink()
        shutil.copyfile(target, gateway.data_dir / "pxbin.sqlite3")
        gateway.restart()
        assert gateway.http.post(f"{gateway.url}/v1/messages", headers=gateway.client_headers, json=BODY).status_code == 200
        assert len(gateway.logs(2)) >= 2


def test_postgresql_is_backed_up_by_its_own_tools(tmp_path, postgres_url):
    with Gateway.started(PXBIN_DATABASE_URL=postgres_url) as gateway:
        result = backup(gateway.data_dir, PXBIN_DATABASE_URL=postgres_url)
    assert (result.returncode, result.stderr) == (1, "CommandError: The database is PostgreSQL: back it up with pg_dump.\n")


def test_a_damaged_database_is_not_a_backup(tmp_path):
    source, target = tmp_path / "source", tmp_path / "target"
    with sqlite3.connect(source) as database:
        database.execute("CREATE TABLE t (a)")
        database.executemany("INSERT INTO t VALUES (?)", [("x" * 500,) for _ in range(500)])
    content = bytearray(source.read_bytes())
    content[8192:20000] = b"\xff" * (20000 - 8192)
    source.write_bytes(content)
    with pytest.raises(BackupFailed):
        back_up(source, target)
    assert not target.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["source"]
