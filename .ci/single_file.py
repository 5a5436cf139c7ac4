"""Build `dist/pxbin.pyz`: the gateway with everything that it needs in one file, for this platform and version of Python.

`python .ci/single_file.py` in a checkout. The file unpacks itself once into the user's cache, because compiled modules cannot be loaded
from an archive, and then runs from there: `python pxbin.pyz serve`.
"""

import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipapp
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "dist" / "pxbin.pyz"
MAIN = '''\
"""Unpack the archive into the cache, once for each build, and run it from there."""

import os
import runpy
import sys
import zipfile
from pathlib import Path

BUILD = "{build}"
VERSION = {version}
if sys.version_info[:2] != VERSION:
    sys.exit("This file needs Python " + ".".join(map(str, VERSION)))
archive = Path(sys.argv[0]).resolve()
directory = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pxbin" / BUILD
if not directory.exists():
    draft = directory.with_name(f"{{BUILD}}.{{os.getpid()}}")
    with zipfile.ZipFile(archive) as content:
        content.extractall(draft, [name for name in content.namelist() if name.startswith("site/")])
    try:
        draft.rename(directory)
    except OSError:  # another process was faster
        import shutil

        shutil.rmtree(draft)
site = str(directory / "site")
sys.path[0] = site
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [site, os.environ.get("PYTHONPATH")]))  # for the child processes
runpy.run_module("pxbin_site", run_name="__main__", alter_sys=True)
'''


def build() -> None:
    """Install the locked packages and the gateway into a folder, and pack it."""
    with tempfile.TemporaryDirectory(prefix="pxbin-dist-") as folder:
        site = Path(folder) / "site"
        install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", "--disable-pip-version-check"]
        install += ["--no-warn-script-location", "--upgrade", "--target", str(site)]
        subprocess.run([*install, "--require-hashes", "--requirement", str(ROOT / "requirements.txt")], check=True)
        subprocess.run([*install, "--no-deps", str(ROOT)], check=True)
        for name in ("bin", "__pycache__"):
            shutil.rmtree(site / name, ignore_errors=True)
        contents = hashlib.sha256()
        for path in sorted(path for path in site.rglob("*") if path.is_file() and path.suffix != ".pyc"):
            contents.update(f"{path.relative_to(site)}\n".encode() + path.read_bytes())
        main = MAIN.format(build=contents.hexdigest()[:16], version=tuple(sys.version_info[:2]))
        (Path(folder) / "__main__.py").write_text(main, encoding="utf-8")
        TARGET.parent.mkdir(exist_ok=True)
        zipapp.create_archive(folder, TARGET, interpreter="/usr/bin/env python3", compressed=True)
    print(f"{TARGET} ({TARGET.stat().st_size / 1e6:.0f} MB)")


if __name__ == "__main__":
    build()
