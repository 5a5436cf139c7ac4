"""The canonical form: what a conversation, an answer and a stream *mean*, in no vendor's words.

A request is a list of messages made of parts; an answer is a list of parts with a finish and a usage; a stream is::

    Started (PartStarted PartDelta* Cited* PartEnded)* Usage* (Finished | Failed)

Parts carry an index and may overlap (chat interleaves parallel tool calls); an encoder whose protocol is sequential holds
the later part back until the earlier one ends. Every value is frozen and compares by content. Dialects decode their wire
into these values and encode these values into their wire; none of them knows another.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from proxy.translation.errors import Failure

Role = Literal["user", "assistant", "system"]
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
FinishReason = Literal["end", "stop_sequence", "tool_calls", "length", "context_window", "refusal", "pause", "compaction"]


# --- parts of messages and answers -----------------------------------------------------------------------------------


class CacheMark(msgspec.Struct, frozen=True):
    """A cache breakpoint behind a part; ``native`` is the marker as its own dialect wrote it (JSON)."""

    native: msgspec.Raw = msgspec.Raw(b'{"type":"ephemeral"}')


class Citation(msgspec.Struct, frozen=True, kw_only=True):
    """Where a piece of text comes from. ``native`` keeps the whole of it for encoders of the same family."""

    url: str = ""
    title: str = ""
    cited_text: str = ""
    start: int | None = None
    end: int | None = None
    dialect: str = ""
    native: msgspec.Raw = msgspec.Raw(b"")


class Text(msgspec.Struct, frozen=True):
    """Words. ``logprobs`` are the entries that chat and Responses share, as they came."""

    text: str
    cache: CacheMark | None = None
    citations: tuple[Citation, ...] = ()
    logprobs: tuple[Any, ...] = ()
    refusal: bool = False
    """The words are the model's refusal (chat and Responses keep it apart from content)."""


class Source(msgspec.Struct, frozen=True):
    """Where media are: ``base64`` (value = data), ``url``, ``file`` (a vendor's file id) or ``text`` (value = the text)."""

    kind: Literal["base64", "url", "file", "text"]
    value: str
    media_type: str = ""


class Image(msgspec.Struct, frozen=True):
    """A picture to look at; ``detail`` is OpenAI's word for how closely."""

    source: Source
    detail: str | None = None
    cache: CacheMark | None = None
    at: str = ""
    """Path in the client's body, for error messages; likewise below."""


class Document(msgspec.Struct, frozen=True):
    """A PDF or a text to read. A document given as blocks has ``source.kind == "text"`` and its ``native`` JSON."""

    source: Source
    title: str | None = None
    context: str | None = None
    filename: str | None = None
    cache: CacheMark | None = None
    at: str = ""
    dialect: str = ""
    native: msgspec.Raw = msgspec.Raw(b"")


class Audio(msgspec.Struct, frozen=True):
    """Sound, base64; ``format`` is ``wav`` or ``mp3``."""

    data: str
    format: str
    at: str = ""


class Seal(msgspec.Struct, frozen=True):
    """Opaque state that a provider wants back with its reasoning (wire formats, section 11).

    ``origin``: the family that made it: ``anthropic`` (also Bedrock), ``openai_responses`` or ``openai_chat``.
    ``upstream``: the id of the upstream for Responses, ``anthropic`` for Anthropic, empty for chat; ``None`` when the client
    sent the vendor's own value without our carrier. ``fields``: Anthropic ``{"signature"}`` or ``{"redacted"}``,
    Responses ``{"id", "encrypted_content"}``, chat ``{}``; ``{"text"}`` besides when the visible text was withheld.
    """

    origin: str
    upstream: str | None
    fields: dict[str, str] = {}


class Reasoning(msgspec.Struct, frozen=True):
    """The model's thinking. Never shown as ordinary text, never sent to a provider that did not write it."""

    text: str
    seal: Seal | None = None


