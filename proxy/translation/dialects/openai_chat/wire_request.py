"""The structs of a request body (docs/wire-formats.md, sections 2.2 and 2.3). msgspec validates the types while it decodes.

Only the fields with a canonical place are declared. msgspec skips all others, so a request to an upstream of the same dialect may
hold any field. A ``Raw`` field is empty when absent and may be ``null``: see :func:`is_present`.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import msgspec

FAMILY = "openai_chat"
Raw = msgspec.Raw
ABSENT = Raw(b"")
_NULL = Raw(b"null")

Role = Literal["system", "developer", "user", "assistant", "tool", "function"]


def is_present(raw: Raw) -> bool:
    """Whether the field is in the body and not ``null``."""
    return bool(raw) and raw != _NULL


_STATELESS = frozenset({b"", b"null", b"{}", b'""', b"[]"})


class CallState(msgspec.Struct):
    """The fields of a tool call that hold state, on the wire of upstreams and of clients."""

    extra_content: Raw = Raw(b"")
    provider_specific_fields: Raw = Raw(b"")

    def state(self) -> dict[str, Raw]:
        """The fields that have a value."""
        return _present(extra_content=self.extra_content, provider_specific_fields=self.provider_specific_fields)


class MessageState(msgspec.Struct):
    """The fields of a message that hold state, on the wire of upstreams and of clients."""

    reasoning_details: Any = None
    extra_content: Raw = Raw(b"")
    reasoning_opaque: Raw = Raw(b"")

    def state(self) -> dict[str, Raw]:
        """The fields besides ``reasoning_details`` that have a value."""
        if not self.extra_content and not self.reasoning_opaque:
            return {}
        return _present(extra_content=self.extra_content, reasoning_opaque=self.reasoning_opaque)


def _present(**fields: Raw) -> dict[str, Raw]:
    return {name: raw for name, raw in fields.items() if raw and bytes(raw) not in _STATELESS}


class ImageUrl(msgspec.Struct):
    """An image by URL or data URL."""

    url: str
    detail: str | None = None


class InputAudio(msgspec.Struct):
    """Audio in base64."""

    data: str = ""
    format: str = ""


class File(msgspec.Struct):
    """A file: its content as a data URL or as base64, or the provider's file id."""

    file_data: str | None = None
    file_id: str | None = None
    filename: str | None = None


class Breakpoint(msgspec.Struct):
    """A cache breakpoint."""

    mode: Any = None


class Part(msgspec.Struct):
    """A content part: the fields of all types, because clients leave ``type`` out or use types that only one server knows.

    ``source`` to ``is_error`` belong to blocks of the Messages API (``request_decode_blocks``).
    """

    READ_TYPES: ClassVar = frozenset(
        {None, "text", "refusal", "image_url", "input_audio", "file", "thinking", "tool_use", "tool_result", "image", "document"}
    )

    type: str | None = None
    text: str | None = None
    refusal: str | None = None
    image_url: str | ImageUrl | None = None
    input_audio: InputAudio | str | None = None
    """An object; Mistral's clients send the base64 data alone."""
    file: File | None = None
    thinking: Any = None
    source: Raw = ABSENT
    id: Raw = ABSENT
    name: Raw = ABSENT
    input: Raw = ABSENT
    tool_use_id: Raw = ABSENT
    content: Raw = ABSENT
    is_error: Any = None
    prompt_cache_breakpoint: Breakpoint | None = None
    cache_control: Raw = ABSENT


class FunctionCall(msgspec.Struct):
    """The function of a tool call. ``arguments`` is JSON text; some clients send the object itself."""

    name: str | None = None
    arguments: str | dict[str, Raw] | None = None


class CustomCall(msgspec.Struct):
    """The free-form tool of a tool call; ``input`` is plain text."""

    name: str | None = None
    input: str | None = None


class ToolCall(CallState):
    """A tool call in an assistant message."""

    id: str | None = None
    type: str | None = None
    function: FunctionCall | None = None
    custom: CustomCall | None = None


class Message(MessageState, kw_only=True):
    """A message: the fields of all roles."""

    role: Role
    content: str | list[Part] | None = None
    name: str | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None
    refusal: str | None = None
    audio: Raw = ABSENT
    function_call: FunctionCall | None = None
    reasoning_content: str | None = None
    reasoning: Any = None


class FunctionDefinition(msgspec.Struct):
    """The definition of a function: an entry of ``functions``, or ``function`` of an entry of ``tools``."""

    name: str | None = None
    description: str | None = None
    parameters: Raw = ABSENT
    strict: bool | None = None


class CustomDefinition(msgspec.Struct):
    """The definition of a free-form tool; ``format`` is ``{"type": "text"}`` or a grammar."""

    name: str
    description: str | None = None
    format: Raw = ABSENT


class Tool(msgspec.Struct):
    """An entry of ``tools``. A flat one, as Responses and Messages have them, has a name and the fields after it instead."""

    READ_TYPES: ClassVar = frozenset({None, "function", "custom"})

    type: str | None = None
    function: FunctionDefinition | None = None
    custom: CustomDefinition | None = None
    name: str | None = None
    description: Raw = ABSENT
    parameters: Raw = ABSENT
    input_schema: Raw = ABSENT
    strict: Raw = ABSENT
    format: Raw = ABSENT
    cache_control: Raw = ABSENT


class NamedTool(msgspec.Struct):
    """``{"name": …}`` in a tool choice."""

    name: str


class AllowedTool(msgspec.Struct):
    """An entry of ``allowed_tools.tools``: ``{"type", "function": {"name"}}``, or flat as in Responses: ``{"type", "name"}``."""

    type: str | None = None
    function: NamedTool | None = None
    custom: NamedTool | None = None
    name: str | None = None


class AllowedTools(msgspec.Struct):
    """``allowed_tools`` of a tool choice: the tools that the model may call."""

    tools: list[AllowedTool]
    mode: Literal["auto", "required"] = "auto"


class ToolChoice(msgspec.Struct):
    """``tool_choice`` as an object. A flat one, as Responses and Messages have it, has a name instead of the definition."""

    type: str = "function"
    function: NamedTool | None = None
    custom: NamedTool | None = None
    name: str | None = None
    disable_parallel_tool_use: bool | None = None
    allowed_tools: AllowedTools | None = None


class JsonSchema(msgspec.Struct):
    """``json_schema`` of ``response_format``."""

    name: str | None = None
    schema: Raw = ABSENT
    strict: bool | None = None
    description: str | None = None


class ResponseFormat(msgspec.Struct):
    """``response_format``; ``type`` is ``text``, ``json_object`` or ``json_schema``."""

    type: str
    json_schema: JsonSchema | None = None


class StreamOptions(msgspec.Struct):
    """``stream_options``."""

    include_usage: bool | None = None


class ChatBody(msgspec.Struct):
    """The request body: the fields whose types ``open_request`` checks."""

    OPEN: ClassVar = True

    model: str
    messages: list[Message]
    stream: bool | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    n: int | None = None
    stop: str | list[str] | None = None
    tools: list[Tool] | None = None
    tool_choice: str | ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    stream_options: StreamOptions | None = None
    functions: list[FunctionDefinition] | None = None
    function_call: str | NamedTool | None = None
    reasoning_effort: str | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    service_tier: str | None = None
    verbosity: str | None = None


class OpenedBody(msgspec.Struct):
    """A decoded body with the raw fields that it was decoded from, so that a later change of a field can be detected.

    ``is_read``: the body has no field that is not read.
    """

    body: ChatBody
    fields: dict[str, Raw]
    is_read: bool
