"""How commands name a key: by its id, or by its prefix if only one key has it."""

from __future__ import annotations

import uuid

from django.core.management.base import CommandError

from accounts import keys
from accounts.models import ApiKey, ManagementKey

HELP = "id of the key, or its first 8 characters (see list_keys)"


def find_key(reference: str) -> ApiKey | ManagementKey:
    """The key of an id or prefix, of either kind. Raises CommandError."""
    matching: list[ApiKey | ManagementKey] = [
        row for table in keys.TABLES.values() for row in table.objects.filter(**_condition(reference))
    ]
    if len(matching) > 1:
        raise CommandError(f"{len(matching)} keys begin with {reference}; give the id of one (`manage.py list_keys`)")
    if not matching:
        raise CommandError(f"There is no key {reference!r}; `manage.py list_keys` lists the keys")
    return matching[0]


def _condition(reference: str) -> dict[str, object]:
    try:
        return {"pk": uuid.UUID(reference)}
    except ValueError:
        return {"key_prefix": reference}
