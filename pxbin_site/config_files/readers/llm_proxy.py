"""Reads python-llm-proxy's `config.yaml`: models below path prefixes, passed through or translated."""

from __future__ import annotations

from typing import Any

from pxbin_site.config_files.configuration import Configuration, Options
from pxbin_site.config_files.documents import Document, Steps
from pxbin_site.config_files.formats import LLM_PROXY
from pxbin_site.config_files.readers.common import UpstreamNames, add_credential, leave_out_others, preset_of
from pxbin_site.config_files.readers.fields import objects, optional, required
from pxbin_site.config_files.readers.wire_names import LLM_PROXY_DIALECTS, UNTRANSLATED

PORT = 8080
AUTH_HEADER, AUTH_SCHEME = "Authorization", "Bearer"
"""Its defaults."""
FIELDS = (
    "frontend_model_name", "frontend_base_url", "frontend_dialect", "backend_model_name", "backend_base_url", "backend_api_key",
    "backend_auth_header", "backend_auth_schema", "backend_dialect", "system_replacements", "system_append", "inject_progress",
)  # fmt: skip
API_ROOT = "/v1"
OPEN = "the models are open to clients without a pxb_ key, as at python-llm-proxy; --require-keys closes them"


def read(document: Document, options: Options) -> Configuration:
    """The configuration of a file. Raises :class:`~pxbin_site.config_files.documents.ConfigFileError`."""
    configuration = Configuration(format=LLM_PROXY, sections=["upstreams", "credentials", "models", "routes"])
    configuration.port = optional(document, ("server", "port"), int) or PORT
    reader = _Reader(configuration, document, options)
    for steps, _ in objects(document, ("models",)):
        reader.read_model(steps)
        leave_out_others(configuration, document, steps, FIELDS)
    if not configuration.rows:
        raise document.error(("models",), "there is no model")
    leave_out_others(configuration, document, (), ("server", "models"))
    leave_out_others(configuration, document, ("server",), ("port",))
    return configuration


class _Reader:
    """Reads the models of one file; equal backends become one upstream."""

    def __init__(self, configuration: Configuration, document: Document, options: Options) -> None:
        self.configuration, self.document, self.options = configuration, document, options
        self._names = UpstreamNames()
        self._upstreams: dict[tuple[Any, ...], str] = {}
        self._lines: dict[tuple[str, str], Steps] = {}

    def read_model(self, steps: Steps) -> None:
        document = self.document
        name = required(document, (*steps, "frontend_model_name"), str)
        prefix = self._prefix((*steps, "frontend_base_url"))
        place = document.place(steps)
        if (prefix, name) in self._lines:
            first = document.line(self._lines[prefix, name])
            self.configuration.warn(f"{place}: {name} below {prefix or '/'} is in line {first} already, and the first one counts")
            return
        self._lines[prefix, name] = steps
        key = (optional(document, (*steps, "backend_api_key"), str) or "").strip()
        upstream = self._upstream(steps, key)
        if not self.options.require_keys:
            self.configuration.warn(OPEN)
        self.configuration.add(
            "models",
            place,
            name=name,
            path_prefix=prefix,
            system_replacements=optional(document, (*steps, "system_replacements"), dict),
            system_append=optional(document, (*steps, "system_append"), str),
            inject_progress=optional(document, (*steps, "inject_progress"), bool),
            allow_anonymous=not self.options.require_keys,
        )
        remote_name = required(document, (*steps, "backend_model_name"), str)
        model = f"{prefix}/{name}" if prefix else name
        self.configuration.add("routes", place, model=model, upstream=upstream, remote_name=remote_name)

    def _prefix(self, steps: Steps) -> str:
        """The path prefix: ours has no final slash, and what is served below ``/v1`` has none."""
        path = required(self.document, steps, str)
        if not path.startswith("/"):
            raise self.document.error(steps, f"must begin with /, for example /{path.strip('/')}")
        prefix = path.rstrip("/")
        return "" if prefix == API_ROOT else prefix

    def _upstream(self, steps: Steps, key: str) -> str:
        document = self.document
        base_url = required(document, (*steps, "backend_base_url"), str).rstrip("/")
        header = optional(document, (*steps, "backend_auth_header"), str)
        scheme = optional(document, (*steps, "backend_auth_schema"), str)
        format_name = self._format(steps)
        auth = (AUTH_HEADER if header is None else header, AUTH_SCHEME if scheme is None else scheme) if key else ("", "")
        identity = (base_url, format_name, key, *auth)
        if identity not in self._upstreams:
            preset = preset_of(base_url, format_name)
            name = self._names.name(base_url)
            self._upstreams[identity] = name
            self.configuration.add(
                "upstreams",
                document.place(steps),
                name=name,
                base_url=base_url,
                format=format_name,
                preset=preset.name if preset else None,
                quirks=dict(preset.quirks) if preset and preset.quirks else None,
                auth_header=auth[0],
                auth_scheme=auth[1],
                pass_client_credentials=not key,
            )
            if key:
                add_credential(self.configuration, document.place((*steps, "backend_api_key")), name, key)
        return self._upstreams[identity]

    def _format(self, steps: Steps) -> str:
        """The upstream's API format; without both dialects requests are forwarded untranslated."""
        frontend, backend = (optional(self.document, (*steps, f"{side}_dialect"), str) or "" for side in ("frontend", "backend"))
        for side, dialect in (("frontend", frontend), ("backend", backend)):
            if dialect and dialect not in LLM_PROXY_DIALECTS:
                supported = ", ".join(LLM_PROXY_DIALECTS)
                raise self.document.error((*steps, f"{side}_dialect"), f"{dialect!r} is none of {supported}")
        return LLM_PROXY_DIALECTS[backend] if frontend and backend else UNTRANSLATED
