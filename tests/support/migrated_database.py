"""A migrated SQLite database, made once for each set of migrations, that new gateways of the tests begin with.

All migrations take about four seconds of CPU time on an empty SQLite database, and the tests start a gateway about a hundred times.
The copy has the tables and nothing else: a start still makes the secrets, the admin user and the keys.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NAME = "pxbin.sqlite3"
MIGRATIONS = "*/migrations/*.py"


def copy_to(data_dir: Path, environment: dict[str, str]) -> None:
    """Put a migrated database into an empty data directory. `environment` is that of the process which makes it the first time."""
    folder = Path(tempfile.gettempdir()) / f"pxbin-migrated-{os.getuid()}-{_checksum()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / NAME).exists():
            _make(folder, environment)
    shutil.copyfile(folder / NAME, data_dir / NAME)


def _make(folder: Path, environment: dict[str, str]) -> None:
    with tempfile.TemporaryDirectory(dir=folder) as unfinished:
        variables = {**environment, "PXBIN_DATA_DIR": unfinished}
        subprocess.run([sys.executable, str(ROOT / "manage.py"), "migrate", "--verbosity=0"], cwd=ROOT, env=variables, check=True)
        (Path(unfinished) / NAME).rename(folder / NAME)


def _checksum() -> str:
    """A checksum of our migrations and of the packages, which have migrations too."""
    checksum = hashlib.sha256()
    for path in [*sorted(ROOT.glob(MIGRATIONS)), ROOT / "requirements.txt"]:
        checksum.update(path.read_bytes())
    return checksum.hexdigest()[:16]
