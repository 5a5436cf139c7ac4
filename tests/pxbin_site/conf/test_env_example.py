"""`.env.example` is what the settings render, and each of its lines can be uncommented."""

import re
from pathlib import Path

import pytest
import yaml

from pxbin_site.conf import env_example, loading
from pxbin_site.conf.config import Config
from pxbin_site.conf.providers import PROVIDERS
from pxbin_site.conf.setting import declarations
from pxbin_site.conf.sources import CONFIG_PATH, ENV_FILE

ROOT = Path(__file__).resolve().parents[3]
EXAMPLE, COMPOSE = env_example.FILE, ROOT / "docker-compose.yml"
EXAMPLES = re.findall(r"^#([A-Z_]+)=(.*)$", EXAMPLE.read_text(), re.MULTILINE)
COMPOSE_VARIABLES = dict(re.findall(r"\$\{([A-Z_]+):(.*?)\}", COMPOSE.read_text()))


def test_the_file_is_what_the_settings_render():
    assert EXAMPLE.read_text() == env_example.render(), "run `make env-example`"


def test_it_names_every_variable_once():
    settings = {declaration.variable for declaration in declarations(Config).values()}
    providers = {provider.variable for provider in PROVIDERS}
    assert sorted(name for name, _ in EXAMPLES) == sorted(settings | {CONFIG_PATH, ENV_FILE} | providers | set(COMPOSE_VARIABLES))


@pytest.mark.parametrize("lines", [*([line] for line in EXAMPLES), EXAMPLES], ids=lambda lines: lines[0][0] if len(lines) == 1 else "all")
def test_an_uncommented_line_sets_the_default(tmp_path, lines):
    text = EXAMPLE.read_text()
    for name, value in lines:
        text = text.replace(f"#{name}={value}\n", f"{name}={value}\n")
    (tmp_path / ".env").write_text(text)
    has_own_address = "PXBIN_LISTEN_ADDR" in dict(lines)
    assert loading.load({}, directory=tmp_path) == Config(data_dir=tmp_path / "data", has_own_address=has_own_address)
    assert [line for line in text.splitlines() if line and not line.startswith("#")] == [f"{name}={value}" for name, value in lines]


def test_compose_takes_the_secrets_and_its_address_from_the_env_file():
    assert {f"{name}={value}" for name, value in COMPOSE_VARIABLES.items()} == {
        "POSTGRES_PASSWORD=?set it in .env",
        "PXBIN_SECRET_KEY=?set it in .env",
        "PXBIN_ENCRYPTION_KEY=?set it in .env",
        f"PUBLISHED_ADDR=-{dict(EXAMPLES)['PUBLISHED_ADDR']}",
    }
    services = yaml.safe_load(COMPOSE.read_text())["services"]
    assert services["proxy"]["ports"] == ["${PUBLISHED_ADDR:-127.0.0.1:8080}:8080"]
    assert services["web"]["environment"]["PXBIN_LISTEN_ADDR"] == ":8080"
    assert services["web"]["env_file"] == services["worker"]["env_file"] == [{"path": ".env", "required": False}]
