"""`manage.py work`: the Celery worker and its scheduler (beat) in one process."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from accounts.common.commands import require_gateway
from pxbin_site.conf import databases
from pxbin_site.conf.config import LOG_LEVELS
from pxbin_site.conf.logs import set_level
from pxbin_site.processes import private_files, supervisor


class Command(BaseCommand):
    """Background work: write log rows, delete old ones, refresh prices, check and discover upstreams."""

    help = "Run the Celery worker and beat in one process."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--with-parent", action="store_true", help="exit when standard input ends, and ignore signals")
        parser.add_argument("--log-level", choices=LOG_LEVELS, help="lowest level that is logged (default: PXBIN_LOG_LEVEL)")

    def handle(self, *args: Any, **options: Any) -> None:
        if not options["with_parent"]:
            require_gateway()
        from pxbin_site.processes.worker import Worker

        set_level(options["log_level"])
        worker = Worker(ignore_signals=options["with_parent"])
        if options["with_parent"]:
            if not supervisor.wait_for_release():
                return
            worker.on_ready(supervisor.report_ready)
            supervisor.on_parent_exit(worker.stop)
        else:
            private_files.restrict(settings.PXBIN)
        databases.forbid_creation(settings.DATABASES["default"])
        worker.run()
