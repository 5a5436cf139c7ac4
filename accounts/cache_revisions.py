"""How a change reaches every process within a second, and the writing process at once.

Every write to a served table adds one to its :class:`~accounts.models.Revision` in the same transaction. Whoever serves from
memory registers a refresh with :func:`listen`; :func:`check` compares the numbers and runs the refreshes that are due. It is
run by the process that wrote, as soon as the write is committed, and by the :class:`Watcher` of every serving process.
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

GONE = (DatabaseError, InterfaceError)
"""What is raised while the database is away."""

INTERVAL_SECONDS = 0.4
"""Between two looks of the watcher."""
SHORTEST_INTERVAL_SECONDS = 0.02
"""Between two looks that were asked for, however many requests ask: 50 small queries a second at most."""
CONFIRMATION_TIMEOUT_SECONDS = 5.0
"""How long a request waits for a look before it takes what memory says."""
SILENCE_SECONDS = 5.0
"""How long the database may leave the watcher without an answer; then it counts as away."""
STOP_SECONDS = 2 * SILENCE_SECONDS
"""How long the end waits for the last chores."""


class _Listener:
    """One refresh and the revision that it has seen; None before the first refresh."""

    def __init__(self, name: str, refresh: Refresh) -> None:
        self.name = name
        self.refresh = refresh
        self.seen: int | None = None

    def follow(self, number: int) -> Exception | None:
        """Refresh unless ``number`` has been seen; what went wrong, if anything, is returned and the refresh stays due."""
        if self.seen == number:
            return None
        try:
            self.refresh()
        except Exception as problem:  # noqa: BLE001  (protects the others: a catalogue that cannot be read must not keep revoked keys)
            return problem
        self.seen = number
        return None


_listeners: list[_Listener] = []
_errands: list[Refresh] = []
_checking = threading.RLock()


def current() -> dict[str, int]:
    """The numbers of all revisions, from the database."""
    return dict(Revision.objects.values_list("name", "number"))


def listen(name: str, refresh: Refresh) -> None:
    """Have ``refresh`` run by the next :func:`check` and after every change of ``name``. Registering twice is once."""
    with _checking:
        if not any(known.name == name and known.refresh == refresh for known in _listeners):
            _listeners.append(_Listener(name, refresh))


def at_every_look(errand: Refresh) -> None:
    """Have ``errand`` run at the end of every :func:`check`, with what requests are waiting for."""
    with _checking:
        if errand not in _errands:
            _errands.append(errand)


def forget(refresh: Refresh) -> None:
    """Take a refresh off the list."""
    with _checking:
        _listeners[:] = [known for known in _listeners if known.refresh != refresh]


def check(*, loaded_only: bool = False) -> None:
    """Run the refreshes that are due, or of those only the ones that have run before.

    The numbers are read before the tables, so a change in between is seen by the next check. Raises the database's error; a
    refresh that fails stays due.
    """
    with _checking:
        listeners = [listener for listener in _listeners if not loaded_only or listener.seen is not None]
        if not listeners:
            return
        numbers = current()
        problems = [problem for listener in listeners if (problem := listener.follow(numbers.get(listener.name, 0)))]
        for errand in _errands:
            errand()
    if problems:
        raise problems[0]


def _changed_here(**_: Any) -> None:
    """The receiver of :data:`accounts.models.revised`. A command that serves nothing from memory has nothing to refresh."""
    check(loaded_only=True)


revised.connect(_changed_here, dispatch_uid="accounts.revisions")


class Watcher:
    """The thread that looks for changes, does chores, and answers requests that ask for a fresh look.

    It holds the only database connection that requests depend on. While the database is away it keeps trying, and memory
    serves on.
    """

    def __init__(self, *, interval: float = INTERVAL_SECONDS) -> None:
        self._interval = interval
        self._chores: list[_Chore] = []
        self._waiting: list[_Waiting] = []
        self._wake = threading.Event()
        self._lock = threading.Lock()
        self._looked = threading.Event()
        self._stopped = False
        self._reachable = True
        self._thread = threading.Thread(target=self._run, name="pxbin-watcher", daemon=True)

    def every(self, seconds: float, work: Callable[[], None]) -> None:
        """Have ``work`` done in the watcher's thread about every ``seconds``, and once more at the end. Call before :meth:`start`."""
        self._chores.append(_Chore(work, seconds))

    def start(self) -> None:
        """Begin to watch, and return when memory is filled. Requests of this process ask this watcher from now on."""
        global _watcher  # noqa: PLW0603  (one watcher serves the process)
        _watcher = self
        self._wake.set()
        self._thread.start()
        self._looked.wait()

    def stop(self) -> None:
        """Do the chores a last time and end. Blocks until the thread has ended, or has had its time."""
        global _watcher  # noqa: PLW0603
        if _watcher is self:
            _watcher = None
        self._stopped = True
        self._wake.set()
        if self._thread.ident is not None:  # it may end before it began, where something else could not start
            self._thread.join(STOP_SECONDS)
            if self._thread.is_alive():
                logger.warning("the database does not answer, the last chores are left undone")

    async def look(self) -> bool:
        """Wait for a check that began after this call. False when the database is away and nothing could be checked."""
        if not self._reachable:
            return False
        loop = asyncio.get_running_loop()
        looked: asyncio.Future[bool] = loop.create_future()
        with self._lock:
            self._waiting.append((loop, looked))
        self._wake.set()
        try:
            return await asyncio.wait_for(looked, CONFIRMATION_TIMEOUT_SECONDS)
        except TimeoutError:
            logger.warning("the database did not say within %s s whether anything changed", CONFIRMATION_TIMEOUT_SECONDS)
            return False

    def _run(self) -> None:
        patience = Watchdog(connections["default"], SILENCE_SECONDS)
        with patience.watched():
            is_away = False
            while not self._stopped:
                self._wake.wait(self._interval)
                self._wake.clear()
                waiting = self._take_waiting()
                is_away = self._look(patience)
                self._looked.set()
                _tell(waiting, answer=self._reachable)
                for chore in self._chores:
                    if not is_away and chore.is_due():
                        is_away = self._do(chore, patience)
                time.sleep(SHORTEST_INTERVAL_SECONDS)
            for chore in self._chores:
                is_away = is_away or self._do(chore, patience)
        _tell(self._take_waiting(), answer=False)
        patience.database.close()

    def _look(self, patience: Watchdog) -> bool:
        """Check, and say when that changes whether it can be done. True when the database is away."""
        problem = _attempt(check, patience)
        if self._reachable and isinstance(problem, GONE):
            logger.warning("the database is away, memory serves on: %s", _words(problem))
        elif not self._reachable and problem is None:
            logger.warning("the database is back")
        self._reachable = problem is None
        return isinstance(problem, GONE)

    def _do(self, chore: _Chore, patience: Watchdog) -> bool:
        """Do a chore. True when the database is away."""
        problem = _attempt(chore.work, patience)
        if isinstance(problem, GONE):
            logger.warning("the database does not do a chore, which is left for the next time: %s", _words(problem))
        return isinstance(problem, GONE)

    def _take_waiting(self) -> list[_Waiting]:
        with self._lock:
            waiting, self._waiting = self._waiting, []
        return waiting


