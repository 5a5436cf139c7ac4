"""Django's PostgreSQL backend for servers that fail over, and for poolers between them and the gateway.

A connection is checked whenever it is opened or leaves the pool: one that has broken or cannot write is closed, and the next one
is tried. A server that refuses writes (SQLSTATE 25006) counts as unreachable: every caller knows what to do then, and nothing
that was read there would be up to date. Where the connection does not use the schema of the settings, it is refused:
some poolers drop the startup parameter that selects it.
"""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any

import psycopg
from django.db import OperationalError
from django.db.backends.postgresql import base
from django.db.utils import DatabaseErrorWrapper
from django.utils.functional import cached_property
from psycopg import errors

from accounts.common.database_errors import ReadOnlyError

CHECK = "SELECT current_setting('transaction_read_only'), current_schema()"


class WrongSchemaError(OperationalError):
    """Tables would be in another schema than that of the settings."""

    def __init__(self, *, actual: str, expected: str) -> None:
        super().__init__(
            f"the connection uses the schema {actual} instead of {expected}. Set PXBIN_DATABASE_SCHEMA={actual}, or give the user that "
            f"search path (ALTER ROLE … SET search_path = {expected}): a pooler such as PgBouncer may drop the parameter that selects it"
        )


class ErrorWrapper(DatabaseErrorWrapper):
    """Raises :class:`ReadOnlyError` for SQLSTATE 25006, and lets the connection be closed instead of used again."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if isinstance(error, errors.ReadOnlySqlTransaction):
            self.wrapper.is_read_only = self.wrapper.errors_occurred = True  # type: ignore[attr-defined]  # not in Django's stubs
            raise ReadOnlyError from error
        super().__exit__(kind, error, trace)


class DatabaseWrapper(base.DatabaseWrapper):
    """One thread's connection. ``settings_dict["SCHEMA"]`` is the schema that it has to use."""

    is_read_only = False
    """The server has refused a write over this connection."""

    @cached_property
    def wrap_database_errors(self) -> ErrorWrapper:
        """See Django's class."""
        return ErrorWrapper(self)

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """A connection that works and can write. Raises psycopg's errors, :class:`ReadOnlyError` and :class:`WrongSchemaError`."""
        self.is_read_only = False
        began = time.monotonic()
        while True:
            connection = super().get_new_connection(conn_params)
            is_new = self.pool is None or getattr(connection, "opened_at", 0.0) >= began
            try:
                self._require_usable(connection)
            except (ReadOnlyError, psycopg.OperationalError):
                self._discard(connection)
                if is_new:  # the server itself is not usable
                    raise
            except BaseException:
                self._discard(connection)
                raise
            else:
                return connection

    def _require_usable(self, connection: Any) -> None:
        """Ask the server once. The connection is that of the wrapper meanwhile, so that the watchdog can end the wait."""
        self.connection = connection
        try:
            is_transactional, connection.autocommit = not connection.autocommit, True
            read_only, schema = connection.execute(CHECK).fetchone()
            if is_transactional:
                connection.autocommit = False
        finally:
            self.connection = None
        if read_only == "on":
            raise ReadOnlyError
        expected = self.settings_dict.get("SCHEMA")
        if expected and schema not in (None, expected):  # None: it is created before the first migration
            raise WrongSchemaError(actual=schema, expected=expected)

    def _discard(self, connection: Any) -> None:
        connection.close()
        if self.pool is not None:
            self.pool.putconn(connection)  # which opens another one if it needs one

    def _configure_connection(self, connection: Any) -> Any:
        """Note when it was opened; called by the pool for each new connection."""
        connection.opened_at = time.monotonic()
        return super()._configure_connection(connection)  # type: ignore[misc]

    def is_usable(self) -> bool:
        """See Django's class."""
        return not self.is_read_only and super().is_usable()

    def _close(self) -> None:
        if self.is_read_only and self.connection is not None:
            self.connection.close()  # else the pool would hand it out again
        super()._close()  # type: ignore[misc]
