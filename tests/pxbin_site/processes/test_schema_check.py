"""A start on a database that is half of one release and half of another is refused, and changes nothing."""

import contextlib

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from pxbin_site.processes import schema_check
from pxbin_site.processes.schema_check import HalfMigratedError
from tests.support import stores
from tests.support.gateway import Gateway, failed_start


@pytest.fixture(params=stores.KINDS)
def migrated(request, tmp_path, django_db_blocker):
    """A migrated database as the default connection."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(django_db_blocker.unblock())
        variables = {"PXBIN_DATABASE_URL": request.getfixturevalue("postgres_url")} if request.param == "postgresql" else {}
        database = stack.enter_context(stores.migrated(tmp_path, **variables))
        stack.enter_context(stores.as_default_connection(database))
        yield


def check():
    return schema_check.check(MigrationExecutor(connection))


def execute(sql):
    with connection.cursor() as cursor:
        cursor.execute(sql)


def test_a_migrated_database_is_accepted(migrated):
    assert check() is None


LATER = "INSERT INTO django_migrations (app, name, applied) VALUES ('billing', '9999_later', '2026-01-01')"
WITHOUT_COLUMNS = "DELETE FROM django_migrations WHERE app = 'upstreams' AND name >= '0016_choose_the_network_of_upstreams'"
DAMAGES = [
    (LATER, r"a newer release.*billing\.9999_later"),
    ("DROP TABLE upstreams_historicalroute", "the tables upstreams_historicalroute are missing"),
    ("DELETE FROM django_migrations WHERE app = 'billing'", "the tables billing_.* exist, but not their migrations"),
    (WITHOUT_COLUMNS, "columns ca_file, .* do not fit its migrations"),
]


@pytest.mark.parametrize(("sql", "message"), DAMAGES)
def test_a_database_between_two_releases_is_refused(migrated, sql, message):
    execute(sql)
    with pytest.raises(HalfMigratedError, match=message):
        check()


@pytest.mark.e2e
@pytest.mark.slow
def test_serve_refuses_it_and_says_what_to_do(postgres_url):
    with Gateway.started(PXBIN_DATABASE_URL=postgres_url) as gateway:
        gateway.stop()
        import psycopg

        with psycopg.connect(postgres_url) as direct:
            direct.execute("DROP TABLE accounts_historicalapikey")
        status, stderr = failed_start(gateway.data_dir, PXBIN_DATABASE_URL=postgres_url)
    assert status == 1
    assert stderr == (
        "CommandError: The database cannot be used: an upgrade or a restore was not completed: the tables accounts_historicalapikey are "
        "missing. Restore the database from a backup; nothing was changed.\n"
    )
