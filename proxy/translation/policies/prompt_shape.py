"""Where a dialect's request keeps the prompt: read by :mod:`prompt_edits`, declared by each dialect."""

from __future__ import annotations

import msgspec


class PromptShape(msgspec.Struct, frozen=True, kw_only=True):
    """Fields of a request body. ``prompt``: the top-level field of the system prompt; empty: it is among the turns."""

    turns: str
    prompt: str = ""
    prompt_blocks: bool = False
    """The prompt may be a list of blocks."""
    text_type: str = "text"
    turn_type: str = ""
    """The ``type`` of a turn; empty: turns have none."""
    joins_strings: bool = False
    """Plain text of a turn stays plain: many servers of the dialect accept no parts."""
    limits: tuple[str, ...]
    """Fields that limit the output tokens; where there are several, the quirk ``max_tokens_field`` names the one to add."""
    max_temperature: float = 2.0
    thinking_budget: bool = False
    """``thinking.budget_tokens`` must stay below the limit, and thinking excludes other temperatures than 1."""
