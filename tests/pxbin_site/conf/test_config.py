"""Loading the settings: the order of the sources, the values of each type, and that all errors are reported at once."""

import os

import pytest

from pxbin_site.conf import loading
from pxbin_site.conf.config import Config, ConfigurationError
from pxbin_site.processes import bootstrap


def load(directory, **variables):
    return loading.load(variables, directory=directory)


def problems(directory, **variables):
    with pytest.raises(ConfigurationError) as caught:
        load(directory, **variables)
    return caught.value.problems


def test_nothing_set_means_the_defaults(tmp_path):
    assert load(tmp_path) == Config(data_dir=tmp_path / "data")


def test_an_empty_value_means_the_default(tmp_path):
    assert load(tmp_path, PXBIN_REDIS_URL="", PXBIN_LOG_RETENTION_DAYS=" ", PXBIN_CONFIG_PATH="") == load(tmp_path)


def test_the_environment_overrides_the_env_file_and_that_the_yaml_file(tmp_path):
    (tmp_path / "config.yaml").write_text(
        "log_format: text\nlog_level: debug\nlog_retention_days: 30\ncors_origins: [http://a, http://b]\n"
    )
    (tmp_path / ".env").write_text("PXBIN_LOG_LEVEL=warning\nPXBIN_LOG_RETENTION_DAYS=20\n")
    loaded = load(tmp_path, PXBIN_LOG_RETENTION_DAYS="10")
    assert (loaded.log_format, loaded.log_level, loaded.log_retention_days) == ("text", "warning", 10)
    assert loaded.cors_origins == ("http://a", "http://b")


def test_reading_an_env_file_leaves_the_process_environment_alone(tmp_path, monkeypatch):
    monkeypatch.delenv("PXBIN_LOG_LEVEL", raising=False)
    (tmp_path / ".env").write_text("PXBIN_LOG_LEVEL=error\n")
    assert load(tmp_path).log_level == "error"
    assert load(tmp_path, PXBIN_ENV_FILE=os.devnull).log_level == "info"


def test_the_yaml_file_can_be_in_another_place(tmp_path):
    (tmp_path / "other.yaml").write_text("database_schema: gateway\n")
    assert load(tmp_path, PXBIN_CONFIG_PATH="other.yaml").database_schema == "gateway"


def test_all_errors_are_reported_at_once(tmp_path):
    (tmp_path / "config.yaml").write_text("listen_adr: ':1'\nlog_format: xml\n")
    errors = problems(
        tmp_path,
        PXBIN_LISTEN_ADDR="8080",
        PXBIN_DATABASE_URL="mysql://x",
        PXBIN_DATABASE_SCHEMA="Drop Table",
        PXBIN_ENCRYPTION_KEY="too short",
        PXBIN_LOG_BUFFER_SIZE="-1",
        PXBIN_MAX_DB_CONNS="5",
        PXBIN_METRICS_ENABLED="maybe",
        PXBIN_RATE_LIMIT_RPS="nan",
    )
    assert sorted(errors) == [
        f"{tmp_path}/config.yaml: there is no setting listen_adr",
        "PXBIN_DATABASE_SCHEMA='Drop Table': must match [a-z_][a-z0-9_]*",
        "PXBIN_DATABASE_URL: must begin with postgresql:// or postgres:// or sqlite://",
        "PXBIN_ENCRYPTION_KEY: must have at least 16 characters",
        "PXBIN_LISTEN_ADDR='8080': must look like :8080 or 127.0.0.1:8080",
        "PXBIN_LOG_BUFFER_SIZE='-1': must be a whole number, 0 or more",
        "PXBIN_LOG_FORMAT='xml': must be one of json, text",
        "PXBIN_MAX_DB_CONNS: must be greater than PXBIN_MIN_DB_CONNS",
        "PXBIN_METRICS_ENABLED='maybe': must be true or false",
        "PXBIN_RATE_LIMIT_RPS='nan': must be a number, 0 or more",
    ]


def test_networks_may_be_addresses_and_are_checked(tmp_path):
    loaded = load(tmp_path, PXBIN_TRUSTED_PROXIES="127.0.0.1, 10.1.2.3/8, FD00::/8")
    assert loaded.trusted_proxies == ("127.0.0.1/32", "10.0.0.0/8", "fd00::/8")
    assert problems(tmp_path, PXBIN_TRUSTED_PROXIES="10.0.0.0/33") == [
        "PXBIN_TRUSTED_PROXIES='10.0.0.0/33': '10.0.0.0/33' is not an address or a network: use 10.0.0.1, 10.0.0.0/8 or fd00::/8"
    ]


