"""System checks of the settings: combinations that are allowed but probably not intended. `manage.py check` and `serve` report them."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Warning  # noqa: A004  (Django's name for it)

from pxbin_site.conf.config import Config
from pxbin_site.conf.setting import env_name

TAG = "pxbin"
SHORTEST_BOOTSTRAP_KEY = 16


def check_settings(**_: Any) -> list[CheckMessage]:
    """All warnings about the settings."""
    config: Config = settings.PXBIN
    return [*_unknown_variables(config), *_unshared_state(config), *_no_worker(config), *_short_bootstrap_key(config)]


def _unknown_variables(config: Config) -> list[CheckMessage]:
    return [
        Warning(f"{name} is not a setting.", hint="Check the spelling; .env.example lists all settings.", id="pxbin.W001")
        for name in config.unknown_variables
    ]


def _unshared_state(config: Config) -> list[CheckMessage]:
    if config.web_processes == 1 or config.redis_url:
        return []
    return [
        Warning(
            f"{config.web_processes} web processes do not share their state of failing upstreams.",
            hint=f"Set {env_name('redis_url')}, so that they share cooldowns, circuit breakers and sessions.",
            id="pxbin.W002",
        )
    ]


def _short_bootstrap_key(config: Config) -> list[CheckMessage]:
    if not 0 < len(config.management_bootstrap_key) < SHORTEST_BOOTSTRAP_KEY:
        return []
    return [
        Warning(
            f"{env_name('management_bootstrap_key')} has fewer than {SHORTEST_BOOTSTRAP_KEY} characters and can be guessed.",
            hint="Use a random one, for example from `openssl rand -hex 20`, and unset it when the first key has been made.",
            id="pxbin.W005",
        )
    ]


def _no_worker(config: Config) -> list[CheckMessage]:
    if config.celery or config.redis_url:
        return []
    return [
        Warning(
            "No process writes log rows: the Celery process is disabled.",
            hint=f"Without {env_name('redis_url')} it must run beside the web process: remove {env_name('celery')}=0.",
            id="pxbin.W003",
        )
    ]
