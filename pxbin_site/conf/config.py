"""What the operator can set: one frozen `Config`, read from the environment, `.env` and `config.yaml`.

Every setting is a field of `Config`. Field `log_format` is `PXBIN_LOG_FORMAT` in the environment and `log_format` in the
YAML file. The environment wins over `.env`, `.env` over the YAML file, the file over the default. An empty value means
the default. `load` looks at everything before it complains, so that one start shows every problem.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec
import yaml
from dotenv.parser import Binding, parse_stream

from proxy.translation.policies.tool_call_rules import MAX_DELAY_MS, MAX_RETRIES
from pxbin_site.conf import parsers
from pxbin_site.conf.providers import PROVIDERS

PREFIX = "PXBIN_"
LOG_LEVELS = ("debug", "info", "warning", "error")
LOG_FORMATS = ("json", "text")


class ConfigurationError(Exception):
    """The settings cannot be used. `problems` holds one sentence for each thing to mend."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("The settings have problems:\n" + "\n".join(f"- {problem}" for problem in problems))
        self.problems = problems


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that can be set from outside, checked. Times are in the unit that the name ends with."""

    # Where it runs and what it writes.
    data_dir: Path = Path("data")
    listen_addr: str = "127.0.0.1:8080"
    web_processes: int = 1
    celery: bool = True
    allowed_hosts: tuple[str, ...] = ("*",)
    trusted_origins: tuple[str, ...] = ()
    cors_origins: tuple[str, ...] = ()
    debug: bool = False

    # Stores.
    database_url: str = ""
    database_schema: str = "public"
    max_db_conns: int = 25
    min_db_conns: int = 5
    redis_url: str = ""

    # Secrets. Those left empty are made on the first run and kept in the data directory.
    secret_key: str = ""
    encryption_key: str = ""
    encryption_keys_old: tuple[str, ...] = ()
    management_bootstrap_key: str = ""
    seal_key: bytes = b""
    # Those made in this process, because nothing is set and nothing kept: `serve` writes them down.
    new_secrets: dict[str, str] = {}

    # What a request may cost in bytes and seconds.
    max_body_bytes: int = 32 * 1024 * 1024
    header_timeout_seconds: float = 30.0
    body_timeout_seconds: float = 30.0
    keepalive_seconds: float = 15.0
    drain_seconds: float = 15.0

    # How the gateway answers.
    response_headers: bool = True
    open_passthrough: bool = False
    responses_store_seconds: float = 0.0
    default_context_window: int = 128_000
    default_max_output_tokens: int = 8192
    rate_limit_rps: float = 0.0
    rate_limit_burst: int = 0
    cb_failure_threshold: int = 5
    cb_timeout_seconds: float = 30.0
    # Of new upstreams, as the cooldown below. One attempt: clients repeat by themselves, and other upstreams are asked first.
    retry_max_attempts: int = 1
    retry_base_delay_ms: int = 1000
    # How long a stream's status waits for the first meaningful event; then 200, the opening event and keep-alives go out.
    hold_seconds: float = 10.0
    key_cooldown_seconds: float = 60.0
    health_check_seconds: float = 0.0
    discover_seconds: float = 0.0
    upstream_models_cache_ttl_seconds: float = 3600.0
    upstream_models_fetch_timeout_ms: int = 2000

    # Tool-call enforcement where neither the request nor the model says otherwise. Empty texts: the gateway's own.
    enforce_tool_call_mode: bool = False
    enforce_tool_call_termination_flag: str = ""
    enforce_tool_call_max_retries: int = 10
    enforce_tool_call_guidance: str = ""
    enforce_tool_call_stream_chunk_delay_ms: int = 0
    enforce_tool_call_empty_response_policy: Literal["strict", "lenient"] = "strict"

    # What it remembers and says.
    log_buffer_size: int = 10_000
    log_retention_days: int = 7
    payload_retention_days: int = 3
    log_format: str = "json"
    log_level: str = "info"
    metrics_enabled: bool = False
    # Whether health checks and discovery may call link-local and metadata addresses.
    allow_link_local: bool = False

    # What was found in the environment beside settings.
    provider_keys: dict[str, str] = {}
    unknown_variables: tuple[str, ...] = ()

    @property
    def listen_host(self) -> str:
        """The address to listen on; `:8080` in `listen_addr` means every address."""
        return parsers.split_listen_addr(self.listen_addr)[0]

    @property
    def listen_port(self) -> int:
        """The TCP port to listen on; 0 lets the system choose one."""
        return parsers.split_listen_addr(self.listen_addr)[1]


_COUNT = parsers.number(int, least=0)
_AT_LEAST_ONE = parsers.number(int, least=1)
_SECONDS = parsers.number(float, least=0)
_REST = parsers.number(float, least=0, most=31_536_000)
"""At most a year, as for upstreams' own."""
_DURATION = parsers.number(float, least=0.01)
"""A time limit; with 0 nothing could ever be in time."""

