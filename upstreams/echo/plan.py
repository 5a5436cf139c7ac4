"""Decides the response of the echo upstream: an EchoRequest (a request of any dialect) becomes an EchoResponse. Pure functions.

The response is, in this order of preference: calls of the tools that the request forces or the prompt asks for; a JSON
value for the requested schema; the results of tools that were called; the prompt's own text.
"""

import itertools
import json
import math
import re
from typing import Any

import msgspec

from upstreams.echo import samples
from upstreams.echo.directives import Directives, EchoError

_WORDS = re.compile(r"\s*\S+\s*")
_TOOL_WANTED = re.compile(r"\b(?:call|use|run|invoke|try)\b[^.?!\n]{0,40}?\b(?:tool|function)(s?)\b", re.IGNORECASE)
_STOPS_NOT_FOR_CALLS = ("length", "refusal", "context")


class Tool(msgspec.Struct, frozen=True):
    """A tool of the request. The argument of a `free_form` tool is text instead of a JSON object."""

    name: str
    schema: dict[str, Any] = {}
    free_form: bool = False


class EchoRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of a request that determine the response, independent of the dialect."""

    model: str
    text: str
    """The prompt: the last text part of the last user turn."""
    media: tuple[str, ...] = ()
    """One description (`image/png, 68 bytes`) of each other part of that turn."""
    results: tuple[str, ...] = ()
    """The texts of the tool results after the last assistant turn."""
    tools: tuple[Tool, ...] = ()
    choice: str = "auto"
    """auto, any, none, or `tool`: then `forced` is its name."""
    forced: str = ""
    parallel: bool = True
    thinking: bool = False
    thinking_shown: bool = True
    schema: dict[str, Any] | None = None
    """The JSON schema that the text must satisfy; `{}` is any object, None is free text."""
    max_tokens: int | None = None
    stops: tuple[str, ...] = ()
    stream: bool = False
    stream_usage: bool = True
    input_tokens: int = 0


class Call(msgspec.Struct, frozen=True):
    """One tool call; `arguments` is JSON text, or free text for a free-form tool."""

    name: str
    arguments: str
    free_form: bool = False


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Token counts in disjoint classes; `thinking` is a part of `output`."""

    fresh: int
    output: int
    cache_read: int = 0
    cache_write: int = 0
    thinking: int = 0


class EchoResponse(msgspec.Struct, frozen=True, kw_only=True):
    """The content of a response, independent of the dialect. `stop` is one of directives.STOPS, `tool` or `sequence`."""

    thinking: str | None = None
    thinking_shown: bool = True
    text: tuple[str, ...] = ()
    """The text, split into the pieces of its stream."""
    calls: tuple[Call, ...] = ()
    stop: str = "end"
    stop_sequence: str | None = None
    usage: Usage | None = None


class Stamp(msgspec.Struct, frozen=True):
    """The unique values of a response: `token`, 24 characters for its ids, and `created`, Unix seconds."""

    token: str
    created: int


def plan(question: EchoRequest, directives: Directives) -> EchoResponse:
    """Decide the response to `question`, whose text no longer contains the directives.

    Raises EchoError if `directives` contains an error status.
    """
    if directives.status is not None:
        message = directives.message or f"echo: error {directives.status} on demand"
        raise EchoError(directives.status, message, retry_after=directives.retry_after)
    calls = _calls(question)
    text = directives.say if directives.say is not None else "" if calls else _text(question)
    text, stop, sequence = _ending(text, question, has_calls=bool(calls))
    if directives.stop is not None and not (calls and directives.stop not in _STOPS_NOT_FOR_CALLS):
        stop, sequence = directives.stop, None
    thinking = directives.thinking if directives.thinking is not None else _thinking(question)
    pieces = _pieces(text, directives.chunks if question.schema is None else None)
    return EchoResponse(
        thinking=thinking,
        thinking_shown=question.thinking_shown,
        text=pieces,
        calls=calls,
        stop=stop,
        stop_sequence=sequence,
        usage=_usage(
            question, directives, thinking=thinking or "", output_text="".join(pieces) + "".join(call.arguments for call in calls)
        ),
    )


def tokens(text: str) -> int:
    """An estimate: one token for four characters."""
    return math.ceil(len(text) / 4)


def split_characters(text: str, *, size: int) -> list[str]:
    """Pieces of `size` characters, for JSON."""
    return [text[at : at + size] for at in range(0, len(text), size)]


def split_words(text: str) -> list[str]:
    """Pieces of one word with its white space; joined, they are the text."""
    return [piece for piece in _WORDS.findall(text) if piece] or ([text] if text else [])


# The calls


def _calls(question: EchoRequest) -> tuple[Call, ...]:
    if not question.tools or question.choice == "none":
        return ()
    must = question.choice in ("any", "tool")
    if question.results and not must:
        return ()
    requested = _forced(question) if question.choice == "tool" else _named_in_prompt(question)
    if not requested and must:
        requested = [(question.tools[0], list(samples.objects_in(question.text))[:1])]
    calls = [_call(tool, arguments, prompt=question.text) for tool, objects in requested for arguments in objects or (None,)]
    return tuple(calls if question.parallel else calls[:1])


