"""What a process keeps in memory of the database, put back to the state before its first look."""

from accounts import cache_revisions, keys
from upstreams.catalog import snapshot
from upstreams.routing import credential_state


def forget() -> None:
    """Forget keys and catalogue."""
    for listener in cache_revisions._listeners:
        listener.loaded = None
    keys._cache.by_hash = {}
    keys._cache.is_complete = False
    keys._cache.requested.clear()
    keys.client_key_use._used.clear()
    keys.management_key_use._used.clear()
    credential_state.credentials_used._used.clear()
    credential_state.upstreams_answered._used.clear()
    snapshot._current = snapshot.Catalogue()
