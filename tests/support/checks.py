"""The checks of `make check` that need Django: migrations are up to date, and the system checks are content."""

import subprocess
import sys
import tempfile

from tests.support.gateway import ROOT, clean_environment

COMMANDS = (
    ("makemigrations", "--check", "--dry-run"),
    ("check", "--deploy", "--fail-level", "WARNING"),
)


def main() -> int:
    """Run them all; the number of those that failed."""
    failed = 0
    with tempfile.TemporaryDirectory(prefix="pxbin-check-") as data_dir:
        for command in COMMANDS:
            process = subprocess.run(
                [sys.executable, str(ROOT / "manage.py"), *command], env=clean_environment(PXBIN_DATA_DIR=data_dir), cwd=ROOT, check=False
            )
            failed += process.returncode != 0
    return failed


if __name__ == "__main__":
    sys.exit(main())
