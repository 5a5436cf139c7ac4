"""The files of a gateway are those of their owner."""

import os
import stat

import pytest

from pxbin_site.conf.config import Config
from pxbin_site.processes import private_files
from tests.support.gateway import Gateway

HELLO = {"model": "echo", "max_tokens": 10, "messages": [{"role": "user", "content": "Hello"}]}


@pytest.fixture
def usual_umask():
    usual = os.umask(0o022)
    yield
    os.umask(usual)


def modes(directory) -> dict[str, int]:
    return {str(path.relative_to(directory)): stat.S_IMODE(path.lstat().st_mode) for path in directory.rglob("*")}


@pytest.mark.usefixtures("usual_umask")
def test_files_that_exist_and_files_that_are_created_later_are_private(tmp_path):
    (tmp_path / "spool" / "quarantine").mkdir(parents=True)
    names = (
        "pxbin.sqlite3",
        "pxbin.sqlite3-wal",
        "pxbin.sqlite3-shm",
        "secrets.json",
        "start.lock",
        "spool/a.sealed",
        "spool/quarantine/b",
    )
    for name in (*names, "notes.txt"):
        (tmp_path / name).touch()
    private_files.restrict(Config(data_dir=tmp_path))
    (tmp_path / "later").touch()
    files = dict.fromkeys((*names, "later"), 0o600)
    assert modes(tmp_path) == {**files, "spool": 0o700, "spool/quarantine": 0o700, "notes.txt": 0o644}


@pytest.mark.slow
def test_a_running_gateway_leaves_nothing_for_others_to_read(gateway):
    assert gateway.http.post(f"{gateway.url}/v1/messages", headers=gateway.client_headers, json=HELLO).status_code == 200
    gateway.logs(1)  # the first log row creates the spool
    file_modes = modes(gateway.data_dir)
    assert file_modes.keys() >= {"pxbin.sqlite3", "pxbin.sqlite3-wal", "pxbin.sqlite3-shm", "secrets.json", "spool"}
    assert {name: oct(mode) for name, mode in file_modes.items() if mode & 0o077} == {}


@pytest.mark.slow
def test_a_gateway_whose_database_file_was_removed_is_not_ready_and_makes_no_empty_one():
    with Gateway.started() as running:
        for path in running.data_dir.glob("pxbin.sqlite3*"):
            path.unlink()
        response = running.http.get(f"{running.url}/ready")
        assert (response.status_code, response.json()) == (503, {"status": "not_ready", "db": "OperationalError"})
        served = running.http.post(f"{running.url}/v1/messages", headers=running.client_headers, json=HELLO)
        assert served.status_code == 200
        running.stop()
        assert list(running.data_dir.glob("pxbin.sqlite3*")) == []
        assert list((running.data_dir / "spool").glob("*.sealed")) != []
