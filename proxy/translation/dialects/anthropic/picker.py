"""Names under which Claude Code's model picker lists models of any name.

Claude Code ignores listed ids that do not begin with ``claude`` or ``anthropic``
(https://code.claude.com/docs/en/llm-gateway-protocol, "Model discovery"), and works with a window of a million tokens where the
id ends with ``[1m]``. It strips that ending itself before it sends a request, other clients of the same list may not.
"""

from __future__ import annotations

from proxy.translation.dialects.client_api import ModelInfo

AGENTS = ("claude-cli/",)
"""Beginnings of Claude Code's ``User-Agent``."""
PREFIX = "claude-pxbin/"
LONG = "[1m]"
LONG_WINDOW = 1_000_000
"""The smallest context window, in tokens, of a model that is listed with ``LONG``."""
_ACCEPTED = ("claude", "anthropic")


def picker_names(model: ModelInfo) -> tuple[str, ...]:
    """The names of a model in the picker besides its own: one that is accepted, and one for a long window."""
    accepted = model.name if model.name.startswith(_ACCEPTED) else PREFIX + model.name
    is_long = (model.context_window or 0) >= LONG_WINDOW and not accepted.endswith(LONG)
    return (*((accepted,) if accepted != model.name else ()), *((accepted + LONG,) if is_long else ()))


def own_names(name: str) -> tuple[str, ...]:
    """What a name of the picker may stand for, the longest name first; empty for a name of another form."""
    without_prefix = name.removeprefix(PREFIX)
    names = dict.fromkeys((without_prefix, without_prefix.removesuffix(LONG)))
    return tuple(own for own in names if own and own != name)
