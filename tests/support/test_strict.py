"""With CI=true a run that proves nothing fails."""

import os
import subprocess
import sys

import pytest

from tests.support.gateway import ROOT

pytestmark = pytest.mark.slow


def run(folder, source, **variables):
    """Exit status and output of a pytest run of its own over one file."""
    (folder / "test_one.py").write_text(source)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "tests.support.strict",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(folder),
        str(folder),
    ]
    pytest_variables = {"PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # the other plugins take seconds to load
    environment = {**{name: value for name, value in os.environ.items() if name != "CI"}, **pytest_variables, **variables}
    process = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return process.returncode, process.stdout


@pytest.mark.parametrize(
    "source", ["import pytest\ndef test_a(): pytest.skip('no')\ndef test_b(): pass", "import pytest\npytest.importorskip('gone')"]
)
def test_a_skip_fails_in_ci_alone(tmp_path, source):
    source_status, _ = run(tmp_path, source)
    assert source_status in {0, 5}
    status, output = run(tmp_path, source, CI="true")
    assert status != 0
    assert "skipped tests are failures here" in output


def test_a_run_without_tests_fails(tmp_path):
    assert run(tmp_path, "", CI="true")[0] != 0


def test_a_run_that_passes_passes(tmp_path):
    assert run(tmp_path, "def test_a(): pass", CI="true")[0] == 0
