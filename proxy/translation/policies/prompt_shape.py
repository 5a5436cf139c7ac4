"""The fields of a dialect's requests that :mod:`prompt_edits` edits; each dialect has one value."""

from __future__ import annotations

import msgspec


class PromptShape(msgspec.Struct, frozen=True, kw_only=True):
    """Fields of a request body. ``turns``: that of the turns. ``prompt``: that of the system prompt; empty if it is one of the turns."""

    turns: str
    prompt: str = ""
    prompt_blocks: bool = False
    """The prompt may be a list of blocks."""
    prompt_content: str = ""
    """The field of the prompt, an object, that has its blocks; empty: the prompt itself is the text or the list."""
    turn_content: str = "content"
    """The field of a turn that has its text or blocks."""
    text_type: str = "text"
    """The ``type`` of a text block; empty: blocks have none."""
    turn_type: str = ""
    """The ``type`` of a turn; empty: turns have none."""
    joins_strings: bool = False
    """Text is appended to a turn's string, not as a part: many servers of the dialect do not accept parts."""
    limits: tuple[str, ...]
    """Fields that limit the output tokens; if there are several, the quirk ``max_tokens_field`` names the one that is added."""
    settings: str = ""
    """The field, an object, that has the limits, the choices and the temperature; empty: they are at the top level."""
    choices: str = "n"
    """The number of responses."""
    tier: str = "service_tier"
    max_temperature: float = 2.0
    thinking_budget: bool = False
    """``thinking.budget_tokens`` must stay below the limit, and with thinking, the temperature must be 1."""

    @property
    def is_untyped(self) -> bool:
        """Whether texts are blocks without a ``type``, and never plain strings."""
        return not self.text_type
