"""The value of the dimension `model`: names that clients send become values only once a call of them has succeeded.

A client that sends ever new names therefore makes no new values: they count as the pattern that they matched, or as `(unknown)`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from billing.models import RollupModel
from billing.outcomes import Outcome
from billing.request_log.entry import LogEntry
from billing.rollups.known_names import UNKNOWN, KnownNames
from upstreams.models import Model


class CountedModels:
    """Sets the column `counted_model` of entries."""

    def __init__(self) -> None:
        self._known = KnownNames(RollupModel)

    def fill(self, entries: Sequence[LogEntry]) -> None:
        """Set the column, inside the transaction that writes the entries. Entries without a model have no value."""
        new = [entry for entry in entries if entry.model and entry.model not in self._known]
        learnt = self._learn(new) if new else set()
        patterns = _patterns({entry.model_id for entry in new if entry.model_id and entry.model not in learnt})
        for entry in entries:
            if entry.model in self._known or entry.model in learnt:
                entry.counted_model = entry.model
            elif entry.model:
                entry.counted_model = patterns.get(entry.model_id or "", UNKNOWN)

    def _learn(self, entries: Sequence[LogEntry]) -> set[str]:
        """The names of these entries that are values, with those that become one."""
        stored = self._known.look_up({entry.model for entry in entries})
        succeeded = [entry.model for entry in entries if _has_succeeded(entry) and entry.model not in stored]
        return stored | self._known.add(succeeded) if succeeded else stored


def _has_succeeded(entry: LogEntry) -> bool:
    return entry.outcome == Outcome.FINISHED and entry.status_code < 400


def _patterns(model_ids: Collection[str]) -> dict[str, str]:
    """The names of models by their ids, as texts."""
    if not model_ids:
        return {}
    return {str(pk): name for pk, name in Model.objects.filter(pk__in=model_ids).values_list("pk", "name")}
