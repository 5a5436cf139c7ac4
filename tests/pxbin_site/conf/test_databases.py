"""The database settings, and their effect on real servers."""

import contextlib

import psycopg
import pytest
from django.db import OperationalError, connections
from django.db.backends.sqlite3.base import DatabaseWrapper as SQLite

from accounts.common import commands
from accounts.common.database_errors import ReadOnlyError
from accounts.common.postgresql.base import DatabaseWrapper as PostgreSQL
from accounts.common.postgresql.base import WrongSchemaError
from pxbin_site.conf.config import Config
from pxbin_site.conf.databases import database
from tests.support.waiting import eventually


@pytest.fixture(autouse=True)
def _own_connections(django_db_blocker):
    """These tests open databases of their own, not the project's."""
    with django_db_blocker.unblock():
        yield


@contextlib.contextmanager
def connected(entry):
    """A Django connection with these settings, which is not one of the project's."""
    wrapper = {"sqlite3": SQLite, "postgresql": PostgreSQL}[entry["ENGINE"].rpartition(".")[2]]
    settings = {**connections["default"].settings_dict, "OPTIONS": {}, **entry, "CONN_MAX_AGE": 0}
    connection = wrapper(settings, alias="trial")
    try:
        yield connection
    finally:
        connection.close()
        if entry["ENGINE"].endswith("postgresql"):
            connection.close_pool()


def query(connection, sql):
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchone()[0]


def test_sqlite_in_the_data_directory_is_the_default(tmp_path):
    entry = database(Config(data_dir=tmp_path))
    assert entry["ENGINE"] == "django.db.backends.sqlite3"
    assert entry["NAME"] == str(tmp_path / "pxbin.sqlite3")


@pytest.mark.parametrize("folder", ["a#b", "a?b=c", "100%", "a%20b", "with blanks", "file:x"])
def test_sqlite_is_in_the_data_directory_whatever_its_name(tmp_path, folder):
    (tmp_path / folder).mkdir()
    with connected(database(Config(data_dir=tmp_path / folder))) as connection:
        assert query(connection, "PRAGMA journal_mode") == "wal"
    assert [path.name for path in tmp_path.iterdir()] == [folder]
    assert (tmp_path / folder / "pxbin.sqlite3").exists()


def test_sqlite_has_a_write_ahead_log_and_waits_for_locks(tmp_path):
    with connected(database(Config(data_dir=tmp_path))) as connection:
        assert query(connection, "PRAGMA journal_mode") == "wal"
        assert query(connection, "PRAGMA busy_timeout") == 20_000
        assert connection.transaction_mode == "IMMEDIATE"


def test_several_postgresql_hosts_with_session_attributes(tmp_path):
    url = "postgresql://user:p%40ss@one:5432,two:5433/pxbin?target_session_attrs=read-write&sslmode=disable"
    entry = database(Config(data_dir=tmp_path, database_url=url, database_schema="gateway", max_db_conns=9, min_db_conns=2))
    assert entry == {
        "ENGINE": "accounts.common.postgresql",
        "SCHEMA": "gateway",
        "NAME": "pxbin",
        "USER": "user",
        "PASSWORD": "p@ss",
        "HOST": "one,two",
        "PORT": "5432,5433",
        "OPTIONS": {
            "target_session_attrs": "read-write",
            "sslmode": "disable",
            "connect_timeout": 5,
            "keepalives_idle": 5,
            "keepalives_interval": 2,
            "keepalives_count": 3,
            "tcp_user_timeout": 10_000,
            "options": "-c search_path=gateway",
            "pool": {"min_size": 2, "max_size": 9, "timeout": 5, "max_lifetime": 600},
        },
    }


def test_the_first_of_several_hosts_may_be_down(tmp_path, postgres_url):
    with psycopg.connect(postgres_url) as direct:
        folder, port = direct.info.host, direct.info.port
        name = direct.info.dbname
    url = f"postgresql://postgres@/{name}?host=/nowhere,{folder}&port={port},{port}&target_session_attrs=read-write"
    with connected(database(Config(data_dir=tmp_path, database_url=url))) as connection:
        assert query(connection, "SELECT current_database()") == name


