"""Say once that something is away and once that it is back, however often it is tried in between."""

from __future__ import annotations

import logging


class Outage:
    """What is said of one thing that may be away. `away` has room for the error (`%s`)."""

    def __init__(self, log: logging.Logger, *, away: str, back: str) -> None:
        self._log = log
        self._away = away
        self._back = back
        self._lasts = False

    def goes_on(self, error: Exception) -> None:
        """It did not answer."""
        if not self._lasts:
            self._lasts = True
            self._log.warning(self._away, " ".join(str(error).split()))  # PostgreSQL's driver says it on several lines

    def is_over(self) -> None:
        """It answered."""
        if self._lasts:
            self._lasts = False
            self._log.warning(self._back)
