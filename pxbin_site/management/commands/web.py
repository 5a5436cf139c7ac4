"""`manage.py web`: an additional web process on a socket that `serve` has opened."""

import os
import signal
import socket
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from pxbin_site.conf import databases
from pxbin_site.conf.config import LOG_LEVELS
from pxbin_site.conf.logs import set_level
from pxbin_site.processes.supervisor import on_parent_exit, report_ready


class Command(BaseCommand):
    """Started by `serve` (PXBIN_WEB_PROCESSES), not by hand."""

    help = "Serve on a socket that the parent process has opened, until the parent exits."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--fd", type=int, required=True, help="number of the inherited listening socket")
        parser.add_argument("--log-level", choices=LOG_LEVELS, help="lowest level that is logged (default: PXBIN_LOG_LEVEL)")

    def handle(self, *args: Any, **options: Any) -> None:
        from pxbin_site.processes.web import run

        set_level(options["log_level"])
        on_parent_exit(lambda: os.kill(os.getpid(), signal.SIGTERM), on_retire=lambda: os.kill(os.getpid(), signal.SIGHUP))
        databases.forbid_creation(settings.DATABASES["default"])
        with socket.socket(fileno=options["fd"]) as listening:
            run(listening, on_listening=lambda _: report_ready())
