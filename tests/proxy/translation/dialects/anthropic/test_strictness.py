"""Encoded requests and responses follow the rules of the API and the types of the official SDK."""

import json
from itertools import chain
from typing import Any

import msgspec
import pytest
from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import Message as SdkMessage
from anthropic.types import RawMessageStreamEvent
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming, MessageCreateParamsStreaming
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

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
from proxy.translation.dialects.anthropic.dialect import DIALECT
from proxy.translation.dialects.base import EncodeContext, EncodeTarget
from proxy.translation.errors import ClientMistake
from proxy.translation.quirks import Quirks
from tests.support.cases import ROOT
from tests.support.rules_anthropic import check_request
from tests.support.sizes import examples

short_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=6) | st.sampled_from([" ", "\n", "end \n"])
names = st.sampled_from(["read", "write", "mcp__" + "long_" * 30, "weird.name/x", "weird_name_x"])
marks = st.sampled_from([None, CacheMark()])
texts: st.SearchStrategy[Part] = st.builds(Text, short_texts, marks)
media: st.SearchStrategy[Part] = st.sampled_from(
    [
        Image(Source("base64", "AAAA", "image/jpg"), cache=CacheMark()),
        Image(Source("url", "https://example.com/a.png"), detail="high"),
        Document(Source("base64", "AAAA", "application/pdf"), filename="a.pdf"),
        Document(Source("text", "words", "text/plain"), title="Notes", cache=CacheMark()),
        Opaque("openai_responses", "unknown", msgspec.Raw(b"{}"), "found"),
    ]
)
SEALS = [
    None,
    Seal("openai_chat", ""),
    Seal("openai_responses", "u", {"id": "rs_1"}),
    Seal("anthropic", "anthropic", {"signature": "s"}),
    Seal("anthropic", "anthropic", {"redacted": "s"}),
    Seal("anthropic", None, {"signature": ""}),
]
thoughts: st.SearchStrategy[Part] = st.builds(Reasoning, short_texts, st.sampled_from(SEALS))
history: st.SearchStrategy[Part] = st.sampled_from(
    [Opaque("openai_responses", "web_search_call", msgspec.Raw(b"{}"), text, history=True) for text in ("seen", "")]
)
arguments = st.sampled_from(["", "{}", '{"a": 1}', "[1]", "broken", "null"])


@st.composite
def rounds(draw: st.DrawFn) -> list[Message]:
    """A user message, assistant messages with calls, and user messages with results for some or all of the calls."""
    ids = draw(st.lists(st.sampled_from(["toolu_1", "functions.f:0", "functions.f.0", "c" * 70, "é"]), unique=True, max_size=3))
    calls: list[Part] = [ToolCall(call_id, draw(names), draw(arguments), cache=draw(marks)) for call_id in ids]
    results: list[Part] = [
        ToolResult(call_id, tuple(draw(st.lists(texts | media, max_size=3))), draw(st.booleans()), cache=draw(marks))
        for call_id in ids
        if draw(st.booleans())
    ]
    assistant_parts = draw(st.permutations([*calls, *draw(st.lists(texts | thoughts | history, max_size=3))]))
    user_parts = draw(st.permutations([*results, *draw(st.lists(texts | media, max_size=3))]))
    run = [Message("user", (Text("Hi"),))]
    run += [Message("assistant", part) for part in split(draw, assistant_parts)]
    run += [Message("user", part) for part in split(draw, user_parts)]
    if draw(st.booleans()):
        run.insert(draw(st.integers(1, len(run))), Message("system", (draw(texts),)))
    return run


def split(draw: st.DrawFn, parts: list[Part]) -> list[tuple[Part, ...]]:
    """``parts``, cut into at most two groups."""
    cut = draw(st.integers(0, len(parts)))
    return [tuple(half) for half in (parts[:cut], parts[cut:]) if half or draw(st.booleans())]


conversations = st.lists(rounds(), min_size=1, max_size=3).map(lambda groups: tuple(chain.from_iterable(groups)))
schemas = st.sampled_from([None, msgspec.Raw(b'{"type":"object"}'), msgspec.Raw(b'{"properties":{}}'), msgspec.Raw(b'{"type":"string"}')])


