"""What we send and answer, judged by the strict rules of the API and by the official SDK's own types."""

from __future__ import annotations

import json
from itertools import chain
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from proxy.translation.accumulate import replay
from proxy.translation.adaptation.adapt import adapt
from proxy.translation.canonical import (
    CacheMark,
    Document,
    Finish,
    Image,
    Message,
    Opaque,
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
)
from proxy.translation.dialects.base import EncodeContext, EncodeTarget
from proxy.translation.dialects.openai_chat.dialect import DIALECT
from proxy.translation.errors import ClientMistake
from proxy.translation.quirks import Quirks
from tests.support.rules_openai_chat import check_request
from tests.support.sizes import examples

KEY = b"a secret"
strings = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
names = st.sampled_from(["read", "write", "mcp__" + "long_" * 20, "weird.name/x"])
marks = st.sampled_from([None, CacheMark()])
texts: st.SearchStrategy[Part] = st.builds(Text, strings, marks)
media: st.SearchStrategy[Part] = st.sampled_from(
    [
        Image(Source("base64", "AAAA", "image/png")),
        Image(Source("url", "https://example.com/a.png"), detail="original"),
        Document(Source("base64", "AAAA", "application/pdf")),
        Document(Source("text", "words", "text/plain"), title="Notes"),
        Opaque("anthropic", "search_result", msgspec.Raw(b"{}"), "found"),
    ]
)
reasonings: st.SearchStrategy[Part] = st.builds(
    Reasoning, strings, st.sampled_from([None, Seal("openai_chat", ""), Seal("anthropic", "anthropic", {"signature": "s"})])
)
history: st.SearchStrategy[Part] = st.just(Opaque("anthropic", "server_tool_use", msgspec.Raw(b"{}"), "seen", history=True))


@st.composite
def rounds(draw: st.DrawFn) -> list[Message]:
    """A question, an assistant's run of messages with calls, and the run behind it, which answers some or all of them."""
    ids = [
        f"toolu_{draw(st.integers(0, 9))}{suffix}"
        for suffix in draw(st.lists(st.sampled_from(["a", "b", "c" * 70, "d"]), unique=True, max_size=3))
    ]
    calls: list[Part] = [ToolCall(element, draw(names), draw(st.sampled_from(["", "{}", '{"a": 1}']))) for element in ids]
    results: list[Part] = [
        ToolResult(element, tuple(draw(st.lists(texts | media, max_size=3))), is_error=draw(st.booleans()))
        for element in ids
        if draw(st.booleans())
    ]
    parts_of_turn = draw(st.permutations([*calls, *draw(st.lists(texts | reasonings | history, max_size=3))]))
    user_parts = draw(st.permutations([*results, *draw(st.lists(texts | media, max_size=3))]))
    run = [Message("user", (Text("Hi"),))]
    run += [Message("assistant", part) for part in split(draw, parts_of_turn)]
    run += [Message("user", part) for part in split(draw, user_parts)]
    if draw(st.booleans()):
        run.insert(draw(st.integers(1, len(run))), Message("system", (draw(texts),)))
    return run


def split(draw: st.DrawFn, parts: list[Part]) -> list[tuple[Part, ...]]:
    """The parts in one or two messages."""
    cut = draw(st.integers(0, len(parts)))
    return [tuple(element) for element in (parts[:cut], parts[cut:]) if element or draw(st.booleans())]


conversations = st.lists(rounds(), min_size=1, max_size=3).map(lambda element: tuple(chain.from_iterable(element)))


