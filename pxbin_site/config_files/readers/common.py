"""What the readers of other gateways' files share: names of upstreams, taken-over keys, values without a counterpart."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from typing import Any
from urllib.parse import urlsplit

from accounts import keys
from proxy.translation.dialects.lookup import FORMATS
from pxbin_site.config_files.configuration import Configuration
from pxbin_site.config_files.documents import Document, Steps
from pxbin_site.config_files.readers.fields import value_at
from pxbin_site.config_files.secret_references import Secret
from upstreams.presets import PRESETS, Preset


class UpstreamNames:
    """Gives each upstream a name: that which the file gives, else the host; a number is added to one that is taken."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def name(self, base_url: str, stem: str = "") -> str:
        """A name that no other upstream of the file has."""
        stem = stem or host_of(base_url) or "upstream"
        name, number = stem, 2
        while name in self._taken:
            name, number = f"{stem}-{number}", number + 1
        self._taken.add(name)
        return name


def host_of(url: str) -> str:
    """The host of a URL, with its port if the host is an address or `localhost`, which many servers share; empty if it has none."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return ""
    try:
        is_address = bool(ipaddress.ip_address(host))
    except ValueError:
        is_address = host == "localhost"
    return f"{host}:{port}" if is_address and port else host


def is_loopback(url: str) -> bool:
    """Whether a URL leads to this machine."""
    host = (urlsplit(url).hostname or "") if "://" in url else ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def preset_of(base_url: str, format_name: str) -> Preset | None:
    """The preset of a provider's address and API format, for its quirks and prices."""
    host, dialect = host_of(base_url), FORMATS[format_name]
    fitting = [
        preset
        for preset in PRESETS.values()
        if host and "{" not in preset.base_url and host_of(preset.base_url) == host and dialect == preset.dialect and not preset.note
    ]
    return fitting[0] if fitting else None


def add_credential(configuration: Configuration, place: str, upstream: str, secret: str, *, name: str = "default", **values: Any) -> None:
    """Declare a credential of an upstream."""
    configuration.add("credentials", place, upstream=upstream, name=name, secret=Secret(secret), **values)


def take_over_key(configuration: Configuration, place: str, key: str, name: str) -> None:
    """Declare the client key of another gateway, of which only the hash is stored."""
    configuration.add("keys", place, key_hash=keys.hash_key(key), key_prefix=keys.shown_prefix(key), name=name)


def leave_out_others(configuration: Configuration, document: Document, steps: Steps, taken: Collection[str], reason: str = "") -> None:
    """Note every field of the object at ``steps`` that is not among ``taken``; empty ones are not worth a note."""
    value = value_at(document, steps)
    for name, entry in (value if isinstance(value, dict) else {}).items():
        if name not in taken and entry not in (None, "", {}, []):
            configuration.leave_out(document, (*steps, str(name)), reason)
