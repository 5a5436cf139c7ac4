"""`manage.py web`: one more web process on a socket that `serve` has opened."""

import os
import signal
import socket
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from pxbin_site.conf.config import LOG_LEVELS
from pxbin_site.conf.logs import set_level
from pxbin_site.processes.supervisor import when_parent_ends


class Command(BaseCommand):
    """A further web process of `serve` (PXBIN_WEB_PROCESSES); not meant to be started by hand."""

    help = "Serve on a socket that the parent process has opened, until the parent ends."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """The parent's socket."""
        parser.add_argument("--fd", type=int, required=True, help="number of the inherited listening socket")
        parser.add_argument("--log-level", choices=LOG_LEVELS, help="how much to log (default info)")

    def handle(self, *args: Any, **options: Any) -> None:
        """Serve."""
        from pxbin_site.processes.web import run

        set_level(options["log_level"])
        when_parent_ends(lambda: os.kill(os.getpid(), signal.SIGTERM))
        with socket.socket(fileno=options["fd"]) as listening:
            run(listening)
