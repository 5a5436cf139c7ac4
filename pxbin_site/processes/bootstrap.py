"""What a new installation needs before anyone can use it: an admin, a key of each kind, upstreams and a first model.

Everything here may run again at every start: what is there stays as it is, and what an admin has removed stays removed.
"""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import LOCK_EX, LOCK_NB, flock
from typing import TextIO

from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connection, transaction
from django.db.migrations.recorder import MigrationRecorder

from accounts import keys
from accounts.common.commands import is_set_up, reach
from accounts.models import ApiKey, ManagementKey
from billing.models import Price
from pxbin_site.conf import secrets_file
from pxbin_site.conf.config import Config, ConfigurationError, env_name
from pxbin_site.conf.providers import PROVIDERS, Provider
from upstreams.models import Model, Route, Upstream, UpstreamCredential
from upstreams.secrets import store

ADMIN = "admin"
ECHOES = (
    Provider("", "echo", "echo://openai"),
    Provider("", "echo-anthropic", "echo://anthropic", "anthropic"),
)
OTHER_SECRETS = (
    "PXBIN_DATABASE_URL: a gateway with secrets of its own uses this database; copy its secrets.json into {directory}, or set "
    "PXBIN_SECRET_KEY and PXBIN_ENCRYPTION_KEY to the same values for both (if its secrets are lost: to new ones)"
)
ADVISORY_LOCK = 0x70786269  # "pxbi": any number that other programs do not use for theirs


@contextmanager
def alone(config: Config) -> Iterator[None]:
    """Let one process at a time migrate and set up: on this machine, and across machines where they share PostgreSQL.

    Raises ConfigurationError when the data directory cannot be written to, OperationalError when the database is away.
    """
    with _opened(config, "start.lock") as file:
        flock(file, LOCK_EX)
        reach()
        if connection.vendor != "postgresql":
            yield
            return
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s)", [ADVISORY_LOCK])
            try:
                yield
            finally:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [ADVISORY_LOCK])


@contextmanager
def sole(config: Config) -> Iterator[bool]:
    """Hold the data directory as long as this gateway runs; tells whether no other one has it."""
    with _opened(config, "gateway.lock") as file:
        try:
            flock(file, LOCK_EX | LOCK_NB)
            is_sole = True
        except BlockingIOError:
            is_sole = False
        yield is_sole


def _opened(config: Config, name: str) -> TextIO:
    """A file to lock. These are the first things that a start writes, and so show whether the data directory can be written to."""
    try:
        config.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        return (config.data_dir / name).open("w")
    except OSError as error:
        raise ConfigurationError([f"{env_name('data_dir')}: {config.data_dir} cannot be written to ({error.strerror})"]) from error


def keep_secrets(config: Config) -> None:
    """Write the new secrets of a first start.

    Raises vault.WrongEncryptionKey where keys are stored already that they cannot open, ConfigurationError where another gateway has
    others: here since a moment ago, or in the PostgreSQL that both are to share.
    """
    if not config.new_secrets:
        return
    secrets_file.expect_none(config)
    if is_set_up():
        if connection.vendor == "postgresql" and config.encryption_key == config.new_secrets["encryption_key"]:
            raise ConfigurationError([OTHER_SECRETS.format(directory=config.data_dir)])
        store.check_credentials()
    secrets_file.keep(config)


def migrate() -> list[str]:
    """Bring the database up to date; says how much there was to do where it was in use before."""
    recorder = MigrationRecorder(connection)
    before = len(recorder.applied_migrations())
    call_command("migrate", interactive=False, verbosity=0)
    applied = len(recorder.applied_migrations()) - before
    return [f"the database was brought up to date (migrations applied: {applied})"] if before and applied else []


@transaction.atomic
def set_up(config: Config) -> list[str]:
    """Make what is missing. Returns the lines to show the operator, once: they hold the secrets in plain text."""
    lines = _admin() + _keys()
    for echo in ECHOES:
        if _is_new(echo):
            upstream = _upstream(echo)
            _model(echo.name, upstream, remote_name="")
            _free(echo.name)
    for provider in PROVIDERS:
        if provider.variable in config.provider_keys:
            lines += _provider(provider, config.provider_keys[provider.variable])
    return lines


def _admin() -> list[str]:
    """A superuser, if there is none."""
    users = get_user_model().objects
    if users.filter(is_superuser=True).exists():
        return []
    password = secrets.token_urlsafe(15)
    users.create_superuser(ADMIN, password=password)
    return [f"admin user: {ADMIN}  password: {password}"]


def _keys() -> list[str]:
    """A first key for clients and one for scripts, if there were never any (revoked ones are kept, inactive)."""
    lines = []
    if not ApiKey.objects.exists():
        lines.append(f"key for clients: {keys.issue('llm', name='first key')[0]}")
    if not ManagementKey.objects.exists():
        plaintext, _ = keys.issue("management", name="first key", permissions=["read", "write"])
        lines.append(f"key for scripts: {plaintext}")
    return lines


def _is_new(provider: Provider) -> bool:
    """Whether there is no upstream of this name and never was one."""
    return not (Upstream.objects.filter(name=provider.name).exists() or Upstream.history.filter(name=provider.name).exists())


def _provider(provider: Provider, secret: str) -> list[str]:
    """The upstream of a key in the environment; later, a new value of the variable replaces the credential made from it."""
    if not _is_new(provider):
        _renew(provider, secret)
        return []
    upstream = _upstream(provider)
    credential = UpstreamCredential(upstream=upstream, name=provider.variable)
    store.set_secret(credential, secret)
    credential.save()
    _model(f"{provider.name}/*", upstream, remote_name="*")
    for pattern in provider.patterns:
        _model(pattern, upstream, remote_name="")
    names = ", ".join((f"{provider.name}/*", *provider.patterns))
    return [f"upstream {provider.name} (from {provider.variable}): {names}"]


def _renew(provider: Provider, secret: str) -> None:
    for credential in UpstreamCredential.objects.filter(upstream__name=provider.name, name=provider.variable):
        if not credential.secret_encrypted or store.decrypt(credential.secret_encrypted) != secret:
            store.set_secret(credential, secret)
            credential.is_active = True
            credential.save()


def _upstream(provider: Provider) -> Upstream:
    upstream = Upstream(name=provider.name, base_url=provider.base_url, dialect=provider.dialect, quirks=dict(provider.quirks))
    upstream.full_clean()
    upstream.save()
    return upstream


def _model(name: str, upstream: Upstream, *, remote_name: str) -> None:
    """A model with one route, unless somebody has already given the name away."""
    if Model.objects.filter(path_prefix="", name=name).exists():
        return
    model = Model(name=name, provider=upstream.name)
    model.full_clean()
    model.save()
    Route.objects.create(model=model, upstream=upstream, remote_name=remote_name)


def _free(name: str) -> None:
    """The echo costs nothing, and its rows shall say so instead of `unknown`."""
    Price.objects.create(model=Model.objects.get(path_prefix="", name=name), input=0, output=0)
