"""The canonical form of requests, responses and streams, independent of any vendor's wire.

A request is a list of messages with parts. A response is a list of parts with a finish and a usage. A stream is::

    Started (PartStarted PartDelta* Cited* PartEnded)* Usage* (Finished | Failed)

Parts have an index and may overlap (Chat interleaves parallel tool calls). An encoder whose wire is sequential queues the later part
until the earlier one ends. All values are frozen and compare by content. No dialect knows another one, only these values.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from proxy.translation.errors import Failure
from proxy.translation.usage import Usage as Usage  # noqa: PLC0414  (a part of the canonical form)

Role = Literal["user", "assistant", "system"]
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
FinishReason = Literal["end", "stop_sequence", "tool_calls", "length", "context_window", "refusal", "pause", "compaction"]


# --- parts of messages and responses ---------------------------------------------------------------------------------


class CacheMark(msgspec.Struct, frozen=True):
    """A cache breakpoint after a part. ``native``: its JSON in the dialect that set it."""

    native: msgspec.Raw = msgspec.Raw(b'{"type":"ephemeral"}')


class Citation(msgspec.Struct, frozen=True, kw_only=True):
    """The source of a piece of text. ``native``: the whole citation as JSON of ``dialect``, for encoders of that family."""

    url: str = ""
    title: str = ""
    cited_text: str = ""
    start: int | None = None
    end: int | None = None
    dialect: str = ""
    native: msgspec.Raw = msgspec.Raw(b"")


class Text(msgspec.Struct, frozen=True):
    """Text. ``logprobs``: the entries that Chat and Responses have in common. ``refusal``: a refusal, which has its own field there."""

    text: str
    cache: CacheMark | None = None
    citations: tuple[Citation, ...] = ()
    logprobs: tuple[Any, ...] = ()
    refusal: bool = False


class Source(msgspec.Struct, frozen=True):
    """Where media come from. ``value`` is the data (``base64``), the URL, a vendor's file id or the text, by ``kind``."""

    kind: Literal["base64", "url", "file", "text"]
    value: str
    media_type: str = ""


class Image(msgspec.Struct, frozen=True):
    """An image. ``detail``: OpenAI's resolution. ``native``: fields that only the client's family has; so in calls and results."""

    source: Source
    detail: str | None = None
    cache: CacheMark | None = None
    at: str = ""
    """Path in the client's body, for error messages; so in the classes below. ``native``: fields that only the client's family knows."""
    native: dict[str, Any] = {}


class Document(msgspec.Struct, frozen=True):
    """A PDF or a text. A document that consists of text blocks has ``source.kind == "text"`` and its JSON in ``native``."""

    source: Source
    title: str | None = None
    context: str | None = None
    filename: str | None = None
    cache: CacheMark | None = None
    at: str = ""
    dialect: str = ""
    native: msgspec.Raw = msgspec.Raw(b"")


class Audio(msgspec.Struct, frozen=True):
    """Sound in base64; ``format`` is ``wav`` or ``mp3``."""

    data: str
    format: str
    at: str = ""


class Seal(msgspec.Struct, frozen=True):
    """Opaque state that a provider requires back with its reasoning (docs/wire-formats.md, section 11).

    ``origin``: the family that made it: ``anthropic`` (also Bedrock InvokeModel), ``openai_responses``, ``openai_chat``, and so on.
    ``upstream``: the id of the upstream for Responses, a hash of its address for Chat, ``anthropic`` for Anthropic, empty where
    nobody owns it; ``None`` if the client sent the vendor's own value without a carrier. ``fields``: Anthropic ``{"signature"}`` or
    ``{"redacted"}``, Responses ``{"id", "encrypted_content"}``, Chat the state of a message or of a tool call as JSON
    (``openai_chat.opaque_state``), or ``{}``; also ``{"text"}`` if the client did not get the text.
    """

    origin: str
    upstream: str | None
    fields: dict[str, str] = {}


class Reasoning(msgspec.Struct, frozen=True):
    """The model's thinking. It is never converted to text, and never sent to a provider that did not write it."""

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
    native: dict[str, Any] = {}


class ToolResult(msgspec.Struct, frozen=True):
    """The result that the client returns for the call ``call_id``."""

    call_id: str
    content: tuple[Part, ...] = ()
    is_error: bool = False
    kind: Literal["function", "custom"] = "function"
    cache: CacheMark | None = None
    native: dict[str, Any] = {}


class Opaque(msgspec.Struct, frozen=True):
    """A block that only its own family understands, kept as ``native`` JSON.

    ``text``: its readable text. ``history``: made by the assistant's side (results of host tools), so that encoders of other
    families may drop it. Content that the client wrote for the model is never dropped: such an encoder refuses the request.
    ``replaces``: the text is a summary that stands for all messages before it.
    """

    family: str
    type: str
    native: msgspec.Raw
    text: str = ""
    history: bool = False
    at: str = ""
    replaces: bool = False


Part = Text | Image | Document | Audio | Reasoning | ToolCall | ToolResult | Opaque


class Message(msgspec.Struct, frozen=True):
    """One message, perhaps one of several of its role. Tool results are in ``user`` messages; for ``system`` see ``Request.system``."""

    role: Role
    parts: tuple[Part, ...]
    name: str | None = None


