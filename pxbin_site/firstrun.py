"""What a new installation needs before anyone can use it: an admin, a key of each kind, upstreams and a first model.

Everything here may run again at every start: what is there stays as it is, and what an admin has removed stays removed.
"""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import LOCK_EX, flock

from django.contrib.auth import get_user_model
from django.db import connection, transaction

from accounts import keys
from accounts.models import ApiKey, ManagementKey
from billing.models import Price
from pxbin_site.config import Config
from pxbin_site.providers import PROVIDERS, Provider
from upstreams import credentials, vault
from upstreams.models import Model, Route, Upstream, UpstreamCredential

ADMIN = "admin"
ECHOES = (
    Provider("", "echo", "echo://openai"),
    Provider("", "echo-anthropic", "echo://anthropic", "anthropic"),
)
ADVISORY_LOCK = 0x70786269  # "pxbi": any number that other programs do not use for theirs


@contextmanager
def alone(config: Config) -> Iterator[None]:
    """Let one process at a time migrate and set up: across machines where they share PostgreSQL, else on this one."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s)", [ADVISORY_LOCK])
            try:
                yield
            finally:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [ADVISORY_LOCK])
    else:
        config.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (config.data_dir / "start.lock").open("w") as file:
            flock(file, LOCK_EX)
            yield


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
    credentials.set_secret(credential, secret)
    credential.save()
    _model(f"{provider.name}/*", upstream, remote_name="*")
    for pattern in provider.patterns:
        _model(pattern, upstream, remote_name="")
    names = ", ".join((f"{provider.name}/*", *provider.patterns))
    return [f"upstream {provider.name} (from {provider.variable}): {names}"]


def _renew(provider: Provider, secret: str) -> None:
    for credential in UpstreamCredential.objects.filter(upstream__name=provider.name, name=provider.variable):
        if vault.decrypt(credential.secret_encrypted) != secret:
            credentials.set_secret(credential, secret)
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
