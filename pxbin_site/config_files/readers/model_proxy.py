"""Reads model-proxy's configuration: logical models with ordered routes to providers, and the keys in its environment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pxbin_site.conf.setting import env_name
from pxbin_site.config_files.configuration import Configuration, Options, SettingLine
from pxbin_site.config_files.documents import ConfigFileError, Document, Steps
from pxbin_site.config_files.formats import MODEL_PROXY
from pxbin_site.config_files.readers import model_proxy_files
from pxbin_site.config_files.readers.common import leave_out_others, take_over_key
from pxbin_site.config_files.readers.fields import objects, of_type, optional
from pxbin_site.config_files.readers.model_proxy_files import Entry, Setup, files_of
from pxbin_site.config_files.readers.model_proxy_providers import Providers

PORT = 9876
CLIENT_KEY = "CLIENT_API_KEY"
SETTINGS = {
    "DEFAULT_CONTEXT_WINDOW": "default_context_window",
    "KEY_COOLDOWN_SECONDS": "key_cooldown_seconds",
    "UPSTREAM_MODELS_CACHE_TTL_SECONDS": "upstream_models_cache_ttl_seconds",
    "UPSTREAM_MODELS_FETCH_TIMEOUT_MS": "upstream_models_fetch_timeout_ms",
    "CORS_ORIGINS": "cors_origins",
    "LOG_LEVEL": "log_level",
    "ENFORCE_TOOL_CALL_MODE": "enforce_tool_call_mode",
}
"""Our setting of each of its variables."""
ENFORCEMENT = {
    "TERMINATION_FLAG": "termination_flag",
    "MAX_RETRIES": "max_retries",
    "GUIDANCE": "guidance",
    "INJECTION_GUIDANCE": "guidance",
    "STREAM_CHUNK_DELAY_MS": "stream_chunk_delay_ms",
    "STREAM_CHUNK_DELAY": "stream_chunk_delay_ms",
    "EMPTY_RESPONSE_POLICY": "empty_response_policy",
}
PREFIXES = ("ENFORCE_TOOL_CALL_", "TOOL_CALL_", "")
"""How its variables for the rules of tool call enforcement begin; one without a beginning is a name of its own only at the end."""
WITHOUT_PREFIX = frozenset({"STREAM_CHUNK_DELAY", "EMPTY_RESPONSE_POLICY"})
TRUE_WORDS = frozenset({"1", "true", "yes", "on"})
RULES_FIELDS = ("enforce_tool_call", "enforce_tool_calls", "tool_call_enforcement", "enforcement", "enforce")
SWITCHES = {
    "buffer_partial_tool_calls": "buffer_tool_calls",
    "buffer_tool_calls": "buffer_tool_calls",
    "smooth_streaming": "smooth_streaming",
}
BODIES = {"openai_body_defaults": "body_defaults", "openai_body_extensions": "body_extensions"}
MODEL_FIELDS = (
    "logical_name", "timeout_seconds", "default_cooldown_seconds", "context_window", "model_routings", "fallback_model_routings",
    "display_name", "auto_fix_tool_responses", *RULES_FIELDS, *SWITCHES, *BODIES,
)  # fmt: skip
TIMEOUT_SECONDS = 60.0

__all__ = ["files_of", "read"]


def read(document: Document, options: Options) -> Configuration:
    """The configuration of a directory or a bundle. Raises :class:`ConfigFileError`."""
    is_directory = Path(document.path).is_dir()
    setup = (model_proxy_files.from_directory if is_directory else model_proxy_files.from_bundle)(document, options.variables)
    configuration = Configuration(format=MODEL_PROXY, sections=["upstreams", "credentials", "models", "routes"])
    reader = _Reader(configuration, setup)
    problems: list[str] = []
    for kind in ("models", "audio_models"):
        for entry in setup.entries[kind]:
            try:
                reader.read_model(entry)
            except ConfigFileError as error:
                problems += error.problems
    if problems:
        raise ConfigFileError(*problems)
    _read_environment(configuration, setup)
    reader.providers.warn_of_missing_keys()
    return configuration


def _read_environment(configuration: Configuration, setup: Setup) -> None:
    place = setup.document.path
    key = setup.variables.get(CLIENT_KEY, "").strip()
    if key:
        take_over_key(configuration, f"{place}: {CLIENT_KEY}", key, MODEL_PROXY)
    else:
        configuration.warn(f"{CLIENT_KEY} is not set: clients need a pxb_ key")
    port = setup.own_variables.get("PORT", "")
    configuration.port = int(port) if port.isascii() and port.isdigit() else PORT
    configuration.host = setup.own_variables.get("HOST", "").strip()
    for variable, field in SETTINGS.items():
        value = setup.variables.get(variable, "").strip()
        if value and (variable in setup.own_variables or variable not in ("CORS_ORIGINS", "LOG_LEVEL")):
            value = "warning" if (variable, value.lower()) == ("LOG_LEVEL", "warn") else value
            configuration.settings.append(SettingLine(name=env_name(field), value=value))


def _rules_of_environment(variables: dict[str, str]) -> dict[str, Any]:
    """The rules of tool call enforcement that apply to every model; empty if it is off."""
    if variables.get("ENFORCE_TOOL_CALL_MODE", "").strip().lower() not in TRUE_WORDS:
        return {}
    rules: dict[str, Any] = {"enabled": True}
    for name, rule in ENFORCEMENT.items():
        names = [f"{prefix}{name}" for prefix in PREFIXES if prefix or name in WITHOUT_PREFIX]
        value = next((variables[variable].strip() for variable in names if variables.get(variable, "").strip()), "")
        if value and rule not in rules:
            rules[rule] = int(value) if value.isascii() and value.isdigit() else value
    return rules


class _Reader:
    """Reads the logical models of one installation."""

    def __init__(self, configuration: Configuration, setup: Setup) -> None:
        self.configuration, self.setup = configuration, setup
        self.providers = Providers(configuration, setup)
        self._rules = _rules_of_environment(setup.variables)
        self._names: set[str] = set()
        window = setup.variables.get("DEFAULT_CONTEXT_WINDOW", "").strip()
        self._window = int(window) if window.isascii() and window.isdigit() else None

    def read_model(self, entry: Entry) -> None:
        document, steps = entry.document, entry.steps
        of_type(document, steps, _value(entry), dict)
        name = optional(document, (*steps, "logical_name"), str) or entry.name
        if name in self._names:
            raise document.error((*steps, "logical_name"), f"{name} is the name of another model already")
        self._names.add(name)
        place = document.place(steps)
        routes = list(objects(document, (*steps, "model_routings")))
        self.configuration.add(
            "models",
            place,
            name=name,
            display_name=optional(document, (*steps, "display_name"), str),
            context_window=optional(document, (*steps, "context_window"), int) or self._window,
            timeout_seconds=self._timeout(entry, [route for route, _ in routes]),
            cooldown_seconds=optional(document, (*steps, "default_cooldown_seconds"), float),
            fallbacks=self._fallbacks(entry) or None,
            tool_enforcement=self._enforcement(entry) or None,
            **self._policies(entry, [route for route, _ in routes]),
        )
        for number, (route, _) in enumerate(routes):
            self.providers.add_route(document, route, name, priority=number, default_timeout=self._default_timeout(entry))
        leave_out_others(self.configuration, document, steps, MODEL_FIELDS)

    @staticmethod
    def _default_timeout(entry: Entry) -> float | None:
        return optional(entry.document, (*entry.steps, "timeout_seconds"), float)

    def _timeout(self, entry: Entry, routes: list[Steps]) -> float | None:
        """The total of the routes' times, one after the other; none if the file states none."""
        default = self._default_timeout(entry)
        route_seconds = [optional(entry.document, (*route, "timeout_seconds"), float) for route in routes]
        if default is None and not any(route_seconds):
            return None
        return sum(seconds or default or TIMEOUT_SECONDS for seconds in route_seconds) or default

    @staticmethod
    def _fallbacks(entry: Entry) -> list[str]:
        """The names of logical models; an entry is a name, or an object with one."""
        names = []
        for index, item in enumerate(optional(entry.document, (*entry.steps, "fallback_model_routings"), list) or []):
            name = item.get("logical_name") or item.get("model") if isinstance(item, dict) else item
            names.append(of_type(entry.document, (*entry.steps, "fallback_model_routings", index), name, str))
        return names

    def _enforcement(self, entry: Entry) -> dict[str, Any]:
        rules: Any = next((value for name in RULES_FIELDS if (value := _value(entry).get(name)) is not None), {})
        return {**self._rules, **({"enabled": rules} if isinstance(rules, bool) else rules)}

    @staticmethod
    def _policies(entry: Entry, routes: list[Steps]) -> dict[str, Any]:
        """What the file sets for a model or its routes, and pxbin for a model."""
        policies: dict[str, Any] = {}
        for steps in (*reversed(routes), entry.steps):
            for theirs, ours in SWITCHES.items():
                policies[ours] = optional(entry.document, (*steps, theirs), bool) or policies.get(ours)
            for theirs, ours in BODIES.items():
                policies[ours] = optional(entry.document, (*steps, theirs), dict) or policies.get(ours)
        return policies


def _value(entry: Entry) -> Any:
    value = entry.document.value
    for step in entry.steps:
        value = value[step]
    return value
