"""Sets up an installation: secrets, migrations, an admin user, the first keys, the echo and the providers with a key.

It runs at every start. What exists stays as it is, and what an admin has removed is not created again.
"""

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fcntl import LOCK_EX, LOCK_NB, flock
from typing import TextIO

import msgspec
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import OutputWrapper
from django.db import connection, transaction
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.recorder import MigrationRecorder
from django.db.models import Q

from accounts import keys, models
from accounts.common.commands import connect_once, is_set_up
from accounts.common.key_kinds import KeyKind
from accounts.models import ApiKey, Budget, KeyDefaults, ManagementKey
from billing.models import Price
from pxbin_site.conf import secrets_file
from pxbin_site.conf.config import Config, ConfigurationError
from pxbin_site.conf.providers import PROVIDERS, Provider
from pxbin_site.conf.setting import env_name
from pxbin_site.processes import schema_check
from upstreams.models import Model, Route, Upstream, UpstreamCredential
from upstreams.presets import PRESETS
from upstreams.secrets import store

ADMIN = "admin"
ECHO_UPSTREAMS = (
    Provider("", "echo", "echo://openai"),
    Provider("", "echo-anthropic", "echo://anthropic", "anthropic"),
)
DIFFERENT_SECRETS = (
    "PXBIN_DATABASE_URL: a gateway with secrets of its own uses this database; copy its secrets.json into {directory}, or set "
    "PXBIN_SECRET_KEY and PXBIN_ENCRYPTION_KEY to the same values for both (if its secrets are lost: to new ones)"
)
ADVISORY_LOCK = 0x70786269  # "pxbi": a number that other programs are unlikely to use


@contextmanager
def exclusive_setup(config: Config) -> Iterator[None]:
    """Let one process at a time migrate and set up, on this machine and among machines that share PostgreSQL.

    Raises ConfigurationError if the data directory cannot be written, OperationalError if the database is unreachable.
    """
    with _open_lock_file(config, "start.lock") as file:
        flock(file, LOCK_EX)
        connect_once()
        if connection.vendor != "postgresql":
            yield
            return
        # In a transaction of a connection of its own: behind a pooler, statements outside a transaction may reach different sessions.
        with connection.Database.connect(**connection.get_connection_params()) as lock:  # type: ignore[attr-defined]  # psycopg
            lock.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
            lock.execute("SELECT pg_advisory_xact_lock(%s)", [ADVISORY_LOCK])
            yield


@contextmanager
def lock_data_dir(config: Config) -> Iterator[bool]:
    """Lock the data directory while this gateway runs. Yields False if another gateway has locked it."""
    with _open_lock_file(config, "gateway.lock") as file:
        try:
            flock(file, LOCK_EX | LOCK_NB)
            is_locked = True
        except BlockingIOError:
            is_locked = False
        yield is_locked


def _open_lock_file(config: Config, name: str) -> TextIO:
    """Create a file to lock. It is the first file that a start writes, so its error is that of an unwritable data directory."""
    try:
        config.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        return (config.data_dir / name).open("w")
    except OSError as error:
        raise ConfigurationError([f"{env_name('data_dir')}: {config.data_dir} cannot be written to ({error.strerror})"]) from error


def store_secrets(config: Config) -> None:
    """Store the new secrets of a first start.

    Raises vault.WrongEncryptionKey if the database contains credentials that the new key cannot decrypt, ConfigurationError if another
    gateway has other secrets: one that started here at the same time, or one that uses the same PostgreSQL database.
    """
    if not config.new_secrets:
        return
    secrets_file.expect_no_file(config)
    if is_set_up():
        if connection.vendor == "postgresql" and config.encryption_key == config.new_secrets["encryption_key"]:
            raise ConfigurationError([DIFFERENT_SECRETS.format(directory=config.data_dir)])
        store.check_credentials()
    secrets_file.store(config)


class Created(msgspec.Struct, kw_only=True):
    """What a start has created; empty is what existed before. The secrets are in plain text, to be shown once."""

    admin_name: str = ""
    admin_password: str = ""
    client_key: str = ""
    management_key: str = ""
    upstreams: list[str] = []
    """A sentence for each upstream that was made from a provider's key in the environment."""

    @property
    def has_secrets(self) -> bool:
        """Whether it contains a password or a key."""
        return bool(self.admin_password or self.client_key or self.management_key)

    def lines(self) -> list[str]:
        """Lines for the operator."""
        texts = {
            f"admin user: {self.admin_name}  password: {self.admin_password}": self.admin_password,
            f"key for clients: {self.client_key}": self.client_key,
            f"key for scripts: {self.management_key}": self.management_key,
        }
        return [line for line, secret in texts.items() if secret] + self.upstreams


