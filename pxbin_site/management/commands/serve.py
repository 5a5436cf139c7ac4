"""`manage.py serve`: prepare the installation, then serve until a signal comes."""

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
from pxbin_site.conf.config import LOG_LEVELS, Config, env_name
from pxbin_site.conf.logs import set_level
from pxbin_site.processes import bootstrap
from pxbin_site.processes.supervisor import ChildProcess
from upstreams.secrets import store, vault

logger = logging.getLogger("pxbin.serve")

WORKER_SECONDS = 10.0
"""How long the first connections wait for the Celery process at most."""
OTHER_ADDRESS = f"{env_name('listen_addr')}=127.0.0.1:8081 chooses another"
LAST_PORT = 65535
EVERY_ADDRESS = frozenset({"0.0.0.0", "::"})  # noqa: S104  (compared with, not listened on)
WAYS_OUT = (
    "Put the secrets.json that they were stored with back into {directory}, or set PXBIN_ENCRYPTION_KEY to their key. "
    "If it is lost, `manage.py rotate_encryption_key --forget` removes them, and a start makes a new one."
)
CURL = """curl {url}/v1/messages -H 'x-api-key: {key}' -H 'content-type: application/json' \\
  -d '{{"model": "echo", "max_tokens": 100, "messages": [{{"role": "user", "content": "Hello"}}]}}'"""


class Command(BaseCommand):
    """Start the gateway."""

    help = "Bring the database up to date, set up what is missing, and serve until SIGTERM or Ctrl-C."
    is_interrupted = False
    requires_system_checks = []  # ours are run by hand; those of the code belong to `make check`

    def add_arguments(self, parser: CommandParser) -> None:
        """The address may be given here instead of by PXBIN_LISTEN_ADDR."""
        parser.add_argument("start", nargs="?", choices=["start"], help=argparse.SUPPRESS)
        parser.add_argument("--host", help="address to listen on (default 127.0.0.1)")
        parser.add_argument("--port", type=_port, help="port to listen on (default 8080; 0: any free one)")
        parser.add_argument("--log-level", choices=LOG_LEVELS, help="how much to log (default info)")

    def handle(self, *args: Any, **options: Any) -> None:
        """Prepare, then serve."""
        config: Config = settings.PXBIN
        signal.signal(signal.SIGINT, self.interrupt)
        self.children: list[ChildProcess] = []
        set_level(options["log_level"])
        self.passed_on = (f"--log-level={options['log_level']}",) if options["log_level"] else ()
        self.check(tags=[TAG])
        from pxbin_site.server import daphne_server  # installs the reactor

        host = config.listen_host if options["host"] is None else options["host"]
        port = config.listen_port if options["port"] is None else options["port"]
        try:
            listening = daphne_server.listening_socket(host, port)
        except OSError as error:
            why = error.strerror or error
            raise CommandError(
                f"Cannot listen on {host}:{port}: {why}; {env_name('listen_addr')}=127.0.0.1:8081 chooses another"
            ) from error
        with listening, bootstrap.sole(config) as is_sole:
            if not is_sole and not config.redis_url:
                logger.warning(
                    "Another gateway runs in %s; each one has limits, cooldowns and circuit breakers of its own", config.data_dir
                )
            try:
                self._prepare(config)
                self._serve(config, listening)
            finally:
                for child in self.children:
                    child.stop()
        self._say("pxbin has stopped")

    def interrupt(self, *_: object) -> None:
        """Ctrl-C before we serve. Where Python drops what is raised (in a weak reference's callback, say), the next step raises it."""
        self.is_interrupted = True
        raise KeyboardInterrupt

    def _stop_if_interrupted(self) -> None:
        if self.is_interrupted:
            raise KeyboardInterrupt

    def _worker(self, config: Config) -> list[ChildProcess]:
        """Celery's process, if there shall be one: it loads while we prepare the database, and begins when that is done."""
        return [ChildProcess("work", "--with-parent", *self.passed_on, held=True)] if config.celery else []

    def _prepare(self, config: Config) -> None:
        """Bring the database up to date and tell the operator what was made."""
        try:
            with bootstrap.alone(config):
                bootstrap.keep_secrets(config)
                self.children = self._worker(config)
                lines = bootstrap.migrate()
                store.check_credentials()
                lines += bootstrap.set_up(config)
        except vault.WrongEncryptionKey as error:
            raise CommandError(f"{error}\n{WAYS_OUT.format(directory=config.data_dir)}") from error
        except DatabaseError as error:
            raise CommandError(f"The database cannot be used: {' '.join(str(error).split())}") from error
        self._say(*lines)  # now, whatever happens next: nobody can show these again
        self.new_key = next((line.rpartition(" ")[2] for line in lines if " pxb_" in line), "")

    def _serve(self, config: Config, listening: socket.socket) -> None:
        """Serve beside the children until a signal comes; they stop after us, when everything is in the journal."""
        from pxbin_site.processes.web import run

        self._stop_if_interrupted()
        for worker in self.children:
            worker.release()
        listening.set_inheritable(True)
        descriptor = listening.fileno()
        for _ in range(config.web_processes - 1):
            self.children.insert(0, ChildProcess("web", f"--fd={descriptor}", *self.passed_on, pass_fds=(descriptor,)))

        def stopping(running: int) -> None:
            who = "1 running answer has" if running == 1 else f"{running} running answers have"
            some = f"{who} {config.drain_seconds:g} s to end (a second signal cuts them)"
            self._say(f"pxbin is stopping: no new requests, {some if running else 'nothing runs'}")

        run(listening, before=self._await_worker, on_listening=self._announce, on_drain=stopping)

    async def _await_worker(self) -> None:
        """The first request shall find somebody who writes its row; but requests matter more, and rows can wait in the spool."""
        for child in self.children:
            if child.words[0] == "work" and not await asyncio.to_thread(child.wait_ready, WORKER_SECONDS):
                logger.warning("The Celery process is not ready after %s s; log rows wait in the spool until it is", WORKER_SECONDS)
        self._stop_if_interrupted()

    def _announce(self, address: tuple[str, int]) -> None:
        host, port = address
        name = "127.0.0.1" if host in EVERY_ADDRESS else f"[{host}]" if ":" in host else host
        url = f"http://{name}:{port}"
        if self.new_key:
            self._say("These are shown once. Try it:", CURL.format(url=url, key=self.new_key))
        self._say(f"pxbin serves at {url} and is administered at {url}/admin/")

    def _say(self, *lines: str) -> None:
        for line in lines:
            self.stdout.write(line)
        self.stdout.flush()


def _port(text: str) -> int:
    """A TCP port, or 0."""
    if not (text.isascii() and text.isdigit() and int(text) <= LAST_PORT):
        raise argparse.ArgumentTypeError(f"must be a whole number from 0 to {LAST_PORT}, not {text!r}")
    return int(text)