@pytest.mark.parametrize("content", ["- a list", "a: b: c", "\x00"])
def test_an_invalid_yaml_file_is_an_error(tmp_path, content):
    (tmp_path / "config.yaml").write_text(content)
    [problem] = problems(tmp_path)
    assert problem.startswith(f"{tmp_path}/config.yaml: ")


def test_a_yaml_file_that_is_named_must_exist(tmp_path):
    assert problems(tmp_path, PXBIN_CONFIG_PATH="gone.yaml") == [f"PXBIN_CONFIG_PATH: there is no file {tmp_path}/gone.yaml"]


def test_an_env_file_that_is_named_must_exist(tmp_path):
    assert problems(tmp_path, PXBIN_ENV_FILE="gone.env") == [f"PXBIN_ENV_FILE: there is no file {tmp_path}/gone.env"]


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("PXBIN_SECRET_KEY=ab#cd", "ab#cd"),
        ("PXBIN_SECRET_KEY=ab cd  # a comment", "ab cd"),
        ("PXBIN_SECRET_KEY=                 # a comment", ""),
        (" PXBIN_SECRET_KEY = ab\t", "ab"),
        ("export PXBIN_SECRET_KEY=ab", "ab"),
        ("PXBIN_SECRET_KEY='ab # cd'  # a comment", "ab # cd"),
        ('PXBIN_SECRET_KEY="ab # cd"', "ab # cd"),
        ("PXBIN_SECRET_KEY=$ab${cd}", "$ab${cd}"),
        ("# PXBIN_SECRET_KEY=ab", ""),
        ("PXBIN_SECRET_KEY", ""),
    ],
)
def test_a_line_of_the_env_file_is_parsed(tmp_path, line, value):
    (tmp_path / ".env").write_text(f"{line}\r\nPXBIN_LOG_LEVEL=debug\r\n")
    loaded = load(tmp_path)
    assert (loaded.secret_key, loaded.log_level) == (value, "debug")


def test_invalid_lines_of_the_env_file_are_reported_without_their_text(tmp_path):
    (tmp_path / ".env").write_text('PXBIN_DEBUG=no\n\n\nmy key is sk-1\nOPENAI_API_KEY="sk-2" "sk-3"\n')
    assert problems(tmp_path) == [f"{tmp_path}/.env: line {number} is not of the form NAME=value" for number in (4, 5)]


def test_an_env_file_that_is_not_utf8_is_an_error(tmp_path):
    (tmp_path / ".env").write_bytes(b"\xff")
    [problem] = problems(tmp_path)
    assert problem.startswith(f"{tmp_path}/.env: cannot be read: ")


@pytest.mark.parametrize(
    ("value", "address"),
    [
        (":8080", ("0.0.0.0", 8080)),
        ("127.0.0.1:0", ("127.0.0.1", 0)),
        ("[::1]:9", ("::1", 9)),
        ("gateway.example:80", ("gateway.example", 80)),
    ],
)
def test_addresses_to_listen_on(tmp_path, value, address):
    loaded = load(tmp_path, PXBIN_LISTEN_ADDR=value)
    assert (loaded.listen_host, loaded.listen_port) == address


@pytest.mark.parametrize("value", ["8080", "host:", "host:http", ":65536", ":-1", ":8080/"])
def test_an_invalid_address_is_refused(tmp_path, value):
    assert problems(tmp_path, PXBIN_LISTEN_ADDR=value) == [f"PXBIN_LISTEN_ADDR={value!r}: must look like :8080 or 127.0.0.1:8080"]


@pytest.mark.parametrize(("text", "value"), [("true", True), ("1", True), ("On", True), ("false", False), ("0", False), ("no", False)])
def test_booleans(tmp_path, text, value):
    assert load(tmp_path, PXBIN_METRICS_ENABLED=text).metrics_enabled is value


def test_old_encryption_keys_need_a_new_one(tmp_path):
    old = "an old key that is long enough"
    assert problems(tmp_path, PXBIN_ENCRYPTION_KEYS_OLD=old) == [
        "PXBIN_ENCRYPTION_KEYS_OLD: needs PXBIN_ENCRYPTION_KEY, the key that replaces them"
    ]
    assert load(tmp_path, PXBIN_ENCRYPTION_KEYS_OLD=old, PXBIN_ENCRYPTION_KEY="a new key, long enough").encryption_keys_old == (old,)


