"""Errors of the database that have a meaning of their own. Without a driver, which only some installations load."""

from django.db import OperationalError

READ_ONLY = "The database server is read-only, as after a fail-over"


class ReadOnlyError(OperationalError):
    """The server answers, but refuses to write: it counts as unreachable."""

    def __init__(self) -> None:
        super().__init__(READ_ONLY)
