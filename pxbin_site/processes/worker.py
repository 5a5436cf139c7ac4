"""The Celery worker with beat beside it in a thread: without Redis the broker is memory, which two processes cannot share."""

import logging
import os
import signal
import threading
import warnings
from collections.abc import Callable

from celery import signals
from celery.apps import worker as celery_worker
from celery.beat import Scheduler, Service
from celery.exceptions import SecurityWarning
from celery.worker import state
from django.conf import settings
from kombu.exceptions import OperationalError

from billing.request_log import journal, writer
from pxbin_site.celery import app

logger = logging.getLogger("pxbin.worker")


class QuietScheduler(Scheduler):
    """Beat's timetable in memory: its entries are short or at fixed hours, so nothing has to be kept between starts."""

    sync_every = 24 * 3600

    def adjust(self, n: float, drift: float = 0.001) -> float:
        """Wake just behind the time. Celery wakes 10 ms before it and asks the clock until it is there: forty times a ring."""
        return n + drift if n and n > 0 else n


@app.task(name="pxbin.wake", ignore_result=True)
def wake() -> None:
    """Do nothing."""


class DeafWorker(celery_worker.Worker):
    """A worker that leaves its end to its parent: signals for the whole group of processes are for the parent."""

    def install_platform_tweaks(self, worker: object) -> None:  # noqa: ARG002  (Celery's signature)
        """Celery installs its signal handlers here."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)


class Worker:
    """One process of background work. `deaf`: only :meth:`stop` ends it."""

    def __init__(self, *, deaf: bool) -> None:
        warnings.filterwarnings("ignore", category=SecurityWarning)  # in a container root is the usual user
        kind = DeafWorker if deaf else celery_worker.Worker
        self._beat = Service(app, max_interval=1, scheduler_cls=QuietScheduler)
        self._worker = kind(
            app=app,
            pool="solo",
            concurrency=1,
            without_heartbeat=True,
            without_mingle=True,
            without_gossip=True,
            send_events=False,
            quiet=True,
        )

    def when_ready(self, do: Callable[[], object]) -> None:
        """Have `do` called as soon as tasks are taken."""
        signals.worker_ready.connect(lambda **_: do(), weak=False)

    def run(self) -> None:
        """Work until stopped; then write what the web processes have left in the spool."""
        threading.Thread(target=self._beat.start, name="beat", daemon=True).start()
        try:
            self._worker.start()
        except SystemExit:
            logger.debug("the worker was told to stop")
        self._beat.stop()
        writer.drain_spool(settings.PXBIN.data_dir / journal.SPOOL_DIRECTORY, wait=True)

    def stop(self) -> None:
        """From any thread: end after the task that runs."""
        state.should_stop = os.EX_OK  # type: ignore[assignment]  # its stubs know only the value before
        try:
            wake.apply_async(retry=False)  # the worker looks at its state when something arrives, else only every other second
        except OperationalError as error:
            logger.warning("The worker cannot be woken and ends by itself in a moment: %s", error)
