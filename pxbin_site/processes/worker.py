"""The Celery worker with beat in a thread of the same process: without Redis the broker is in memory, which processes cannot share."""

import logging
import os
import signal
import threading
import warnings
from collections.abc import Callable
from typing import Any

from celery import signals
from celery.apps import worker as celery_worker
from celery.beat import ScheduleEntry, Scheduler, Service
from celery.exceptions import SecurityWarning
from celery.worker import state
from django.conf import settings
from kombu.exceptions import OperationalError

from billing.request_log import journal, writer
from pxbin_site.celery import app
from pxbin_site.processes import heartbeat

logger = logging.getLogger("pxbin.worker")
app.conf["beat_schedule"] |= heartbeat.schedule()


class InMemoryScheduler(Scheduler):
    """Beat without a file: its intervals are short or at fixed hours, so nothing must be stored between starts."""

    sync_every = 24 * 3600

    def adjust(self, n: float, drift: float = 0.001) -> float:
        """Wake just after the due time. Celery wakes 10 ms before it and then reads the clock about forty times for each entry."""
        return n + drift if n and n > 0 else n

    def apply_async(self, entry: ScheduleEntry, *args: Any, **options: Any) -> Any:
        """Send the task of an entry; with the heartbeat's, note that beat runs. Celery logs what either raises."""
        sent = super().apply_async(entry, *args, **options)
        if entry.task == heartbeat.TASK:
            heartbeat.write(heartbeat.Process.BEAT)
        return sent


@app.task(name="pxbin.wake", ignore_result=True)
def wake() -> None:
    """Do nothing. The arrival of this task makes the worker look at `state.should_stop`."""


@app.task(name=heartbeat.TASK, ignore_result=True)
def note_heartbeat() -> None:
    """Note that this worker runs tasks."""
    heartbeat.write(heartbeat.Process.WORKER)


def _note_beat(**_: object) -> None:
    heartbeat.write(heartbeat.Process.BEAT)


def _note_worker(**_: object) -> None:
    heartbeat.write(heartbeat.Process.WORKER)


class SignalIgnoringWorker(celery_worker.Worker):
    """A worker that only its parent stops: signals to the process group are the parent's."""

    def install_platform_tweaks(self, worker: object) -> None:  # noqa: ARG002  (Celery's signature)
        """Ignore the signals for which Celery would install handlers here."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)


class Worker:
    """The worker and beat of this process. `ignore_signals`: only :meth:`stop` ends it."""

    def __init__(self, *, ignore_signals: bool) -> None:
        warnings.filterwarnings("ignore", category=SecurityWarning)  # running as root is usual in a container
        worker_class = SignalIgnoringWorker if ignore_signals else celery_worker.Worker
        self._beat = Service(app, max_interval=1, scheduler_cls=InMemoryScheduler)
        self._worker = worker_class(
            app=app,
            pool="solo",
            concurrency=1,
            without_heartbeat=True,
            without_mingle=True,
            without_gossip=True,
            send_events=False,
            quiet=True,
        )

    def on_ready(self, callback: Callable[[], object]) -> None:
        """Call `callback` when the worker accepts tasks."""
        signals.worker_ready.connect(lambda **_: callback(), weak=False)

    def run(self) -> None:
        """Work until stopped; then write the rest of the spool to the database."""
        signals.beat_init.connect(_note_beat)
        signals.worker_ready.connect(_note_worker)
        threading.Thread(target=self._beat.start, name="beat", daemon=True).start()
        try:
            self._worker.start()
        except SystemExit:
            logger.debug("The worker has been stopped")
        self._beat.stop()
        heartbeat.remove()
        writer.drain_spool(settings.PXBIN.data_dir / journal.SPOOL_DIRECTORY, wait=True)

    def stop(self) -> None:
        """Stop after the running task. May be called from any thread."""
        state.should_stop = os.EX_OK  # type: ignore[assignment]  # its stubs know only the value before
        try:
            wake.apply_async(retry=False)  # without a message the worker looks at its state every other second only
        except OperationalError as error:
            logger.warning("The broker is unreachable; the worker stops within two seconds: %s", error)
