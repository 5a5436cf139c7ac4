"""Loads the `Config`: reads the sources, parses each setting, and reports all errors at once.

The environment overrides `.env`, `.env` overrides the YAML file, the file overrides the default. An empty value means the
default.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from pxbin_site.conf.config import Config, ConfigurationError
from pxbin_site.conf.providers import PROVIDERS
from pxbin_site.conf.setting import PREFIX, Declaration, declarations, env_name
from pxbin_site.conf.sources import CLIENT_KEY, CONFIG_PATH, ENV_FILE, IMPORT_PASSPHRASE, read_sources

TEST_PREFIX = f"{PREFIX}TEST_"
"""Variables that only the tests use."""


def load(variables: Mapping[str, str], *, directory: Path, config_type: type[Config] = Config) -> Config:
    """Load the settings. Relative paths start at `directory`. Raises ConfigurationError with every error."""
    settings = declarations(config_type)
    texts, problems = read_sources(variables, directory=directory, fields=settings)
    values: dict[str, Any] = {}
    for setting in settings.values():
        text = texts.get(setting.variable, "").strip()
        if not text:
            continue
        try:
            values[setting.field] = setting.parse(text)
        except ValueError as error:
            problems.append(f"{_shown(setting, text)}: {error}")
    config = config_type(**values)
    problems += _conflicts(config)
    if problems:
        raise ConfigurationError(problems)
    provider_keys = {provider.variable: texts.get(provider.variable, "").strip() for provider in PROVIDERS}
    return msgspec.structs.replace(
        config,
        data_dir=(directory / config.data_dir).resolve(),
        environment_proxies=_environment_proxies(texts),
        has_own_address="listen_addr" in values,
        provider_keys={variable: key for variable, key in provider_keys.items() if key},
        unknown_variables=_unknown_variables(texts, settings),
    )


def _environment_proxies(texts: Mapping[str, str]) -> dict[str, str]:
    """The proxy variables that other programs read too, lower case before upper case: by ``http``, ``https``, ``all`` and ``no``."""
    variables = {kind: texts.get(f"{kind}_proxy") or texts.get(f"{kind.upper()}_PROXY") or "" for kind in ("http", "https", "all", "no")}
    proxies = {kind: text.strip() for kind, text in variables.items() if text.strip()}
    return proxies if proxies.keys() - {"no"} or texts.get(env_name("http_proxy")) else {}


def _shown(setting: Declaration, text: str) -> str:
    return setting.variable if setting.setting.is_secret else f"{setting.variable}={text!r}"


def _conflicts(config: Config) -> list[str]:
    """Settings that are valid alone but not together."""
    problems = []
    if config.max_db_conns <= config.min_db_conns:
        problems.append(f"{env_name('max_db_conns')}: must be greater than {env_name('min_db_conns')}")
    if config.encryption_keys_old and not config.encryption_key:
        problems.append(f"{env_name('encryption_keys_old')}: needs {env_name('encryption_key')}, the key that replaces them")
    return problems


def _unknown_variables(texts: Mapping[str, str], settings: Mapping[str, Declaration]) -> tuple[str, ...]:
    """Variables that begin with the prefix and are not settings: most likely spelling mistakes."""
    names = {setting.variable for setting in settings.values()} | {CONFIG_PATH, ENV_FILE, CLIENT_KEY, IMPORT_PASSPHRASE}
    return tuple(sorted(name for name in texts if name.startswith(PREFIX) and name not in names and not name.startswith(TEST_PREFIX)))
