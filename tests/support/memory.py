"""What a process keeps in memory of the database, put back to the state before its first look."""

from accounts import keys, revisions
from upstreams import catalog, credentials


def forget() -> None:
    """Forget keys and catalogue."""
    for listener in revisions._listeners:
        listener.seen = None
    keys._memory.known = {}
    keys._memory.is_complete = False
    keys._memory.wanted.clear()
    keys.clients._used.clear()
    keys.managers._used.clear()
    credentials.used._used.clear()
    credentials.answered._used.clear()
    catalog._current = catalog.Catalogue()
