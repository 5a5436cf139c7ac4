"""The tables of docs/translation.md: what becomes of each feature between every two dialects, determined by translating it.

``make translation-table`` writes the file anew. A cell is computed: a client's body with the feature is made ready for
the target and read again. ``carried``: the same arrives. ``moved``: it arrives in another field or form. ``dropped``: the
rest of the request is sent without it. ``refused``: a 400 that names the field. ``-``: the client's dialect cannot express it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from proxy.exchange.prepare import Preparer
from proxy.translation.canonical import (
    CacheMark,
    Document,
    Image,
    Message,
    OutputFormat,
    Part,
    Reasoning,
    ReasoningSetting,
    Request,
    Source,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from proxy.translation.dialects.base import Dialect, EncodeTarget
from proxy.translation.dialects.registry import REGISTRY
from proxy.translation.errors import ClientMistake
from tests.support import sdk_matrix

FILE = Path(__file__).resolve().parent.parent.parent / "docs" / "translation.md"
KEY = b"the secret of the table"
NO_VALUE = "-"
LETTERS = {dialect.name: dialect.letter for dialect in REGISTRY.values()}

HI = Message("user", (Text("Hi"),))
SCHEMA = msgspec.Raw(b'{"type":"object","properties":{"trace":{"type":"string"}}}')
LOOK = Tool(name="look", description="trace", schema=SCHEMA)
CALL = ToolCall("call_1", "look", '{"trace":1}')
LOOP = (HI, Message("assistant", (CALL, msgspec.structs.replace(CALL, id="call_2"))))


class Feature(msgspec.Struct, frozen=True, kw_only=True):
    """``fields`` make the canonical request, ``raw`` a client's own body; ``look`` tells what of it is there; ``trace`` betrays it
    elsewhere in the target's body."""

    title: str
    look: Callable[[Request], Any]
    fields: dict[str, Any] = {}
    raw: dict[str, dict[str, Any]] = {}
    trace: str = "\0"


def one_message(*parts: Part) -> dict[str, Any]:
    return {"messages": (Message("user", parts),)}


def parts_of(request: Request, kind: type) -> list[Any]:
    """The fields of all parts of a kind, in messages and in tool results."""
    parts = [part for message in request.messages for part in message.parts]
    parts += [inner for part in parts if isinstance(part, ToolResult) for inner in part.content]
    return [_fields_of(part) for part in parts if isinstance(part, kind)]


def _fields_of(part: Any) -> Any:
    if isinstance(part, Image | Document):
        return part.source.kind, part.source.value
    if isinstance(part, ToolCall):
        return part.kind, part.arguments.replace(" ", "")
    if isinstance(part, ToolResult):
        return [inner.text if isinstance(inner, Text) else "media" for inner in part.content]
    return part.text if isinstance(part, Text | Reasoning) else str(part)


def results(*content: Part, is_error: bool = False) -> dict[str, Any]:
    tool_results = (ToolResult("call_1", content, is_error=is_error), ToolResult("call_2", (Text("second"),)))
    return {"messages": (*LOOP, Message("user", tool_results)), "tools": (LOOK,)}


def errors(request: Request) -> list[bool]:
    return [part.is_error for message in request.messages for part in message.parts if isinstance(part, ToolResult)]


def marks(request: Request) -> bool:
    return any(getattr(part, "cache", None) for message in request.messages for part in message.parts)


PICTURE = Image(Source("base64", "trace", "image/png"))
PAPER = Document(Source("base64", "JVBERi0=", "application/pdf"), filename="a.pdf")
ANTHROPIC = ("anthropic", "bedrock")


