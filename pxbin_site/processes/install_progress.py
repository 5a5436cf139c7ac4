"""`python -m pxbin_site.processes.install_progress COMMAND …`: run pip and show how far it is.

It needs the standard library only, as nothing is installed yet. On a terminal it draws one line; elsewhere it prints a line now and
then. If pip fails, its last lines follow.
"""

import re
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import TextIO

PACKAGE = re.compile(r"^(Collecting|Requirement already satisfied:?) ")
INSTALLING = "Installing collected packages"
REQUIREMENT = re.compile(r"^[A-Za-z0-9][^\s=]*==", re.MULTILINE)
LINE_SECONDS = 5.0
"""Seconds between two lines where there is no terminal."""
SHOWN_LINES = 30
BAR_WIDTH = 24


def main(command: list[str], output: TextIO = sys.stderr) -> int:
    """Run the command; returns its exit status."""
    total = sum(len(REQUIREMENT.findall(Path(name).read_text())) for name in _requirement_files(command))
    last_lines: deque[str] = deque(maxlen=SHOWN_LINES)
    # The command is that of the Makefile.
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:  # noqa: S603
        assert process.stdout is not None
        _show(_states(process.stdout, total, last_lines), output)
    if process.returncode:
        output.write("".join(last_lines))
    return process.returncode


def _requirement_files(command: list[str]) -> Iterator[str]:
    for option, value in pairwise(command):
        if option in ("-r", "--requirement"):
            yield value


def _states(lines: Iterable[str], total: int, last_lines: deque[str]) -> Iterator[tuple[int, str]]:
    """After each line that says something: the share in percent, and what happens. Collecting is most of the work, but not all."""
    collected = 0
    for line in lines:
        last_lines.append(line)
        if PACKAGE.match(line):
            collected = min(collected + 1, total) if total else collected + 1
            yield (80 * collected // total if total else 0), f"{collected} of {total} packages fetched"
        elif line.startswith(INSTALLING):
            yield 80, f"installing {collected} packages"


def _show(states: Iterable[tuple[int, str]], output: TextIO) -> None:
    is_terminal, printed = output.isatty(), time.monotonic()
    for percent, text in states:
        filled = BAR_WIDTH * percent // 100
        if is_terminal:
            output.write(f"\r[{'#' * filled}{'-' * (BAR_WIDTH - filled)}] {text}\x1b[K")
        elif text.startswith("installing") or time.monotonic() - printed >= LINE_SECONDS:
            printed = time.monotonic()
            output.write(f"  {text}\n")
        output.flush()
    if is_terminal:
        output.write("\r\x1b[K")


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
