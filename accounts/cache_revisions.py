"""How caches of database tables learn about changes: within a second in every process, at once in the one that wrote.

Every write to a cached table adds one to its :class:`~accounts.models.Revision` in the same transaction. A cache registers its
refresh function with :func:`on_change`; :func:`poll` reads the revisions and runs the refreshes whose revision has changed. The
writing process polls as soon as a write is committed, every serving process polls in its :class:`Watcher` thread.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from django.db import DatabaseError, InterfaceError, connection, connections

from accounts.common.db_watchdog import Watchdog
from accounts.models import Revision, revised

logger = logging.getLogger("pxbin.revisions")

Refresh = Callable[[], None]

DATABASE_ERRORS = (DatabaseError, InterfaceError)
"""What is raised while the database cannot be reached."""

POLL_SECONDS = 0.4
"""Between two polls of the watcher."""
SHORTEST_POLL_SECONDS = 0.02
"""Between two polls that requests ask for: at most 50 small queries a second, however many requests ask."""
REFRESH_TIMEOUT_SECONDS = 5.0
"""How long a request waits for a poll before it goes on with what is cached."""
RESPONSE_TIMEOUT_SECONDS = 5.0
"""How long the watcher waits for the database to answer one query."""
STOP_SECONDS = 2 * RESPONSE_TIMEOUT_SECONDS
"""How long :meth:`Watcher.stop` waits for the last run of the periodic tasks."""


class _Listener:
    """A refresh function and the revision that it last loaded; None before the first refresh."""

    def __init__(self, name: str, refresh: Refresh) -> None:
        self.name = name
        self.refresh = refresh
        self.loaded: int | None = None

    def follow(self, number: int) -> Exception | None:
        """Refresh unless ``number`` is loaded. An exception is returned, and the refresh is tried again by the next poll."""
        if self.loaded == number:
            return None
        try:
            self.refresh()
        except Exception as problem:  # noqa: BLE001  (the other caches still have to be refreshed: a revoked key must not stay valid)
            return problem
        self.loaded = number
        return None


_listeners: list[_Listener] = []
_poll_tasks: list[Refresh] = []
_polling = threading.RLock()


def read_revisions() -> dict[str, int]:
    """The numbers of all revisions, from the database."""
    return dict(Revision.objects.values_list("name", "number"))


def on_change(name: str, refresh: Refresh) -> None:
    """Run ``refresh`` in the next :func:`poll` and after every change of the revision ``name``. Registering twice has no effect."""
    with _polling:
        if not any(listener.name == name and listener.refresh == refresh for listener in _listeners):
            _listeners.append(_Listener(name, refresh))


def on_poll(task: Refresh) -> None:
    """Run ``task`` at the end of every :func:`poll`, for lookups that requests wait for."""
    with _polling:
        if task not in _poll_tasks:
            _poll_tasks.append(task)


def remove_listener(refresh: Refresh) -> None:
    """Undo :func:`on_change`."""
    with _polling:
        _listeners[:] = [listener for listener in _listeners if listener.refresh != refresh]


def poll(*, loaded_only: bool = False) -> None:
    """Run the refreshes whose revision has changed; with ``loaded_only``, only those that have run before.

    The revisions are read before the tables, so a change between the two reads is noticed by the next poll. Raises the error of
    the database, or the first exception of a refresh.
    """
    with _polling:
        listeners = [listener for listener in _listeners if not loaded_only or listener.loaded is not None]
        if not listeners:
            return
        numbers = read_revisions()
        problems = [problem for listener in listeners if (problem := listener.follow(numbers.get(listener.name, 0)))]
        for task in _poll_tasks:
            task()
    if problems:
        raise problems[0]


def _poll_after_write(**_: Any) -> None:
    """Receiver of :data:`accounts.models.revised`. A process that has cached nothing, such as a command, reads nothing."""
    poll(loaded_only=True)


revised.connect(_poll_after_write, dispatch_uid="accounts.revisions")


class Watcher:
    """The thread that polls for changes, runs periodic tasks, and polls at once when a request asks for it.

    It holds the only database connection that requests depend on. While the database cannot be reached it keeps trying, and
    requests are served from the caches.
    """

    def __init__(self, *, interval: float = POLL_SECONDS) -> None:
        self._interval = interval
        self._tasks: list[_PeriodicTask] = []
        self._waiting: list[_Waiting] = []
        self._wake = threading.Event()
        self._lock = threading.Lock()
        self._polled = threading.Event()
        self._stopped = False
        self._reachable = True
        self._thread = threading.Thread(target=self._run, name="pxbin-watcher", daemon=True)

    def every(self, seconds: float, work: Callable[[], None]) -> None:
        """Run ``work`` in the watcher's thread about every ``seconds``, and once more at the end. Call before :meth:`start`."""
        self._tasks.append(_PeriodicTask(work, seconds))

    def start(self) -> None:
        """Start the thread, and return after its first poll. :func:`refresh_now` uses this watcher from now on."""
        global _watcher  # noqa: PLW0603  (one watcher serves the process)
        _watcher = self
        self._wake.set()
        self._thread.start()
        self._polled.wait()

    def stop(self) -> None:
        """Run the periodic tasks a last time and end the thread. Blocks until it has ended, at most :data:`STOP_SECONDS`."""
        global _watcher  # noqa: PLW0603
        if _watcher is self:
            _watcher = None
        self._stopped = True
        self._wake.set()
        if self._thread.ident is not None:  # None: not started, because another part of the process failed to start
            self._thread.join(STOP_SECONDS)
            if self._thread.is_alive():
                logger.warning("the database does not answer; the last periodic tasks are not finished")

    async def refresh_now(self) -> bool:
        """Wait for a poll that began after this call. False if the database could not be reached in time."""
        if not self._reachable:
            return False
        loop = asyncio.get_running_loop()
        polled: asyncio.Future[bool] = loop.create_future()
        with self._lock:
            self._waiting.append((loop, polled))
        self._wake.set()
        try:
            return await asyncio.wait_for(polled, REFRESH_TIMEOUT_SECONDS)
        except TimeoutError:
            logger.warning("the database did not report its revisions within %s s", REFRESH_TIMEOUT_SECONDS)
            return False

    @property
    def is_reachable(self) -> bool:
        """Whether the last poll reached the database."""
        return self._reachable

    def _run(self) -> None:
        watchdog = Watchdog(connections["default"], RESPONSE_TIMEOUT_SECONDS)
        with watchdog.running():
            is_away = False
            while not self._stopped:
                self._wake.wait(self._interval)
                self._wake.clear()
                waiting = self._take_waiting()
                is_away = self._poll(watchdog)
                self._polled.set()
                _resolve(waiting, result=self._reachable)
                for task in self._tasks:
                    if not is_away and task.is_due():
                        is_away = self._run_task(task, watchdog)
                time.sleep(SHORTEST_POLL_SECONDS)
            for task in self._tasks:
                is_away = is_away or self._run_task(task, watchdog)
        _resolve(self._take_waiting(), result=False)
        watchdog.database.close()

    def _poll(self, watchdog: Watchdog) -> bool:
        """Poll, and log when the database becomes unreachable or reachable. True if it cannot be reached."""
        problem = _attempt(poll, watchdog)
        if self._reachable and isinstance(problem, DATABASE_ERRORS):
            logger.warning("the database cannot be reached; requests are served from memory: %s", _one_line(problem))
        elif not self._reachable and problem is None:
            logger.warning("the database can be reached again")
        self._reachable = problem is None
        return isinstance(problem, DATABASE_ERRORS)

    def _run_task(self, task: _PeriodicTask, watchdog: Watchdog) -> bool:
        """Run a periodic task. True if the database cannot be reached."""
        problem = _attempt(task.work, watchdog)
        if isinstance(problem, DATABASE_ERRORS):
            logger.warning("a periodic task failed at the database and will be run again: %s", _one_line(problem))
        return isinstance(problem, DATABASE_ERRORS)

    def _take_waiting(self) -> list[_Waiting]:
        with self._lock:
            waiting, self._waiting = self._waiting, []
        return waiting


