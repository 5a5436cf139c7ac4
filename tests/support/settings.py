"""Other settings for the length of a block."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
from django.conf import settings
from django.test import override_settings


@contextmanager
def with_config(**fields: Any) -> Iterator[None]:
    """`settings.PXBIN` with other values."""
    with override_settings(PXBIN=msgspec.structs.replace(settings.PXBIN, **fields)):
        yield


@contextmanager
def with_encryption(passphrase: str, *old: str) -> Iterator[None]:
    """Another encryption key, and former ones."""
    with with_config(encryption_key=passphrase, encryption_keys_old=old):
        yield
