"""What one upstream does differently from its dialect, as data.

A row of the admin (Upstream or Model) holds these as JSON; a model's values override its upstream's. Defaults describe a
well-behaved endpoint. Wire formats, section 14, says where each one was seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec


class Quirks(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Switches read by ``adapt`` and by the encoders."""

    api_path: str | None = None
    """Path below the base URL instead of the dialect's own (``/v1/chat/completions``); ``/v1`` is then not added."""
    max_tokens_field: Literal["max_completion_tokens", "max_tokens"] = "max_completion_tokens"
    supports_developer: bool = False
    """System text goes up with the role ``developer``."""
    supports_custom_tools: bool = False
    """Chat upstream that knows free-form ``custom`` tools."""
    tool_image_parts: bool = False
    """Chat upstream that takes images inside ``tool`` messages."""
    late_system: Literal["in_place", "hoist"] = "in_place"
    """System messages behind the first turn: at their place, or joined to the leading one."""
    stream_usage: bool = True
    """Knows ``stream_options.include_usage``."""
    parallel_tool_calls: bool = True
    """Knows the field ``parallel_tool_calls``."""
    tool_choice: Literal["all", "auto_only", "none"] = "all"
    """Which tool choices it takes: ``auto_only`` drops forced ones, ``none`` drops the field."""
    reasoning_effort: bool = True
    """Knows ``reasoning_effort``."""
    efforts: tuple[str, ...] = ("minimal", "low", "medium", "high")
    """Effort words it takes; ``xhigh`` and ``max`` fall to ``high`` where not listed."""
    reasoning_off: bool = False
    """Reasons by default and takes effort ``none``: sent when the client disables thinking."""
    thinking_style: Literal["adaptive", "enabled", "auto"] = "auto"
    """Anthropic upstream: how thinking is asked for; ``auto`` goes by the model's name."""
    requires_reasoning_content: bool = False
    """Chat upstream that refuses assistant tool-call turns without ``reasoning_content``."""
    split_think_tags: bool = False
    """Answers carry ``<think>…</think>`` inside the content: split it off as reasoning."""
    cache_markers: Literal["drop", "passthrough", "openai_breakpoints"] = "drop"
    automatic_cache: bool = False
    """Anthropic upstream: set the top-level ``cache_control`` for clients that give no breakpoints."""
    no_sampling: bool = False
    no_stop: bool = False
    no_prefill: bool = False
    images: bool = True
    """Takes images; where not, a request with one is refused."""
    structured_output: bool = True
    """Takes a JSON schema for its answer; where not, a forced tool stands in for it."""
    json_object: bool = True
    schema_keywords_refused: tuple[str, ...] = ()
    """JSON Schema keywords removed from tool schemas and output schemas."""
    empty_assistant_content: Literal["null", "empty"] = "null"
    """What stands for absent assistant content beside tool calls."""
    tool_name_limit: int = 0
    """Longest tool name; 0: the dialect's own limit."""
    names_in_pieces: bool = False
    """Tool names arrive in several fragments that belong together."""
    unanswered_calls: Literal["insert", "refuse", "pass"] = "insert"
    """A tool call of the history without its result: a result is inserted, it is refused, or the history goes up as it is."""
    late_system_native: bool = False
    """Anthropic upstream that takes ``role: system`` inside ``messages``."""
    user_field: Literal["user", "safety_identifier", "none"] = "user"
    top_k: bool = False
    """Chat upstream that knows ``top_k``."""
    settings_refused: tuple[Literal["prompt_cache_key", "metadata", "service_tier", "verbosity"], ...] = ()
    """Settings that it does not know and answers with 400."""
    too_many_stops: Literal["first_four", "refuse"] = "first_four"
    beta_allow_list: tuple[str, ...] | None = None
    """Betas that go up; null: all of them to Anthropic, none of them to Bedrock."""
    upstream_stream: Literal["auto", "never", "always"] = "auto"
    """Call the upstream streamed or not, whatever the client asked for."""
    unsigned_thinking: bool = False
    """Anthropic-compatible upstream that takes thinking blocks with an empty signature."""
    image_urls: bool | None = None
    """Takes images by URL; null: as its dialect does (on Bedrock most models fetch none)."""


DEFAULT = Quirks()


def merged(*layers: Mapping[str, Any]) -> Quirks:
    """The quirks of stacked JSON objects, the last one winning; raises ``msgspec.ValidationError`` with the path."""
    values: dict[str, Any] = {}
    for layer in layers:
        values.update(layer)
    return msgspec.convert(values, Quirks, strict=False) if values else DEFAULT
