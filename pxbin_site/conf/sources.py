"""Reads the texts of the settings: the environment over `.env` over the YAML file."""

from collections.abc import Container, Mapping
from pathlib import Path

import yaml
from dotenv.parser import Binding, parse_stream

from pxbin_site.conf.setting import PREFIX, env_name

# Read before the settings, because they name the files.
CLIENT_KEY = f"{PREFIX}KEY"
"""Not a setting: where the README's examples have the key of a client."""
CONFIG_PATH = f"{PREFIX}CONFIG_PATH"
ENV_FILE = f"{PREFIX}ENV_FILE"
IMPORT_PASSPHRASE = f"{PREFIX}IMPORT_PASSPHRASE"
"""The encryption key of another pxbin, for `manage.py import_pxbin`; no setting."""


def read_sources(variables: Mapping[str, str], *, directory: Path, fields: Container[str]) -> tuple[dict[str, str], list[str]]:
    """Merge the environment, `directory/.env` and `directory/config.yaml` into texts by variable; also return the errors in the files.

    `fields` are the names that the YAML file may use.
    """
    env_file, problems = _locate(variables, ENV_FILE, directory / ".env")
    texts, errors = read_env_file(env_file)
    problems += errors
    texts |= variables
    yaml_file, missing = _locate(texts, CONFIG_PATH, directory / "config.yaml")
    settings, errors = read_yaml(yaml_file, fields)
    return {env_name(field): text for field, text in settings.items()} | texts, [*problems, *missing, *errors]


def env_file_variables(variables: Mapping[str, str], *, directory: Path) -> dict[str, str]:
    """The variables of `.env`, without errors: :func:`read_sources` reports these."""
    return read_env_file(_locate(variables, ENV_FILE, directory / ".env")[0])[0]


def _locate(texts: Mapping[str, str], variable: str, default: Path) -> tuple[Path, list[str]]:
    """The path of a file, and an error where a variable names a file that does not exist. The default file may be missing."""
    name = texts.get(variable, "").strip()
    path = default.parent / name if name else default
    return path, [f"{variable}: there is no file {path}"] if name and not path.exists() else []


def read_env_file(path: Path) -> tuple[dict[str, str], list[str]]:
    """The variables of a `.env` file and one sentence for each invalid line; nothing if the file does not exist."""
    if not path.exists():
        return {}, []
    try:
        with path.open(encoding="utf-8") as file:
            bindings = list(parse_stream(file))
    except (OSError, UnicodeDecodeError) as error:
        return {}, [f"{path}: cannot be read: {error}"]
    problems = [f"{path}: line {_line_number(binding)} is not of the form NAME=value" for binding in bindings if binding.error]
    return {binding.key: binding.value for binding in bindings if binding.key and binding.value is not None}, problems


def _line_number(binding: Binding) -> int:
    """The line of a binding; its text begins with the empty lines before it."""
    empty_lines = binding.original.string.removesuffix(binding.original.string.lstrip())
    return binding.original.line + empty_lines.count("\n")


def read_yaml(path: Path, fields: Container[str]) -> tuple[dict[str, str], list[str]]:
    """The texts of a YAML file by field and one sentence for each error; nothing if the file does not exist."""
    if not path.exists():
        return {}, []
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        return {}, [f"{path}: cannot be read: {' '.join(str(error).split())}"]
    if content is None:
        return {}, []
    if not isinstance(content, dict):
        return {}, [f"{path}: must contain names and values"]
    problems = [f"{path}: there is no setting {field}" for field in content if field not in fields]
    return {field: as_text(value) for field, value in content.items() if field in fields}, problems


def as_text(value: object) -> str:
    """The text that an environment variable would have for a YAML value."""
    if isinstance(value, list):
        return ",".join(str(item) for item in value)
    return "" if value is None else str(value)
