"""Conversations and answers of every kind, made up by hypothesis in the canonical form.

``requests(family)`` draws requests that a client of a family could send; ``responses()`` draws what an upstream could answer.
Words are never blank and never end in white space (each dialect's own tests look after those); ids and names are legal.
"""

from __future__ import annotations

import json

import msgspec
from hypothesis import strategies as st

from proxy.translation.canonical import (
    CacheMark,
    Document,
    Finish,
    Image,
    Message,
    OutputFormat,
    Part,
    Reasoning,
    ReasoningSetting,
    Request,
    Response,
    Seal,
    Source,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Usage,
    settled,
)

word_texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8).map(lambda text: f"w{text}.")
marks = st.none() | st.just(CacheMark())
objects = st.dictionaries(
    st.sampled_from(["a", "ü", "input"]), st.integers(0, 9) | word_texts | st.lists(st.booleans(), max_size=2), max_size=2
)
arguments = objects.map(lambda value: json.dumps(value, ensure_ascii=False))
SCHEMAS = (
    None,
    msgspec.Raw(b'{"type":"object","properties":{}}'),
    msgspec.Raw(b'{"type":"object","properties":{"a":{"type":"integer","x-vendor":1}},"required":["a"]}'),
)
STRICT_SCHEMA = msgspec.Raw(b'{"type":"object","properties":{"a":{"type":"integer"}},"required":["a"],"additionalProperties":false}')
"""A schema that every vendor accepts for a strict tool; so is the one below for a response."""
ANSWER_SCHEMA = msgspec.Raw(
    b'{"type":"object","properties":{"z":{"type":"string"},"a":{"type":"number"}},"required":["z","a"],"additionalProperties":false}'
)
IMAGES = (
    Image(Source("base64", "AAAA", "image/png"), at="messages.0.content.0"),
    Image(Source("base64", "BBBB", "image/jpeg"), at="messages.0.content.0"),
    Image(Source("url", "https://example.com/a.png"), at="messages.0.content.0"),
)
DOCUMENTS = (
    Document(Source("base64", "JVBERi0=", "application/pdf"), filename="a.pdf", at="messages.0.content.0"),
    Document(Source("text", "The words of a note.", "text/plain"), title="Note", at="messages.0.content.0"),
)
TOOL_NAMES = ("read", "write_file", "mcp__server__" + "long_name_" * 5, "a-b")

texts: st.SearchStrategy[Part] = st.builds(Text, word_texts, marks)
media: st.SearchStrategy[Part] = st.sampled_from([*IMAGES, *DOCUMENTS])


@st.composite
def tools(draw: st.DrawFn, *, custom: bool) -> tuple[Tool, ...]:
    """Tools of different names; each one's description is its own."""
    names = draw(st.lists(st.sampled_from(TOOL_NAMES), unique=True, max_size=3))
    kinds = ["function", "custom"] if custom else ["function"]
    return tuple(
        Tool(name=name, description=f"tool {number}", kind="custom")
        if draw(st.sampled_from(kinds)) == "custom"
        else Tool(
            name=name,
            description=f"tool {number}",
            **draw(
                st.sampled_from(
                    [{"schema": schema, "strict": strict} for schema in SCHEMAS for strict in (None, False)]
                    + [{"schema": STRICT_SCHEMA, "strict": True}]
                )
            ),
            cache=draw(marks),
        )
        for number, name in enumerate(names)
    )


@st.composite
def turns(draw: st.DrawFn, offered: tuple[Tool, ...]) -> list[Message]:
    """A conversation that begins and ends with a user turn, with complete tool loops where there are tools."""
    out = [Message("user", tuple(draw(st.lists(texts | media, min_size=1, max_size=3))))]
    number = 0
    for _ in range(draw(st.integers(0, 3))):
        text_parts = draw(st.lists(texts, max_size=2))
        chosen = draw(st.lists(st.sampled_from(offered), max_size=3)) if offered else []
        calls: list[ToolCall] = []
        for tool in chosen:
            number += 1
            call_input = draw(word_texts if tool.kind == "custom" else arguments)
            calls.append(ToolCall(f"call_{number}", tool.name, call_input, kind=tool.kind))
        if text_parts or calls:
            out.append(Message("assistant", (*text_parts, *calls)))
        if draw(st.booleans()):
            out.append(Message("system", tuple(draw(st.lists(texts, min_size=1, max_size=2)))))
        results = [draw(_result(call)) for call in draw(st.permutations(calls))]
        rest = draw(st.lists(texts | media, min_size=0 if results else 1, max_size=2))
        out.append(Message("user", (*results, *rest)))
    return _system_behind(out)


@st.composite
def _result(draw: st.DrawFn, call: ToolCall) -> ToolResult:
    content = tuple(draw(st.lists(texts | st.sampled_from(IMAGES), max_size=2)))
    return ToolResult(call.id, content, is_error=draw(st.booleans()), kind=call.kind)


def _system_behind(messages: list[Message]) -> list[Message]:
    """System messages behind the turn of results that they would cut off from its calls."""
    out: list[Message] = []
    for message in messages:
        if out and out[-1].role == "system" and message.role == "user":
            out.insert(len(out) - 1, message)
        else:
            out.append(message)
    return out