def test_the_error_of_postgresql_is_reported_unchanged(tmp_path, postgres_url, monkeypatch):
    with psycopg.connect(postgres_url) as direct:
        database_path = f"/{direct.info.dbname}"
    elsewhere = postgres_url.replace(database_path, "/no_such_database", 1)
    with connected(database(Config(data_dir=tmp_path, database_url=elsewhere))) as connection:
        monkeypatch.setattr(commands, "connection", connection)
        with pytest.raises(OperationalError, match='database "no_such_database" does not exist'):
            commands.connect_once()


def test_another_schema_than_the_default_one_is_alone_in_the_search_path(tmp_path, postgres_url):
    with psycopg.connect(postgres_url) as direct:
        direct.execute("CREATE TABLE public.of_another_project (id int)")
    with connected(database(Config(data_dir=tmp_path, database_url=postgres_url, database_schema="gateway"))) as connection:
        assert query(connection, "SHOW search_path") == "gateway"
        assert query(connection, "SELECT to_regclass('of_another_project') IS NULL")


def test_no_startup_parameter_selects_the_default_schema():
    assert "options" not in database(Config(database_url="postgresql://u:p@pgbouncer/db"))["OPTIONS"]


def test_options_of_the_url_are_kept(tmp_path, postgres_url):
    url = f"{postgres_url}&options=-c%20statement_timeout%3D1234"
    for schema in ("public", "gateway"):
        with connected(database(Config(data_dir=tmp_path, database_url=url, database_schema=schema))) as connection:
            assert query(connection, "SHOW statement_timeout") == "1234ms"
            assert query(connection, "SHOW search_path") == ("gateway" if schema == "gateway" else '"$user", public')


def test_a_connection_that_uses_another_schema_is_refused(tmp_path, postgres_url):
    entry = database(Config(data_dir=tmp_path, database_url=postgres_url, database_schema="gateway"))
    del entry["OPTIONS"]["options"]  # as a pooler does that ignores startup parameters
    with connected(entry) as connection, pytest.raises(WrongSchemaError, match="the connection uses the schema public instead of gateway"):
        query(connection, "SELECT 1")


def test_a_pooled_connection_that_has_broken_is_replaced(tmp_path, postgres_url):
    with connected(database(Config(data_dir=tmp_path, database_url=postgres_url, min_db_conns=3))) as connection:
        own = query(connection, "SELECT pg_backend_pid()")
        connection.close()
        connection.pool.wait()
        with psycopg.connect(postgres_url, autocommit=True) as direct:
            pids = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            direct.execute(f"SELECT pg_terminate_backend(pid) FROM ({pids}) AS others")
        assert query(connection, "SELECT pg_backend_pid()") != own


def writes(connection):
    try:
        connection.cursor().execute("CREATE TABLE t (id int)")
    except ReadOnlyError:
        return False
    return True


def test_a_read_only_server_counts_as_away_until_it_can_write_again(tmp_path, postgres_url):
    entry = database(Config(data_dir=tmp_path, database_url=postgres_url, min_db_conns=3))
    with connected(entry) as connection, psycopg.connect(postgres_url, autocommit=True) as direct:
        query(connection, "SELECT 1")
        direct.execute(f"ALTER DATABASE {direct.info.dbname} SET default_transaction_read_only = on")
        connection.cursor().execute("SET default_transaction_read_only = on")  # an open session, as after a reload
        with pytest.raises(ReadOnlyError, match="The database server is read-only, as after a fail-over"):
            connection.cursor().execute("CREATE TABLE t (id int)")
        connection.close_if_unusable_or_obsolete()
        assert connection.connection is None
        connection.pool.drain()
        connection.pool.wait()
        for _ in range(2):
            with pytest.raises(ReadOnlyError):
                query(connection, "SELECT 1")
        connection.pool.wait()  # those that replace closed ones are open, and read-only
        direct.execute(f"ALTER DATABASE {direct.info.dbname} SET default_transaction_read_only = off")
        # The sessions in the pool are still read-only; one that the pool opens at this moment may be, too.
        eventually(lambda: writes(connection), message="the server was not written to")


@pytest.mark.parametrize(
    ("hosts", "ports"), [("a:1,b:2", "1,2"), ("a,b:2", "5432,2"), ("a:1,b", "1,5432"), ("a,b,[::1]:3", "5432,5432,3"), ("a,b", "5432,5432")]
)
def test_each_of_several_hosts_has_its_own_port(hosts, ports):
    assert database(Config(database_url=f"postgresql://u:p@{hosts}/db"))["PORT"] == ports
