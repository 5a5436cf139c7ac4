"""The rules of tool call enforcement: every turn of a model must call a tool, or state that the work is done.

A response is accepted if it has a tool call with an id and a name, or the termination flag in its text or reasoning. The flag
is removed before the client gets the response.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from proxy.translation.canonical import Part, Reasoning, Response, Text, ToolCall

FLAG = '{"tool_loop": "completed"}'
"""The default termination flag."""

GUIDANCE = """\
Work through the tools. As long as anything is left to do, every answer must contain at least one tool call.
When the whole task is done and no further tool call is needed, answer with exactly this and nothing else:
{flag}"""

CORRECTION = """\
[The previous answer was not accepted: {reason}. Answer again: call a tool to go on with the task, or, only if it is done, \
answer with exactly {flag}]"""

TRUE_WORDS = frozenset({"true", "1", "yes", "on"})
FALSE_WORDS = frozenset({"false", "0", "no", "off"})

_SUMMARY = b'"compaction_trigger"'
"""The item of a Responses request that requests a compaction."""

MAX_RETRIES = 50
MAX_DELAY_MS = 10_000


class Rules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One layer of settings; ``None`` means the value of the layer below."""

    enabled: Annotated[bool | None, Meta(description="Enforce tool calls in requests that have tools.")] = None
    termination_flag: Annotated[
        Annotated[str, Meta(min_length=1, max_length=1000)] | None,
        Meta(description="Text with which the model says that the task is done; it is removed from the response."),
    ] = None
    max_retries: Annotated[
        Annotated[int, Meta(ge=1, le=MAX_RETRIES)] | None,
        Meta(description=f"Attempts after the first one, from 1 to {MAX_RETRIES}."),
    ] = None
    guidance: Annotated[
        Annotated[str, Meta(max_length=20_000)] | None,
        Meta(description="System text that explains the rules, instead of the built-in one; {flag} stands for the termination flag."),
    ] = None
    stream_chunk_delay_ms: Annotated[
        Annotated[int, Meta(ge=0, le=MAX_DELAY_MS)] | None,
        Meta(description=f"Milliseconds between two pieces of an accepted response that is streamed, from 0 to {MAX_DELAY_MS}."),
    ] = None
    empty_response_policy: Annotated[
        Literal["strict", "lenient"] | None, Meta(description="Whether an empty response is retried (strict) or accepted (lenient).")
    ] = None

    def over(self, below: Rules) -> Rules:
        """This layer over another one."""
        own = {name: value for name in self.__struct_fields__ if (value := getattr(self, name)) is not None}
        return msgspec.structs.replace(below, **own)


DEFAULTS = Rules(
    enabled=False, termination_flag=FLAG, max_retries=10, guidance=GUIDANCE, stream_chunk_delay_ms=0, empty_response_policy="strict"
)


class Enforcement(msgspec.Struct, frozen=True, kw_only=True):
    """The complete rules of one request. ``max_retries`` does not count the first attempt."""

    flag: str
    max_retries: int
    guidance: str
    delay_seconds: float
    is_strict: bool

    @classmethod
    def from_rules(cls, rules: Rules) -> Enforcement:
        """The rules over the built-in defaults."""
        full = rules.over(DEFAULTS)
        assert full.termination_flag is not None
        return cls(
            flag=full.termination_flag,
            max_retries=full.max_retries or 0,
            guidance=(full.guidance or GUIDANCE).replace("{flag}", full.termination_flag),
            delay_seconds=(full.stream_chunk_delay_ms or 0) / 1000,
            is_strict=full.empty_response_policy == "strict",
        )

    def correction(self, reason: str) -> str:
        """The text that is added to the next attempt. Texts of earlier attempts are not repeated."""
        return CORRECTION.replace("{reason}", reason).replace("{flag}", self.flag)

    def fault(self, response: Response) -> str:
        """Why a response is not accepted; empty if it is accepted."""
        calls = [part for part in response.parts if isinstance(part, ToolCall)]
        if any(call.id and call.name for call in calls):
            return ""
        if calls:
            return "its tool call had no id or no name"
        texts = [part.text for part in response.parts if isinstance(part, Text | Reasoning)]
        if any(_pattern(self.flag).search(text) for text in texts):
            return ""
        if not any(part.text.strip() for part in response.parts if isinstance(part, Text)):
            return "it was empty" if self.is_strict else ""
        return "it had neither a tool call nor the termination flag"

    def without_flag(self, response: Response) -> Response:
        """The response without the flag. Sealed reasoning is not changed: its seal covers the text."""
        parts: list[Part] = []
        for part in response.parts:
            if isinstance(part, Text) or (isinstance(part, Reasoning) and part.seal is None):
                text = _pattern(self.flag).sub("", part.text)
                if text == part.text:
                    parts.append(part)
                elif text.strip():
                    parts.append(_with_text(part, text.rstrip()))
            else:
                parts.append(part)
        return response if tuple(parts) == response.parts else msgspec.structs.replace(response, parts=tuple(parts))


def _with_text(part: Text | Reasoning, text: str) -> Part:
    """``part`` with another text and without log probabilities, which belong to the old text."""
    return Text(text, part.cache, part.citations, refusal=part.refusal) if isinstance(part, Text) else Reasoning(text)


@functools.lru_cache(maxsize=64)
def _pattern(flag: str) -> re.Pattern[str]:
    """Matches the flag, also in a code fence of its own. White space inside a JSON flag is ignored."""
    if flag.lstrip()[:1] in ("{", "["):
        tokens = re.findall(r'"(?:[^"\\]|\\.)*"|[^\s{}\[\]:,"]+|\S', flag)
        body = r"\s*".join(re.escape(token) for token in tokens)
    else:
        body = re.escape(flag)
    return re.compile(rf"```[a-z]*\s*{body}\s*```|{body}")


def parse_switch(word: str | None) -> bool | None:
    """The value of a header or query parameter; ``None`` when empty. Raises ``ValueError`` for an unknown word."""
    if word is None or not word.strip():
        return None
    lower = word.strip().lower()
    if lower in TRUE_WORDS | FALSE_WORDS:
        return lower in TRUE_WORDS
    raise ValueError("true or false is expected")


def choose_enforcement(
    *, header: bool | None, query: bool | None, model: Rules | None, settings: Rules, has_tools: bool
) -> Enforcement | None:
    """The enforcement of a request, or ``None``: header over query over the model's rules over the settings.

    A model's rules and the settings apply to requests with tools; a header or query parameter applies to every request.
    """
    rules = settings if model is None else model.over(settings)
    requested = query if header is None else header
    is_enabled = requested if requested is not None else bool(rules.enabled) and has_tools
    return Enforcement.from_rules(rules) if is_enabled else None


def has_tools(fields: Mapping[str, msgspec.Raw]) -> bool:
    """Whether a request offers tools to the model. A compaction request lists tools without offering them."""
    if _SUMMARY in bytes(fields.get("input", b"")):
        return False
    return any(bytes(fields.get(name, b"")).strip() not in (b"", b"null", b"[]") for name in ("tools", "functions"))