# --- the request -----------------------------------------------------------------------------------------------------


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """A tool that the client runs. ``schema``: the JSON Schema as written; ``None`` if there is none.

    ``kind`` ``custom`` is a free-form tool with its ``format`` (grammar) as JSON. ``native``: settings of the tool that
    only its own family knows (``input_examples``, ``defer_loading``, …), by name. ``loaded``: a search of the vendor has loaded
    the tool in an earlier turn; its own family has it in the history, others need it declared. ``at``: its path, unless ``tools[]``.
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
    loaded: bool = False
    at: str = ""


class HostedTool(msgspec.Struct, frozen=True, kw_only=True):
    """A tool that the vendor runs (a host tool), or whose schema only the vendor knows. ``native``: its JSON."""

    family: str
    type: str
    name: str
    native: msgspec.Raw
    at: str = ""


class ToolChoice(msgspec.Struct, frozen=True, kw_only=True):
    """``tool`` names one tool; ``subset`` (Chat and Responses: ``allowed_tools``, by flat name) narrows ``auto`` or ``required``."""

    mode: Literal["auto", "required", "none", "tool"]
    name: str = ""
    kind: str = "function"
    namespace: str = ""
    subset: tuple[str, ...] | None = None


class ReasoningSetting(msgspec.Struct, frozen=True, kw_only=True):
    """How much to think (``budget``: tokens), and what the client sees of it: Anthropic's ``display``, the ``summary`` of Responses."""

    mode: Literal["budget", "adaptive", "between_tools", "effort", "disabled"]
    budget: int | None = None
    effort: Effort | None = None
    display: str | None = None
    summary: str | None = None


class OutputFormat(msgspec.Struct, frozen=True, kw_only=True):
    """The JSON that the text of the response must be."""

    kind: Literal["json_schema", "json_object"]
    name: str = ""
    schema: msgspec.Raw | None = None
    strict: bool | None = None
    description: str | None = None


class Demand(msgspec.Struct, frozen=True, kw_only=True):
    """A field that changes the response and cannot be dropped; targets outside ``carried_by`` get the error ``message``."""

    field: str
    message: str
    carried_by: tuple[str, ...] = ()
    details: dict[str, Any] | None = None


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One request. ``None``: the client did not set the field. ``unread``: paths of fields of messages and tools without a place here.

    ``extra``: settings that only ``family`` knows, as JSON by name; encoders of that family restore them. ``system``: the system
    text before the first turn. ``temperature`` and the like are the client's values; encoders reduce them to the range of the wire.
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
    """Chat only: the client requested the usage chunk. The other dialects always report usage."""
    demands: tuple[Demand, ...] = ()
    extra: dict[str, msgspec.Raw] = {}
    unread: tuple[str, ...] = ()


# --- the response ----------------------------------------------------------------------------------------------------


class Finish(msgspec.Struct, frozen=True, kw_only=True):
    """Why the response ended. ``details``: ``stop_details`` of a refusal. ``native``: fields that only one family knows, by family."""

    reason: FinishReason = "end"
    stop_sequence: str | None = None
    details: dict[str, Any] | None = None
    native: dict[str, dict[str, Any]] = {}


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """A whole response. ``usage`` is ``None`` if the upstream reported none."""

    id: str
    model: str
    parts: tuple[Part, ...]
    finish: Finish
    usage: Usage | None = None


# --- the stream ------------------------------------------------------------------------------------------------------


class Started(msgspec.Struct, frozen=True):
    """The first event. ``usage``: the input tokens, if the upstream reports them at the start (Anthropic), else ``None``."""

    id: str = ""
    model: str = ""
    usage: Usage | None = None


class PartStarted(msgspec.Struct, frozen=True):
    """``part``: an empty ``Text`` or ``Reasoning``, a ``ToolCall`` with id and name only, or a whole ``Opaque``.

    Redacted reasoning has its seal here and gets no deltas. A tool call starts only when its id and name are known.
    """

    index: int
    part: Part


class PartDelta(msgspec.Struct, frozen=True):
    """More of an open part: text, reasoning text or a fragment of the arguments; never empty."""

    index: int
    text: str
    logprobs: tuple[Any, ...] = ()


class Cited(msgspec.Struct, frozen=True):
    """A citation of the open text part."""

    index: int
    citation: Citation


class PartEnded(msgspec.Struct, frozen=True):
    """``seal``: the seal of a reasoning part, which is known only at its end."""

    index: int
    seal: Seal | None = None


class UsageReported(msgspec.Struct, frozen=True):
    """The total usage so far. A later event replaces an earlier one."""

    usage: Usage


class Finished(msgspec.Struct, frozen=True):
    """The stream is complete."""

    finish: Finish = Finish()


class Failed(msgspec.Struct, frozen=True):
    """The stream failed; no event follows."""

    failure: Failure


Event = Started | PartStarted | PartDelta | Cited | PartEnded | UsageReported | Finished | Failed


def settled(finish: Finish, *, has_calls: bool) -> Finish:
    """The finish that agrees with the content (docs/wire-formats.md, section 8.2).

    A response with a complete tool call ends with ``tool_calls``, also if the upstream sent ``stop``; one without a call never does.
    """
    if has_calls and finish.reason == "end":
        return msgspec.structs.replace(finish, reason="tool_calls")
    if not has_calls and finish.reason == "tool_calls":
        return msgspec.structs.replace(finish, reason="end")
    return finish
