"""Run npm with the Node that came from a wheel: `python -m tests.support.npm --prefix tests/js ci`."""

import os
import sys

from tests.support.node import environment, npm_command

if __name__ == "__main__":
    os.execvpe(npm_command()[0], [*npm_command(), *sys.argv[1:]], environment())