def _forced(question: EchoRequest) -> list[tuple[Tool, list[dict[str, Any]]]]:
    for tool in question.tools:
        if tool.name == question.forced:
            return [(tool, list(samples.objects_in(question.text))[:1])]
    raise EchoError(400, f"Tool '{question.forced}' not found in provided tools")


def _named_in_prompt(question: EchoRequest) -> list[tuple[Tool, list[dict[str, Any]]]]:
    """The tools whose names are in the prompt, in that order, each with the JSON objects after its name."""
    prompt = question.text
    mentions = sorted((*match.span(), index) for index, tool in enumerate(question.tools) for match in _mentions(tool.name, prompt))
    objects_by_tool: dict[int, list[dict[str, Any]]] = {}
    for place, (_, end, index) in enumerate(mentions):
        until = mentions[place + 1][0] if place + 1 < len(mentions) else len(prompt)
        objects_by_tool.setdefault(index, []).extend(samples.objects_in(prompt[end:until]))
    if not objects_by_tool and (phrase := _TOOL_WANTED.search(prompt)):
        objects = list(samples.objects_in(prompt))
        objects_by_tool = {index: objects[index : index + 1] for index in range(min(2 if phrase[1] else 1, len(question.tools)))}
    return [(question.tools[index], objects) for index, objects in objects_by_tool.items()]


def _mentions(name: str, prompt: str) -> list[re.Match[str]]:
    """The matches of `name` as a separate word; `get_weather` also matches "get weather"."""
    parts = [re.escape(part) for part in re.split(r"[_\-. ]+", name) if part]
    exact = rf"(?<![\w-]){re.escape(name)}(?![\w-])"
    loose = rf"|(?<![\w-])(?i:{'[ _-]'.join(parts)})(?![\w-])" if len(parts) > 1 else ""
    return list(re.finditer(exact + loose, prompt))


def _call(tool: Tool, arguments: dict[str, Any] | None, *, prompt: str) -> Call:
    if tool.free_form:
        return Call(tool.name, prompt, free_form=True)
    if arguments is None:
        arguments = samples.sample({"type": "object"} | tool.schema)
    return Call(tool.name, json.dumps(arguments, ensure_ascii=False))


# The text


def _text(question: EchoRequest) -> str:
    if question.schema is not None:
        return json.dumps(_structured(question.schema, question.text), ensure_ascii=False)
    if question.results:
        return "\n".join(question.results)
    return "\n".join([*([question.text] if question.text else []), *(f"[{medium}]" for medium in question.media)])


def _structured(schema: dict[str, Any], prompt: str) -> Any:
    """The first object in the prompt with all required properties, else a sample of the schema."""
    required = schema.get("required") or []
    for value in samples.objects_in(prompt):
        if all(name in value for name in required):
            return value
    return samples.sample(schema, text=prompt) if schema else {"text": prompt}


def _ending(text: str, question: EchoRequest, *, has_calls: bool) -> tuple[str, str, str | None]:
    """Apply stop sequences and the token limit: the shortened text, the stop reason, the stop sequence."""
    matches = [(text.index(sequence), sequence) for sequence in question.stops if sequence and sequence in text]
    if matches and not has_calls:
        at, sequence = min(matches)
        return text[:at], "sequence", sequence
    if question.max_tokens is not None and tokens(text) > question.max_tokens:
        return text[: 4 * question.max_tokens], "length", None
    return text, "tool" if has_calls else "end", None


def _thinking(question: EchoRequest) -> str | None:
    if not question.thinking:
        return None
    count = len(question.text.split())
    return f"The prompt has {count} word{'' if count == 1 else 's'}. I will repeat what I was told."


def _pieces(text: str, count: int | None) -> tuple[str, ...]:
    """The words of the text, or exactly `count` pieces: words are repeated if there are too few, joined if there are too many."""
    pieces = split_words(text)
    if count is None or not pieces:
        return tuple(pieces)
    if len(pieces) <= count:
        spaced = [*pieces[:-1], pieces[-1] if pieces[-1][-1:].isspace() else pieces[-1] + " "]
        repeated = list(itertools.islice(itertools.cycle(spaced), count))
        return (*repeated[:-1], repeated[-1].rstrip() or repeated[-1]) if repeated else ()
    return (*pieces[: count - 1], "".join(pieces[count - 1 :])) if count else ()


def _usage(question: EchoRequest, directives: Directives, *, thinking: str, output_text: str) -> Usage | None:
    if directives.usage == "none":
        return None
    output = tokens(thinking) + tokens(output_text) if directives.output_tokens is None else directives.output_tokens
    return Usage(
        fresh=question.input_tokens if directives.input_tokens is None else directives.input_tokens,
        output=output,
        cache_read=directives.cache_read or 0,
        cache_write=directives.cache_write or 0,
        thinking=min(tokens(thinking), output),
    )
