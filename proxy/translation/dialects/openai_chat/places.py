"""What stands where in a Chat body, and what its encoder has no form of: for the list of what a translation drops."""

from __future__ import annotations

from proxy.translation.canonical import Opaque, Reasoning, Request
from proxy.translation.dialects.base import EncodeTarget, Places
from proxy.translation.dialects.openai_chat.wire_request import FAMILY

PLACES = Places(
    settings={
        "max_tokens": ("max_completion_tokens", "max_tokens"),
        "reasoning": ("reasoning_effort",),
        "output": ("response_format",),
        "end_user": ("safety_identifier", "user"),
        "tool_choice": ("tool_choice", "function_call"),
    },
    objects=frozenset({"stream_options"}),
    quiet=frozenset({"model", "messages", "tools", "functions", "stream", "stream_options.include_usage", "web_search_options"}),
    defaults={"n": 1, "parallel_tool_calls": True, "response_format": {"type": "text"}, "logprobs": False, "store": False},
    system="messages[].content[]",
    result="messages[].content[]",
    strict="function.strict",
    output="response_format.json_schema",
    cache=("cache_control", "prompt_cache_breakpoint"),
    detail=("image_url.detail",),
    reasoning=("messages[].reasoning_content", "messages[].reasoning_details", "messages[].reasoning"),
    response_part="choices[].message.content",
    response_citation="choices[].message.annotations[]",
)

_LEFT_OUT = frozenset(
    {"citations", "detail.original", "reasoning", "source", "context.base64", "context.file", "context.url", "title.file", "title.url"}
)


def leaves_out(request: Request, target: EncodeTarget) -> frozenset[str]:
    """See :class:`~proxy.translation.dialects.base.Dialect`."""
    marks = {"drop": {"cache"}, "openai_breakpoints": {"cache.ttl", "cache.scope"}}.get(target.quirks.cache_markers, set())
    return _LEFT_OUT | marks | (set() if request.family == FAMILY else {"name"})


def keeps(part: Reasoning | Opaque, _request: Request, target: EncodeTarget) -> bool:
    """Whether a part is of this family, and the upstream takes the reasoning of earlier turns."""
    if isinstance(part, Opaque):
        return part.family == FAMILY
    return part.seal is not None and part.seal.origin == FAMILY and target.quirks.reasoning_history != "omit"
