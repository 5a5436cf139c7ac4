"""Log once that a service fails and once that it works again, however often it is called in between."""

from __future__ import annotations

import logging


class Outage:
    """The log messages of one service. `failed` contains `%s` for the error."""

    def __init__(self, log: logging.Logger, *, failed: str, recovered: str) -> None:
        self._log = log
        self._failed_message = failed
        self._recovered_message = recovered
        self._is_failing = False

    def report_failure(self, error: Exception) -> None:
        """A call failed; the first failure in a row is logged."""
        if not self._is_failing:
            self._is_failing = True
            self._log.warning(self._failed_message, " ".join(str(error).split()))  # PostgreSQL's errors have several lines

    def report_success(self) -> None:
        """A call succeeded; the first success after failures is logged."""
        if self._is_failing:
            self._is_failing = False
            self._log.warning(self._recovered_message)
