"""Tool call ids that clients of this dialect accept: ``^[a-zA-Z0-9_-]+$``, unique in a response (docs/wire-formats.md, section 7.7)."""

from __future__ import annotations

import hashlib
import re

from proxy.translation import call_ids

_VALID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_INVALID = re.compile(r"[^a-zA-Z0-9_-]")
_MAX = 64


class CallIds:
    """Assigns the ids of one response. The same response id and calls always give the same ids."""

    def __init__(self, response_id: str) -> None:
        self._response_id = response_id
        self._used: set[str] = set()

    def assign(self, call_id: str, index: int) -> str:
        """The id of the call at ``index``: ``call_id`` if it is valid and unused.

        An id with other characters is escaped, so that its upstream can get it back. Ids that are empty, used or longer than 64
        characters are replaced by ``toolu_`` and a hash of response id and index.
        """
        if not call_id or len(call_id) > _MAX or call_id in self._used:
            call_id = "toolu_" + hashlib.sha256(f"{self._response_id}:{index}".encode()).hexdigest()[:24]
        elif not _VALID.fullmatch(call_id):
            call_id = self._unused(call_ids.escape(call_id) or _INVALID.sub("_", call_id))
        self._used.add(call_id)
        return call_id

    def _unused(self, base: str) -> str:
        candidate, count = base, 1
        while candidate in self._used:
            count += 1
            candidate = f"{base}_{count}"
        return candidate