@st.composite
def requests(draw: st.DrawFn) -> Request:
    """Any conversation with any settings, as other dialects decode them."""
    tools = tuple(
        Tool(name=name, schema=msgspec.Raw(b'{"type":"object"}'), cache=draw(marks))
        for name in draw(st.lists(names, max_size=3, unique=True))
    )
    choice = draw(
        st.sampled_from([None, ToolChoice(mode="auto"), ToolChoice(mode="required"), ToolChoice(mode="none")])
        if not tools
        else st.sampled_from([None, ToolChoice(mode="tool", name=tools[0].name), ToolChoice(mode="auto", subset=(tools[0].name,))])
    )
    return Request(
        model="m",
        messages=draw(conversations),
        family=draw(st.sampled_from(["anthropic", "openai_responses"])),
        system=tuple(draw(st.lists(st.builds(Text, strings, marks), max_size=2))),
        tools=tools,
        tool_choice=choice,
        parallel_calls=draw(st.sampled_from([None, True, False])),
        max_tokens=draw(st.sampled_from([None, 1, 100_000])),
        stop=tuple(draw(st.lists(strings, max_size=6))),
        temperature=draw(st.sampled_from([None, 0.0, 0.7, 1.0, 2.0])),
        top_k=5,
        reasoning=draw(st.sampled_from([None, ReasoningSetting(mode="adaptive", effort="max"), ReasoningSetting(mode="disabled")])),
        output=draw(st.sampled_from([None, OutputFormat(kind="json_object"), OutputFormat(kind="json_schema", name="a b/" + "c" * 80)])),
        end_user=draw(st.sampled_from([None, "u", "u" * 300])),
        verbosity="low",
        service_tier=draw(st.sampled_from([None, "auto", "standard_only"])),
    )


quirks = st.builds(
    Quirks,
    supports_developer=st.booleans(),
    tool_image_parts=st.booleans(),
    late_system=st.sampled_from(["in_place", "hoist"]),
    requires_reasoning_content=st.booleans(),
    empty_assistant_content=st.sampled_from(["null", "empty"]),
    cache_markers=st.sampled_from(["drop", "passthrough", "openai_breakpoints"]),
    tool_choice=st.sampled_from(["all", "auto_only", "none"]),
    structured_output=st.booleans(),
)


@given(requests(), quirks, st.booleans())
@settings(max_examples=examples(400))
def test_every_encoded_request_is_valid(request: Request, quirk_values: Quirks, stream: bool) -> None:
    target = EncodeTarget(model="up", dialect="openai_chat", quirks=quirk_values, stream=stream)
    try:
        adapted = adapt(request, target, family=DIALECT.family, traits=DIALECT.traits)
    except ClientMistake:
        return
    body = json.loads(DIALECT.encode_request(adapted.request, target))
    if quirk_values.cache_markers == "passthrough":
        for tool in body.get("tools", ()):
            tool.pop("cache_control", None)
    check_request(body, tool_images=quirk_values.tool_image_parts)


# --- the official SDK reads what we write ----------------------------------------------------------------------------

CONTEXT = EncodeContext(
    id="0123456789abcdef01234567",
    created=1_800_000_000,
    model="claude",
    request=Request(model="m", messages=(), family="openai_chat", include_usage=True),
    seal_key=KEY,
)
ANSWER = Response(
    id="up",
    model="up",
    parts=(
        Reasoning("hm", Seal("anthropic", "anthropic", {"signature": "s"})),
        Text("See "),
        Text("this."),
        ToolCall("toolu_1", "read", '{"path":"/a"}'),
        ToolCall("", "list", ""),
        ToolCall("toolu_3", "patch", "*** Begin", "custom"),
    ),
    finish=Finish(reason="tool_calls"),
    usage=Usage(fresh=5, cache_read=3, output=7, reasoning=2),
)


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_nulls(element) for key, element in value.items() if element is not None}
    return [without_nulls(element) for element in value] if isinstance(value, list) else value


def test_the_sdk_reads_a_response_as_it_was_written() -> None:
    body = json.loads(DIALECT.encode_response(ANSWER, CONTEXT))
    read = ChatCompletion.model_validate(body, strict=True)
    assert without_nulls(read.to_dict()) == without_nulls(body)


@pytest.mark.parametrize("include_usage", [True, False])
def test_the_sdk_reads_every_chunk_and_puts_the_response_together(include_usage: bool) -> None:
    response = msgspec.structs.replace(ANSWER, parts=ANSWER.parts[:-1])
    context = msgspec.structs.replace(CONTEXT, request=msgspec.structs.replace(CONTEXT.request, include_usage=include_usage))
    encoder, state = DIALECT.encoder(context), ChatCompletionStreamState()
    for event in replay(response):
        for frame in encoder.feed(event):
            if frame.data != b"[DONE]":
                state.handle_chunk(ChatCompletionChunk.model_validate(json.loads(frame.data), strict=True))
    read = without_nulls(state.get_final_completion().to_dict())
    request = without_nulls(json.loads(DIALECT.encode_response(response, context)))
    if not include_usage:
        del request["usage"]
    for call in read["choices"][0]["message"]["tool_calls"]:
        call.pop("index", None)
    assert read == request
