"""The request's wire as types: what msgspec validates while it decodes.

Only mapped fields are named; unknown ones are skipped, so that a request within the dialect may carry anything. ``Raw``
fields are empty when absent and may hold ``null``: see :func:`given`.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

FAMILY = "openai_chat"
Raw = msgspec.Raw
ABSENT = Raw(b"")
_NULL = Raw(b"null")

Role = Literal["system", "developer", "user", "assistant", "tool", "function"]


def given(raw: Raw) -> bool:
    """Whether a field is there and not ``null``."""
    return bool(raw) and raw != _NULL


class Link(msgspec.Struct):
    """An image by URL or data URL."""

    url: str
    detail: str | None = None


class Sound(msgspec.Struct):
    """Audio in base64."""

    data: str = ""
    format: str = ""


class File(msgspec.Struct):
    """A file by content or by the vendor's id."""

    file_data: str | None = None
    file_id: str | None = None
    filename: str | None = None


class Part(msgspec.Struct):
    """A content part of any type."""

    type: str | None = None
    text: str | None = None
    refusal: str | None = None
    image_url: str | Link | None = None
    input_audio: Sound | str | None = None
    """Mistral takes the data alone."""
    file: File | None = None
    thinking: Any = None
    prompt_cache_breakpoint: Raw = ABSENT
    cache_control: Raw = ABSENT


class Function(msgspec.Struct):
    """A call of a function; some clients send the arguments as an object."""

    name: str | None = None
    arguments: str | dict[str, Raw] | None = None


class Custom(msgspec.Struct):
    """A call of a free-form tool."""

    name: str | None = None
    input: str | None = None


class Call(msgspec.Struct):
    """A tool call of the history."""

    id: str | None = None
    type: str | None = None
    function: Function | None = None
    custom: Custom | None = None


class Message(msgspec.Struct):
    """A message of any role."""

    role: Role
    content: str | list[Part] | None = None
    name: str | None = None
    tool_calls: list[Call] | None = None
    tool_call_id: str | None = None
    refusal: str | None = None
    function_call: Function | None = None
    reasoning_content: str | None = None
    reasoning: Any = None
    reasoning_details: Any = None


class FunctionDefinition(msgspec.Struct):
    """A function that the client offers."""

    name: str | None = None
    description: str | None = None
    parameters: Raw = ABSENT
    strict: bool | None = None


class CustomDefinition(msgspec.Struct):
    """A free-form tool that the client offers."""

    name: str
    description: str | None = None
    format: Raw = ABSENT


class Tool(msgspec.Struct):
    """An entry of ``tools``."""

    type: str | None = None
    function: FunctionDefinition | None = None
    custom: CustomDefinition | None = None
    cache_control: Raw = ABSENT


class Named(msgspec.Struct):
    """Something with a name."""

    name: str


class AllowedTool(msgspec.Struct):
    """A tool of ``allowed_tools``, nested or flat."""

    function: Named | None = None
    custom: Named | None = None
    name: str | None = None


class Allowed(msgspec.Struct):
    """The subset of tools that may be called."""

    tools: list[AllowedTool]
    mode: Literal["auto", "required"] = "auto"


class Choice(msgspec.Struct):
    """``tool_choice`` as an object."""

    type: str = "function"
    function: Named | None = None
    custom: Named | None = None
    allowed_tools: Allowed | None = None


class Schema(msgspec.Struct):
    """The JSON schema of an answer."""

    name: str | None = None
    schema: Raw = ABSENT
    strict: bool | None = None
    description: str | None = None


class ResponseFormat(msgspec.Struct):
    """The wanted form of the answer."""

    type: str
    json_schema: Schema | None = None


class StreamOptions(msgspec.Struct):
    """What the stream shall hold."""

    include_usage: bool | None = None


class Body(msgspec.Struct):
    """The main fields, as ``open_request`` checks them."""

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
    tool_choice: str | Choice | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    stream_options: StreamOptions | None = None
    functions: list[FunctionDefinition] | None = None
    function_call: str | Named | None = None
    reasoning_effort: str | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    service_tier: str | None = None
    verbosity: str | None = None


class Opened(msgspec.Struct):
    """A body and the fields that it was read from, to see whether one was changed since."""

    body: Body
    fields: dict[str, Raw]
