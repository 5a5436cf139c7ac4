"""Reads claude-proxy's `config.json`: providers with the Chat Completions API and their models."""

from __future__ import annotations

from pxbin_site.config_files.configuration import Configuration, Options
from pxbin_site.config_files.documents import Document, Steps
from pxbin_site.config_files.formats import CLAUDE_PROXY
from pxbin_site.config_files.readers.common import UpstreamNames, add_credential, leave_out_others, preset_of, take_over_key
from pxbin_site.config_files.readers.fields import objects, optional, required
from pxbin_site.config_files.readers.wire_names import CHAT

PORT, TIMEOUT_SECONDS = 8888, 300.0
"""claude-proxy's defaults."""
FIELDS = ("ak", "port", "upstream_timeout_seconds", "providers")
OPEN = "ak is empty: the models are open to clients without a key, as at claude-proxy; --require-keys closes them"


def read(document: Document, options: Options) -> Configuration:
    """The configuration of a file. Raises :class:`~pxbin_site.config_files.documents.ConfigFileError`."""
    configuration = Configuration(format=CLAUDE_PROXY, sections=["upstreams", "credentials", "models", "routes"])
    port = optional(document, ("port",), int)
    configuration.port = port or PORT
    key = (optional(document, ("ak",), str) or "").strip()
    if key:
        take_over_key(configuration, document.place(("ak",)), key, CLAUDE_PROXY)
    elif not options.require_keys:
        configuration.warn(OPEN)
    is_open = not key and not options.require_keys
    names = UpstreamNames()
    lines: dict[str, Steps] = {}
    for steps, _ in objects(document, ("providers",)):
        upstream = _add_upstream(configuration, document, steps, names)
        for model_steps, _ in objects(document, (*steps, "models")):
            name = required(document, (*model_steps, "id"), str)
            if name in lines:
                first = document.line(lines[name])
                raise document.error(
                    (*model_steps, "id"), f"{name} is the id of another model already" + (f" (line {first})" if first else "")
                )
            lines[name] = model_steps
            remote_name = optional(document, (*model_steps, "remote_id"), str) or name
            place = document.place(model_steps)
            shown = optional(document, (*model_steps, "display_name"), str) or name
            configuration.add("models", place, name=name, display_name=shown, allow_anonymous=is_open)
            configuration.add("routes", place, model=name, upstream=upstream, remote_name=remote_name)
            leave_out_others(configuration, document, model_steps, ("id", "display_name", "remote_id"))
    if not lines:
        raise document.error(("providers",), "there is no model")
    leave_out_others(configuration, document, (), FIELDS)
    return configuration


def _add_upstream(configuration: Configuration, document: Document, steps: Steps, names: UpstreamNames) -> str:
    base_url = required(document, (*steps, "base_url"), str).rstrip("/")
    preset = preset_of(base_url, CHAT)
    name = names.name(base_url)
    seconds = optional(document, ("upstream_timeout_seconds",), float) or TIMEOUT_SECONDS
    configuration.add(
        "upstreams",
        document.place(steps),
        name=name,
        base_url=base_url,
        format=CHAT,
        preset=preset.name if preset else None,
        first_byte_timeout_seconds=seconds,
        quirks=dict(preset.quirks) if preset and preset.quirks else {"max_tokens_field": "max_tokens"},
    )
    add_credential(configuration, document.place((*steps, "api_key")), name, required(document, (*steps, "api_key"), str))
    leave_out_others(configuration, document, steps, ("base_url", "api_key", "models"))
    return name
