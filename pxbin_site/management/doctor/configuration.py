"""Checks of what was configured: settings, keys, the secrets of upstreams, the upstreams and their models."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from django.conf import settings
from django.db import DatabaseError, InterfaceError
from django.db.models import Q
from django.utils import timezone

from accounts.common.commands import is_set_up
from accounts.models import ApiKey, ManagementKey
from proxy.translation.dialects.lookup import PASSTHROUGH
from pxbin_site.checks import check_settings
from pxbin_site.management.doctor.finding import Finding, failed, ok, warning
from upstreams.models import Model, Upstream
from upstreams.monitoring import discovery
from upstreams.secrets import store

EXPIRY_DAYS = 7


def settings_() -> Iterator[Finding]:
    """The warnings of the system checks."""
    messages = check_settings()
    for message in messages:
        yield warning("settings", message.msg, message.hint or "")
    if not messages:
        yield ok("settings", f"data directory {settings.PXBIN.data_dir}")


def keys() -> Iterator[Finding]:
    """Whether clients and scripts have keys, and whether some are about to expire."""
    if not _has_tables():
        return
    now = timezone.now()
    for table, subject, command in (
        (ApiKey, "client keys", "create_key NAME"),
        (ManagementKey, "management keys", "create_key NAME --type management"),
    ):
        usable = table.objects.filter(Q(expires_at=None) | Q(expires_at__gt=now), is_active=True)
        if number := usable.count():
            yield ok("keys", f"{number} {subject} can be used")
        else:
            yield warning("keys", f"there are no {subject} that can be used", f"Run `manage.py {command}`")
        for row in usable.filter(expires_at__lt=now + timedelta(days=EXPIRY_DAYS)).order_by("expires_at"):
            yield warning("keys", f"{row} expires at {row.expires_at:%Y-%m-%d %H:%M} UTC", "Set a later end, or issue another key")


def secrets() -> Iterator[Finding]:
    """Whether the keys of upstreams can be decrypted."""
    if not _has_tables():
        return
    problems = store.undecryptable()
    for problem in problems.values():
        yield failed(
            "secrets", problem, "Put the old secrets.json back, or set PXBIN_ENCRYPTION_KEY to the old key; else enter the key again"
        )
    if not problems:
        yield ok("secrets", "all keys of upstreams can be decrypted")


def upstreams(*, call: bool) -> Iterator[Finding]:
    """Whether each active upstream has a key that may be used, and with `call`, whether it lists its models."""
    if not _has_tables():
        return
    rows = list(Upstream.objects.filter(is_active=True).prefetch_related("credentials").order_by("name"))
    if not rows:
        yield warning("upstreams", "there is no active upstream", "Run `manage.py add_upstream`")
    callable_rows = [row for row in rows if call and not row.pass_client_credentials and row.dialect != PASSTHROUGH]
    listed = dict(zip([row.pk for row in callable_rows], discovery.list_all(callable_rows), strict=True))
    for row in rows:
        yield from _credentials(row)
        result = listed.get(row.pk)
        if isinstance(result, discovery.DiscoveryFailed):
            remedy = f"Check its base URL and key: `manage.py test_upstream {row.name}`"
            yield failed("upstreams", f"{row.name}: {result}", remedy)
        elif row.test_error and not call:
            yield warning(
                "upstreams", f"{row.name}: the last health check failed: {row.test_error}", f"Run `manage.py test_upstream {row.name}`"
            )
        elif result is not None:
            yield ok("upstreams", f"{row.name} lists {len(result)} models")
        else:
            yield ok("upstreams", f"{row.name} was not called")


def models() -> Iterator[Finding]:
    """Whether each active model has a route that may be used."""
    if not _has_tables():
        return
    active = Model.objects.filter(is_active=True)
    idle = active.exclude(routes__is_active=True, routes__upstream__is_active=True).filter(fallbacks=[])
    names = [str(row) for row in idle[:20]]
    if names:
        yield warning(
            "models", f"without an active route: {', '.join(names)}", "Give them a route to an active upstream, or switch them off"
        )
    number = active.count()
    if not number:
        yield warning("models", "there are no models", "Run `manage.py discover_models`")
    elif not names:
        yield ok("models", f"{number} models")


def _credentials(row: Upstream) -> Iterator[Finding]:
    credentials = list(row.credentials.all())
    for credential in credentials:
        if credential.disabled_reason:
            remedy = "Enter a new key in the admin, or enable it there"
            yield failed("upstreams", f"{row.name}: key {credential} is disabled: {credential.disabled_reason}", remedy)
    if credentials and not any(credential.is_active for credential in credentials):
        yield failed("upstreams", f"{row.name}: all its keys are switched off", "Switch one on in the admin")


def _has_tables() -> bool:
    """Whether the database can be read; if not, the check of the database reports it."""
    try:
        return is_set_up()
    except (DatabaseError, InterfaceError):
        return False
