"""Options of `serve` that are settings, read before the settings are loaded: `--config FILE` and `--workers N`."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from pathlib import Path

from pxbin_site.conf.config import ConfigurationError
from pxbin_site.conf.setting import env_name
from pxbin_site.conf.sources import CONFIG_PATH
from pxbin_site.config_files.documents import ConfigFileError
from pxbin_site.config_files.formats import PXBIN, detect, document_of, holds_settings

OPTION, WORKERS_OPTION = "--config", "--workers"


def take_settings(arguments: Sequence[str], variables: MutableMapping[str, str]) -> None:
    """Set the variables that options stand for. Raises :class:`ConfigurationError`.

    A file of ``serve --config`` that holds pxbin's settings takes the place of `config.yaml`.
    """
    workers = option(arguments, WORKERS_OPTION)
    if workers is not None and workers.isascii() and workers.isdigit() and int(workers):  # `serve` refuses others
        variables[env_name("web_processes")] = workers
    path = config_option(arguments)
    if path is None:
        return
    try:
        document = document_of(path)
        if detect(document) == PXBIN and holds_settings(document):
            variables[CONFIG_PATH] = str(path.resolve())
    except ConfigFileError as error:
        raise ConfigurationError(error.problems) from None


def config_option(arguments: Sequence[str]) -> Path | None:
    """The value of the last ``--config`` on a command line."""
    path = option(arguments, OPTION)
    return Path(path) if path else None


def option(arguments: Sequence[str], name: str) -> str | None:
    """The value of the last option of a name on a command line, as ``--name value`` or ``--name=value``."""
    value = None
    for argument, following in zip(arguments, [*arguments[1:], ""], strict=True):
        if argument.startswith(f"{name}="):
            value = argument.partition("=")[2]
        elif argument == name and following:
            value = following
    return value
