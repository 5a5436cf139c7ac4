"""Reads model-proxy's providers, and the routes that lead to them. A route that differs from its provider gets an upstream of its own."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

from proxy.translation.dialects.lookup import FORMATS, dialect_named
from pxbin_site.config_files.configuration import Configuration
from pxbin_site.config_files.documents import Document, Steps
from pxbin_site.config_files.readers.common import UpstreamNames, leave_out_others, preset_of
from pxbin_site.config_files.readers.fields import optional, required, value_at
from pxbin_site.config_files.readers.model_proxy_files import Entry, Setup
from pxbin_site.config_files.readers.wire_names import CHAT, MODEL_PROXY_PROTOCOLS
from pxbin_site.config_files.secret_references import ENV, Secret
from upstreams.http.urls import url_for

INDEX = "{INDEX}"
PROVIDER_FIELDS = ("name", "enabled", "api_keys", "endpoints", "authentication", "models")
ROUTE_FIELDS = (
    "provider", "model", "wire_protocol", "base_url", "api_key_env", "timeout_seconds", "cooldown_seconds", "context_window",
    "capabilities", "pricing", "enabled", "buffer_partial_tool_calls", "smooth_streaming", "openai_body_defaults", "openai_body_extensions",
)  # fmt: skip
INPUT_PRICES = ("input", "prompt", "input_per_million", "input_cost_per_million", "input_per_1m")
OUTPUT_PRICES = ("output", "completion", "output_per_million", "output_cost_per_million", "output_per_1m")


class Providers:
    """The providers of one installation, by name. An upstream is declared when the first route leads to it."""

    def __init__(self, configuration: Configuration, setup: Setup) -> None:
        self.configuration, self.setup = configuration, setup
        self._entries: dict[str, Entry] = {}
        self._names = UpstreamNames()
        self._upstreams: dict[tuple[Any, ...], dict[str, Any]] = {}
        """The values of each declared upstream by what makes it differ from others of its provider."""
        self._without_key: dict[str, list[str]] = {}
        for entry in setup.entries["providers"]:
            name = optional(entry.document, (*entry.steps, "name"), str) or entry.name
            self._entries[name] = entry
        for name in self._entries:  # also those without a route: their keys are worth keeping
            self._upstream(name, {}, None)

    def warn_of_missing_keys(self) -> None:
        """Note each provider of which no key was found."""
        for name, variables in self._without_key.items():
            self.configuration.warn(f"provider {name} has no key: {', '.join(variables)} is not set")

    def add_route(self, document: Document, steps: Steps, model: str, *, priority: int, default_timeout: float | None) -> None:
        """Declare a route of a model."""
        provider = required(document, (*steps, "provider"), str)
        if provider not in self._entries:
            raise document.error((*steps, "provider"), f"there is no provider {provider}")
        overrides = {
            "wire_protocol": optional(document, (*steps, "wire_protocol"), str),
            "base_url": optional(document, (*steps, "base_url"), str),
            "api_key_env": _texts(document, (*steps, "api_key_env")),
            "cooldown_seconds": optional(document, (*steps, "cooldown_seconds"), float),
        }
        overrides = {name: value for name, value in overrides.items() if value}
        timeout = optional(document, (*steps, "timeout_seconds"), float) or default_timeout
        upstream = self._upstream(provider, overrides, (document, steps))
        if timeout and not self.setup.is_own:
            upstream["first_byte_timeout_seconds"] = max(timeout, upstream.get("first_byte_timeout_seconds") or 0.0)
        remote_name = required(document, (*steps, "model"), str)
        multimodal = optional(document, (*steps, "capabilities", "multimodal"), bool)
        self.configuration.add(
            "routes",
            document.place(steps),
            model=model,
            upstream=upstream["name"],
            remote_name=remote_name,
            priority=priority,
            is_active=optional(document, (*steps, "enabled"), bool),
            context_window=optional(document, (*steps, "context_window"), int) or self._listed_window(provider, remote_name),
            capabilities=None if multimodal is None else {"images": multimodal},
        )
        self._add_price(document, (*steps, "pricing"), upstream["name"], remote_name)
        leave_out_others(self.configuration, document, steps, ROUTE_FIELDS)

    def _listed_window(self, provider: str, remote_name: str) -> int | None:
        entry = self._entries[provider]
        steps = (*entry.steps, "models", remote_name)
        fields = ("context_length", "context_window")
        return next((window for field in fields if (window := optional(entry.document, (*steps, field), int))), None)

    def _add_price(self, document: Document, steps: Steps, upstream: str, remote_name: str) -> None:
        pricing = optional(document, steps, dict)
        if not pricing:
            return
        rates = [next((pricing[name] for name in names if pricing.get(name) is not None), None) for names in (INPUT_PRICES, OUTPUT_PRICES)]
        if rates == [None, None]:
            self.configuration.leave_out(document, steps, "unknown fields")
        elif any(rates):
            self.configuration.add(
                "prices", document.place(steps), remote_name=remote_name, upstream=upstream, input=rates[0], output=rates[1]
            )

    def _upstream(self, provider: str, overrides: dict[str, Any], place: tuple[Document, Steps] | None) -> dict[str, Any]:
        """The values of the upstream of a provider with ``overrides``, which is declared if it is new."""
        key = (provider, *((name, str(value)) for name, value in sorted(overrides.items())))
        if key in self._upstreams:
            return self._upstreams[key]
        entry = self._entries[provider]
        document, steps = entry.document, entry.steps
        protocol = overrides.get("wire_protocol") or optional(document, (*steps, "endpoints", "compatible_format"), str) or CHAT
        format_name = MODEL_PROXY_PROTOCOLS.get(protocol, protocol)
        if format_name not in FORMATS:
            where = place if place and "wire_protocol" in overrides else (document, (*steps, "endpoints", "compatible_format"))
            raise where[0].error(where[1], f"{protocol!r} is none of {', '.join(MODEL_PROXY_PROTOCOLS)}")
        base_url = (overrides.get("base_url") or required(document, (*steps, "endpoints", "base_url"), str)).rstrip("/")
        preset = preset_of(base_url, format_name)
        values: dict[str, Any] = {
            "name": self._names.name(base_url, provider),
            "base_url": base_url,
            "format": format_name,
            "preset": preset.name if preset else None,
            "is_active": optional(document, (*steps, "enabled"), bool),
            "quirks": self._quirks(document, steps, base_url, format_name, dict(preset.quirks) if preset else {}) or None,
            "cooldown_seconds": overrides.get("cooldown_seconds") or self._cooldown(),
            **_authentication(document, (*steps, "authentication")),
        }
        self.configuration.add("upstreams", document.place(steps), **values)
        self._upstreams[key] = self.configuration.rows[-1].values
        self._add_credentials(provider, values["name"], overrides.get("api_key_env"))
        if len(key) == 1:
            leave_out_others(self.configuration, document, steps, PROVIDER_FIELDS)
            leave_out_others(
                self.configuration, document, (*steps, "endpoints"), ("base_url", "completions", "compatible_format", "models")
            )
        return self._upstreams[key]

    def _cooldown(self) -> float | None:
        text = self.setup.variables.get("KEY_COOLDOWN_SECONDS", "").strip()
        try:
            return max(float(text), 0.0) if text else None
        except ValueError:
            return None

    @staticmethod
    def _quirks(document: Document, steps: Steps, base_url: str, format_name: str, quirks: dict[str, Any]) -> dict[str, Any]:
        """The preset's quirks; with the path of completions, if it is not the one that follows from the base URL."""
        path = optional(document, (*steps, "endpoints", "completions"), str)
        if not path or path.startswith(("http://", "https://")):
            return quirks
        path = "/" + path.lstrip("/")
        dialect = FORMATS[format_name]
        address = SimpleNamespace(base_url=base_url, dialect=dialect, region="")
        if url_for(address, dialect_named(dialect).upstream.main_path) == base_url + path:
            return {name: value for name, value in quirks.items() if name != "api_path"}
        return {**quirks, "api_path": path}

    def _add_credentials(self, provider: str, upstream: str, own_variables: list[str] | None) -> None:
        entry = self._entries[provider]
        patterns = own_variables or _texts(entry.document, (*entry.steps, "api_keys", "env_var_patterns"))
        named_keys = _keys(patterns, self.setup.variables)
        named_keys += [(f"{provider} {number}", key) for number, key in enumerate(self.setup.provider_keys.get(provider, []), 1)]
        seen: set[str] = set()
        for name, key in named_keys:
            if key not in seen:
                seen.add(key)
                reference = f"{ENV}{name}" if name in self.setup.variables else ""
                self.configuration.add(
                    "credentials",
                    entry.document.place((*entry.steps, "api_keys")),
                    upstream=upstream,
                    name=name,
                    secret=Secret(key, reference),
                )
        if patterns and not seen:
            self._without_key[upstream] = patterns


