"""`serve --config FILE`, before the settings are loaded: a file of pxbin's settings takes the place of `config.yaml`."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from pathlib import Path

from pxbin_site.conf.config import ConfigurationError
from pxbin_site.conf.sources import CONFIG_PATH
from pxbin_site.config_files.documents import ConfigFileError
from pxbin_site.config_files.formats import PXBIN, detect, document_of, holds_settings

OPTION = "--config"


def take_settings(arguments: Sequence[str], variables: MutableMapping[str, str]) -> None:
    """Name the file of ``serve --config`` in ``variables``, if it holds pxbin's settings. Raises :class:`ConfigurationError`."""
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
    path = None
    for argument, following in zip(arguments, [*arguments[1:], ""], strict=True):
        if argument.startswith(f"{OPTION}="):
            path = argument.partition("=")[2]
        elif argument == OPTION and following:
            path = following
    return Path(path) if path else None
