"""`manage.py serve`: sets up the installation, then serves until a signal arrives."""

import argparse
import asyncio
import logging
import signal
import socket
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from pxbin_site.checks import TAG
from pxbin_site.conf import databases
from pxbin_site.conf.config import LOG_LEVELS, Config
from pxbin_site.conf.logs import set_level
from pxbin_site.conf.setting import env_name
from pxbin_site.processes import bootstrap, private_files
from pxbin_site.processes.supervisor import ChildProcess
from upstreams.secrets import store, vault

logger = logging.getLogger("pxbin.serve")

WORKER_SECONDS = 10.0
"""Longest wait for the Celery process before connections are accepted."""
OTHER_ADDRESS_HINT = f"{env_name('listen_addr')}=127.0.0.1:8081 chooses another"
MAX_PORT = 65535
WILDCARD_ADDRESSES = frozenset({"0.0.0.0", "::"})  # noqa: S104  (compared with, not listened on)
WRONG_KEY_HINT = (
    "Put the secrets.json with which they were encrypted back into {directory}, or set PXBIN_ENCRYPTION_KEY to their key. "
    "If it is lost, `manage.py rotate_encryption_key --forget` removes them, and a start makes a new one."
)
CURL = """curl {url}/v1/messages -H 'x-api-key: {key}' -H 'content-type: application/json' \\
  -d '{{"model": "echo", "max_tokens": 100, "messages": [{{"role": "user", "content": "Hello"}}]}}'"""


class Command(BaseCommand):
    """Start the gateway."""

    help = "Bring the database up to date, set up what is missing, and serve until SIGTERM or Ctrl-C."
    is_interrupted = False
    requires_system_checks = []  # `handle` runs those of the settings; those of the code belong to `make check`

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("start", nargs="?", choices=["start"], help=argparse.SUPPRESS)
        parser.add_argument("--host", help="address to listen on (default: PXBIN_LISTEN_ADDR, 127.0.0.1)")
        parser.add_argument("--port", type=_port, help="port to listen on (default: PXBIN_LISTEN_ADDR, 8080; 0: any free one)")
        parser.add_argument("--log-level", choices=LOG_LEVELS, help="lowest level that is logged (default: PXBIN_LOG_LEVEL)")

    def handle(self, *args: Any, **options: Any) -> None:
        config: Config = settings.PXBIN
        signal.signal(signal.SIGINT, self.interrupt)
        self.children: list[ChildProcess] = []
        set_level(options["log_level"])
        self.child_options = (f"--log-level={options['log_level']}",) if options["log_level"] else ()
        self.check(tags=[TAG])
        private_files.restrict(config)
        from pxbin_site.server import daphne_server  # installs the reactor

        host = config.listen_host if options["host"] is None else options["host"]
        port = config.listen_port if options["port"] is None else options["port"]
        try:
            listening = daphne_server.listening_socket(host, port)
        except OSError as error:
            why = error.strerror or error
            raise CommandError(f"Cannot listen on {host}:{port}: {why}; {OTHER_ADDRESS_HINT}") from error
        with listening, bootstrap.lock_data_dir(config) as is_locked:
            if not is_locked and not config.redis_url:
                logger.warning("Another gateway runs in %s; each has its own limits, cooldowns and circuit breakers", config.data_dir)
            try:
                self._prepare(config)
                self._serve(config, listening)
            finally:
                for child in self.children:
                    child.stop()
        self._print("pxbin has stopped")

    def interrupt(self, *_: object) -> None:
        """Ctrl-C before the server runs. Python ignores exceptions in some callbacks; then `_stop_if_interrupted` raises it again."""
        self.is_interrupted = True
        raise KeyboardInterrupt

    def _stop_if_interrupted(self) -> None:
        if self.is_interrupted:
            raise KeyboardInterrupt

    def _start_worker(self, config: Config) -> list[ChildProcess]:
        """Start the Celery process, if it is enabled. It loads its modules while the database is set up and is released afterwards."""
        return [ChildProcess("work", "--with-parent", *self.child_options, held=True)] if config.celery else []

    def _prepare(self, config: Config) -> None:
        """Set up the database and print what was created."""
        try:
            with bootstrap.exclusive_setup(config):
                bootstrap.store_secrets(config)
                self.children = self._start_worker(config)
                lines = bootstrap.migrate()
                store.check_credentials()
                lines += bootstrap.set_up(config)
        except vault.WrongEncryptionKey as error:
            raise CommandError(f"{error}\n{WRONG_KEY_HINT.format(directory=config.data_dir)}") from error
        except DatabaseError as error:
            raise CommandError(f"The database cannot be used: {' '.join(str(error).split())}") from error
        self._print(*lines)  # before anything else can fail: they cannot be shown again
        self.new_key = next((line.rpartition(" ")[2] for line in lines if " pxb_" in line), "")

    def _serve(self, config: Config, listening: socket.socket) -> None:
        """Serve until a signal arrives. The children stop afterwards, when all requests are in the journal."""
        from pxbin_site.processes.web import run

        self._stop_if_interrupted()
        databases.forbid_creation(settings.DATABASES["default"])
        for worker in self.children:
            worker.release()
        listening.set_inheritable(True)
        descriptor = listening.fileno()
        for _ in range(config.web_processes - 1):
            self.children.insert(0, ChildProcess("web", f"--fd={descriptor}", *self.child_options, pass_fds=(descriptor,)))

        def announce_drain(running: int) -> None:
            subject = "1 running response has" if running == 1 else f"{running} running responses have"
            drained = f"{subject} {config.drain_seconds:g} s to finish (a second signal cuts them off)"
            self._print(f"pxbin is stopping: no new requests, {drained if running else 'no running responses'}")

        run(listening, before_listening=self._await_worker, on_listening=self._announce, on_drain=announce_drain)

    async def _await_worker(self) -> None:
        """Let the worker be ready to write the first request's row; if it takes too long, rows wait in the spool."""
        for child in self.children:
            if child.arguments[0] == "work" and not await asyncio.to_thread(child.wait_ready, WORKER_SECONDS):
                logger.warning("The Celery process is not ready after %s s; log rows wait in the spool until it is", WORKER_SECONDS)
        self._stop_if_interrupted()

    def _announce(self, address: tuple[str, int]) -> None:
        host, port = address
        name = "127.0.0.1" if host in WILDCARD_ADDRESSES else f"[{host}]" if ":" in host else host
        url = f"http://{name}:{port}"
        if self.new_key:
            self._print("These are shown once. Try it:", CURL.format(url=url, key=self.new_key))
        self._print(f"pxbin serves at {url} and is administered at {url}/admin/")

    def _print(self, *lines: str) -> None:
        for line in lines:
            self.stdout.write(line)
        self.stdout.flush()


def _port(text: str) -> int:
    """Parse a TCP port or 0."""
    if not (text.isascii() and text.isdigit() and int(text) <= MAX_PORT):
        raise argparse.ArgumentTypeError(f"must be a whole number from 0 to {MAX_PORT}, not {text!r}")
    return int(text)
