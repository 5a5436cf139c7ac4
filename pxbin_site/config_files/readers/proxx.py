"""Reads proxx's `config.yaml`: one upstream with the Messages API, which is called with the client's own key."""

from __future__ import annotations

from typing import Any

from pxbin_site.config_files.configuration import Configuration, Options
from pxbin_site.config_files.documents import Document
from pxbin_site.config_files.formats import PROXX
from pxbin_site.config_files.readers.common import leave_out_others, preset_of
from pxbin_site.config_files.readers.fields import optional, required
from pxbin_site.config_files.readers.wire_names import MESSAGES
from upstreams.presets import PRESETS

FIELDS = ("port", "upstream_url", "temperature", "max_retries", "retry_base_delay_ms")
UPSTREAM = "proxx"
PORT, MAX_RETRIES, RETRY_BASE_DELAY_MS, MAX_TOKENS = 8080, 3, 1000, 32_000
"""proxx's defaults."""
MODELS, PROVIDER = ("glm-4.7", "glm-4.6"), "zhipu"
"""What its list of models has."""
AUTH_HEADER = "x-api-key"
"""The header in which proxx sends the client's bearer token."""
IDENTITY = PRESETS["anthropic-claude-cli"]
NO_IDENTITY = (
    "proxx's client identity headers are not sent; --client-identity sends them. "
    "Sending another client's identity may violate the provider's terms."
)


def read(document: Document, options: Options) -> Configuration:
    """The configuration of a file. Raises :class:`~pxbin_site.config_files.documents.ConfigFileError`."""
    configuration = Configuration(format=PROXX, sections=["upstreams", "credentials", "models", "routes"])
    base_url = required(document, ("upstream_url",), str).rstrip("/")
    port = optional(document, ("port",), int)
    configuration.port = PORT if port is None else port
    retries, delay = optional(document, ("max_retries",), int), optional(document, ("retry_base_delay_ms",), int)
    preset = preset_of(base_url, MESSAGES)
    configuration.add(
        "upstreams",
        document.place(("upstream_url",)),
        name=UPSTREAM,
        base_url=base_url,
        format=MESSAGES,
        preset=preset.name if preset else None,
        quirks=dict(preset.quirks) if preset and preset.quirks else None,
        auth_header=AUTH_HEADER,
        pass_client_credentials=True,
        max_retries=MAX_RETRIES if retries is None else retries,
        retry_base_delay_ms=RETRY_BASE_DELAY_MS if delay is None else delay,
        extra_headers=dict(IDENTITY.fields["extra_headers"]) if options.client_identity else None,
    )
    configuration.warn(IDENTITY.note if options.client_identity else NO_IDENTITY)
    _add_models(configuration, document, options)
    leave_out_others(configuration, document, (), FIELDS)
    return configuration


def _add_models(configuration: Configuration, document: Document, options: Options) -> None:
    place = document.place(("upstream_url",))
    values: dict[str, Any] = {
        "provider": PROVIDER,
        "max_tokens_default": MAX_TOKENS,
        "temperature": optional(document, ("temperature",), float),
        "allow_anonymous": not options.require_keys,
    }
    for name in MODELS:
        configuration.add("models", place, name=name, **values)
        configuration.add("routes", place, model=name, upstream=UPSTREAM, remote_name=name)
    if options.catch_all:
        configuration.add("models", place, name="*", **{**values, "provider": None})
        configuration.add("routes", place, model="*", upstream=UPSTREAM, remote_name="")
        configuration.warn(
            "the model * takes every name that no other model has; it matches last. --no-catch-all leaves it out"
        )  # fmt: skip
