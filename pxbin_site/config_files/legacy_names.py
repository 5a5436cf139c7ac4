"""The rows of this gateway that stand for the keys and upstreams of an imported pxbin, for the rows of its log."""

from __future__ import annotations

from typing import Any

from accounts.models import ApiKey
from pxbin_site.config_files.legacy_database import Names
from pxbin_site.config_files.readers.common import UpstreamNames
from upstreams.models import Upstream


def names_of(connection: Any) -> Names:
    """Keys by their hashes, upstreams by the names that :func:`.legacy_database.read` gives them."""
    own_keys = {row.key_hash: row for row in ApiKey.objects.all()}
    own_upstreams = {row.name: row for row in Upstream.objects.all()}
    keys, upstreams = {}, {}
    for row in connection.execute("SELECT id, key_hash FROM llm_api_keys").fetchall():
        if key := own_keys.get(row["key_hash"]):
            keys[row["id"]] = (str(key.pk), key.key_prefix, key.name)
    names = UpstreamNames()
    for row in connection.execute("SELECT id, name, base_url FROM upstreams ORDER BY created_at, id").fetchall():
        if upstream := own_upstreams.get(names.name(row["base_url"], row["name"].strip())):
            upstreams[row["id"]] = (str(upstream.pk), upstream.name)
    return Names(keys=keys, upstreams=upstreams)
