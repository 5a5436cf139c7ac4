"""A lookup that Django lacks: LIKE without regard to case, with the wildcards `%` and `_` of whoever asks."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper


@models.CharField.register_lookup
class ILike(models.Lookup):
    """`name__ilike="%gpt_5%"`."""

    lookup_name = "ilike"
    operator = "LIKE"
    """SQLite compares ASCII letters without regard to case."""

    def as_sql(self, compiler: Any, connection: BaseDatabaseWrapper) -> tuple[str, tuple[str | int, ...]]:
        """`left LIKE right`."""
        left, left_params = self.process_lhs(compiler, connection)
        right, right_params = self.process_rhs(compiler, connection)
        return f"{left} {self.operator} {right}", (*left_params, *right_params)

    def as_postgresql(self, compiler: Any, connection: BaseDatabaseWrapper) -> tuple[str, tuple[str | int, ...]]:
        """`left ILIKE right`, with no character that takes the wildcards' meaning away, as in SQLite."""
        left, left_params = self.process_lhs(compiler, connection)
        right, right_params = self.process_rhs(compiler, connection)
        return f"{left} ILIKE {right} ESCAPE ''", (*left_params, *right_params)
