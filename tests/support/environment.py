"""Loaded before Django's settings are: a clean environment with a data directory of its own for this test process."""

import gc
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

gc.disable()  # imports and collected tests are not garbage; the collections cost a quarter of the collecting time


def pytest_collection_finish() -> None:
    """Collect garbage again, without looking at what was imported and collected."""
    gc.freeze()
    gc.enable()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the data directory."""
    shutil.rmtree(DATA_DIR, ignore_errors=True)
