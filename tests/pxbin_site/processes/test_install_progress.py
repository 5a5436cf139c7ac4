"""The progress of an installation, with a program in the place of pip."""

import io
import sys

import pytest

from pxbin_site.processes import install_progress

PIP = """
import sys
for name in ("aiohttp==3", "django==5"):
    print(f"Collecting {name} (from -r requirements.txt (line 1))", flush=True)
print("  Downloading django.whl")
print("Installing collected packages: aiohttp, django")
print("a problem", file=sys.stderr)
sys.exit(int(sys.argv[-1]))
"""


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def requirements(tmp_path):
    path = tmp_path / "requirements.txt"
    path.write_text("aiohttp==3 \\\n    --hash=sha256:0\n# via\ndjango==5 ; python_version > '3'\nhttpx==1\nidna==2\n")
    return path


def command(requirements, status):
    return [sys.executable, "-c", PIP, "-r", str(requirements), str(status)]


def test_a_terminal_has_one_line_that_is_cleared(requirements):
    output = Terminal()
    assert install_progress.main(command(requirements, 0), output) == 0
    assert output.getvalue().split("\r")[1:] == [
        "[####--------------------] 1 of 4 packages fetched\x1b[K",
        "[#########---------------] 2 of 4 packages fetched\x1b[K",
        "[###################-----] installing 2 packages\x1b[K",
        "\x1b[K",
    ]


def test_without_a_terminal_lines_are_printed_now_and_then(requirements, monkeypatch):
    output = io.StringIO()
    assert install_progress.main(command(requirements, 0), output) == 0
    assert output.getvalue() == "  installing 2 packages\n"
    monkeypatch.setattr(install_progress, "LINE_SECONDS", 0)
    install_progress.main(command(requirements, 0), output := io.StringIO())
    assert output.getvalue().splitlines()[0] == "  1 of 4 packages fetched"


def test_a_failure_keeps_its_status_and_shows_what_pip_said(requirements):
    output = io.StringIO()
    assert install_progress.main(command(requirements, 3), output) == 3
    assert output.getvalue().endswith("Installing collected packages: aiohttp, django\n") or "a problem\n" in output.getvalue()
