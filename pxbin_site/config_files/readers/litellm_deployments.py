"""Reads the deployments of LiteLLM's models: each is a route to an upstream."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from proxy.translation.dialects.lookup import dialect_named
from pxbin_site.config_files.configuration import Configuration
from pxbin_site.config_files.documents import Document, Steps
from pxbin_site.config_files.readers.common import UpstreamNames, host_of, leave_out_others, preset_of
from pxbin_site.config_files.readers.fields import optional, required, value_at
from pxbin_site.config_files.readers.litellm_values import Values
from pxbin_site.config_files.readers.wire_names import CHAT, LITELLM_KEYS, LITELLM_PROVIDERS
from pxbin_site.config_files.secret_references import ENV, Secret
from pxbin_site.config_files.sections import FORMAT_BY_DIALECT
from upstreams.base_urls import VERSIONED
from upstreams.presets import PRESETS, Preset

DEFAULT_PROVIDER, CLAUDE = "openai", ("claude", "anthropic")
AZURE, AZURE_PATH = "azure", "/openai/v1"
COMPATIBLE = "openai-compatible"
BARE_PATH = "/chat/completions"
ADDRESSES = {"ollama": "http://localhost:11434", "ollama_chat": "http://localhost:11434", "lm_studio": "http://localhost:1234/v1"}
"""Where LiteLLM expects local servers."""
REGION_VARIABLES, REGION = ("AWS_REGION_NAME", "AWS_REGION", "AWS_DEFAULT_REGION"), "us-west-2"
"""Where LiteLLM looks for a region, and its default."""
PER_MILLION = 1_000_000
DEFAULTS = ("temperature", "top_p", "top_k", "frequency_penalty", "presence_penalty", "seed", "stop", "reasoning_effort", "user")
"""Parameters that LiteLLM sends where the client gives none."""
FIELDS = (
    "model", "api_base", "base_url", "api_key", "custom_llm_provider", "weight", "order", "max_tokens", "timeout", "max_retries",
    "num_retries", "extra_headers", "aws_access_key_id", "aws_secret_access_key", "aws_region_name", "aws_session_token",
    "input_cost_per_token", "output_cost_per_token", "extra_body", *DEFAULTS,
)  # fmt: skip


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    """One deployment: what it says of its model and of its route."""

    model_values: dict[str, Any]
    route_values: dict[str, Any]


class Deployments:
    """Reads deployments; those with the same provider, address and key share an upstream."""

    def __init__(self, configuration: Configuration, document: Document, values: Values, settings: dict[str, Any]) -> None:
        self.configuration, self.document, self.values = configuration, document, values
        self._settings = settings
        self._names = UpstreamNames()
        self._upstreams: dict[tuple[Any, ...], str] = {}

    def read(self, steps: Steps) -> Deployment | None:
        """The deployment of ``litellm_params``; ``None`` if its provider has no counterpart, which is noted."""
        document = self.document
        full_name = required(document, (*steps, "model"), str)
        provider, remote_name = self._provider(steps, full_name)
        if provider not in LITELLM_PROVIDERS:
            self.configuration.leave_out(document, (*steps, "model"), f"{full_name}: the provider {provider} has no counterpart")
            return None
        if not self._base_url(steps) and _needs_address(provider):
            self.configuration.leave_out(document, steps, "api_base is missing")
            return None
        defaults = {name: value for name in DEFAULTS if (value := value_at(document, (*steps, name))) is not None}
        weight = optional(document, (*steps, "weight"), int)
        model_values = {
            "max_tokens_default": optional(document, (*steps, "max_tokens"), int),
            "body_defaults": defaults or None,
            "body_extensions": optional(document, (*steps, "extra_body"), dict),
        }
        route_values = {
            "upstream": self._upstream(steps, provider),
            "remote_name": remote_name,
            "priority": optional(document, (*steps, "order"), int),
            "weight": weight,
        }
        leave_out_others(self.configuration, document, steps, FIELDS)
        return Deployment(model_values=model_values, route_values=route_values)

    def _provider(self, steps: Steps, full_name: str) -> tuple[str, str]:
        """The provider and the name of a model there. Names without a provider are OpenAI's or Anthropic's."""
        named_provider = optional(self.document, (*steps, "custom_llm_provider"), str)
        provider, slash, rest = full_name.partition("/")
        if named_provider:
            return named_provider, rest if slash and provider == named_provider else full_name
        if slash and (provider in LITELLM_PROVIDERS or not self._base_url(steps)):
            return provider, rest.removeprefix("converse/").removeprefix("responses/") if provider in {"bedrock", "openai", AZURE} else rest
        by_name = next((name for name in LITELLM_PROVIDERS if name in CLAUDE and full_name.startswith(CLAUDE)), DEFAULT_PROVIDER)
        return by_name, full_name

    def _base_url(self, steps: Steps) -> str:
        """The address that the file gives; empty if it gives none."""
        return (self.values.text((*steps, "api_base")) or self.values.text((*steps, "base_url"))).rstrip("/")

    def _upstream(self, steps: Steps, provider: str) -> str:
        """The name of the deployment's upstream, which is declared if it is new."""
        document = self.document
        base_url, secret = self._base_url(steps), self._secret(steps, provider)
        region = self._region(steps, provider)
        key = (provider, base_url, secret, region, self.values.text((*steps, "aws_access_key_id")))
        if key in self._upstreams:
            return self._upstreams[key]
        preset = self._preset(provider, base_url)
        format_name = FORMAT_BY_DIALECT[preset.dialect]
        address, quirks = _address(provider, base_url, preset, format_name)
        name = self._names.name(base_url, "" if base_url and preset.name == COMPATIBLE else provider)
        self._upstreams[key] = name
        retries = optional(document, (*steps, "max_retries"), int)
        retries = optional(document, (*steps, "num_retries"), int) if retries is None else retries
        self.configuration.add(
            "upstreams",
            document.place(steps),
            name=name,
            base_url=address,
            format=format_name,
            preset=preset.name if preset.name != COMPATIBLE else None,
            quirks=quirks or None,
            region=region or None,
            extra_headers=optional(document, (*steps, "extra_headers"), dict),
            **preset.fields,
            **{
                **self._settings,
                **({} if retries is None else {"max_retries": retries}),
                **({"first_byte_timeout_seconds": seconds} if (seconds := optional(document, (*steps, "timeout"), float)) else {}),
            },
        )
        self._add_credential(steps, name, secret)
        return name

    def _region(self, steps: Steps, provider: str) -> str:
        """The region of AWS; empty for other providers."""
        if not _is_regional(provider):
            return ""
        region_name = self.values.text((*steps, "aws_region_name"))
        return region_name or next((region for name in REGION_VARIABLES if (region := self.values.variables.get(name, ""))), REGION)

    def _secret(self, steps: Steps, provider: str) -> Secret:
        key = optional(self.document, (*steps, "api_key"), str) or optional(self.document, (*steps, "aws_secret_access_key"), str)
        if key:
            return self.values.secret(key)
        variable = LITELLM_KEYS.get(provider, "")
        return Secret(self.values.variables.get(variable, "").strip(), f"{ENV}{variable}") if variable else Secret("")

    def _add_credential(self, steps: Steps, upstream: str, secret: Secret) -> None:
        access_key_id = self.values.text((*steps, "aws_access_key_id"))
        if secret.text:
            name = secret.reference.removeprefix(ENV) or "default"
            self.configuration.add(
                "credentials",
                self.document.place(steps),
                upstream=upstream,
                name=name,
                secret=secret,
                access_key_id=access_key_id or None,
            )
        elif secret.reference:
            variable = secret.reference.removeprefix(ENV)
            self.configuration.warn(f"{self.document.place(steps)}: {variable} is not set, so the upstream {upstream} has no key")

    @staticmethod
    def _preset(provider: str, base_url: str) -> Preset:
        preset = PRESETS[LITELLM_PROVIDERS[provider]]
        if not base_url or provider == AZURE:
            return preset
        endpoint_preset = preset_of(base_url, FORMAT_BY_DIALECT[preset.dialect])
        is_own = host_of(base_url) == host_of(preset.base_url) or "{" in preset.base_url
        return endpoint_preset or (preset if is_own or provider != DEFAULT_PROVIDER else PRESETS[COMPATIBLE])

    def add_price(self, steps: Steps, deployment: Deployment) -> None:
        """Declare the price that the file has for a deployment."""
        rates = [self._rate(steps, f"{kind}_cost_per_token") for kind in ("input", "output")]
        if any(rates):
            route = deployment.route_values
            self.configuration.add(
                "prices",
                self.document.place(steps),
                remote_name=route["remote_name"],
                upstream=route["upstream"],
                input=rates[0],
                output=rates[1],
            )

    def _rate(self, steps: Steps, name: str) -> str | None:
        for place in ("model_info", "litellm_params"):
            value = optional(self.document, (*steps, place, name), float)
            if value is not None:
                return f"{(Decimal(str(value)) * PER_MILLION).normalize():f}"
        return None


def _is_regional(provider: str) -> bool:
    return bool(dialect_named(PRESETS[LITELLM_PROVIDERS[provider]].dialect).upstream.regional_base_url)


def _needs_address(provider: str) -> bool:
    """Whether a provider has no address of its own."""
    has_none = "{" in PRESETS[LITELLM_PROVIDERS[provider]].base_url
    return has_none and provider not in ADDRESSES and not _is_regional(provider)


def _address(provider: str, base_url: str, preset: Preset, format_name: str) -> tuple[str, dict[str, Any]]:
    """The base URL and the quirks. LiteLLM adds no version to the address of a Chat Completions server."""
    quirks = dict(preset.quirks)
    if provider == AZURE:
        return base_url + ("" if "/openai" in base_url else AZURE_PATH), quirks
    if not base_url:
        return ADDRESSES.get(provider) or ("" if _is_regional(provider) else preset.base_url), quirks
    if format_name == CHAT and provider == DEFAULT_PROVIDER and not VERSIONED.search(base_url):
        return base_url, {**quirks, "api_path": BARE_PATH}
    return base_url, quirks
