"""Tool call ids that a client of this dialect takes: ``^[a-zA-Z0-9_-]+$``, each once a reply (wire formats, section 7.7)."""

from __future__ import annotations

import hashlib
import re

_LEGAL = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_ILLEGAL = re.compile(r"[^a-zA-Z0-9_-]")
_MAX = 64


class CallIds:
    """The ids of one reply. What an id becomes depends on the reply and on nothing else."""

    def __init__(self, reply_id: str) -> None:
        self._reply_id = reply_id
        self._used: set[str] = set()

    def legal(self, call_id: str, index: int) -> str:
        """``call_id`` if it will do, else a like one; for the call at ``index`` of the reply."""
        if not call_id or len(call_id) > _MAX or call_id in self._used:
            call_id = "toolu_" + hashlib.sha256(f"{self._reply_id}:{index}".encode()).hexdigest()[:24]
        elif not _LEGAL.fullmatch(call_id):
            call_id = self._free(_ILLEGAL.sub("_", call_id))
        self._used.add(call_id)
        return call_id

    def _free(self, base: str) -> str:
        candidate, count = base, 1
        while candidate in self._used:
            count += 1
            candidate = f"{base}_{count}"
        return candidate
