"""`manage.py serve`: sets up the installation, then serves until a signal arrives."""

import argparse
import asyncio
import logging
import os
import signal
import socket
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from billing.metrics import shared_values
from pxbin_site.checks import TAG
from pxbin_site.conf import databases
from pxbin_site.conf.config import LOG_LEVELS, Config
from pxbin_site.conf.logs import set_level
from pxbin_site.conf.setting import env_name
from pxbin_site.config_files.choices import add_choices, choices_of
from pxbin_site.config_files.documents import ConfigFileError
from pxbin_site.management.preparation import prepare
from pxbin_site.processes import bootstrap, config_import, private_files
from pxbin_site.processes.config_import import ConfigFile
from pxbin_site.processes.process_group import ProcessGroup, StartChild
from pxbin_site.processes.supervisor import ChildProcess

logger = logging.getLogger("pxbin.serve")

WORKER_SECONDS = 10.0
"""Longest wait for the Celery process before connections are accepted."""
OTHER_ADDRESS_HINT = f"{env_name('listen_addr')}=127.0.0.1:8081 chooses another"
MAX_PORT = 65535
MAX_WORKERS = 1024
ERROR_OUTPUT = 2
"""The descriptor of standard error."""
WILDCARD_ADDRESSES = frozenset({"0.0.0.0", "::"})  # noqa: S104  (compared with, not listened on)
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
        parser.add_argument(
            "--config",
            type=Path,
            metavar="FILE",
            help="a YAML file of settings instead of config.yaml, or a configuration to import at the start (see import_config); "
            "its port is used unless --port or PXBIN_LISTEN_ADDR is given",
        )
        add_choices(parser)
        parser.add_argument(
            "--workers", type=_number, metavar="N", help="web processes that share the address (default: PXBIN_WEB_PROCESSES, 1)"
        )
        parser.add_argument("--log-level", choices=LOG_LEVELS, help="lowest level that is logged (default: PXBIN_LOG_LEVEL)")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["workers"] is not None:
            settings.PXBIN = msgspec.structs.replace(settings.PXBIN, web_processes=options["workers"])
            settings.VARIABLES[env_name("web_processes")] = str(options["workers"])  # for the children
        config: Config = settings.PXBIN
        signal.signal(signal.SIGINT, self.interrupt)
        set_level(options["log_level"])
        child_options = (f"--log-level={options['log_level']}",) if options["log_level"] else ()
        self.check(tags=[TAG])
        private_files.restrict(config)
        from pxbin_site.server import daphne_server  # installs the reactor

        file = self._config_file(options)
        host, port = _address(config, options, file)
        try:
            listening = daphne_server.listening_socket(host, port)
        except OSError as error:
            reason = error.strerror or error
            raise CommandError(f"Cannot listen on {host}:{port}: {reason}; {OTHER_ADDRESS_HINT}") from error
        with listening, bootstrap.lock_data_dir(config) as is_locked, ExitStack() as running:
            if not is_locked and not config.redis_url:
                logger.warning("Another gateway runs in %s; each has its own limits, cooldowns and circuit breakers", config.data_dir)
            if is_locked:
                shared_values.clear(config.data_dir / shared_values.DIRECTORY)
            start_child = partial(_start_child, running, child_options)
            worker, new_key = self._prepare(config, start_child, file)
            self._serve(config, listening, start_child, worker=worker, new_key=new_key)
        self._print("pxbin has stopped")

    @staticmethod
    def _config_file(options: dict[str, Any]) -> ConfigFile | None:
        if options["config"] is None:
            return None
        try:
            return config_import.read(options["config"], choices_of(options))
        except ConfigFileError as error:
            raise CommandError(str(error)) from error

    def interrupt(self, *_: object) -> None:
        """Ctrl-C before the server runs. Python ignores exceptions in some callbacks; then `_stop_if_interrupted` raises it again."""
        self.is_interrupted = True
        raise KeyboardInterrupt

    def _stop_if_interrupted(self) -> None:
        if self.is_interrupted:
            raise KeyboardInterrupt

    def _prepare(self, config: Config, start_child: StartChild, file: ConfigFile | None) -> tuple[ChildProcess | None, str]:
        """Set up the database and print what was created. Returns the Celery process and the new client key, if there are such.

        The Celery process loads its modules while the database is set up; it is released afterwards.
        """
        workers: list[ChildProcess] = []
        if config.celery:
            prepared = prepare(
                config,
                announce=self._announce_migrations,
                before_migrations=lambda: workers.append(start_child("work", "--with-parent", held=True)),
                file=file,
            )
        else:
            prepared = prepare(config, announce=self._announce_migrations, file=file)
        self._print(*prepared.lines())  # before anything else can fail: they cannot be shown again
        return workers[0] if workers else None, prepared.created.client_key

    def _announce_migrations(self, number: int) -> None:
        self._print(f"pxbin sets up its database ({number} migrations), which takes some seconds …")

    def _serve(
        self, config: Config, listening: socket.socket, start_child: StartChild, *, worker: ChildProcess | None, new_key: str
    ) -> None:
        """Serve until a signal arrives. The children stop afterwards, when all requests are in the journal."""
        from pxbin_site.processes.web import run
        from pxbin_site.server import daphne_server

        self._stop_if_interrupted()
        databases.forbid_creation(settings.DATABASES["default"])
        if worker is not None:
            worker.release()
        group = ProcessGroup(listening, start_child, worker)
        group.start_web(config.web_processes - 1)
        has_terminal = os.isatty(ERROR_OUTPUT)

        def reload_or_stop() -> None:
            """SIGHUP asks for a reload, and also says that the terminal is closed, if there was one."""
            if has_terminal and not os.isatty(ERROR_OUTPUT):
                os.kill(os.getpid(), signal.SIGTERM)
            else:
                group.request_reload()

        def announce_drain(running: int) -> None:
            if not group.serves_itself:
                return  # another process serves instead
            group.begin_stop()
            subject = "1 running response has" if running == 1 else f"{running} running responses have"
            drained = f"{subject} {config.drain_seconds:g} s to finish (a second signal cuts them off)"
            self._print(f"pxbin is stopping: no new requests, {drained if running else 'no running responses'}")

        try:
            run(
                listening.dup(),
                before_listening=partial(self._await_worker, worker),
                on_listening=partial(self._announce, new_key),
                on_hangup=reload_or_stop,
                on_drain=announce_drain,
            )
            if not group.serves_itself and not daphne_server.is_stopping():
                group.watch(reload_or_stop)
        finally:
            group.stop(config.drain_seconds)

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
    running.callback(child.stop)  # of a start that fails; a running gateway stops its processes in their order
    return child


def _address(config: Config, options: dict[str, Any], file: ConfigFile | None) -> tuple[str, int]:
    """The host and port to listen on: the options, the settings, the file's, the defaults."""
    host, port = config.listen_host, config.listen_port
    if file is not None and not config.has_own_address:
        host, port = file.configuration.host or host, port if file.configuration.port is None else file.configuration.port
    host = host if options["host"] is None else options["host"]
    port = port if options["port"] is None else options["port"]
    if not 0 <= port <= MAX_PORT:
        raise CommandError(f"{options['config']}: the port {port} is not one from 0 to {MAX_PORT}")
    return host, port


def _number(text: str) -> int:
    """Parse a number of processes."""
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= MAX_WORKERS):
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 to {MAX_WORKERS}, not {text!r}")
    return int(text)


def _port(text: str) -> int:
    """Parse a TCP port or 0."""
    if not (text.isascii() and text.isdigit() and int(text) <= MAX_PORT):
        raise argparse.ArgumentTypeError(f"must be a whole number from 0 to {MAX_PORT}, not {text!r}")
    return int(text)
