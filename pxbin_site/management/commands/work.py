"""`manage.py work`: the Celery worker and beat, in one process."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from accounts.common.commands import require_gateway
from pxbin_site.conf.config import LOG_LEVELS
from pxbin_site.conf.logs import set_level
from pxbin_site.processes import supervisor


class Command(BaseCommand):
    """Do what is not done while a client waits: write log rows, prune, look after prices and models."""

    help = "Run the Celery worker and beat in one process."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Who decides when it ends."""
        parser.add_argument("--with-parent", action="store_true", help="end when standard input ends, and ignore signals")
        parser.add_argument("--log-level", choices=LOG_LEVELS, help="how much to log (default info)")

    def handle(self, *args: Any, **options: Any) -> None:
        """Work."""
        if not options["with_parent"]:
            require_gateway()
        from pxbin_site.processes.worker import Worker

        set_level(options["log_level"])
        worker = Worker(deaf=options["with_parent"])
        if options["with_parent"]:
            if not supervisor.released():
                return
            worker.when_ready(supervisor.say_ready)
            supervisor.when_parent_ends(worker.stop)
        worker.run()