class ToolCall(msgspec.Struct, frozen=True):
    """``arguments`` is JSON text for functions, free text for ``custom`` tools. An empty ``id`` is filled in by encoders."""

    id: str
    name: str
    arguments: str
    kind: Literal["function", "custom"] = "function"
    namespace: str = ""
    cache: CacheMark | None = None


class ToolResult(msgspec.Struct, frozen=True):
    """What a tool gave for the call ``call_id``."""

    call_id: str
    content: tuple[Part, ...] = ()
    is_error: bool = False
    kind: Literal["function", "custom"] = "function"
    cache: CacheMark | None = None


class Opaque(msgspec.Struct, frozen=True):
    """A block that only its own family understands, kept as ``native`` JSON.

    ``text`` is what of it can be read as words. ``history`` marks what the assistant's side made (server tool results):
    other targets may lose it; content that the model was meant to read may not be lost, and is refused instead.
    """

    family: str
    type: str
    native: msgspec.Raw
    text: str = ""
    history: bool = False
    at: str = ""


Part = Text | Image | Document | Audio | Reasoning | ToolCall | ToolResult | Opaque


class Message(msgspec.Struct, frozen=True):
    """One message in its place. Consecutive messages of one role are allowed; encoders merge where they must.

    Tool results are parts of ``user`` messages; ``system`` stands only behind the first turn (see ``Request.system``).
    """

    role: Role
    parts: tuple[Part, ...]
    name: str | None = None


# --- the request -----------------------------------------------------------------------------------------------------


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """A tool that the client runs. ``schema``: the JSON Schema as written; ``None``: no arguments given.

    ``kind`` ``custom`` is a free-form tool with its ``format`` (grammar) as JSON. ``native``: settings of the tool that
    only its own family knows (``input_examples``, ``defer_loading``, …), by name.
    """

    name: str
    description: str | None = None
    schema: msgspec.Raw | None = None
    strict: bool | None = None
    kind: Literal["function", "custom"] = "function"
    format: msgspec.Raw | None = None
    namespace: str = ""
    namespace_description: str = ""
    cache: CacheMark | None = None
    family: str = ""
    native: dict[str, msgspec.Raw] = {}


class HostedTool(msgspec.Struct, frozen=True, kw_only=True):
    """A tool that the vendor runs, or whose schema only the vendor knows; ``native`` is its JSON."""

    family: str
    type: str
    name: str
    native: msgspec.Raw
    at: str = ""


class ToolChoice(msgspec.Struct, frozen=True, kw_only=True):
    """``tool`` names one tool; ``subset`` (chat and Responses: allowed tools, by flat name) narrows ``auto`` or ``required``."""

    mode: Literal["auto", "required", "none", "tool"]
    name: str = ""
    kind: str = "function"
    namespace: str = ""
    subset: tuple[str, ...] | None = None


class ReasoningSetting(msgspec.Struct, frozen=True, kw_only=True):
    """How much to think. ``mode``: ``budget`` (tokens), ``adaptive``, ``between_tools``, ``effort``, ``disabled``.

    ``display`` and ``summary`` say what the client wants to see: Anthropic's ``omitted``/``summarized``, Responses' words.
    """

    mode: Literal["budget", "adaptive", "between_tools", "effort", "disabled"]
    budget: int | None = None
    effort: Effort | None = None
    display: str | None = None
    summary: str | None = None


class OutputFormat(msgspec.Struct, frozen=True, kw_only=True):
    """The shape that the answer's text must have."""

    kind: Literal["json_schema", "json_object"]
    name: str = ""
    schema: msgspec.Raw | None = None
    strict: bool | None = None
    description: str | None = None


JSON_OBJECT_SENTENCE = "Respond with a single JSON object."
"""What asks for ``json_object`` in words, where a wire or a server has no switch for it."""


