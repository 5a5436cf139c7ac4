"""What the operator can set: one frozen `Config`, read from the environment, `.env` and `config.yaml` (see `loading`).

A setting is one annotated field here. `log_format` is `PXBIN_LOG_FORMAT` in the environment and in `.env`, and `log_format`
in the YAML file. `make env-example` generates `.env.example` from the fields.
"""

from functools import partial
from pathlib import Path
from typing import Annotated, Literal, get_args

import msgspec

from proxy.translation.policies.tool_call_rules import FLAG, MAX_DELAY_MS, MAX_RETRIES
from pxbin_site.conf import parsers
from pxbin_site.conf.setting import Setting

LogLevel = Literal["debug", "info", "warning", "error"]
LOG_LEVELS: tuple[str, ...] = get_args(LogLevel)
YEAR_SECONDS = 31_536_000


class ConfigurationError(Exception):
    """The settings cannot be used. `problems` holds one sentence for each error."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("The settings have problems:\n" + "\n".join(f"- {problem}" for problem in problems))
        self.problems = problems


_PROCESSES = partial(Setting, "Processes and addresses")
_STORES = partial(Setting, "Database and Redis")
_SECRETS = partial(Setting, "Secrets. Empty ones are generated at the first start and stored in secrets.json in the data directory")
_LIMITS = partial(Setting, "Limits of requests")
_GATEWAY = partial(Setting, "Behaviour of the gateway")
_TOOL_CALLS = partial(Setting, "Tool call enforcement, where neither the request nor the model sets it (docs/policies.md)")
_LOGS = partial(Setting, "Request log, the gateway's own log, monitoring")
"""The sections of `.env.example`, in their order."""


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """All settings, checked. Times are in the unit that the name ends with."""

    data_dir: Annotated[
        Path, _PROCESSES("Directory for everything that pxbin writes: SQLite database, secrets, spool of the request log.")
    ] = Path("data")
    listen_addr: Annotated[
        str,
        _PROCESSES("Address and port to listen on; 0.0.0.0:8080 or :8080 listens on all addresses.", parse=parsers.listen_addr),
    ] = "127.0.0.1:8080"
    web_processes: Annotated[
        int,
        _PROCESSES("Web processes that share the address; with more than one, set PXBIN_REDIS_URL too.", "processes", minimum=1),
    ] = 1
    celery: Annotated[bool, _PROCESSES("Run the Celery worker and its scheduler beside the web processes.")] = True
    allowed_hosts: Annotated[
        tuple[str, ...], _PROCESSES("Host names in requests that are accepted; * accepts all.", parse=parsers.hosts)
    ] = ("*",)
    trusted_origins: Annotated[
        tuple[str, ...],
        _PROCESSES(
            "Origins from which browsers open the admin through a TLS proxy, as https://gateway.example.", parse=parsers.trusted_origins
        ),
    ] = ()
    trusted_proxies: Annotated[
        tuple[str, ...],
        _PROCESSES(
            "Addresses or networks of reverse proxies, as 127.0.0.1,10.0.0.0/8: behind them the client's address is read from "
            "X-Forwarded-For or Forwarded. Empty: these headers are ignored.",
            parse=parsers.networks,
        ),
    ] = ()
    cors_origins: Annotated[
        tuple[str, ...],
        _PROCESSES("Origins of web pages that may call /v1 and /api/v1; * allows all.", parse=parsers.origins),
    ] = ()
    admin_session_hours: Annotated[float, _PROCESSES("How long a login to the admin is valid.", "hours", minimum=0.1, maximum=8760)] = 12.0
    debug: Annotated[bool, _PROCESSES("Error pages show source code and settings. Do not use it where others can reach the gateway.")] = (
        False
    )

    database_url: Annotated[
        str,
        _STORES(
            "PostgreSQL, as postgresql://user:password@host:5432/name, or with several hosts "
            "postgresql://u:p@a:5432,b:5432/pxbin?target_session_attrs=read-write. Empty: SQLite in the data directory.",
            parse=parsers.database_url,
            is_secret=True,
        ),
    ] = ""
    database_schema: Annotated[str, _STORES("PostgreSQL schema of all tables; created if it does not exist.", parse=parsers.schema)] = (
        "public"
    )
    max_db_conns: Annotated[int, _STORES("Largest PostgreSQL pool of one process.", "connections", minimum=1)] = 25
    min_db_conns: Annotated[
        int,
        _STORES("Connections that the pool keeps open; must be less than PXBIN_MAX_DB_CONNS.", "connections", minimum=0),
    ] = 5
    redis_url: Annotated[
        str,
        _STORES(
            "State shared by processes and machines: redis://localhost:6379/0, rediss://… or unix:///run/redis.sock. Empty: none.",
            parse=parsers.redis_url,
            is_secret=True,
        ),
    ] = ""

    secret_key: Annotated[str, _SECRETS("Signs admin sessions and encrypts the reasoning that clients send back.", is_secret=True)] = ""
    encryption_key: Annotated[
        str,
        _SECRETS(
            "Passphrase that encrypts the credentials of upstreams; at least 16 characters.", parse=parsers.encryption_key, is_secret=True
        ),
    ] = ""
    encryption_keys_old: Annotated[
        tuple[str, ...],
        _SECRETS(
            "Earlier encryption keys, until `manage.py rotate_encryption_key` has encrypted all credentials with the new one.",
            parse=parsers.encryption_keys,
            is_secret=True,
        ),
    ] = ()
    management_bootstrap_key: Annotated[
        str,
        _SECRETS("With this key a script may create the first management key. Empty: no script may.", is_secret=True),
    ] = ""

    max_body_bytes: Annotated[int, _LIMITS("Largest request body; larger ones are answered with 413.", "bytes", minimum=1)] = (
        32 * 1024 * 1024
    )
    max_buffered_bytes: Annotated[
        int,
        _LIMITS(
            "All request bodies in the memory of one web process, until their responses end; beyond, requests get 503 with Retry-After.",
            "bytes",
            minimum=1,
        ),
    ] = 256 * 1024 * 1024
    max_running_requests: Annotated[
        int,
        _LIMITS(
            "Requests that one web process answers at the same time; beyond, clients get 529 or 503 with Retry-After. 0: no limit.",
            "requests",
            minimum=0,
        ),
    ] = 5000
    shed_lag_seconds: Annotated[
        float,
        _LIMITS(
            "While everything in a web process is late by more than this, a growing share of new requests gets 529 or 503 with "
            "Retry-After, before their bodies are read; first of all those of the busiest keys. 0: never.",
            "seconds",
            minimum=0,
        ),
    ] = 1.0
    header_timeout_seconds: Annotated[float, _LIMITS("Time in which all headers of a request must arrive.", "seconds", minimum=0.01)] = 30.0
    body_timeout_seconds: Annotated[float, _LIMITS("Longest pause while a request body arrives.", "seconds", minimum=0.01)] = 30.0
    keepalive_seconds: Annotated[
        float, _LIMITS("Time without an event on a stream before a keep-alive comment is sent.", "seconds", minimum=0.01)
    ] = 15.0
    drain_seconds: Annotated[float, _LIMITS("Time for running responses to finish when the server stops.", "seconds", minimum=0)] = 15.0

    responses_websocket: Annotated[
        bool, _GATEWAY("Serve /v1/responses as a WebSocket, too. Clients such as Codex use HTTP where it is off.")
    ] = True
    response_headers: Annotated[bool, _GATEWAY("Send X-Pxbin-Upstream and the other debug headers.")] = True
    open_passthrough: Annotated[
        bool, _GATEWAY("Accept requests without a pxb_ key for models whose upstreams take the client's own credential.")
    ] = False
    responses_store_seconds: Annotated[
        float, _GATEWAY("How long /v1/responses stores turns for previous_response_id; 0: not at all.", "seconds", minimum=0)
    ] = 0.0
    remote_object_days: Annotated[
        float,
        _GATEWAY(
            "How long the gateway remembers at which upstream a response, conversation, file or container is; 0: not at all.",
            "days",
            0,
            3650,
        ),
    ] = 30.0
    default_context_window: Annotated[int, _GATEWAY("Context window of models for which no other value is known.", "tokens", minimum=1)] = (
        128_000
    )
    default_max_output_tokens: Annotated[
        int,
        _GATEWAY(
            "The output limit where an API requires one (Anthropic, Bedrock) and neither the client nor the model gives it.",
            "tokens",
            minimum=1,
        ),
    ] = 8192
    rate_limit_rps: Annotated[
        float, _GATEWAY("Request rate of each key in each process; 0: no limit.", "requests per second", minimum=0)
    ] = 0.0
    rate_limit_burst: Annotated[
        int, _GATEWAY("Requests that a key may send at once after a pause; 0: twice the rate.", "requests", minimum=0)
    ] = 0
    budget_status: Annotated[
        int, _GATEWAY("Status of requests that a budget refuses: 402, or 429 for clients that do not know it.", "status", 402, 429)
    ] = 402
    cb_failure_threshold: Annotated[
        int, _GATEWAY("Consecutive failures that open an upstream's circuit breaker.", "failures", minimum=0)
    ] = 5
    cb_timeout_seconds: Annotated[
        float,
        _GATEWAY("How long a circuit breaker stays open before one request probes the upstream.", "seconds", 0, YEAR_SECONDS),
    ] = 30.0
    # One attempt by default: clients retry by themselves, and other upstreams are tried first.
    retry_max_attempts: Annotated[
        int,
        _GATEWAY(
            "For new upstreams: attempts at one target. 3 retries twice after 429, 503 and failed connections.", "attempts", minimum=1
        ),
    ] = 1
    retry_base_delay_ms: Annotated[
        int, _GATEWAY("For new upstreams: delay before the first retry; it doubles with each one.", "milliseconds", minimum=0)
    ] = 1000
    hold_seconds: Annotated[
        float,
        _GATEWAY(
            "How long a stream waits for its first content; then status 200, the opening event and keep-alives are sent.",
            "seconds",
            minimum=0,
        ),
    ] = 10.0
    key_cooldown_seconds: Annotated[
        float, _GATEWAY("For new upstreams: cooldown of a credential that was refused.", "seconds", 0, YEAR_SECONDS)
    ] = 60.0
    health_check_seconds: Annotated[float, _GATEWAY("Interval between health checks of all upstreams; 0: none.", "seconds", minimum=0)] = (
        0.0
    )
    discover_seconds: Annotated[
        float, _GATEWAY("Interval between discoveries of all upstreams' models; 0: none.", "seconds", minimum=0)
    ] = 0.0
    upstream_models_cache_ttl_seconds: Annotated[
        float, _GATEWAY("How long context windows that an upstream lists are cached.", "seconds", minimum=0)
    ] = 3600.0
    upstream_models_fetch_timeout_ms: Annotated[
        int, _GATEWAY("Time limit for listing an upstream's models.", "milliseconds", minimum=1)
    ] = 2000
    http_proxy: Annotated[
        str,
        _GATEWAY(
            "Proxy for calls of upstreams, as http://user:password@proxy:3128; NO_PROXY names exceptions. Empty: HTTPS_PROXY, "
            "HTTP_PROXY and ALL_PROXY of the environment, if they are set.",
            parse=parsers.http_proxy,
            is_secret=True,
        ),
    ] = ""
    allow_link_local: Annotated[bool, _GATEWAY("Link-local and cloud metadata addresses (169.254.0.0/16 ...) may be called.")] = False

    enforce_tool_call_mode: Annotated[
        bool, _TOOL_CALLS("A response must contain a tool call or the termination flag; others are retried.")
    ] = False
    enforce_tool_call_termination_flag: Annotated[
        str, _TOOL_CALLS(f"Text with which a model says that its task is finished. Empty: {FLAG}")
    ] = ""
    enforce_tool_call_max_retries: Annotated[int, _TOOL_CALLS("Retries after the first attempt.", "retries", 1, MAX_RETRIES)] = 10
    enforce_tool_call_guidance: Annotated[
        str, _TOOL_CALLS("Text that is added to the system prompt; {flag} in it stands for the flag. Empty: pxbin's own text.")
    ] = ""
    enforce_tool_call_stream_chunk_delay_ms: Annotated[
        int, _TOOL_CALLS("Delay between the pieces of a validated stream.", "milliseconds", 0, MAX_DELAY_MS)
    ] = 0
    enforce_tool_call_empty_response_policy: Annotated[
        Literal["strict", "lenient"], _TOOL_CALLS("Whether an empty response is retried (strict) or accepted (lenient).")
    ] = "strict"

    log_buffer_size: Annotated[int, _LOGS("Request log lines held in memory while the disk cannot be written.", "lines", minimum=0)] = (
        10_000
    )
    log_retention_days: Annotated[int, _LOGS("How long the request log is stored; 0: for ever.", "days")] = 90
    payload_retention_days: Annotated[
        int, _LOGS("How long the bodies of requests are stored, for keys and models that capture them; 0: for ever.", "days")
    ] = 7
    log_body_max_chars: Annotated[
        int,
        _LOGS("Characters that are stored of each body, for keys and models that capture them; 0: no bodies.", "characters", 0, 1_000_000),
    ] = 4096
    log_stream_text_preview_chars: Annotated[
        int, _LOGS("Characters that are stored of the text of a stream, for the same; 0: no streams.", "characters", 0, 1_000_000)
    ] = 256
    email_url: Annotated[
        str,
        _LOGS(
            "Mail server for alerts, as smtp://user:password@mail.example:587?tls=True, smtp+ssl://… or smtp+tls://…. Empty: no e-mail.",
            parse=parsers.email_url,
            is_secret=True,
        ),
    ] = ""
    email_from: Annotated[str, _LOGS("Sender of alerts by e-mail.")] = "pxbin@localhost"
    tag_keys: Annotated[
        tuple[str, ...],
        _LOGS(
            "Tags by which requests are counted: from the metadata of the client key, the header X-Pxbin-Tag-<key>, or metadata in the "
            "body (user_id for Anthropic's). Empty: none.",
            parse=parsers.tag_keys,
        ),
    ] = ("team", "project", "user")
    price_url: Annotated[
        str,
        _LOGS(
            "A price file in LiteLLM's format: an address, from which it is fetched once a day, or a path. "
            "Its prices come before the bundled ones; empty: none."
        ),
    ] = ""
    log_format: Annotated[Literal["json", "text"], _LOGS("Format of the gateway's own log on standard error.")] = "json"
    log_level: Annotated[LogLevel, _LOGS("Lowest level that is logged.")] = "info"
    metrics_enabled: Annotated[bool, _LOGS("Count requests and serve /metrics for Prometheus, without a key.")] = False

    # Not settings: derived while the settings are loaded.
    seal_key: bytes = b""
    has_own_address: bool = False
    """Whether `listen_addr` is set; else the port of a file of another gateway counts."""
    new_secrets: dict[str, str] = {}
    """Secrets generated in this process because none are set or stored; `serve` stores them."""
    provider_keys: dict[str, str] = {}
    """Keys of providers by environment variable."""
    environment_proxies: dict[str, str] = {}
    """``HTTP_PROXY`` and the like, by ``http``, ``https``, ``all`` and ``no`` (the exceptions)."""
    unknown_variables: tuple[str, ...] = ()
    """Variables that begin with `PXBIN_` and are not settings."""

    @property
    def listen_host(self) -> str:
        """The address to listen on; `:8080` in `listen_addr` means all addresses."""
        return parsers.split_listen_addr(self.listen_addr)[0]

    @property
    def listen_port(self) -> int:
        """The TCP port to listen on; 0 lets the system choose one."""
        return parsers.split_listen_addr(self.listen_addr)[1]
