"""The lookup `ilike` for Django: case-insensitive LIKE whose pattern may contain the wildcards `%` and `_`."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper


@models.CharField.register_lookup
class ILike(models.Lookup):
    """For example `name__ilike="%gpt_5%"`."""

    lookup_name = "ilike"
    operator = "LIKE"
    """LIKE of SQLite, which ignores the case of ASCII letters."""

    def as_sql(self, compiler: Any, connection: BaseDatabaseWrapper) -> tuple[str, tuple[str | int, ...]]:
        """`left LIKE right`."""
        left, left_params = self.process_lhs(compiler, connection)
        right, right_params = self.process_rhs(compiler, connection)
        return f"{left} {self.operator} {right}", (*left_params, *right_params)

    def as_postgresql(self, compiler: Any, connection: BaseDatabaseWrapper) -> tuple[str, tuple[str | int, ...]]:
        """`left ILIKE right` without an escape character, as in SQLite."""
        left, left_params = self.process_lhs(compiler, connection)
        right, right_params = self.process_rhs(compiler, connection)
        return f"{left} ILIKE {right} ESCAPE ''", (*left_params, *right_params)
