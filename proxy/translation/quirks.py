"""Quirks: the deviations of an upstream from its dialect, as data.

An upstream and a model of the database hold them as JSON; a model's values override its upstream's. The defaults describe an
upstream without deviations. Section 14 of docs/wire-formats.md says which provider needs which one. The admin shows the
descriptions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta


class Quirks(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Read by ``adapt``, the encoders and the decoders. The names are stored in the database."""

    api_path: Annotated[
        str | None,
        Meta(description="Path below the base URL instead of the dialect's own (such as /v1/chat/completions); /v1 is then not added."),
    ] = None
    max_tokens_field: Annotated[
        Literal["max_completion_tokens", "max_tokens"], Meta(description="Name of the field for the output limit (OpenAI Chat).")
    ] = "max_completion_tokens"
    supports_developer: Annotated[bool, Meta(description="Send system texts with the role developer.")] = False
    supports_custom_tools: Annotated[bool, Meta(description="OpenAI Chat: knows free-form tools (type custom).")] = False
    tool_image_parts: Annotated[bool, Meta(description="OpenAI Chat: takes images inside tool messages.")] = False
    late_system: Annotated[
        Literal["in_place", "hoist"],
        Meta(description="System messages after the first turn: sent at their place, or joined to the first system message."),
    ] = "in_place"
    stream_usage: Annotated[bool, Meta(description="Knows stream_options.include_usage.")] = True
    parallel_tool_calls: Annotated[bool, Meta(description="Knows the field parallel_tool_calls.")] = True
    tool_choice: Annotated[
        Literal["all", "auto_only", "none"],
        Meta(description="Tool choices that it takes: with auto_only forced ones are left out, with none the field is."),
    ] = "all"
    reasoning_effort: Annotated[bool, Meta(description="Knows reasoning_effort.")] = True
    efforts: Annotated[
        tuple[str, ...], Meta(description="Values of reasoning_effort that it takes; xhigh and max become high if they are not listed.")
    ] = ("minimal", "low", "medium", "high")
    reasoning_off: Annotated[
        bool, Meta(description="Reasons by default and takes the effort none: it is sent if the client disables thinking.")
    ] = False
    thinking_style: Annotated[
        Literal["adaptive", "enabled", "auto"], Meta(description="Anthropic: how thinking is requested; auto decides by the model's name.")
    ] = "auto"
    requires_reasoning_content: Annotated[
        bool, Meta(description="OpenAI Chat: refuses assistant turns with tool calls but without reasoning_content.")
    ] = False
    split_think_tags: Annotated[bool, Meta(description="Sends reasoning as <think>…</think> inside the content: it is separated.")] = False
    cache_markers: Annotated[
        Literal["drop", "passthrough", "openai_breakpoints"],
        Meta(
            description="Cache breakpoints for other upstreams than Anthropic: left out, as cache_control, or as prompt_cache_breakpoint."
        ),
    ] = "drop"
    automatic_cache: Annotated[
        bool, Meta(description="Anthropic: send the top-level cache_control for clients that set no breakpoints.")
    ] = False
    no_sampling: Annotated[
        bool | None,
        Meta(description="Takes no temperature, top_p and top_k: they are left out; null: by the model's name (Claude from 4.7 on)."),
    ] = None
    no_stop: Annotated[bool, Meta(description="Takes no stop sequences: they are left out.")] = False
    no_prefill: Annotated[
        bool, Meta(description="Takes no conversation whose last turn is the assistant's: such a request is refused.")
    ] = False
    images: Annotated[bool, Meta(description="Takes images; if not, a request with one is refused.")] = True
    structured_output: Annotated[
        bool, Meta(description="Takes a JSON schema for its response; if not, a forced tool with the schema is used instead.")
    ] = True
    json_object: Annotated[
        bool, Meta(description="Takes response_format json_object; if not, the system prompt asks for JSON instead.")
    ] = True
    schema_keywords_refused: Annotated[
        tuple[str, ...], Meta(description="JSON Schema keywords that are removed from the schemas of tools and outputs.")
    ] = ()
    empty_assistant_content: Annotated[
        Literal["null", "empty"], Meta(description="Content of assistant messages that have only tool calls: null or an empty text.")
    ] = "null"
    tool_name_limit: Annotated[int, Meta(description="Maximum length of a tool name in characters; 0: the dialect's own.")] = 0
    names_in_pieces: Annotated[bool, Meta(description="Streams a tool name in several pieces.")] = False
    unanswered_calls: Annotated[
        Literal["insert", "refuse", "pass"],
        Meta(
            description="Tool calls in the history without a result: a result is inserted, the request is refused, or it is sent unchanged."
        ),
    ] = "insert"
    late_system_native: Annotated[bool, Meta(description="Anthropic: takes the role system inside messages.")] = False
    user_field: Annotated[
        Literal["user", "safety_identifier", "none"], Meta(description="Field in which the client's user id is sent; none: it is left out.")
    ] = "user"
    top_k: Annotated[bool, Meta(description="OpenAI Chat: knows top_k.")] = False
    settings_refused: Annotated[
        tuple[Literal["prompt_cache_key", "metadata", "service_tier", "verbosity"], ...],
        Meta(description="Settings that it refuses with 400; they are left out."),
    ] = ()
    too_many_stops: Annotated[
        Literal["first_four", "refuse"],
        Meta(description="More than four stop sequences: the first four are sent, or the request is refused."),
    ] = "first_four"
    beta_allow_list: Annotated[
        tuple[str, ...] | None,
        Meta(
            description="anthropic-beta values that are sent, with * for any ending; null: all of them to Anthropic, "
            "those that AWS documents to Bedrock."
        ),
    ] = None
    upstream_stream: Annotated[
        Literal["auto", "never", "always"], Meta(description="Call the upstream with stream: true; auto: as the client does.")
    ] = "auto"
    unsigned_thinking: Annotated[bool, Meta(description="Anthropic-compatible: takes thinking blocks with an empty signature.")] = False
    image_urls: Annotated[
        bool | None, Meta(description="Takes images by URL; null: as usual for its dialect (most models on Bedrock do not).")
    ] = None


DEFAULT = Quirks()


def merged(*layers: Mapping[str, Any]) -> Quirks:
    """The quirks of several JSON objects; later ones override earlier ones. Raises ``msgspec.ValidationError`` with the path."""
    values: dict[str, Any] = {}
    for layer in layers:
        values.update(layer)
    return msgspec.convert(values, Quirks, strict=False) if values else DEFAULT
