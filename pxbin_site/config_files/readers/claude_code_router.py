"""Reads claude-code-router's `config.json`: providers, and the models to which it sends Claude Code's requests."""

from __future__ import annotations

import re
from typing import Any

from pxbin_site.config_files.configuration import Configuration, Options
from pxbin_site.config_files.documents import Document, Steps
from pxbin_site.config_files.formats import CLAUDE_CODE_ROUTER
from pxbin_site.config_files.readers.common import UpstreamNames, is_loopback, leave_out_others, preset_of, take_over_key
from pxbin_site.config_files.readers.fields import objects, of_type, optional, required, value_at
from pxbin_site.config_files.readers.wire_names import CHAT, MESSAGES, RESPONSES
from pxbin_site.config_files.secret_references import ENV, Secret
from upstreams.base_urls import VERSIONED

PORT = 3456
LONG_CONTEXT_TOKENS = 60_000
"""Its default for ``longContextThreshold``."""
ENDPOINTS = {CHAT: "/chat/completions", MESSAGES: "/messages", RESPONSES: "/responses"}
"""The ends of addresses, by our API format."""
MESSAGES_TRANSFORMER, RESPONSES_TRANSFORMER = "anthropic", "openai-responses"
GEMINI_TRANSFORMER, LIMIT_TRANSFORMER = "gemini", "maxtoken"
COVERED = frozenset(
    {
        MESSAGES_TRANSFORMER,
        GEMINI_TRANSFORMER,
        RESPONSES_TRANSFORMER,
        "openrouter",
        "deepseek",
        "groq",
        "cleancache",
        "tooluse",
        "reasoning",
    }
)
"""Transformers whose job the translation does by itself, or by the provider's quirks."""
ANY, CLAUDE, BACKGROUND = "*", "claude-*", "claude-*haiku*"
PROXY = "PROXY_URL"
FIELDS = ("APIKEY", "HOST", "PORT", "API_TIMEOUT_MS", "Providers", "providers", "Router", "LOG", "LOG_LEVEL", "NON_INTERACTIVE_MODE", PROXY)
_VARIABLE = re.compile(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)\}?")
OPEN = "APIKEY is empty: the models are open to clients without a key, as at claude-code-router; --require-keys closes them"


def read(document: Document, options: Options) -> Configuration:
    """The configuration of a file. Raises :class:`~pxbin_site.config_files.documents.ConfigFileError`."""
    configuration = Configuration(format=CLAUDE_CODE_ROUTER, sections=["upstreams", "credentials", "models", "routes"])
    reader = _Reader(configuration, document, options)
    reader.read_key()
    reader.read_providers()
    reader.read_router()
    port, host = value_at(document, ("PORT",)), optional(document, ("HOST",), str)
    configuration.port = int(port) if str(port).isascii() and str(port).isdigit() else PORT
    configuration.host = host or ""
    leave_out_others(configuration, document, (), FIELDS)
    return configuration


