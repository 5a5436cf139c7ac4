"""`manage.py serve`: sets up the installation, then serves until a signal arrives."""

import argparse
import asyncio
import logging
import signal
import socket
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
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


StartChild = Callable[..., ChildProcess]
"""Starts a child process with the arguments of :class:`ChildProcess`; it is stopped at the end."""


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
        set_level(options["log_level"])
        child_options = (f"--log-level={options['log_level']}",) if options["log_level"] else ()
        self.check(tags=[TAG])
        private_files.restrict(config)
        from pxbin_site.server import daphne_server  # installs the reactor

        host = config.listen_host if options["host"] is None else options["host"]
        port = config.listen_port if options["port"] is None else options["port"]
        try:
            listening = daphne_server.listening_socket(host, port)
        except OSError as error:
            reason = error.strerror or error
            raise CommandError(f"Cannot listen on {host}:{port}: {reason}; {OTHER_ADDRESS_HINT}") from error
        with listening, bootstrap.lock_data_dir(config) as is_locked, ExitStack() as running:
            if not is_locked and not config.redis_url:
                logger.warning("Another gateway runs in %s; each has its own limits, cooldowns and circuit breakers", config.data_dir)
            start_child = partial(_start_child, running, child_options)
            worker, new_key = self._prepare(config, start_child)
            self._serve(config, listening, start_child, worker=worker, new_key=new_key)
        self._print("pxbin has stopped")

    def interrupt(self, *_: object) -> None:
        """Ctrl-C before the server runs. Python ignores exceptions in some callbacks; then `_stop_if_interrupted` raises it again."""
        self.is_interrupted = True
        raise KeyboardInterrupt

    def _stop_if_interrupted(self) -> None:
        if self.is_interrupted:
            raise KeyboardInterrupt

    def _prepare(self, config: Config, start_child: StartChild) -> tuple[ChildProcess | None, str]:
        """Set up the database and print what was created. Returns the Celery process and the new client key, if there are such.

        The Celery process loads its modules while the database is set up; it is released afterwards.
        """
        worker = None
        try:
            with bootstrap.exclusive_setup(config):
                bootstrap.store_secrets(config)
                if config.celery:
                    worker = start_child("work", "--with-parent", held=True)
                lines = bootstrap.migrate()
                bootstrap.require_shared_counts()
                store.check_credentials()
                lines += bootstrap.set_up(config)
        except vault.WrongEncryptionKey as error:
            raise CommandError(f"{error}\n{WRONG_KEY_HINT.format(directory=config.data_dir)}") from error
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from error
        except DatabaseError as error:
            raise CommandError(f"The database cannot be used: {' '.join(str(error).split())}") from error
        self._print(*lines)  # before anything else can fail: they cannot be shown again
        return worker, next((line.rpartition(" ")[2] for line in lines if " pxb_" in line), "")

    def _serve(
        self, config: Config, listening: socket.socket, start_child: StartChild, *, worker: ChildProcess | None, new_key: str
    ) -> None:
        """Serve until a signal arrives. The children stop afterwards, when all requests are in the journal."""
        from pxbin_site.processes.web import run

        self._stop_if_interrupted()
        databases.forbid_creation(settings.DATABASES["default"])
        if worker is not None:
            worker.release()
        listening.set_inheritable(True)
        descriptor = listening.fileno()
        for _ in range(config.web_processes - 1):
            start_child("web", f"--fd={descriptor}", pass_fds=(descriptor,))

        def announce_drain(running: int) -> None:
            subject = "1 running response has" if running == 1 else f"{running} running responses have"
            drained = f"{subject} {config.drain_seconds:g} s to finish (a second signal cuts them off)"
            self._print(f"pxbin is stopping: no new requests, {drained if running else 'no running responses'}")

        run(
            listening,
            before_listening=partial(self._await_worker, worker),
            on_listening=partial(self._announce, new_key),
            on_drain=announce_drain,
        )

    async def _await_worker(self, worker: ChildProcess | None) -> None:
        """Let the worker be ready to write the first request's row; if it takes too long, rows wait in the spool."""
        if worker is not None and not await asyncio.to_thread(worker.wait_ready, WORKER_SECONDS):
            logger.warning("The Celery process is not ready after %s s; log rows wait in the spool until it is", WORKER_SECONDS)
        self._stop_if_interrupted()

    def _announce(self, new_key: str, address: tuple[str, int]) -> None:
        host, port = address
        name = "127.0.0.1" if host in WILDCARD_ADDRESSES else f"[{host}]" if ":" in host else host
        url = f"http://{name}:{port}"
        if new_key:
            self._print("These are shown once. Try it:", CURL.format(url=url, key=new_key))
        self._print(f"pxbin serves at {url} and is administered at {url}/admin/")

    def _print(self, *lines: str) -> None:
        for line in lines:
            self.stdout.write(line)
        self.stdout.flush()


def _start_child(
    running: ExitStack, options: Sequence[str], *arguments: str, held: bool = False, pass_fds: tuple[int, ...] = ()
) -> ChildProcess:
    """Start a child process. When ``running`` is closed, its children are stopped, the last one first."""
    child = ChildProcess(*arguments, *options, held=held, pass_fds=pass_fds)
    running.callback(child.stop)
    return child


def _port(text: str) -> int:
    """Parse a TCP port or 0."""
    if not (text.isascii() and text.isdigit() and int(text) <= MAX_PORT):
        raise argparse.ArgumentTypeError(f"must be a whole number from 0 to {MAX_PORT}, not {text!r}")
    return int(text)