def _attempt(work: Callable[[], None], patience: Watchdog) -> Exception | None:
    """What went wrong, if anything."""
    try:
        with patience.step():
            work()
    except GONE as error:
        patience.database.close()
        return error
    except Exception as error:
        # Protects the watcher: one refresh with a defect must not stop all changes from arriving for ever.
        logger.exception("a refresh failed and will be tried again")
        return error
    return None


def _words(problem: Exception) -> str:
    """What PostgreSQL's driver says, on one line."""
    return " ".join(str(problem).split())


_Waiting = tuple[asyncio.AbstractEventLoop, "asyncio.Future[bool]"]


class _Chore:
    """Work that is done again and again."""

    def __init__(self, work: Callable[[], None], seconds: float) -> None:
        self.work = work
        self._seconds = seconds
        self._due = time.monotonic() + seconds

    def is_due(self) -> bool:
        """Whether it is time; saying yes sets the next time."""
        now = time.monotonic()
        if now < self._due:
            return False
        self._due = now + self._seconds
        return True


def _tell(waiting: list[_Waiting], *, answer: bool) -> None:
    """Wake the requests that wait, each in its own loop, except those that have left."""

    def done(looked: asyncio.Future[bool]) -> None:
        if not looked.done():
            looked.set_result(answer)

    for loop, looked in waiting:
        if not loop.is_closed():
            loop.call_soon_threadsafe(done, looked)


_watcher: Watcher | None = None


async def confirm() -> bool:
    """See what was written anywhere before this call. Before a 401 or 404: the key or model may have just been made.

    Requests that come together share one look. False when the database could not be asked. Without a watcher (commands,
    tests) the look is made in a thread here.
    """
    if _watcher is not None:
        return await _watcher.look()
    return await asyncio.to_thread(_look_once)


def _look_once() -> bool:
    try:
        check()
    except GONE as error:
        logger.warning("the database is away: %s", _words(error))
        return False
    finally:
        connection.close()
    return True
