"""A setting is declared once: its variable, parser, YAML key, error messages and `.env.example` lines follow from the field."""

from typing import Annotated, Literal

import pytest

from pxbin_site.conf import env_example, loading
from pxbin_site.conf.config import Config, ConfigurationError
from pxbin_site.conf.setting import Setting, declarations


class Extended(Config, frozen=True, kw_only=True):
    greeting_seconds: Annotated[float, Setting("Greetings", "Time for a greeting.", "seconds", minimum=0.5, maximum=60)] = 2.5
    greeting_languages: Annotated[tuple[str, ...], Setting("Greetings", "Languages in which pxbin greets.")] = ("en", "fr")
    greeting_style: Annotated[Literal["short", "long"], Setting("Greetings", "Length of the greeting.")] = "short"
    greeting_token: Annotated[int, Setting("Greetings", "Number that must not be shown.", "tokens", is_secret=True)] = 0


def load(directory, **variables):
    loaded = loading.load(variables, directory=directory, config_type=Extended)
    return loaded.greeting_seconds, loaded.greeting_languages, loaded.greeting_style, loaded.greeting_token


def test_a_declared_setting_is_read_from_every_source(tmp_path):
    assert load(tmp_path) == (2.5, ("en", "fr"), "short", 0)
    (tmp_path / "config.yaml").write_text("greeting_seconds: 1\ngreeting_languages: [de, it]\ngreeting_style: long\n")
    assert load(tmp_path) == (1.0, ("de", "it"), "long", 0)
    (tmp_path / ".env").write_text("PXBIN_GREETING_SECONDS=3\nPXBIN_GREETING_LANGUAGES=es, pt\n")
    assert load(tmp_path) == (3.0, ("es", "pt"), "long", 0)
    assert load(tmp_path, PXBIN_GREETING_SECONDS="4", PXBIN_GREETING_TOKEN="7") == (4.0, ("es", "pt"), "long", 7)


def test_its_errors_follow_from_the_declaration(tmp_path):
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, PXBIN_GREETING_SECONDS="61", PXBIN_GREETING_STYLE="loud", PXBIN_GREETING_TOKEN="secret")
    assert caught.value.problems == [
        "PXBIN_GREETING_SECONDS='61': must be a number, 60 at most",
        "PXBIN_GREETING_STYLE='loud': must be one of short, long",
        "PXBIN_GREETING_TOKEN: must be a whole number",
    ]


def test_it_is_rendered_in_the_example():
    section = """\
# --- Greetings ---

# Time for a greeting. Unit: seconds, 0.5 to 60.
#PXBIN_GREETING_SECONDS=2.5
# Languages in which pxbin greets. Comma-separated.
#PXBIN_GREETING_LANGUAGES=en,fr
# Length of the greeting. One of short, long.
#PXBIN_GREETING_STYLE=short
# Number that must not be shown. Unit: tokens.
#PXBIN_GREETING_TOKEN=0

"""
    rendered = env_example.render(Extended)
    assert rendered.count(section) == 1
    assert rendered.replace(section, "") == env_example.render()


def test_what_is_not_a_setting_cannot_be_set(tmp_path):
    derived = {"seal_key", "has_own_address", "new_secrets", "provider_keys", "environment_proxies", "unknown_variables"}
    assert set(Config.__struct_fields__) - set(declarations(Config)) == derived
    (tmp_path / "config.yaml").write_text("seal_key: x\n")
    with pytest.raises(ConfigurationError) as caught:
        loading.load({"PXBIN_NEW_SECRETS": "x"}, directory=tmp_path)
    assert caught.value.problems == [f"{tmp_path}/config.yaml: there is no setting seal_key"]


@pytest.mark.parametrize("declaration", declarations(Config).values(), ids=lambda declaration: declaration.field)
def test_every_setting_has_a_help_sentence_and_every_number_a_unit(declaration):
    assert declaration.setting.help[0].isupper()
    assert bool(declaration.setting.unit) is (declaration.type in (int, float))


def test_values_that_can_contain_secrets_are_not_shown():
    secrets = {name for name, declaration in declarations(Config).items() if declaration.setting.is_secret}
    assert secrets == {
        "database_url",
        "redis_url",
        "secret_key",
        "encryption_key",
        "encryption_keys_old",
        "management_bootstrap_key",
        "http_proxy",
        "email_url",
    }
