"""What stands where in a Responses body, and what its encoder has no form of: for the list of what a translation drops."""

from __future__ import annotations

from proxy.translation.canonical import Opaque, Reasoning, Request
from proxy.translation.dialects.base import EncodeTarget, Places
from proxy.translation.dialects.openai_responses.request_encode_input import can_open
from proxy.translation.dialects.openai_responses.wire import ENCRYPTED_CONTENT, FAMILY, PREVIOUS_ID_FIELD, STORED_FIELD

PLACES = Places(
    settings={
        "max_tokens": ("max_output_tokens",),
        "reasoning": ("reasoning.effort",),
        "summary": ("reasoning.summary", "reasoning.generate_summary"),
        "output": ("text.format",),
        "verbosity": ("text.verbosity",),
        "end_user": ("safety_identifier", "user"),
        "logprobs": ("include",),
    },
    objects=frozenset({"text", "reasoning", "stream_options"}),
    quiet=frozenset({"model", "input", "instructions", "tools", "stream", STORED_FIELD, PREVIOUS_ID_FIELD}),
    served={"store": STORED_FIELD},
    defaults={
        "parallel_tool_calls": True,
        "text.format": {"type": "text"},
        "include": [ENCRYPTED_CONTENT],
        "truncation": "disabled",
        "background": False,
        "store": False,
    },
    system="input[].content[]",
    message="input[]",
    part="input[].content[]",
    result="input[].output[]",
    output="text.format",
    cache=("prompt_cache_breakpoint",),
    reasoning=("input[]",),
    response_part="output[]",
    response_citation="output[].content[].annotations[]",
)

_LEFT_OUT = frozenset(
    {
        "citations",
        "reasoning",
        "name",
        "source",
        "cache.ttl",
        "cache.scope",
        "context.base64",
        "context.file",
        "context.url",
        "title.file",
        "title.url",
    }
)


def leaves_out(request: Request, target: EncodeTarget) -> frozenset[str]:
    """See :class:`~proxy.translation.dialects.base.Dialect`."""
    has_marks = request.family == FAMILY or target.quirks.cache_markers == "openai_breakpoints"
    return _LEFT_OUT if has_marks else _LEFT_OUT | {"cache"}


def keeps(part: Reasoning | Opaque, _request: Request, target: EncodeTarget) -> bool:
    """Whether a part is of this family, and the upstream made the reasoning."""
    if isinstance(part, Opaque):
        return part.family == FAMILY
    return part.seal is not None and can_open(part.seal, target.upstream)
