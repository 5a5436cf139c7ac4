"""What a process keeps in memory of the database, put back to the state before its first look."""

from accounts import keys, revisions
from upstreams import catalog


def forget() -> None:
    """Forget keys and catalogue."""
    for listener in revisions._listeners:
        listener.seen = None
    keys._memory.known = {}
    keys._memory.is_complete = False
    keys._memory.wanted.clear()
    keys._memory.used.clear()
    keys._memory.used_management.clear()
    catalog._current = catalog.Catalogue()