@st.composite
def requests(draw: st.DrawFn) -> Request:
    """Any conversation with any settings, as other dialects decode them."""
    tools = tuple(Tool(name=name, schema=draw(schemas), cache=draw(marks)) for name in draw(st.lists(names, max_size=3, unique=True)))
    free: list[ToolChoice | None] = [None, ToolChoice(mode="auto"), ToolChoice(mode="required"), ToolChoice(mode="none")]
    forced = [ToolChoice(mode="tool", name=tool.name) for tool in tools[:1]]
    return Request(
        model="m",
        messages=draw(conversations),
        family=draw(st.sampled_from(["openai_chat", "openai_responses", "anthropic"])),
        system=tuple(draw(st.lists(st.builds(Text, short_texts, marks), max_size=2))),
        tools=tools,
        tool_choice=draw(st.sampled_from([*free, *forced])),
        parallel_calls=draw(st.sampled_from([None, True, False])),
        max_tokens=draw(st.sampled_from([None, 1, 1025, 3000, 100_000])),
        stop=tuple(draw(st.lists(short_texts, max_size=6))),
        temperature=draw(st.sampled_from([None, 0.0, 0.7, 2.0])),
        top_p=draw(st.sampled_from([None, 0.5])),
        top_k=draw(st.sampled_from([None, 5])),
        reasoning=draw(
            st.sampled_from([None, *(ReasoningSetting(mode="effort", effort=effort) for effort in ("none", "minimal", "high", "max"))])
        ),
        output=draw(st.sampled_from([None, OutputFormat(kind="json_object"), OutputFormat(kind="json_schema", name="n")])),
        end_user=draw(st.sampled_from([None, "u", "u" * 300])),
        metadata={"a": "b"},
        verbosity="low",
        service_tier=draw(st.sampled_from([None, "auto", "default", "flex"])),
    )


quirks = st.builds(
    Quirks,
    late_system_native=st.booleans(),
    automatic_cache=st.booleans(),
    structured_output=st.booleans(),
    tool_choice=st.sampled_from(["all", "auto_only", "none"]),
    thinking_style=st.sampled_from(["auto", "enabled", "adaptive"]),
)
models = st.sampled_from(["claude-opus-4-5", "claude-opus-4-8", "claude-3-haiku-20240307", "glm-4.6"])


def sent_body(request: Request, target: EncodeTarget) -> dict[str, Any] | None:
    """The encoded body, or ``None`` for a request that is refused."""
    try:
        adapted = adapt(request, target, family=DIALECT.family, traits=DIALECT.traits)
        body: dict[str, Any] = json.loads(DIALECT.encode_request(adapted.request, target))
    except ClientMistake:
        return None
    return body


@given(requests(), quirks, models, st.sampled_from([None, 4096, 64000]))
@settings(max_examples=examples(200))
def test_any_encoded_request_keeps_the_rules_of_the_api(request: Request, switches: Quirks, model: str, maximum: int | None) -> None:
    body = sent_body(request, EncodeTarget(model=model, dialect="anthropic", quirks=switches, max_output_tokens=maximum))
    if body is not None:
        check_request(body)


PARAMS: TypeAdapter[Any] = TypeAdapter(MessageCreateParamsNonStreaming | MessageCreateParamsStreaming)


@given(requests(), quirks, models)
@settings(max_examples=examples(60))
def test_any_encoded_request_has_the_types_of_the_sdk(request: Request, switches: Quirks, model: str) -> None:
    body = sent_body(request, EncodeTarget(model=model, dialect="anthropic", quirks=switches))
    if body is not None:
        assert PARAMS.validate_python(body, strict=False)


@pytest.mark.parametrize(
    "folder", sorted(folder.name for folder in (ROOT / "translate").glob("*-anthropic-*") if not folder.name.startswith("anthropic-"))
)
def test_the_recorded_translations_keep_the_rules(folder: str) -> None:
    file = ROOT / "translate" / folder / "upstream_request.json"
    if file.exists():
        check_request(json.loads(file.read_bytes()))


# --- the official SDK reads what we write ----------------------------------------------------------------------------

REPLY = EncodeContext(
    id="0123456789abcdef01234567",
    created=0,
    model="claude",
    request=Request(model="m", messages=(), family="anthropic"),
    seal_key=b"a secret",
)
ANSWER = Response(
    id="up",
    model="up",
    parts=(
        Reasoning("hm", Seal("openai_chat", "")),
        Reasoning("", Seal("openai_responses", "u", {"id": "rs_1"})),
        Text("See "),
        Text("this."),
        ToolCall("toolu_1", "read", '{"path":"/a"}'),
        ToolCall("", "list", ""),
    ),
    finish=Finish(reason="tool_calls"),
    usage=Usage(fresh=5, cache_read=3, cache_write_1h=2, output=7, reasoning=2),
)
EVENTS: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    return [without_nulls(item) for item in value] if isinstance(value, list) else value


def test_the_sdk_reads_an_encoded_response() -> None:
    body = json.loads(DIALECT.encode_response(ANSWER, REPLY))
    read = SdkMessage.model_validate(body, strict=True)
    assert without_nulls(read.to_dict()) == without_nulls(body)


def test_the_sdk_reads_every_event_and_accumulates_the_response() -> None:
    encoder, read, fragments = DIALECT.encoder(REPLY), None, {}
    for event in replay(ANSWER):
        for frame in encoder.feed(event):
            wire_event = EVENTS.validate_json(frame.data, strict=True)
            read = accumulate_event(event=wire_event, current_snapshot=read, json_bufs=fragments)
    assert read is not None
    accumulated, expected = (without_nulls(item) for item in (read.to_dict(), json.loads(DIALECT.encode_response(ANSWER, REPLY))))
    for body in (accumulated, expected):
        for name in ("cache_creation", "service_tier"):  # the SDK keeps those of message_start, where they are not yet known
            body["usage"].pop(name, None)
    assert accumulated == expected