def migrate(announce: Callable[[int], object] = lambda _: None, *, output: OutputWrapper | None = None) -> list[str]:
    """Migrate the database if migrations are missing. Returns a line for the operator if a database that was in use has changed.

    `announce` is called with the number of missing migrations before they are applied; Django writes a line for each to `output`.
    Raises :class:`~pxbin_site.processes.schema_check.HalfMigratedError`.
    """
    executor = MigrationExecutor(connection)
    schema_check.check(executor)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if not plan:
        return []
    announce(len(plan))
    before = len(executor.loader.applied_migrations)
    call_command("migrate", interactive=False, verbosity=0 if output is None else 1, stdout=output)
    applied = len(MigrationRecorder(connection).applied_migrations()) - before
    return [f"the database was brought up to date (migrations applied: {applied})"] if before and applied else []


def require_shared_counts() -> None:
    """Raise ValidationError if there are limits or budgets and the web processes of this gateway cannot count them together."""
    has_limit = Q(rate_limit__isnull=False) | Q(token_limit__isnull=False) | Q(concurrency_limit__isnull=False)
    if Budget.objects.exists() or ApiKey.objects.filter(has_limit).exists() or KeyDefaults.objects.filter(has_limit).exists():
        models.require_shared_counts()


@transaction.atomic
def set_up(config: Config) -> Created:
    """Create what is missing."""
    created = Created()
    _create_admin(created)
    _create_first_keys(created)
    for echo in ECHO_UPSTREAMS:
        if _is_new(echo):
            upstream = _create_upstream(echo)
            _create_model(echo.name, upstream, remote_name="")
            _create_free_price(echo.name)
    for provider in PROVIDERS:
        if provider.variable in config.provider_keys:
            created.upstreams += _create_or_update_provider(provider, config.provider_keys[provider.variable])
    return created


def _create_admin(created: Created) -> None:
    """Create a superuser if there is none."""
    users = get_user_model().objects
    if not users.filter(is_superuser=True).exists():
        created.admin_name, created.admin_password = ADMIN, secrets.token_urlsafe(15)
        users.create_superuser(ADMIN, password=created.admin_password)


def _create_first_keys(created: Created) -> None:
    """Create a client key and a management key if there are none, not even revoked ones."""
    if not ApiKey.objects.exists():
        created.client_key, _ = keys.issue(KeyKind.LLM, name="first key")
    if not ManagementKey.objects.exists():
        created.management_key, _ = keys.issue(KeyKind.MANAGEMENT, name="first key", permissions=["read", "write"])


def _is_new(provider: Provider) -> bool:
    """Whether no upstream has or has ever had this name."""
    return not (Upstream.objects.filter(name=provider.name).exists() or Upstream.history.filter(name=provider.name).exists())


def _create_or_update_provider(provider: Provider, secret: str) -> list[str]:
    """Create the upstream of a key in the environment; if it exists, store a changed key in the credential created from it."""
    if not _is_new(provider):
        _update_credential(provider, secret)
        return []
    upstream = _create_upstream(provider)
    credential = UpstreamCredential(upstream=upstream, name=provider.variable)
    store.set_secret(credential, secret)
    credential.save()
    _create_model(f"{provider.name}/*", upstream, remote_name="*")
    for pattern in provider.patterns:
        _create_model(pattern, upstream, remote_name="")
    names = ", ".join((f"{provider.name}/*", *provider.patterns))
    return [f"upstream {provider.name} (from {provider.variable}): {names}"]


def _update_credential(provider: Provider, secret: str) -> None:
    for credential in UpstreamCredential.objects.filter(upstream__name=provider.name, name=provider.variable):
        if not credential.secret_encrypted or store.decrypt(credential.secret_encrypted) != secret:
            store.set_secret(credential, secret)
            credential.is_active = True
            credential.save()


def _create_upstream(provider: Provider) -> Upstream:
    upstream = Upstream(
        name=provider.name,
        base_url=provider.base_url,
        dialect=provider.dialect,
        quirks=dict(provider.quirks),
        preset=provider.name if provider.name in PRESETS else "",
    )
    upstream.full_clean()
    upstream.save()
    return upstream


def _create_model(name: str, upstream: Upstream, *, remote_name: str) -> None:
    """Create a model with one route, unless there is a model of this name."""
    if Model.objects.filter(path_prefix="", name=name).exists():
        return
    model = Model(name=name, provider=upstream.name)
    model.full_clean()
    model.save()
    Route.objects.create(model=model, upstream=upstream, remote_name=remote_name)


def _create_free_price(name: str) -> None:
    """The echo costs nothing: its log rows have a cost of 0 instead of an unknown one."""
    Price.objects.create(model=Model.objects.get(path_prefix="", name=name), input=0, output=0)
