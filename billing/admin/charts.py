"""Charts over time as coordinates of an SVG image, which `pxbin/chart.html` draws. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

WIDTH, HEIGHT = 720, 140
"""The size of the image in its own units; the page stretches it."""
GAP = 0.15
"""The share of a bucket's width that is left free."""
MAX_SERIES = 7
"""Series that have colours of their own; further ones are summed up as "others"."""
OTHERS = "others"


class Series(NamedTuple):
    """Numbers by bucket (its start in Unix seconds). `colour`: the number of a CSS class `pxbin-c0` to `pxbin-c7`, or `error`."""

    name: str
    colour: str
    numbers: Mapping[int, float]


class Rectangle(NamedTuple):
    """A part of a bar."""

    y: float
    height: float
    colour: str


class Bar(NamedTuple):
    """One bucket: its place, the page that lists its requests, its numbers as a text, and its parts."""

    x: float
    width: float
    url: str
    title: str
    parts: list[Rectangle]


class Line(NamedTuple):
    """A line through the buckets that have a number: `points` as SVG writes them."""

    points: str
    colour: str


class Chart(NamedTuple):
    """A chart; `top` is the number at its upper edge as a text, `first` and `last` are the times at its ends."""

    title: str
    legend: list[tuple[str, str]]
    top: str
    first: str
    last: str
    bars: list[Bar]
    lines: list[Line]
    width: int = WIDTH
    height: int = HEIGHT


class Axis(NamedTuple):
    """The buckets of a chart: their starts and length in Unix seconds, and the address that lists the requests of one."""

    starts: Sequence[int]
    seconds: int
    url: Callable[[int], str]

    def bar_of(self, moment: int) -> int:
        """The start of the bucket that holds a moment."""
        return self.starts[0] + (moment - self.starts[0]) // self.seconds * self.seconds


def stacked(title: str, axis: Axis, series: Sequence[Series], text: Callable[[float], str]) -> Chart:
    """Bars whose parts are the series, the first one at the bottom. `text` writes a number for people."""
    sums = [sum(one.numbers.get(start, 0) for one in series) for start in axis.starts]
    top = max([*sums, 0])
    width = WIDTH / len(axis.starts)
    bars = []
    for place, (start, total) in enumerate(zip(axis.starts, sums, strict=True)):
        parts, y = [], float(HEIGHT)
        for one in series:
            height = _scaled(one.numbers.get(start, 0), top)
            y -= height
            if height:
                parts.append(Rectangle(round(y, 2), round(height, 2), one.colour))
        numbers = ", ".join(f"{one.name} {text(one.numbers[start])}" for one in series if one.numbers.get(start))
        left, wide = round((place + GAP / 2) * width, 2), round((1 - GAP) * width, 2)
        bars.append(Bar(left, wide, axis.url(start) if total else "", f"{moment(start)}: {numbers or 'none'}", parts))
    return _chart(title, axis, series, text(top), bars, [])


def lines(title: str, axis: Axis, series: Sequence[Series], text: Callable[[float], str]) -> Chart:
    """A line for each series; buckets without a number are left out."""
    top = max((number for one in series for number in one.numbers.values()), default=0)
    width = WIDTH / len(axis.starts)
    drawn = []
    for one in series:
        points = [
            (round((place + 0.5) * width, 2), round(HEIGHT - _scaled(one.numbers[start], top), 2))
            for place, start in enumerate(axis.starts)
            if start in one.numbers
        ]
        if len(points) == 1:  # a line needs two points
            points = [(points[0][0] - width / 2, points[0][1]), (points[0][0] + width / 2, points[0][1])]
        drawn.append(Line(" ".join(f"{x},{y}" for x, y in points), one.colour))
    bars = []
    for place, start in enumerate(axis.starts):
        numbers = ", ".join(f"{one.name} {text(one.numbers[start])}" for one in series if start in one.numbers)
        bars.append(Bar(round(place * width, 2), round(width, 2), axis.url(start) if numbers else "", f"{moment(start)}: {numbers}", []))
    return _chart(title, axis, series, text(top), bars, drawn)


def _chart(title: str, axis: Axis, series: Sequence[Series], top: str, bars: list[Bar], drawn: list[Line]) -> Chart:
    legend = [(one.name, one.colour) for one in series]
    return Chart(title, legend, top, moment(axis.starts[0]), moment(axis.starts[-1] + axis.seconds), bars, drawn)


def _scaled(number: float, top: float) -> float:
    return HEIGHT * number / top if top else 0.0


def moment(start: int) -> str:
    """A time as `times.js` reads it, which shows it in the browser's zone."""
    return f"{datetime.fromtimestamp(start, UTC):%Y-%m-%d %H:%M:%S} UTC"


def largest(named: Sequence[tuple[str, Mapping[int, float]]]) -> list[Series]:
    """The first series with colours of their own, and the sum of the others."""
    shown = [Series(name, str(number), numbers) for number, (name, numbers) in enumerate(named[:MAX_SERIES])]
    if rest := named[MAX_SERIES:]:
        sums: dict[int, float] = {}
        for _, numbers in rest:
            for start, number in numbers.items():
                sums[start] = sums.get(start, 0) + number
        shown.append(Series(OTHERS, str(MAX_SERIES), sums))
    return shown