@st.composite
def plain_settings(draw: st.DrawFn, family: str) -> dict[str, object]:
    """Limits, sampling and what else a request may say; a budget fits below its limit."""
    max_tokens = draw(st.sampled_from([None, 1, 16, 3000, 20000]))
    output = draw(
        st.sampled_from(
            [None, OutputFormat(kind="json_object"), OutputFormat(kind="json_schema", name="answer", schema=ANSWER_SCHEMA, strict=True)]
        )
    )
    reasoning = draw(
        st.sampled_from(
            [None, None, ReasoningSetting(mode="disabled")]
            + [ReasoningSetting(mode="effort", effort=effort) for effort in ("minimal", "low", "medium", "high", "xhigh", "max")]
            + [ReasoningSetting(mode="adaptive", effort="low")]
            + [ReasoningSetting(mode="budget", budget=2000)] * (max_tokens is None or max_tokens > 2000)
        )
    )
    return {
        "max_tokens": max_tokens,
        "temperature": draw(st.sampled_from([None, 0.0, 0.5, 1.0, 1.7])),
        "top_p": draw(st.sampled_from([None, 0.5, 0.97])),
        "top_k": draw(st.sampled_from([None, 40])) if family in ("anthropic", "gemini", "bedrock_converse") else None,
        "stop": tuple(draw(st.lists(st.sampled_from(["STOP", "\n\n", "###", "END", "x", "y"]), unique=True))),
        "end_user": draw(st.sampled_from([None, "user-1"])),
        "metadata": draw(st.sampled_from([None, {"key": "value"}])),
        "prompt_cache_key": draw(st.sampled_from([None, "cache-1"])),
        "output": output,
        "reasoning": reasoning,
        "stream": draw(st.booleans()),
    }


@st.composite
def requests(draw: st.DrawFn, family: str) -> Request:
    """Any request that every family can express; free-form tools from Responses clients only."""
    offered = draw(tools(custom=family == "openai_responses"))
    choices: list[ToolChoice | None] = [None]
    if offered:
        modes = [ToolChoice(mode=mode) for mode in ("auto", "required", "none")]
        choices += [*modes, ToolChoice(mode="tool", name=offered[0].name, kind=offered[0].kind)]
    return Request(
        model="client-model",
        messages=tuple(draw(turns(offered))),
        family=family,
        system=tuple(draw(st.lists(st.builds(Text, word_texts, marks), max_size=2))),
        tools=offered,
        tool_choice=draw(st.sampled_from(choices)),
        parallel_calls=draw(st.sampled_from([None, True, False])),
        **draw(plain_settings(family)),  # type: ignore[arg-type]  # drawn by name
    )


def with_inline_images(request: Request) -> Request:
    """The request with an inline image in place of each one by URL."""

    def inline(part: Part) -> Part:
        if isinstance(part, ToolResult):
            return msgspec.structs.replace(part, content=tuple(inline(inner) for inner in part.content))
        return IMAGES[0] if isinstance(part, Image) and part.source.kind == "url" else part

    messages = tuple(msgspec.structs.replace(message, parts=tuple(map(inline, message.parts))) for message in request.messages)
    return msgspec.structs.replace(request, messages=messages)


# --- answers ---------------------------------------------------------------------------------------------------------

SEALS = {
    "anthropic": Seal("anthropic", "anthropic", {"signature": "c2lnbmVk"}),
    "openai_responses": Seal("openai_responses", "up-1", {"id": "rs_1", "encrypted_content": "c2VjcmV0"}),
    "openai_chat": Seal("openai_chat", ""),
    "bedrock_converse": Seal("bedrock_converse", "", {"signature": "c2lnbmVk"}),
    "gemini": Seal("gemini", "up-1", {"signature": "c2lnbmVk"}),
}
"""What an upstream of each family seals its reasoning with."""

TIERS: dict[str, tuple[str | None, ...]] = {
    "anthropic": (None, "standard", "priority", "batch"),
    "openai_responses": (None, "default", "flex", "ultrafast"),
    "openai_chat": (None, "default", "scale"),
    "bedrock_converse": (None,),
    "gemini": (None,),
}


@st.composite
def responses(draw: st.DrawFn, family: str) -> Response:
    """Any settled answer of an upstream of ``family``: reasoning first, then text, then calls."""
    parts: list[Part] = []
    if draw(st.booleans()):
        parts.append(Reasoning(draw(word_texts), SEALS[family]))
    refuses = draw(st.booleans()) and draw(st.booleans())
    if refuses:
        parts.append(Text(draw(word_texts), refusal=True))
    elif draw(st.booleans()):
        parts.append(Text(draw(word_texts)))
    count = 0 if refuses else draw(st.integers(0, 3))
    parts += [ToolCall(f"call_{number}", draw(st.sampled_from(TOOL_NAMES)), draw(arguments)) for number in range(count)]
    has_calls = any(isinstance(part, ToolCall) for part in parts)
    reason = "refusal" if refuses else draw(st.sampled_from(["end", "length"]))
    fresh, read, write, output = (draw(st.integers(0, 1000)) for _ in range(4))
    usage = Usage(
        fresh=fresh,
        cache_read=read,
        cache_write_5m=write,
        output=output,
        reasoning=draw(st.integers(0, output)),
        service_tier=draw(st.sampled_from(TIERS[family])),
    )
    return Response(
        id="upstream-id-1",
        model="upstream-model",
        parts=tuple(parts),
        finish=settled(Finish(reason=reason), has_calls=has_calls),
        usage=usage,
    )
