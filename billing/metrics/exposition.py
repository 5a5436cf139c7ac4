"""Metrics in Prometheus' text format 0.0.4: the values of all processes of this machine, summed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import accumulate
from typing import NamedTuple

from billing.metrics.shared_values import Kind, Series

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
Labels = tuple[tuple[str, str], ...]


class Family(NamedTuple):
    """All series of a name. ``bounds``: those of a histogram."""

    kind: Kind
    bounds: tuple[float, ...]
    series: dict[Labels, list[float]]


class Metrics:
    """Collects values, and renders them. ``help_texts``: a sentence for each name."""

    def __init__(self, help_texts: Mapping[str, str]) -> None:
        self._help_texts = help_texts
        self._families: dict[str, Family] = {}

    def add_shared(self, read: Iterable[tuple[Series, list[float], bool]]) -> None:
        """Add the values of all processes. Gauges of processes that have ended do not count."""
        for series, values, is_alive in read:
            if is_alive or series.kind != "gauge":
                self._add(series.kind, series.name, tuple(sorted(series.labels.items())), values, series.bounds)

    def add(self, kind: Kind, name: str, value: float, **labels: str) -> None:
        """Add one value."""
        self._add(kind, name, tuple(sorted(labels.items())), [float(value)])

    def _add(self, kind: Kind, name: str, labels: Labels, values: list[float], bounds: tuple[float, ...] = ()) -> None:
        family = self._families.setdefault(name, Family(kind, bounds, {}))
        sums = family.series.get(labels)
        family.series[labels] = values if sums is None else [a + b for a, b in zip(sums, values, strict=True)]

    def render(self) -> str:
        """The text; names and series in alphabetical order."""
        lines: list[str] = []
        for name, family in sorted(self._families.items()):
            lines += [f"# HELP {name} {self._help_texts[name]}", f"# TYPE {name} {family.kind}"]
            for labels, values in sorted(family.series.items()):
                if family.kind == "histogram":
                    lines += _histogram(name, labels, values, family.bounds)
                else:
                    lines.append(f"{name}{_shown(labels)} {_number(values[0])}")
        return "\n".join([*lines, ""])


def _histogram(name: str, labels: Labels, values: list[float], bounds: tuple[float, ...]) -> list[str]:
    counts = list(accumulate(values[:-1]))
    edges = [*map(_number, bounds), "+Inf"]
    lines = [f"{name}_bucket{_shown((*labels, ('le', edge)))} {_number(count)}" for edge, count in zip(edges, counts, strict=True)]
    return [*lines, f"{name}_sum{_shown(labels)} {_number(values[-1])}", f"{name}_count{_shown(labels)} {_number(counts[-1])}"]


def _shown(labels: Labels) -> str:
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels) + "}" if labels else ""


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return str(int(value)) if value.is_integer() else repr(value)
