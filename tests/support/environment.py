"""Loaded before Django's settings are: a clean environment with a data directory of its own for this test process."""

import os
import shutil
import tempfile

import pytest

DATA_DIR = tempfile.mkdtemp(prefix="pxbin-tests-")

# Nothing that the person at the keyboard has set may change a test.
for name in [name for name in os.environ if name.startswith("PXBIN_") and not name.startswith("PXBIN_TEST_")]:
    del os.environ[name]
os.environ["PXBIN_DATA_DIR"] = DATA_DIR
os.environ["PXBIN_ENV_FILE"] = os.devnull
os.environ["PXBIN_LOG_FORMAT"] = "text"


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the data directory."""
    shutil.rmtree(DATA_DIR, ignore_errors=True)
