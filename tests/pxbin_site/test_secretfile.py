"""Secrets that nobody has set are made once and kept where only the owner can read them."""

import json
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest

from pxbin_site import secretfile
from pxbin_site.config import Config, ConfigurationError


def test_the_first_run_makes_secrets_and_the_next_finds_them(tmp_path):
    config = Config(data_dir=tmp_path / "new" / "data")
    first, second = secretfile.complete(config), secretfile.complete(config)
    assert first == second
    assert len({first.secret_key, first.encryption_key}) == 2
    assert min(len(first.secret_key), len(first.encryption_key), len(first.seal_key)) >= 32
    file = config.data_dir / "secrets.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in config.data_dir.iterdir()] == ["secrets.json"]


def test_two_installations_have_different_secrets(tmp_path):
    here, there = (secretfile.complete(Config(data_dir=tmp_path / name)) for name in ("here", "there"))
    assert here.secret_key != there.secret_key
    assert here.encryption_key != there.encryption_key
    assert here.seal_key != there.seal_key


def test_secrets_that_are_set_need_no_file(tmp_path):
    config = Config(data_dir=tmp_path / "data", secret_key="a secret", encryption_key="0123456789abcdef")
    completed = secretfile.complete(config)
    assert (completed.secret_key, completed.encryption_key) == ("a secret", "0123456789abcdef")
    assert not config.data_dir.exists()


def test_machines_with_the_same_secret_key_read_each_others_seals(tmp_path):
    here, there = (
        secretfile.complete(Config(data_dir=tmp_path / name, secret_key="shared", encryption_key="0123456789abcdef")) for name in ("a", "b")
    )
    assert here.seal_key == there.seal_key


def test_processes_that_start_at_once_agree(tmp_path):
    with ThreadPoolExecutor(16) as pool:
        completed = list(pool.map(lambda _: secretfile.complete(Config(data_dir=tmp_path / "data")), range(64)))
    assert len({each.secret_key for each in completed}) == 1


@pytest.mark.parametrize("content", ["", "[]", "{", json.dumps({"secret_key": "x"})])
def test_a_damaged_file_is_not_replaced_by_new_secrets(tmp_path, content):
    file = tmp_path / "secrets.json"
    file.write_text(content)
    with pytest.raises(ConfigurationError):
        secretfile.complete(Config(data_dir=tmp_path))
    assert file.read_text() == content