READERS: Mapping[str, Callable[[str], Any]] = {
    "data_dir": Path,
    "listen_addr": parsers.listen_addr,
    "web_processes": _AT_LEAST_ONE,
    "celery": parsers.boolean,
    "allowed_hosts": parsers.hosts,
    "trusted_origins": parsers.trusted_origins,
    "cors_origins": parsers.origins,
    "debug": parsers.boolean,
    "database_url": parsers.database_url,
    "database_schema": parsers.schema,
    "max_db_conns": _AT_LEAST_ONE,
    "min_db_conns": _COUNT,
    "redis_url": parsers.redis_url,
    "secret_key": str,
    "encryption_key": parsers.encryption_key,
    "encryption_keys_old": parsers.encryption_keys,
    "management_bootstrap_key": str,
    "max_body_bytes": _AT_LEAST_ONE,
    "header_timeout_seconds": _DURATION,
    "body_timeout_seconds": _DURATION,
    "keepalive_seconds": _DURATION,
    "drain_seconds": _SECONDS,
    "response_headers": parsers.boolean,
    "open_passthrough": parsers.boolean,
    "responses_store_seconds": _SECONDS,
    "default_context_window": _AT_LEAST_ONE,
    "default_max_output_tokens": _AT_LEAST_ONE,
    "rate_limit_rps": _SECONDS,
    "rate_limit_burst": _COUNT,
    "cb_failure_threshold": _COUNT,
    "cb_timeout_seconds": _REST,
    "retry_max_attempts": _AT_LEAST_ONE,
    "retry_base_delay_ms": _COUNT,
    "hold_seconds": _SECONDS,
    "key_cooldown_seconds": _REST,
    "health_check_seconds": _SECONDS,
    "discover_seconds": _SECONDS,
    "upstream_models_cache_ttl_seconds": _SECONDS,
    "upstream_models_fetch_timeout_ms": _AT_LEAST_ONE,
    "enforce_tool_call_mode": parsers.boolean,
    "enforce_tool_call_termination_flag": str,
    "enforce_tool_call_max_retries": parsers.number(int, least=1, most=MAX_RETRIES),
    "enforce_tool_call_guidance": str,
    "enforce_tool_call_stream_chunk_delay_ms": parsers.number(int, least=0, most=MAX_DELAY_MS),
    "enforce_tool_call_empty_response_policy": parsers.one_of(("strict", "lenient")),
    "log_buffer_size": _COUNT,
    "log_retention_days": parsers.any_whole_number,
    "payload_retention_days": parsers.any_whole_number,
    "log_format": parsers.one_of(LOG_FORMATS),
    "log_level": parsers.one_of(LOG_LEVELS),
    "metrics_enabled": parsers.boolean,
    "allow_link_local": parsers.boolean,
}
# Read before the others, because they say where the others are.
CONFIG_PATH = f"{PREFIX}CONFIG_PATH"
ENV_FILE = f"{PREFIX}ENV_FILE"
TEST_PREFIX = f"{PREFIX}TEST_"
"""For the tests alone, which read them themselves."""
LOCATIONS = frozenset({CONFIG_PATH, ENV_FILE})
SECRET_FIELDS = frozenset({"database_url", "redis_url", "secret_key", "encryption_key", "encryption_keys_old", "management_bootstrap_key"})
"""Values that are or hold secrets: what is wrong with them is said without them."""


def env_name(field: str) -> str:
    """The environment variable of a field."""
    return PREFIX + field.upper()