class Demand(msgspec.Struct, frozen=True, kw_only=True):
    """A field that changes what comes back, so that it cannot be dropped: other targets than ``carried_by`` refuse it."""

    field: str
    message: str
    carried_by: tuple[str, ...] = ()
    details: dict[str, Any] | None = None


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One request, as meant. ``None`` means that the client did not say.

    ``extra``: settings that only the family named in ``family`` knows, as JSON by name; an encoder of that family puts them
    back. ``system`` is the text before the first turn. ``temperature`` and the like are as the client gave them; encoders clamp.
    """

    model: str
    messages: tuple[Message, ...]
    family: str
    system: tuple[Text, ...] = ()
    tools: tuple[Tool | HostedTool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_calls: bool | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    reasoning: ReasoningSetting | None = None
    output: OutputFormat | None = None
    verbosity: str | None = None
    end_user: str | None = None
    metadata: dict[str, str] | None = None
    service_tier: str | None = None
    prompt_cache_key: str | None = None
    logprobs: bool = False
    top_logprobs: int | None = None
    stream: bool = False
    include_usage: bool = False
    """Chat only: the client asked for the usage chunk. The other dialects always report usage."""
    demands: tuple[Demand, ...] = ()
    extra: dict[str, msgspec.Raw] = {}


# --- the answer ------------------------------------------------------------------------------------------------------


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens in disjoint classes; ``reasoning`` alone is a part of ``output``. ``service_tier`` as the upstream named it."""

    fresh: int = 0
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    output: int = 0
    reasoning: int = 0
    service_tier: str | None = None

    @property
    def cache_write(self) -> int:
        return self.cache_write_5m + self.cache_write_1h

    @property
    def total_input(self) -> int:
        return self.fresh + self.cache_read + self.cache_write_5m + self.cache_write_1h


class Finish(msgspec.Struct, frozen=True, kw_only=True):
    """Why the answer ended."""

    reason: FinishReason = "end"
    stop_sequence: str | None = None
    details: dict[str, Any] | None = None
    """Anthropic's ``stop_details`` of a refusal."""


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """A whole answer. ``usage`` is ``None`` when the upstream told none."""

    id: str
    model: str
    parts: tuple[Part, ...]
    finish: Finish
    usage: Usage | None = None


# --- the stream ------------------------------------------------------------------------------------------------------


class Started(msgspec.Struct, frozen=True):
    """``usage``: what the upstream already knows of the input side (Anthropic), else ``None``."""

    id: str = ""
    model: str = ""
    usage: Usage | None = None


class PartStarted(msgspec.Struct, frozen=True):
    """``part`` is the head: an empty ``Text``, ``Reasoning`` or ``ToolCall`` with id and name, or a whole ``Opaque``.

    Redacted reasoning carries its seal here and gets no deltas. A tool call starts only when id and name are known.
    """

    index: int
    part: Part


class PartDelta(msgspec.Struct, frozen=True):
    """More of an open part: text, reasoning text or a fragment of the arguments; never empty."""

    index: int
    text: str
    logprobs: tuple[Any, ...] = ()


class Cited(msgspec.Struct, frozen=True):
    """The open text part names a source."""

    index: int
    citation: Citation


class PartEnded(msgspec.Struct, frozen=True):
    """``seal``: the provider's state of a reasoning part, known at its end."""

    index: int
    seal: Seal | None = None


class UsageReported(msgspec.Struct, frozen=True):
    """The usage as known so far, whole: a later one replaces an earlier one."""

    usage: Usage


class Finished(msgspec.Struct, frozen=True):
    """The stream is complete."""

    finish: Finish = Finish()


class Failed(msgspec.Struct, frozen=True):
    """The stream broke off; nothing follows."""

    failure: Failure


Event = Started | PartStarted | PartDelta | Cited | PartEnded | UsageReported | Finished | Failed


def settled(finish: Finish, *, has_calls: bool) -> Finish:
    """The finish that the content allows (wire formats, section 8.2).

    A reply with a complete tool call ends in ``tool_calls`` even where the upstream says ``stop`` (agents stop otherwise),
    and one without any never does. ``length`` and ``refusal`` stand.
    """
    if has_calls and finish.reason == "end":
        return msgspec.structs.replace(finish, reason="tool_calls")
    if not has_calls and finish.reason == "tool_calls":
        return msgspec.structs.replace(finish, reason="end")
    return finish