def test_keys_of_providers_are_read_from_the_environment_and_in_the_env_file(tmp_path):
    (tmp_path / ".env").write_text("GROQ_API_KEY=gsk-2\n")
    assert load(tmp_path, OPENAI_API_KEY="sk-1", XAI_API_KEY="").provider_keys == {"OPENAI_API_KEY": "sk-1", "GROQ_API_KEY": "gsk-2"}


def test_unknown_variables_with_the_prefix_are_listed(tmp_path):
    loaded = load(tmp_path, PXBIN_LISTEN_ADRR=":1", PXBIN_TEST_SIZE="proof", PXBIN_ENV_FILE=os.devnull, PATH="/bin")
    assert loaded.unknown_variables == ("PXBIN_LISTEN_ADRR",)


def test_numbers_of_tool_call_enforcement_have_an_upper_bound(tmp_path):
    errors = problems(tmp_path, PXBIN_ENFORCE_TOOL_CALL_MAX_RETRIES="51", PXBIN_ENFORCE_TOOL_CALL_STREAM_CHUNK_DELAY_MS="10001")
    assert sorted(errors) == [
        "PXBIN_ENFORCE_TOOL_CALL_MAX_RETRIES='51': must be a whole number, 50 at most",
        "PXBIN_ENFORCE_TOOL_CALL_STREAM_CHUNK_DELAY_MS='10001': must be a whole number, 10000 at most",
    ]


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("CORS_ORIGINS", "nonsense", "'nonsense' is not an origin: use https://host or https://host:port, without a path, or *"),
        ("CORS_ORIGINS", "http://a,a/b", "'a/b' is not an origin: use https://host or https://host:port, without a path, or *"),
        ("TRUSTED_ORIGINS", "*", "'*' is not an origin: use https://host or https://host:port, without a path"),
        ("ALLOWED_HOSTS", "https://a", "'https://a' is not a host name: use gateway.example, .example for all its subdomains, or *"),
        ("REDIS_URL", "redis://h:port/0", "has an invalid host or port"),
        ("REDIS_URL", "unix://", "must name a socket, as in unix:///run/redis.sock"),
        ("DATABASE_URL", "postgresql://u:secret@h:port/db", "has an invalid host or port"),
        ("DATABASE_URL", "postgresql://u:secret@[h/db", "has an invalid host or port"),
        ("DATABASE_URL", "postgresql://u@a:1,,c:3/db", "has an empty host in its list of hosts"),
        ("DATABASE_URL", "postgresql://", "must end with the name of a database, as in postgresql://user:password@host:5432/pxbin"),
        ("DATABASE_URL", "sqlite:///", "must name a file, as in sqlite:////var/lib/pxbin/pxbin.sqlite3"),
        ("HEADER_TIMEOUT_SECONDS", "0", "must be a number, 0.01 or more"),
        ("KEEPALIVE_SECONDS", "nan", "must be a number, 0.01 or more"),
    ],
)  # fmt: skip
def test_an_invalid_value_is_refused_with_a_sentence(tmp_path, name, value, sentence):
    value_in_message = "" if name in {"REDIS_URL", "DATABASE_URL"} else f"={value!r}"  # both may contain a password
    assert problems(tmp_path, **{f"PXBIN_{name}": value}) == [f"PXBIN_{name}{value_in_message}: {sentence}"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CORS_ORIGINS", "*"),
        ("CORS_ORIGINS", "https://a.example:8443,http://localhost:5173,http://[::1]:1,app://obsidian.md"),
        ("TRUSTED_ORIGINS", "https://*.example,http://127.0.0.1:8080"),
        ("ALLOWED_HOSTS", "*,.example,127.0.0.1,[::1]"),
        ("REDIS_URL", "rediss://user:p%40ss@h:6380/1"),
        ("REDIS_URL", "unix:///run/redis.sock?db=1"),
        ("DATABASE_URL", "postgresql://u:p%40:x@a:5432,b:5433/pxbin?target_session_attrs=read-write"),
        ("DATABASE_URL", "postgres:///pxbin?host=/run/postgresql"),
        ("DATABASE_URL", "sqlite:////var/lib/pxbin.sqlite3"),
    ],
)
def test_a_valid_value_is_accepted(tmp_path, name, value):
    value_read = getattr(load(tmp_path, **{f"PXBIN_{name}": value}), name.lower())
    assert value_read in (value, tuple(value.split(",")))


def test_a_data_directory_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "data").write_text("a file")
    with pytest.raises(ConfigurationError) as caught, bootstrap.exclusive_setup(load(tmp_path)):
        pass
    assert caught.value.problems == [f"PXBIN_DATA_DIR: {tmp_path / 'data'} cannot be written to (File exists)"]
