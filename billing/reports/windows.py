"""Windows of time that reports cover, and the buckets of rollups that they are read from. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from billing.rollups.accumulate import DAY, FIVE_MINUTES, HOUR
from billing.rollups.rebuild import SHORT_BUCKET_DAYS

PERIODS: Final[Mapping[str, timedelta]] = {"24h": timedelta(hours=24), "7d": timedelta(days=7), "30d": timedelta(days=30)}
"""The lengths of named periods, which end now."""
DEFAULT_PERIOD = "24h"
INTERVALS: Final[Mapping[str, int]] = {"5m": FIVE_MINUTES, "1h": HOUR, "1d": DAY}
"""The buckets of time series, in seconds."""
DEFAULT_INTERVAL = "1h"


class Span(NamedTuple):
    """Buckets of one length: those that start at `begin` or later and before `end`, all in Unix seconds; `None`: without an end."""

    seconds: int
    begin: int
    end: int | None


class Window(NamedTuple):
    """A window of time in Unix seconds: from `begin` to just before `end`; without an end it lasts until now."""

    begin: int
    end: int | None = None

    def spans(self) -> Iterator[Span]:
        """The longest buckets that cover the window exactly, each moment once."""
        hour, day = _up(self.begin, HOUR), _up(self.begin, DAY)
        if self.end is None:
            spans = [Span(FIVE_MINUTES, self.begin, hour), Span(HOUR, hour, day), Span(DAY, day, None)]
        else:
            last_hour, last_day = _down(self.end, HOUR), _down(self.end, DAY)
            if hour > last_hour:
                spans = [Span(FIVE_MINUTES, self.begin, self.end)]
            elif day > last_day:
                spans = [Span(FIVE_MINUTES, self.begin, hour), Span(HOUR, hour, last_hour), Span(FIVE_MINUTES, last_hour, self.end)]
            else:
                spans = [
                    Span(FIVE_MINUTES, self.begin, hour),
                    Span(HOUR, hour, day),
                    Span(DAY, day, last_day),
                    Span(HOUR, last_day, last_hour),
                    Span(FIVE_MINUTES, last_hour, self.end),
                ]
        return (span for span in spans if span.end is None or span.begin < span.end)

    def in_buckets(self, seconds: int) -> Span:
        """All buckets of one length that the window touches."""
        return Span(seconds, _down(self.begin, seconds), self.end)


def last(period: timedelta, now: datetime) -> Window:
    """The period that ends now. It begins with the bucket of 5 minutes that holds its first moment."""
    return Window(_down(int((now - period).timestamp()), FIVE_MINUTES))


def preceding(window: Window, now: datetime) -> Window:
    """The window of the same length before another one."""
    end = int(now.timestamp()) if window.end is None else window.end
    return _between(2 * window.begin - max(end, window.begin), window.begin, now)


def between(begin: datetime, end: datetime | None, now: datetime) -> Window:
    """From the bucket that holds `begin` to the one that holds `end`: of 5 minutes as long as these are stored, else of an hour."""
    return _between(int(begin.timestamp()), None if end is None else int(end.timestamp()), now)


def _between(begin: int, end: int | None, now: datetime) -> Window:
    oldest = (now - timedelta(days=SHORT_BUCKET_DAYS)).timestamp()
    return Window(
        _down(begin, FIVE_MINUTES if begin > oldest else HOUR),
        None if end is None else _up(end, FIVE_MINUTES if end > oldest else HOUR),
    )


def month(now: datetime) -> Window:
    """The present month in UTC, until now."""
    return Window(int(now.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0).timestamp()))


def _down(moment: int, seconds: int) -> int:
    return moment - moment % seconds


def _up(moment: int, seconds: int) -> int:
    return -(-moment // seconds) * seconds
