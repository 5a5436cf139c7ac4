"""What stands where in a Converse body, and what its encoder has no form of: for the list of what a translation drops."""

from __future__ import annotations

from proxy.translation.canonical import Opaque, Reasoning, Request
from proxy.translation.dialects.base import EncodeTarget, Places
from proxy.translation.dialects.bedrock_converse.seals import is_own
from proxy.translation.dialects.bedrock_converse.thinking import is_claude
from proxy.translation.dialects.bedrock_converse.wire import FAMILY

PLACES = Places(
    settings={
        "max_tokens": ("inferenceConfig.maxTokens",),
        "temperature": ("inferenceConfig.temperature",),
        "top_p": ("inferenceConfig.topP",),
        "top_k": ("additionalModelRequestFields.top_k",),
        "stop": ("inferenceConfig.stopSequences",),
        "reasoning": ("additionalModelRequestFields.thinking", "outputConfig.effort"),
        "output": ("outputConfig.textFormat",),
        "tool_choice": ("toolConfig.toolChoice",),
        "service_tier": ("serviceTier",),
        "metadata": ("requestMetadata",),
    },
    objects=frozenset({"inferenceConfig", "toolConfig", "outputConfig", "additionalModelRequestFields"}),
    quiet=frozenset({"messages", "system", "toolConfig.tools"}),
    defaults={"serviceTier": {"type": "default"}, "toolConfig.toolChoice": {"auto": {}}},
    system="system[]",
    tool="toolConfig.tools[].toolSpec",
    result="messages[].content[].toolResult.content[]",
    output="outputConfig.textFormat.structure.jsonSchema",
    cache=("cachePoint",),
    citations=("citationsContent.citations",),
    title=("document.name",),
    context=("document.context",),
    source=("document.source.content[]",),
    name=(),
    detail=(),
    reasoning=("messages[].content[].reasoningContent",),
    output_strict=(),
    response_part="output.message.content[]",
    response_citation="output.message.content[].citationsContent.citations[]",
)

_LEFT_OUT = frozenset(
    {"reasoning", "name", "source", "late_system", "output_strict", "detail", "detail.low", "detail.high", "detail.original"}
)


def leaves_out(request: Request, target: EncodeTarget) -> frozenset[str]:
    """See :class:`~proxy.translation.dialects.base.Dialect`."""
    if request.family == FAMILY:
        return _LEFT_OUT
    has_points = is_claude(target.model) or "nova" in target.model
    return _LEFT_OUT | {"citations"} | ({"cache.ttl", "cache.scope"} if has_points else {"cache", "cache.ttl", "cache.scope"})


def keeps(part: Reasoning | Opaque, _request: Request, _target: EncodeTarget) -> bool:
    """Whether a part is of this family, and reasoning is signed."""
    return part.family == FAMILY if isinstance(part, Opaque) else is_own(part.seal)
