"""What an import has changed, or would change: as lines for people and as JSON for programs."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any, Literal

import msgspec

from pxbin_site.config_files.configuration import Configuration

Action = Literal["create", "update", "delete"]
SIGNS: dict[Action, str] = {"create": "+", "update": "~", "delete": "-"}
LONGEST_VALUE = 200


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One row that differs. ``fields``: before and after of each value; secrets are masked. ``place``: where the file has the row."""

    action: Action
    kind: str
    name: str
    fields: dict[str, tuple[Any, Any]] = {}
    place: str = ""


class Report(msgspec.Struct, kw_only=True):
    """The differences between a file and the gateway, in the order in which they are written."""

    configuration: Configuration
    changes: list[Change] = []
    warnings: list[str] = []
    is_written: bool = False

    def counts(self) -> dict[str, int]:
        """The number of rows by action."""
        counter = Counter(change.action for change in self.changes)
        return {action: counter[action] for action in SIGNS}

    def as_object(self) -> dict[str, Any]:
        """The report as a JSON object."""
        configuration = self.configuration
        return {
            "format": configuration.format,
            "applied": self.is_written,
            "changed": bool(self.changes),
            "summary": self.counts(),
            "changes": [
                {
                    "action": change.action,
                    "kind": change.kind,
                    "name": change.name,
                    "fields": {name: {"before": before, "after": after} for name, (before, after) in change.fields.items()},
                    "place": change.place,
                }
                for change in self.changes
            ],
            "settings": {line.name: line.value for line in configuration.settings},
            "warnings": [*configuration.warnings, *self.warnings],
            "not_taken": configuration.not_taken,
        }

    def lines(self) -> list[str]:
        """The report for a terminal."""
        lines = [f"{line.name}={line.value}" for line in self.configuration.settings]
        for change in self.changes:
            lines.append(f"{SIGNS[change.action]} {change.kind} {change.name}")
            lines += [f"    {_field_line(change.action, name, values)}" for name, values in change.fields.items()]
        lines += [f"warning: {warning}" for warning in (*self.configuration.warnings, *self.warnings)]
        lines += [f"not taken: {item}" for item in self.configuration.not_taken]
        return [*lines, self._summary()]

    def _summary(self) -> str:
        if self.configuration.settings and not self.configuration.rows:
            return "These are settings: start with serve --config, or set the variables. No rows are written."
        if not self.changes:
            return "nothing to change"
        verbs = ("created", "changed", "deleted") if self.is_written else ("to create", "to change", "to delete")
        return ", ".join(f"{count} {word}" for count, word in zip(self.counts().values(), verbs, strict=True))


def _field_line(action: Action, name: str, values: tuple[Any, Any]) -> str:
    before, after = (_shown(value) for value in values)
    return f"{name}: {after}" if action == "create" else f"{name}: {before} -> {after}"


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) and value and value.isprintable() else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST_VALUE else text[:LONGEST_VALUE] + "…"
