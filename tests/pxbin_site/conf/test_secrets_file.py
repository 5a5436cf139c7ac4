"""Secrets that are not set are generated once and stored where only the owner can read them."""

import json
import stat
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest

from pxbin_site.conf import secrets_file
from pxbin_site.conf.config import Config, ConfigurationError


def test_the_first_start_generates_secrets_and_the_next_reads_them(tmp_path):
    config = Config(data_dir=tmp_path)
    first = secrets_file.complete(config)
    secrets_file.store(first)
    second = secrets_file.complete(config)
    assert (first.new_secrets["secret_key"], second.new_secrets) == (first.secret_key, {})
    assert second == msgspec.structs.replace(first, new_secrets={})
    assert len({first.secret_key, first.encryption_key}) == 2
    assert min(len(first.secret_key), len(first.encryption_key), len(first.seal_key)) >= 32
    file = config.data_dir / "secrets.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in config.data_dir.iterdir()] == ["secrets.json"]


def test_new_secrets_are_not_written_until_they_are_stored(tmp_path):
    config = Config(data_dir=tmp_path / "data")
    assert secrets_file.complete(config).secret_key != secrets_file.complete(config).secret_key
    assert list(tmp_path.iterdir()) == []


def test_a_secret_that_is_set_is_not_stored(tmp_path):
    completed = secrets_file.complete(Config(data_dir=tmp_path, encryption_key="0123456789abcdef"))
    secrets_file.store(completed)
    assert completed.encryption_key == "0123456789abcdef"
    assert "0123456789abcdef" not in (tmp_path / "secrets.json").read_text()


def test_two_installations_have_different_secrets(tmp_path):
    first, second = (secrets_file.complete(Config(data_dir=tmp_path / name)) for name in ("here", "there"))
    assert first.secret_key != second.secret_key
    assert first.encryption_key != second.encryption_key
    assert first.seal_key != second.seal_key


def test_secrets_that_are_set_need_no_file(tmp_path):
    config = Config(data_dir=tmp_path / "data", secret_key="a secret", encryption_key="0123456789abcdef")
    completed = secrets_file.complete(config)
    assert (completed.secret_key, completed.encryption_key) == ("a secret", "0123456789abcdef")
    assert not config.data_dir.exists()


def test_machines_with_the_same_secret_key_read_each_others_seals(tmp_path):
    first, second = (
        secrets_file.complete(Config(data_dir=tmp_path / name, secret_key="shared", encryption_key="0123456789abcdef"))
        for name in ("a", "b")
    )
    assert first.seal_key == second.seal_key


def result_of_storing(completed):
    """The secret key of a process whose secrets were stored, or the errors."""
    try:
        secrets_file.store(completed)
    except ConfigurationError as error:
        return error.problems
    return completed.secret_key


def test_of_processes_that_start_at_the_same_time_one_stores_its_secrets(tmp_path):
    config = Config(data_dir=tmp_path)
    with ThreadPoolExecutor(16) as pool:
        results = list(pool.map(result_of_storing, [secrets_file.complete(config) for _ in range(16)]))
    sentence = f"{tmp_path}/secrets.json: another gateway has just been set up here; start this one again"
    assert [result for result in results if result != [sentence]] == [secrets_file.complete(config).secret_key]


@pytest.mark.parametrize("content", ["", "[]", "{", json.dumps({"secret_key": "x"})])
def test_a_damaged_file_is_not_replaced_by_new_secrets(tmp_path, content):
    file = tmp_path / "secrets.json"
    file.write_text(content)
    with pytest.raises(ConfigurationError):
        secrets_file.complete(Config(data_dir=tmp_path))
    assert file.read_text() == content