def for_anthropic(value: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return dict.fromkeys(ANTHROPIC, value)


TOP_K = {"gemini": {"generationConfig": {"topK": 5}}, "bedrock_converse": {"additionalModelRequestFields": {"top_k": 5}}}

FEATURES = (
    Feature(title="system text", fields={"system": (Text("trace"),)}, look=lambda r: [text.text for text in r.system], trace="trace"),
    Feature(
        title="system message inside the conversation",
        fields={"messages": (HI, Message("system", (Text("trace"),)), Message("assistant", (Text("Yes"),)), HI)},
        look=lambda r: [message.role for message in r.messages].index("system") if any(m.role == "system" for m in r.messages) else None,
        trace="trace",
    ),
    Feature(title="image, inline", fields=one_message(PICTURE), look=lambda r: parts_of(r, Image)),
    Feature(title="image by URL", fields=one_message(Image(Source("url", "https://e.test/i.png"))), look=lambda r: parts_of(r, Image)),
    Feature(title="PDF, inline", fields=one_message(PAPER), look=lambda r: parts_of(r, Document)),
    Feature(
        title="PDF by URL",
        raw={
            **for_anthropic(
                {"messages": [{"role": "user", "content": [{"type": "document", "source": {"type": "url", "url": "https://e.test/a"}}]}]}
            ),
            "openai_responses": {"input": [{"role": "user", "content": [{"type": "input_file", "file_url": "https://e.test/a"}]}]},
        },
        look=lambda r: parts_of(r, Document),
    ),
    Feature(
        title="text document",
        fields=one_message(Document(Source("text", "trace", "text/plain"), title="T")),
        look=lambda r: parts_of(r, Document),
        trace="trace",
    ),
    Feature(
        title="file id of a provider",
        raw={
            **for_anthropic({"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "file", "file_id": "f"}}]}]}),
            "openai_chat": {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}]},
            "openai_responses": {"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]},
        },
        look=lambda r: parts_of(r, Image) + parts_of(r, Document),
    ),
    Feature(
        title="audio",
        raw={
            "gemini": {"contents": [{"parts": [{"inlineData": {"mimeType": "audio/wav", "data": "AAAA"}}]}]},
            "bedrock_converse": {"messages": [{"role": "user", "content": [{"audio": {"format": "wav", "source": {"bytes": "AAAA"}}}]}]},
            "openai_chat": {
                "messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}]}]
            },
        },
        look=lambda r: [type(part).__name__ for message in r.messages for part in message.parts],
    ),
    Feature(title="tools", fields={"tools": (LOOK,)}, look=lambda r: [(t.name, t.description, bytes(t.schema or b"")) for t in r.tools]),
    Feature(
        title="strict tools", fields={"tools": (msgspec.structs.replace(LOOK, strict=True),)}, look=lambda r: [t.strict for t in r.tools]
    ),
    Feature(
        title="free-form (custom) tools",
        raw={
            "openai_chat": {"tools": [{"type": "custom", "custom": {"name": "trace"}}]},
            "openai_responses": {"tools": [{"type": "custom", "name": "trace"}]},
        },
        look=lambda r: [tool.kind for tool in r.tools],
        trace="trace",
    ),
    Feature(
        title="tool namespaces",
        raw={
            "openai_responses": {
                "tools": [{"type": "namespace", "name": "ns", "description": "d", "tools": [{"type": "function", "name": "trace"}]}]
            }
        },
        look=lambda r: [tool.namespace for tool in r.tools],
        trace="ns__trace",
    ),
    Feature(
        title="hosted tools beside others",
        raw={
            "gemini": {"tools": [{"functionDeclarations": [{"name": "f"}]}, {"googleSearch": {}}]},
            **for_anthropic(
                {"tools": [{"name": "f", "input_schema": {"type": "object"}}, {"type": "web_search_20250305", "name": "web_search"}]}
            ),
            "openai_responses": {"tools": [{"type": "function", "name": "f", "parameters": {}}, {"type": "web_search"}]},
        },
        look=lambda r: len(r.tools),
    ),
    Feature(title="parallel tool calls", fields=results(Text("trace")), look=lambda r: parts_of(r, ToolCall)),
    Feature(title="tool results", fields=results(Text("trace")), look=lambda r: parts_of(r, ToolResult)),
    Feature(title="failed tool results", fields=results(Text("trace"), is_error=True), look=errors, trace="Error"),
    Feature(title="images in tool results", fields=results(PICTURE), look=lambda r: parts_of(r, ToolResult), trace="trace"),
    Feature(
        title="forced tool",
        fields={"tools": (LOOK,), "tool_choice": ToolChoice(mode="tool", name="look")},
        look=lambda r: r.tool_choice and r.tool_choice.name,
    ),
    Feature(title="at most one call", fields={"tools": (LOOK,), "parallel_calls": False}, look=lambda r: r.parallel_calls is False),
    Feature(
        title="a subset of the tools",
        raw={
            "openai_chat": {
                "tools": [{"type": "function", "function": {"name": "a"}}, {"type": "function", "function": {"name": "trace"}}],
                "tool_choice": {
                    "type": "allowed_tools",
                    "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "trace"}}]},
                },
            },
            "openai_responses": {
                "tools": [{"type": "function", "name": "a", "parameters": {}}, {"type": "function", "name": "trace", "parameters": {}}],
                "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "trace"}]},
            },
        },
        look=lambda r: r.tool_choice and r.tool_choice.subset,
        trace="trace",
    ),
    Feature(
        title="JSON schema of the response",
        fields={"output": OutputFormat(kind="json_schema", name="n", schema=SCHEMA)},
        look=lambda r: r.output and json.loads(bytes(r.output.schema or b"null")),
        trace="trace",
    ),
    Feature(
        title="JSON object as response",
        raw={
            "gemini": {"generationConfig": {"responseMimeType": "application/json"}},
            "openai_chat": {"response_format": {"type": "json_object"}},
            "openai_responses": {"text": {"format": {"type": "json_object"}}},
        },
        look=lambda r: r.output and r.output.kind,
        trace="JSON object",
    ),
    Feature(
        title="reasoning effort",
        raw={
            "gemini": {"generationConfig": {"thinkingConfig": {"thinkingLevel": "HIGH"}}},
            "bedrock_converse": {"outputConfig": {"effort": "high"}},
            **for_anthropic({"output_config": {"effort": "high"}, "max_tokens": 40000}),
            "openai_chat": {"reasoning_effort": "high"},
            "openai_responses": {"reasoning": {"effort": "high"}},
        },
        look=lambda r: r.reasoning and r.reasoning.effort,
        trace="thinking",
    ),
    Feature(
        title="thinking budget",
        fields={"reasoning": ReasoningSetting(mode="budget", budget=9000), "max_tokens": 40000},
        look=lambda r: r.reasoning and r.reasoning.budget,
        trace="medium",
    ),
    Feature(title="output limit", fields={"max_tokens": 999}, look=lambda r: r.max_tokens),
    Feature(title="temperature up to 1", fields={"temperature": 0.5}, look=lambda r: r.temperature),
    Feature(
        title="temperature above 1",
        raw={"openai_chat": {"temperature": 1.5}, "openai_responses": {"temperature": 1.5}},
        look=lambda r: r.temperature,
        trace='"temperature":1',
    ),
    Feature(title="top_p", fields={"top_p": 0.5}, look=lambda r: r.top_p),
    Feature(title="top_k", raw={**for_anthropic({"top_k": 5}), "openai_chat": {"top_k": 5}, **TOP_K}, look=lambda r: r.top_k),
    Feature(title="stop sequences, up to four", fields={"stop": ("a", "b")}, look=lambda r: r.stop),
    Feature(title="seed, penalties, logit bias", raw={"openai_chat": {"seed": 7}}, look=lambda r: r.extra.get("seed")),
    Feature(
        title="log probabilities",
        raw={"openai_chat": {"logprobs": True}, "openai_responses": {"include": ["message.output_text.logprobs"]}},
        look=lambda r: r.logprobs,
    ),
    Feature(title="several responses (n > 1)", raw={"openai_chat": {"n": 2}}, look=lambda r: [demand.field for demand in r.demands]),
    Feature(title="end user", fields={"end_user": "trace"}, look=lambda r: r.end_user),
    Feature(
        title="metadata",
        raw={"openai_chat": {"metadata": {"a": "b"}}, "openai_responses": {"metadata": {"a": "b"}}},
        look=lambda r: r.metadata,
    ),
    Feature(
        title="verbosity",
        raw={"openai_chat": {"verbosity": "low"}, "openai_responses": {"text": {"verbosity": "low"}}},
        look=lambda r: r.verbosity,
    ),
    Feature(
        title="prompt_cache_key",
        raw={"openai_chat": {"prompt_cache_key": "k"}, "openai_responses": {"prompt_cache_key": "k"}},
        look=lambda r: r.prompt_cache_key,
    ),
    Feature(title="cache breakpoints", fields=one_message(Text("Hi", CacheMark()), Text("there")), look=marks),
    Feature(
        title="context_management edits",
        raw=for_anthropic({"context_management": {"edits": []}}),
        look=lambda r: r.extra.get("context_management"),
    ),
    Feature(title="threads", raw=for_anthropic({"thread": {"type": "create"}}), look=lambda r: [demand.field for demand in r.demands]),
    Feature(
        title="previous_response_id",
        raw={"openai_responses": {"previous_response_id": "resp_1"}},
        look=lambda r: [demand.field for demand in r.demands],
    ),
)


def opened(dialect: Dialect, body: dict[str, Any]) -> Preparer:
    raw = json.dumps(body).encode()
    return Preparer(dialect, dialect.open_for_model(raw, "m"), KEY)


def destination(target: str) -> EncodeTarget:
    return EncodeTarget(model="upstream-model", dialect=target, upstream="up-1")


def base(dialect: Dialect, fields: dict[str, Any]) -> dict[str, Any]:
    """A body that a client of the dialect could send."""
    request = Request(**{"model": "m", "messages": (HI,), "family": dialect.family, **fields})
    body: dict[str, Any] = json.loads(dialect.encode_request(request, destination(dialect.name)))
    return body


def cell(feature: Feature, client: str, target: str) -> str:
    """What becomes of a feature."""
    sink, source = REGISTRY[client], REGISTRY[target]
    if feature.raw and client not in feature.raw:
        return NO_VALUE
    try:
        body = base(sink, feature.fields)
    except ClientMistake:  # the client's dialect has no form of it
        return NO_VALUE
    preparer = opened(sink, body | feature.raw.get(client, {}))
    expected = feature.look(preparer.request)
    if not expected or expected == feature.look(opened(sink, base(sink, {})).request):
        return NO_VALUE
    try:
        sent_body = preparer.prepare(source, destination(target)).body
    except ClientMistake:
        return "refused"
    if feature.look(opened(source, json.loads(sent_body)).request) == expected:
        return "carried"
    return "moved" if feature.trace.lower() in sent_body.decode().lower() else "dropped"


def table() -> str:
    """The document."""
    pairs = [(client, target) for client in LETTERS for target in LETTERS]
    head = [f"{LETTERS[client]}→{LETTERS[target]}" for client, target in pairs]
    rows = [["feature", *head], ["---"] * (len(head) + 1)]
    rows += [[feature.title, *(cell(feature, *pair) for pair in pairs)] for feature in FEATURES]
    return TEXT + _markdown(rows)


def document() -> str:
    """docs/translation.md."""
    return f"{table()}\n{ELEMENTS_TEXT}" + "\n".join(_element_table(*entry) for entry in ELEMENT_TABLES)


def _markdown(rows: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


def _element_table(title: str, dialects: tuple[str, ...]) -> str:
    """The elements of one SDK's types: the fields of a class with equal verdicts are one row."""
    of_clients = [sdk_matrix.judged_once(client) for client in dialects]
    pairs = [(client, target) for client in dialects for target in sdk_matrix.targets(client)]
    grouped: dict[tuple[str, ...], list[str]] = {}
    for name in of_clients[0]:
        owner, _, field = name.partition(".")
        cells = (", ".join(sorted(verdicts)) for verdicts_of in of_clients for verdicts in verdicts_of[name].values())
        grouped.setdefault((owner, *cells), []).append(field)
    head = ["class", "fields", *(f"{LETTERS[client]}→{LETTERS[target]}" for client, target in pairs)]
    rows = [head, ["---"] * len(head)]
    owners = list(dict.fromkeys(owner for owner, *_ in grouped))
    for (owner, *cells), fields in sorted(grouped.items(), key=lambda group: owners.index(group[0][0])):
        rows.append([owner, ", ".join(f"`{field}`" for field in fields), *cells])
    return f"### {title}\n\n{_markdown(rows)}"


ELEMENT_TABLES = (
    ("Messages: `anthropic.types.beta`", ("anthropic", "bedrock")),
    ("Chat: `openai.types.chat`", ("openai_chat",)),
    ("Responses: `openai.types.responses`", ("openai_responses",)),
)
LEGEND = ", ".join(f"{dialect.letter} is {dialect.title}" for dialect in REGISTRY.values())
TEXT = f"""# Translation between dialects

This table shows what happens to each feature of a request. `make translation-table` writes this file, and a test
compares it with the code. Each cell is computed: a client's request with the feature is translated for an upstream without quirks,
and the result is decoded again.

{LEGEND}.
`A→C`: the client uses A, the upstream C.

- **carried**: the upstream receives the same.
- **moved**: the upstream receives it in another place or form.
- **dropped**: the upstream receives the request without it.
- **refused**: the client gets a 400 that names the field.
- **-**: the client's dialect does not have the feature.

"""


ELEMENTS_TEXT = """## Every element of the vendors' types

These tables have every field of the request types in the Python SDKs that are installed, by class. Each cell is computed as above, with
a sample value at every place where the class may stand; several words: it depends on the place or on the value. A tag such as
`source (url)` is the `type` of a value.

- **carried**: the upstream's request contains the value. **moved**: it depends on the value in another way.
- **dropped**: the upstream's request is the same without it, and the log row lists its path in `request_metadata.dropped`: sorted,
  with `[]` for indexes, such as `messages[].content[].cache_control`. A path stands for everything below it. At most 50 paths are
  listed, then `and <number> more`. `request_metadata.dropped_details` has the types of hosted tools and of
  vendors' own parts, whose texts are sent as text, and the number of stop sequences.
- **refused**: the client gets a 400 that names the field.
- **default**: the value says what happens without it, such as plain text as the format.

Nothing is dropped without being listed: a test builds the tables from the installed types and compares them with this file.

Of a response, `request_metadata.dropped_response` lists the citations and the vendors' own parts that the client does not get.

"""


if __name__ == "__main__":
    FILE.write_text(document())
