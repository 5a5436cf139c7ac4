"""`manage.py serve`: prepare the installation, then serve until a signal comes."""

import argparse
import logging
import socket
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from pxbin_site import firstrun
from pxbin_site.background import Child
from pxbin_site.checks import TAG
from pxbin_site.config import LOG_LEVELS, Config
from upstreams import credentials, vault

EVERY_ADDRESS = frozenset({"0.0.0.0", "::"})  # noqa: S104  (compared with, not listened on)
CURL = """curl {url}/v1/messages -H 'x-api-key: {key}' -H 'content-type: application/json' \\
  -d '{{"model": "echo", "max_tokens": 100, "messages": [{{"role": "user", "content": "Hello"}}]}}'"""


class Command(BaseCommand):
    """Start the gateway."""

    help = "Bring the database up to date, set up what is missing, and serve until SIGTERM or Ctrl-C."
    requires_system_checks = []  # ours are run by hand; those of the code belong to `make check`

    def add_arguments(self, parser: CommandParser) -> None:
        """The address may be given here instead of by PXBIN_LISTEN_ADDR."""
        parser.add_argument("start", nargs="?", choices=["start"], help=argparse.SUPPRESS)
        parser.add_argument("--host", help="address to listen on (default 127.0.0.1)")
        parser.add_argument("--port", type=int, help="port to listen on (default 8080; 0: any free one)")
        parser.add_argument("--log-level", choices=LOG_LEVELS, help="how much to log (default info)")

    def handle(self, *args: Any, **options: Any) -> None:
        """Prepare, then serve."""
        config: Config = settings.PXBIN
        if options["log_level"]:
            logging.getLogger().setLevel(options["log_level"].upper())
        self.check(tags=[TAG])
        from pxbin_site import server  # installs the reactor

        host = config.listen_host if options["host"] is None else options["host"]
        port = config.listen_port if options["port"] is None else options["port"]
        try:
            listening = server.listening_socket(host, port)
        except OSError as error:
            raise CommandError(f"Cannot listen on {host}:{port}: {error.strerror or error}") from error
        with listening:
            self._prepare(config, listening)
            self._serve(config, listening)

    def _prepare(self, config: Config, listening: socket.socket) -> None:
        """Bring the database up to date and tell the operator what was made."""
        try:
            with firstrun.alone(config):
                call_command("migrate", interactive=False, verbosity=0)
                credentials.check_vault()
                lines = firstrun.set_up(config)
        except vault.WrongKey as error:
            raise CommandError(f"{error}\nSet PXBIN_ENCRYPTION_KEY to the key that they were stored with.") from error
        except DatabaseError as error:
            raise CommandError(f"The database cannot be used: {error}") from error
        self._tell(lines, listening)

    def _tell(self, lines: list[str], listening: socket.socket) -> None:
        host, port = listening.getsockname()[:2]
        name = "127.0.0.1" if host in EVERY_ADDRESS else f"[{host}]" if ":" in host else host
        url = f"http://{name}:{port}"
        for line in lines:
            self.stdout.write(line)
        key = next((line.rpartition(" ")[2] for line in lines if " pxb_" in line), None)
        if key:
            self.stdout.write("These are shown once. Try it:")
            self.stdout.write(CURL.format(url=url, key=key))
        self.stdout.write(f"pxbin serves at {url} and is administered at {url}/admin/")
        self.stdout.flush()

    def _serve(self, config: Config, listening: socket.socket) -> None:
        """Serve beside the children until a signal comes; they stop after us, when everything is in the journal."""
        from pxbin_site.web import run

        listening.set_inheritable(True)
        children = [Child("web", f"--fd={listening.fileno()}", pass_fds=(listening.fileno(),)) for _ in range(config.web_processes - 1)]
        celery = [Child("work", "--with-parent")] if config.celery else []
        try:
            run(listening)
        finally:
            for child in children + celery:
                child.stop()