class _Reader:
    """Reads one file."""

    def __init__(self, configuration: Configuration, document: Document, options: Options) -> None:
        self.configuration, self.document, self.options = configuration, document, options
        self._names = UpstreamNames()
        self._routes: dict[str, dict[str, Any]] = {}
        """The route of each ``provider,model``."""
        self._providers: dict[str, str] = {}
        """The upstream of each provider."""
        self._is_open = False
        self._proxy = (optional(document, (PROXY,), str) or "").strip() or None
        if self._proxy and "@" in self._proxy:
            configuration.leave_out(document, (PROXY,), "it has a password: set it as PXBIN_HTTP_PROXY")
            self._proxy = None

    def read_key(self) -> None:
        key = self._secret(("APIKEY",)).text
        if key:
            take_over_key(self.configuration, self.document.place(("APIKEY",)), key, CLAUDE_CODE_ROUTER)
        elif not self.options.require_keys:
            self._is_open = True
            self.configuration.warn(OPEN)

    def _secret(self, steps: Steps) -> Secret:
        """A secret, or that of the variable which ``$NAME`` names."""
        value = (optional(self.document, steps, str) or "").strip()
        match = _VARIABLE.fullmatch(value)
        return Secret(self.options.variables.get(match[1], "").strip(), f"{ENV}{match[1]}") if match else Secret(value)

    def read_providers(self) -> None:
        section = "Providers" if "Providers" in self.document.value else "providers"
        for steps, _ in objects(self.document, (section,)):
            name = required(self.document, (*steps, "name"), str)
            upstream = self._providers[name] = self._add_upstream(steps, name)
            limits = self._limits(steps)
            for index, item in enumerate(optional(self.document, (*steps, "models"), list) or []):
                remote_name = of_type(self.document, (*steps, "models", index), item, str)
                if remote_name == ANY:
                    self._declare_all(steps, name, upstream)
                    continue
                self._add_model(steps, f"{name},{remote_name}", {"upstream": upstream, "remote_name": remote_name}, limits.get(remote_name))
            leave_out_others(self.configuration, self.document, steps, ("name", "api_base_url", "api_key", "models", "transformer"))
        if not self._providers:
            raise self.document.error((section,), "there is no provider")

    def _add_model(self, steps: Steps, name: str, route: dict[str, Any], limit: int | None) -> None:
        if name in self._routes:
            self.configuration.warn(f"{self.document.place(steps)}: {name} is given twice; the first one counts")
            return
        self._routes[name] = {**route, "limit": limit}
        self._declare(name, self.document.place(steps), name, aliases=[name.replace(",", "/", 1)])

    def _declare_all(self, steps: Steps, provider: str, upstream: str) -> None:
        """Declare a pattern for all models of a provider."""
        place = self.document.place(steps)
        name = f"{provider},{ANY}"
        self.configuration.add("models", place, name=name, allow_anonymous=self._is_open, aliases=[f"{provider}/{ANY}"])
        self.configuration.add("routes", place, model=name, upstream=upstream, remote_name=ANY)

    def _declare(self, name: str, place: str, target: str, *, context_window: int | None = None, **values: Any) -> None:
        """Declare a model with the route of ``target``."""
        route = dict(self._routes[target])
        limit = route.pop("limit")
        self.configuration.add("models", place, name=name, allow_anonymous=self._is_open, max_tokens_cap=limit, **values)
        self.configuration.add("routes", place, model=name, context_window=context_window, **route)

    def _add_upstream(self, steps: Steps, name: str) -> str:
        document = self.document
        address = required(document, (*steps, "api_base_url"), str).rstrip("/")
        transformers = [transformer.lower() for transformer, _ in self._transformers((*steps, "transformer"))]
        format_name = _format(address, transformers)
        base_url, own_path = _split(address, format_name, is_gemini=GEMINI_TRANSFORMER in transformers)
        preset = preset_of(base_url, format_name)
        quirks = dict(preset.quirks) if preset else {"max_tokens_field": "max_tokens"} if format_name == CHAT else {}
        timeout = self._number("API_TIMEOUT_MS")
        upstream = self._names.name(base_url, name)
        self.configuration.add(
            "upstreams",
            document.place(steps),
            name=upstream,
            base_url=base_url,
            format=format_name,
            preset=preset.name if preset else None,
            quirks={**quirks, **({"api_path": own_path} if own_path else {})} or None,
            first_byte_timeout_seconds=timeout / 1000 if timeout else None,
            proxy=None if is_loopback(base_url) else self._proxy,
        )
        secret = self._secret((*steps, "api_key"))
        if secret.text:
            self.configuration.add("credentials", document.place(steps), upstream=upstream, name="default", secret=secret)
        elif secret.reference:
            variable = secret.reference.removeprefix(ENV)
            self.configuration.warn(f"{document.place(steps)}: {variable} is not set, so the upstream {upstream} has no key")
        return upstream

    def _number(self, name: str) -> float | None:
        """A number at the top of the file, which may be written as a text."""
        value = value_at(self.document, (name,))
        if isinstance(value, str):
            value = float(value) if value.strip().isascii() and value.strip().isdigit() else None
        return value if value is None else of_type(self.document, (name,), value, float)

    def _transformers(self, steps: Steps) -> list[tuple[str, dict[str, Any]]]:
        """The transformers of a provider or of one of its models, with their options; those without a counterpart are noted."""
        transformers = []
        for index, item in enumerate(optional(self.document, (*steps, "use"), list) or []):
            name = item[0] if isinstance(item, list) and item else item
            options = item[1] if isinstance(item, list) and len(item) > 1 and isinstance(item[1], dict) else {}
            name = of_type(self.document, (*steps, "use", index), name, str)
            transformers.append((name, options))
            if name.lower() not in COVERED | {LIMIT_TRANSFORMER}:
                self.configuration.leave_out(self.document, (*steps, "use", index), f"transformer {name}")
        return transformers

    def _limits(self, steps: Steps) -> dict[str, int]:
        """The cap of output tokens of each of a provider's models that has one."""
        models = [item for item in optional(self.document, (*steps, "models"), list) or [] if isinstance(item, str)]
        provider_limit = _limit(self._options_of((*steps, "transformer")))
        model_limits = {model: _limit(self._transformers((*steps, "transformer", model))) for model in models}
        return {model: limit for model in models if (limit := model_limits[model] or provider_limit)}

    def _options_of(self, steps: Steps) -> list[tuple[str, dict[str, Any]]]:
        """As :meth:`_transformers`, whose notes were made already."""
        noted = list(self.configuration.not_taken)
        transformers = self._transformers(steps)
        self.configuration.not_taken[:] = noted
        return transformers

    def read_router(self) -> None:
        """The model of all names, that of background requests, and the one for long contexts as its fallback."""
        default, background, long_context = (self._target(role) for role in ("default", "background", "longContext"))
        name = ANY if self.options.catch_all else CLAUDE
        if default:
            window = optional(self.document, ("Router", "longContextThreshold"), int) or LONG_CONTEXT_TOKENS
            self._declare(
                name,
                self.document.place(("Router", "default")),
                default,
                context_window=window if long_context else None,
                fallbacks=[long_context] if long_context and long_context != default else None,
            )
            if self.options.catch_all:
                self.configuration.warn(
                    "the model * takes every name that no other model has; it matches last. --no-catch-all makes claude-*"
                )
        if background:
            self._declare(BACKGROUND, self.document.place(("Router", "background")), background)
        roles = ("default", "background", "longContext", "longContextThreshold")
        leave_out_others(self.configuration, self.document, ("Router",), roles, "requests are not told apart by it")

    def _target(self, role: str) -> str:
        target = (optional(self.document, ("Router", role), str) or "").strip()
        provider, _, remote_name = target.partition(",")
        if target not in self._routes and provider in self._providers and remote_name:  # a model that its provider does not list
            route = {"upstream": self._providers[provider], "remote_name": remote_name}
            self._add_model(("Router", role), target, route, None)
        if target and target not in self._routes:
            raise self.document.error(("Router", role), f"there is no model {target}")
        return target


def _format(address: str, transformers: list[str]) -> str:
    """Our API format of a provider, by its transformers or the end of its address."""
    if MESSAGES_TRANSFORMER in transformers or address.endswith(f"/v1{ENDPOINTS[MESSAGES]}"):
        return MESSAGES
    return RESPONSES if RESPONSES_TRANSFORMER in transformers or address.endswith(f"/v1{ENDPOINTS[RESPONSES]}") else CHAT


def _split(address: str, format_name: str, *, is_gemini: bool) -> tuple[str, str]:
    """The base URL of an address, and the path below it if it does not follow from the API format."""
    if is_gemini and address.endswith("/models"):
        return f"{address.removesuffix('/models')}/openai", ENDPOINTS[CHAT]
    end = ENDPOINTS[format_name]
    if address.endswith(end):
        base_url = address.removesuffix(end)
        return base_url, "" if VERSIONED.search(base_url) else end
    scheme, _, rest = address.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host}", slash + path


def _limit(transformers: list[tuple[str, dict[str, Any]]]) -> int | None:
    limits = [options.get("max_tokens") for name, options in transformers if name.lower() == LIMIT_TRANSFORMER]
    return next((limit for limit in limits if isinstance(limit, int)), None)
