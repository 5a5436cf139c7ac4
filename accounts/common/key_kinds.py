"""The two kinds of keys and how each begins. Free of Django's tables: the server reads it before they are loaded."""

from __future__ import annotations

from enum import StrEnum


class KeyKind(StrEnum):
    """The two kinds of keys, with the names that the management API uses."""

    LLM = "llm"
    MANAGEMENT = "management"


PREFIXES: dict[str, str] = {KeyKind.LLM: "pxb_", KeyKind.MANAGEMENT: "pxm_"}
"""How a key of each kind begins."""
