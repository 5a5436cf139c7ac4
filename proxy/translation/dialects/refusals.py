"""Explanations of refusals: Anthropic has them beside the content, OpenAI as a refusal text (docs/wire-formats.md, section 8.1)."""

from __future__ import annotations

from proxy.translation.canonical import Finish


def explanation(finish: Finish) -> str:
    """The text that explains why the model refused; empty if there is none."""
    text = (finish.details or {}).get("explanation") if finish.reason == "refusal" else None
    return text if isinstance(text, str) else ""