def _attempt(work: Callable[[], None], watchdog: Watchdog) -> Exception | None:
    """Run ``work`` under the watchdog; an exception is returned."""
    try:
        with watchdog.watching():
            work()
    except DATABASE_ERRORS as error:
        watchdog.database.close()
        return error
    except Exception as error:
        # The watcher has to survive a defect in one refresh, or no further change would arrive in this process.
        logger.exception("a refresh failed and will be tried again")
        return error
    return None


def _one_line(problem: Exception) -> str:
    """The message of an exception; PostgreSQL's driver writes several lines."""
    return " ".join(str(problem).split())


_Waiting = tuple[asyncio.AbstractEventLoop, "asyncio.Future[bool]"]


class _PeriodicTask:
    """A function that the watcher runs about every ``seconds``."""

    def __init__(self, work: Callable[[], None], seconds: float) -> None:
        self.work = work
        self._seconds = seconds
        self._next_run = time.monotonic() + seconds

    def is_due(self) -> bool:
        """Whether it is time to run; if so, the next run is scheduled."""
        now = time.monotonic()
        if now < self._next_run:
            return False
        self._next_run = now + self._seconds
        return True


def _resolve(waiting: list[_Waiting], *, result: bool) -> None:
    """Set the result of the futures of waiting requests, each in its own loop; cancelled ones are skipped."""

    def resolve(polled: asyncio.Future[bool]) -> None:
        if not polled.done():
            polled.set_result(result)

    for loop, polled in waiting:
        if not loop.is_closed():
            loop.call_soon_threadsafe(resolve, polled)


_watcher: Watcher | None = None


def is_database_reachable() -> bool:
    """Whether the last poll of this process's watcher reached the database; true without a watcher."""
    return _watcher is None or _watcher.is_reachable


async def refresh_now() -> bool:
    """Load what any process wrote before this call. Used before a 401 or 404, as the key or model may be new.

    Concurrent requests share one poll. False if the database could not be reached. Without a watcher (commands, tests) the poll
    runs in a thread of this call.
    """
    if _watcher is not None:
        return await _watcher.refresh_now()
    return await asyncio.to_thread(_poll_once)


def _poll_once() -> bool:
    try:
        poll()
    except DATABASE_ERRORS as error:
        logger.warning("the database cannot be reached: %s", _one_line(error))
        return False
    finally:
        connection.close()
    return True