def gather(variables: Mapping[str, str], *, directory: Path) -> tuple[dict[str, str], list[str]]:
    """Lay the environment over `directory/.env` over the YAML file; also return what is wrong with the files."""
    env_file, problems = _place(variables, ENV_FILE, directory / ".env")
    values, wrong = read_env_file(env_file)
    problems += wrong
    values |= variables
    config_file, missing = _place(values, CONFIG_PATH, directory / "config.yaml")
    settings, wrong = read_yaml(config_file)
    return {env_name(name): value for name, value in settings.items()} | values, [*problems, *missing, *wrong]


def _place(values: Mapping[str, str], name: str, usual: Path) -> tuple[Path, list[str]]:
    """Where a file lies. One that is named has to be there, the usual one need not."""
    named = values.get(name, "").strip()
    path = usual.parent / named if named else usual
    return path, [f"{name}: there is no file {path}"] if named and not path.exists() else []


def read_env_file(path: Path) -> tuple[dict[str, str], list[str]]:
    """Read a `.env` file, if there is one, with one sentence for each line that is none of its kind."""
    if not path.exists():
        return {}, []
    try:
        with path.open(encoding="utf-8") as file:
            lines = list(parse_stream(file))
    except (OSError, UnicodeDecodeError) as error:
        return {}, [f"{path}: cannot be read: {error}"]
    problems = [f"{path}: line {_number(line)} is not of the form NAME=value" for line in lines if line.error]
    return {line.key: line.value for line in lines if line.key and line.value is not None}, problems


def _number(line: Binding) -> int:
    """Where in the file a line is: what was read of it begins with the empty lines before it."""
    before = line.original.string.removesuffix(line.original.string.lstrip())
    return line.original.line + before.count("\n")


def read_yaml(path: Path) -> tuple[dict[str, str], list[str]]:
    """Read the YAML file, if there is one, as texts by field name, with one sentence for each thing wrong in it."""
    if not path.exists():
        return {}, []
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        return {}, [f"{path}: cannot be read: {' '.join(str(error).split())}"]
    if content is None:
        return {}, []
    if not isinstance(content, dict):
        return {}, [f"{path}: must hold names and values"]
    problems = [f"{path}: there is no setting {name}" for name in content if name not in READERS]
    return {name: _as_text(value) for name, value in content.items() if name in READERS}, problems


def _as_text(value: object) -> str:
    """Write a YAML value the way it would stand in the environment."""
    if isinstance(value, list):
        return ",".join(str(item) for item in value)
    return "" if value is None else str(value)


def load(variables: Mapping[str, str], *, directory: Path) -> Config:
    """Read the settings. Relative paths start at `directory`. Raises ConfigurationError with every problem found."""
    given, problems = gather(variables, directory=directory)
    values: dict[str, Any] = {}
    for name, read in READERS.items():
        text = given.get(env_name(name), "").strip()
        if not text:
            continue
        try:
            values[name] = read(text)
        except ValueError as error:
            shown = "" if name in SECRET_FIELDS else f"={text!r}"
            problems.append(f"{env_name(name)}{shown}: {error}")
    config = Config(**values)
    problems += _contradictions(config)
    if problems:
        raise ConfigurationError(problems)
    provider_keys = {each.variable: given.get(each.variable, "").strip() for each in PROVIDERS}
    return msgspec.structs.replace(
        config,
        data_dir=(directory / config.data_dir).resolve(),
        provider_keys={variable: key for variable, key in provider_keys.items() if key},
        unknown_variables=_unknown(given),
    )


def _contradictions(config: Config) -> list[str]:
    """Name the settings that are fine alone but not together."""
    problems = []
    if config.max_db_conns <= config.min_db_conns:
        problems.append(f"{env_name('max_db_conns')}: must be greater than {env_name('min_db_conns')}")
    if config.encryption_keys_old and not config.encryption_key:
        problems.append(f"{env_name('encryption_keys_old')}: needs {env_name('encryption_key')}, the key that replaces them")
    return problems


def _unknown(variables: Mapping[str, str]) -> tuple[str, ...]:
    """Variables that begin with the prefix and are no setting: most likely a spelling mistake."""
    known = {env_name(name) for name in READERS} | LOCATIONS
    return tuple(sorted(name for name in variables if name.startswith(PREFIX) and name not in known and not name.startswith(TEST_PREFIX)))
