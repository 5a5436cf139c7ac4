"""Whether the tables of the database are those that its applied migrations made.

A migration runs in a transaction, but an upgrade consists of several, and databases are also restored, copied and edited by hand.
A start on a database that is half of one release and half of another would go on from a wrong state, so it is refused.
"""

from __future__ import annotations

from django.db import DatabaseError, connection, models
from django.db.migrations.executor import MigrationExecutor

RESTORE = "Restore the database from a backup; nothing was changed."


class HalfMigratedError(DatabaseError):
    """The tables do not fit the applied migrations; the message says where, and what to do."""


def check(executor: MigrationExecutor) -> None:
    """Raise :class:`HalfMigratedError` if the database is from a newer release, or does not have the tables of its migrations.

    Columns are compared only before migrations are applied, because that reads every table's description.
    """
    loader = executor.loader
    ours = {app_label for app_label, _ in loader.graph.leaf_nodes()}  # apps without migrations have no tables of their own here
    newer = sorted(
        f"{app_label}.{name}"
        for app_label, name in loader.applied_migrations
        if app_label in ours and (app_label, name) not in loader.disk_migrations and (app_label, name) not in loader.replacements
    )
    if newer:
        raise HalfMigratedError(f"it was used by a newer release, with migrations that this one does not have: {', '.join(newer)}.")
    if not loader.applied_migrations:
        return
    existing = set(connection.introspection.table_names())
    applied = executor._create_project_state(with_applied_migrations=True)  # type: ignore[attr-defined]  # noqa: SLF001
    tables = {model._meta.db_table: model for model in applied.apps.get_models() if model._meta.app_label in ours}  # noqa: SLF001  (documented)
    if missing := sorted(tables.keys() - existing):
        raise HalfMigratedError(f"an upgrade or a restore was not completed: the tables {', '.join(missing)} are missing. {RESTORE}")
    if not executor.migration_plan(loader.graph.leaf_nodes()):
        return
    target = loader.project_state(loader.graph.leaf_nodes())
    later = {model._meta.db_table for model in target.apps.get_models() if model._meta.app_label in ours} - tables.keys()  # noqa: SLF001
    if early := sorted(later & existing):
        raise HalfMigratedError(f"an upgrade was not completed: the tables {', '.join(early)} exist, but not their migrations. {RESTORE}")
    for table, model in tables.items():
        _check_columns(table, model)


def _check_columns(table: str, model: type[models.Model]) -> None:
    with connection.cursor() as cursor:
        actual = {column.name for column in connection.introspection.get_table_description(cursor, table)}
    expected = {str(field.column) for field in model._meta.local_concrete_fields}  # noqa: SLF001
    if actual != expected:
        names = ", ".join(sorted(actual ^ expected))
        raise HalfMigratedError(f"an upgrade was not completed: the columns {names} of {table} do not fit its migrations. {RESTORE}")