def _authentication(document: Document, steps: Steps) -> dict[str, str | None]:
    """The header of the credential, and the word before it in a format such as `Bearer {api_key}`."""
    header = optional(document, (*steps, "header_name"), str)
    text = optional(document, (*steps, "header_format"), str)
    if header is None and text is None:
        return {}
    scheme = "" if text is None else text.partition("{")[0].strip()
    return {"auth_header": header, "auth_scheme": scheme}


def _texts(document: Document, steps: Steps) -> list[str]:
    """A list of texts; a single text is a list of one."""
    value = value_at(document, steps)
    items = value if isinstance(value, list) else [] if value is None else [value]
    if not all(isinstance(item, str) for item in items):
        raise document.error(steps, "must be a list of names")
    return items


def _keys(patterns: list[str], variables: dict[str, str]) -> list[tuple[str, str]]:
    """The variables that match the patterns, with their keys; ``{INDEX}`` stands for a number."""
    named_keys = []
    for pattern in patterns:
        expression = re.compile(re.escape(pattern).replace(re.escape(INDEX), r"(\d+)"))
        matches = [(match, value.strip()) for name, value in variables.items() if (match := expression.fullmatch(name)) and value.strip()]
        matches.sort(key=lambda pair: tuple(int(number) for number in pair[0].groups()))
        named_keys += [(match[0], value) for match, value in matches]
    return named_keys
