"""Values of LiteLLM's files, which may be references to the environment: `os.environ/NAME`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pxbin_site.config_files.configuration import Configuration
from pxbin_site.config_files.documents import Document, Steps
from pxbin_site.config_files.readers.fields import optional
from pxbin_site.config_files.secret_references import ENV, Secret

REFERENCE = "os.environ/"
VARIABLES = ("environment_variables",)


class Values:
    """The values of one file."""

    def __init__(self, configuration: Configuration, document: Document, environment: Mapping[str, str]) -> None:
        self.configuration, self.document = configuration, document
        file_variables: dict[str, Any] = optional(document, VARIABLES, dict) or {}
        self.variables = {**{str(name): str(value) for name, value in file_variables.items() if value is not None}, **environment}

    def secret(self, value: str) -> Secret:
        """A secret, or what its reference leads to."""
        if not value.startswith(REFERENCE):
            return Secret(value.strip())
        name = value.removeprefix(REFERENCE)
        return Secret(self.variables.get(name, "").strip(), f"{ENV}{name}")

    def text(self, steps: Steps) -> str:
        """A text; empty if it is missing. A reference that leads nowhere is a warning."""
        value = optional(self.document, steps, str) or ""
        resolved = self.secret(value).text
        if value.startswith(REFERENCE) and not resolved:
            self.configuration.warn(f"{self.document.place(steps)}: {value} is not set")
        return resolved
