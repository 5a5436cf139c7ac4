"""What stands where in a generateContent body, and what its encoder has no form of: for the list of what a translation drops."""

from __future__ import annotations

from proxy.translation.canonical import Opaque, Reasoning, Request
from proxy.translation.dialects.base import EncodeTarget, Places
from proxy.translation.dialects.gemini.signatures import is_own
from proxy.translation.dialects.gemini.wire import FAMILY

_CONFIG = "generationConfig"

PLACES = Places(
    settings={
        "max_tokens": (f"{_CONFIG}.maxOutputTokens",),
        "temperature": (f"{_CONFIG}.temperature",),
        "top_p": (f"{_CONFIG}.topP",),
        "top_k": (f"{_CONFIG}.topK",),
        "stop": (f"{_CONFIG}.stopSequences",),
        "reasoning": (f"{_CONFIG}.thinkingConfig",),
        "output": (f"{_CONFIG}.responseJsonSchema", f"{_CONFIG}.responseSchema", f"{_CONFIG}.responseMimeType"),
        "tool_choice": ("toolConfig.functionCallingConfig",),
        "service_tier": ("serviceTier",),
        "system": ("systemInstruction",),
    },
    objects=frozenset({_CONFIG, "toolConfig"}),
    quiet=frozenset({"contents", "tools", "systemInstruction"}),
    defaults={
        f"{_CONFIG}.candidateCount": 1,
        f"{_CONFIG}.responseMimeType": "text/plain",
        f"{_CONFIG}.responseModalities": ["TEXT"],
        "serviceTier": "standard",
        "toolConfig.functionCallingConfig": {"mode": "AUTO"},
    },
    system="systemInstruction",
    message="contents[]",
    part="contents[].parts[]",
    result="contents[].parts[].functionResponse.parts[]",
    tool="tools[].functionDeclarations[]",
    output=_CONFIG,
    cache=(),
    title=("inlineData.displayName",),
    reasoning=("contents[].parts[].thoughtSignature",),
    output_name=(),
    output_strict=(),
    output_description=(),
    response_part="candidates[].content.parts[]",
    response_citation="candidates[].groundingMetadata",
)

_LEFT_OUT = frozenset(
    {
        "reasoning", "cache", "cache.ttl", "cache.scope", "citations", "name", "source", "late_system", "output_name", "output_strict",
        "output_description", "detail", "detail.low", "detail.high", "detail.original", "title.base64", "title.url", "context.base64",
        "context.url",
    }
)  # fmt: skip


def leaves_out(_request: Request, _target: EncodeTarget) -> frozenset[str]:
    """See :class:`~proxy.translation.dialects.base.Dialect`."""
    return _LEFT_OUT


def keeps(part: Reasoning | Opaque, _request: Request, target: EncodeTarget) -> bool:
    """Whether a part is of this family, and its signature of this upstream."""
    if isinstance(part, Opaque):
        return part.family == FAMILY
    return is_own(part.seal, target.upstream)
