"""System checks of the settings: what is allowed, but most likely not meant. `manage.py check` and `serve` say them."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Warning  # noqa: A004  (Django's name for it)

from pxbin_site.conf.config import Config
from pxbin_site.conf.setting import env_name

TAG = "pxbin"


def check_settings(**_: Any) -> list[CheckMessage]:
    """Every warning about the settings."""
    config: Config = settings.PXBIN
    return [*_unknown_variables(config), *_separate_memories(config), *_nobody_works(config), *_not_yet(config)]


def _unknown_variables(config: Config) -> list[CheckMessage]:
    return [
        Warning(f"{name} is not a setting.", hint="Look for a spelling mistake; .env.example lists them all.", id="pxbin.W001")
        for name in config.unknown_variables
    ]


def _separate_memories(config: Config) -> list[CheckMessage]:
    if config.web_processes == 1 or config.redis_url:
        return []
    return [
        Warning(
            f"{config.web_processes} web processes learn of failing upstreams each for itself.",
            hint=f"Set {env_name('redis_url')}, so that they share cooldowns, breakers and sessions; limits stay those of each process.",
            id="pxbin.W002",
        )
    ]


def _not_yet(config: Config) -> list[CheckMessage]:
    if not config.metrics_enabled:
        return []
    hint = "Counts are at /health/detailed, and every request has a row in the log."
    return [Warning(f"{env_name('metrics_enabled')} has no effect: there is no /metrics yet.", hint=hint, id="pxbin.W004")]


def _nobody_works(config: Config) -> list[CheckMessage]:
    if config.celery or config.redis_url:
        return []
    return [
        Warning(
            "Nobody writes log rows: the Celery process is switched off.",
            hint=f"Without {env_name('redis_url')} it has to run beside the server: remove {env_name('celery')}=0.",
            id="pxbin.W003",
        )
    ]
