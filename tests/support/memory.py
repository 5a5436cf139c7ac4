"""What a process keeps in memory of the database, put back to the state before its first look."""

from accounts import cache_revisions, keys
from upstreams.catalog import snapshot
from upstreams.routing import credential_state


def forget() -> None:
    """Forget keys and catalogue."""
    for listener in cache_revisions._listeners:
        listener.seen = None
    keys._memory.known = {}
    keys._memory.is_complete = False
    keys._memory.wanted.clear()
    keys.clients._used.clear()
    keys.managers._used.clear()
    credential_state.credentials_used._used.clear()
    credential_state.upstreams_answered._used.clear()
    snapshot._current = snapshot.Catalogue()
