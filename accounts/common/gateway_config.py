"""The settings of the gateway for code that runs in every request."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.signals import setting_changed
from django.dispatch import receiver

_config: Any = None


def config() -> Any:
    """``settings.PXBIN``. Django's settings object runs Python code for each attribute, and a request reads about ten."""
    return _config if _config is not None else _read_config()


def _read_config() -> Any:
    global _config  # noqa: PLW0603  (one for each process)
    _config = settings.PXBIN
    return _config


@receiver(setting_changed)
def _forget_config(*, setting: str, **_details: object) -> None:
    """Tests change settings."""
    global _config  # noqa: PLW0603
    if setting == "PXBIN":
        _config = None
