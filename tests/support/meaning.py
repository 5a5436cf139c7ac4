"""What a request means, independent of any dialect, and what of it each kind of upstream can carry.

``meaning(request)`` is comparable between dialects: adjacent texts are one text, turns of one role are one turn, system text
is one heap, tools are known by their descriptions and calls by their tools. ``carried(meaning, target)`` is the table of what
a target moves, limits or drops (wire formats, sections 6 and 7): all that is not written here survives.
"""

from __future__ import annotations

import json
import re
from typing import Any

from proxy.translation.canonical import Document, Image, Part, Reasoning, Request, Text, Tool, ToolCall, ToolResult

JSON_SENTENCE = "Respond with a single JSON object."
NO_ARGUMENTS = {"type": "object", "properties": {}}
WRAPPED = {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}
FREE_TEXT = "free text"
ATTACHED = {"image": "[image attached below]", "document": "[document attached below]"}
_ERROR = re.compile(r"^error:?\s*", re.IGNORECASE)

Meaning = dict[str, Any]


def meaning(request: Request) -> Meaning:
    """The request as plain values."""
    tools = [tool for tool in request.tools if isinstance(tool, Tool)]
    late = [part for message in request.messages if message.role == "system" for part in message.parts]
    return {
        "system": sorted(text for part in (*request.system, *late) if isinstance(part, Text) for text in part.text.split("\n\n")),
        "turns": _turns(request, {tool.name: tool for tool in tools}),
        "tools": [_tool(tool) for tool in tools],
        "choice": _choice(request, tools),
        "at most one call": bool(tools) and request.parallel_calls is False and _mode(request) != "none",
        "output": _output(request),
        **{
            name: getattr(request, name)
            for name in ("max_tokens", "temperature", "top_p", "top_k", "end_user", "metadata", "prompt_cache_key")
        },
        "stop": list(request.stop),
    }


def _mode(request: Request) -> str:
    return request.tool_choice.mode if request.tool_choice is not None else "auto"


def _choice(request: Request, tools: list[Tool]) -> Any:
    choice = request.tool_choice
    if choice is None or not tools or choice.mode == "auto":
        return None
    return [_purpose(tool) for tool in tools if tool.name == choice.name] if choice.mode == "tool" else choice.mode


def _purpose(tool: Tool) -> str:
    """The description's first line: where free-form tools are wrapped, more lines follow it."""
    return (tool.description or "").partition("\n")[0]


def _tool(tool: Tool) -> Any:
    schema = NO_ARGUMENTS if tool.schema is None else json.loads(bytes(tool.schema))
    if tool.kind == "custom" or schema == WRAPPED:
        return {"description": _purpose(tool), "schema": FREE_TEXT}
    return {"description": tool.description, "schema": NO_ARGUMENTS if schema == {} else schema, "strict": bool(tool.strict)}


def _output(request: Request) -> Any:
    if request.output is None:
        return None
    return json.loads(bytes(request.output.schema)) if request.output.schema is not None else request.output.kind


def _turns(request: Request, tools: dict[str, Tool]) -> list[Any]:
    out: list[Any] = []
    call_numbers: dict[str, int] = {}
    for message in request.messages:
        if message.role == "system":
            continue
        if not out or out[-1]["role"] != message.role:
            out.append({"role": message.role, "results": {}, "content": [], "calls": []})
        for part in message.parts:
            if isinstance(part, ToolCall):
                call_numbers[part.id] = len(call_numbers)
                out[-1]["calls"].append((call_numbers[part.id], _called(part, tools)))
            elif isinstance(part, ToolResult):
                out[-1]["results"][call_numbers[part.call_id]] = _result(part)
            elif not isinstance(part, Reasoning):  # of no provider: the note that a call has no signature
                _add(out[-1]["content"], _content(part))
    return out


def _called(call: ToolCall, tools: dict[str, Tool]) -> Any:
    tool = tools.get(call.name)
    values = {"input": call.arguments} if call.kind == "custom" else json.loads(call.arguments)
    return _purpose(tool) if tool else call.name, values


def _result(result: ToolResult) -> Any:
    text = "\n".join(part.text for part in result.content if isinstance(part, Text))
    failed = result.is_error or text.startswith("Error")
    media = [_content(part) for part in result.content if not isinstance(part, Text)]
    if failed:  # behind "Error:" stands what was said, or a note of the pictures that follow
        text = _ERROR.sub("", text)
        text = "" if text in ATTACHED.values() else text
    return {"text": text, "failed": failed, "media": media, "id": result.call_id}


def _content(part: Part) -> Any:
    if isinstance(part, Text):
        return part.text
    if isinstance(part, Image):
        media_type = "" if part.source.kind == "url" else part.source.media_type  # some wires name it, others do not
        return ["image", part.source.kind, part.source.value, media_type]
    assert isinstance(part, Document), part
    return ["document", part.source.kind, part.source.value, part.title or part.filename]


def _add(content: list[Any], item: Any) -> None:
    """Append a part, joining adjacent texts."""
    if content and isinstance(item, str) and isinstance(content[-1], str):
        content[-1] += item
    elif item != "":
        content.append(item)


# --- what a target carries -------------------------------------------------------------------------------------------


def carried(source_meaning: Meaning, target: str, *, thinks: bool) -> Meaning:
    """What of ``meant`` arrives at a target. ``thinks``: thinking is on there, which rules out sampling at Anthropic."""
    out = {**source_meaning, **(_AT_ANTHROPIC if target in ("anthropic", "bedrock") else {})}
    if target in ("anthropic", "bedrock"):
        out["max_tokens"] = out["max_tokens"] or "any"
        if source_meaning["output"] == "json_object":
            out |= {"output": None, "system": sorted([*source_meaning["system"], JSON_SENTENCE])}
        if thinks:
            out |= {"temperature": None, "top_k": None, "top_p": "any"}
        elif source_meaning["temperature"] is not None:
            out |= {"temperature": min(source_meaning["temperature"], 1.0), "top_p": None}
        out["stop"] = [text for text in source_meaning["stop"] if text.strip()]
        return out
    if target == "bedrock_converse":
        return _at_converse(out)
    out["turns"] = [_with_words_for_notes(turn) for turn in source_meaning["turns"]]
    if target == "gemini":
        return _at_gemini(out)
    out["turns"] = [_with_names_for_files(turn) for turn in out["turns"]]
    out["top_k"] = None
    if target == "openai_responses":
        return out | {"stop": [], "max_tokens": None if source_meaning["max_tokens"] is None else max(16, source_meaning["max_tokens"])}
    out["turns"] = [_with_media_behind(turn) for turn in out["turns"]]
    return out | {"stop": source_meaning["stop"][:4]}


_AT_ANTHROPIC: Meaning = {"metadata": None, "prompt_cache_key": None}


def _at_converse(out: Meaning) -> Meaning:
    """No end user, no choice ``none``, no limit of parallel calls; a JSON object is asked for in words, and documents need a text."""
    dropped = {"end_user": None, "prompt_cache_key": None, "at most one call": False}
    is_object = out["output"] == "json_object"
    calls = any(turn["calls"] for turn in out["turns"])
    return {
        **out,
        **dropped,
        "tools": [] if out["choice"] == "none" and not calls else out["tools"],
        "choice": None if out["choice"] == "none" else out["choice"],
        "output": None if is_object else out["output"],
        "system": sorted([*out["system"], *([JSON_SENTENCE] if is_object else [])]),
        "temperature": out["temperature"] if out["temperature"] is None else min(out["temperature"], 1.0),
        "stop": [text for text in out["stop"] if text.strip()],
        "turns": [_with_text_beside_documents(turn) for turn in out["turns"]],
    }


def _with_text_beside_documents(turn: Any) -> Any:
    content = [
        [*item[:3], re.sub("[^a-zA-Z0-9]+", " ", item[3] or "document")] if item[0] == "document" else item for item in turn["content"]
    ]
    has_document = any(item[0] == "document" for item in content)
    silent = has_document and not any(isinstance(item, str) for item in content)
    return {**turn, "content": [*content, *(["(document)"] if silent else [])]}


def _at_gemini(out: Meaning) -> Meaning:
    tools = [{**tool, "strict": False} if "strict" in tool else tool for tool in out["tools"]]
    dropped = {"end_user": None, "metadata": None, "prompt_cache_key": None, "at most one call": False}
    return {**out, **dropped, "tools": tools, "turns": [_at_gemini_turn(turn) for turn in out["turns"]], "stop": out["stop"][:5]}


def _at_gemini_turn(turn: Any) -> Any:
    """Files have no names. Media of a result stay in it unless one of them is a URL: then they follow the results."""
    moved: list[Any] = []
    results = {}
    for number, result in turn["results"].items():
        inside = [_at_gemini_item(item) for item in result["media"]]
        if any(item[1] == "url" for item in inside):
            moved += inside
            inside = []
        results[number] = {**result, "media": inside}
    content = [*moved]
    for item in turn["content"]:
        _add(content, item if isinstance(item, str) else _at_gemini_item(item))
    return {**turn, "results": results, "content": content}


def _at_gemini_item(item: list[Any]) -> list[Any]:
    return [*item[:3], None] if item[0] == "document" else item


def _with_words_for_notes(turn: Any) -> Any:
    """A text document becomes text for OpenAI's models: its title and its text."""
    content: list[Any] = []
    for item in turn["content"]:
        _add(content, f"{item[3]}\n{item[2]}" if item[:2] == ["document", "text"] else item)
    return {**turn, "content": content}


def _with_names_for_files(turn: Any) -> Any:
    """OpenAI's files need a name."""
    content = [["document", *item[1:3], item[3] or "document.pdf"] if item[0] == "document" else item for item in turn["content"]]
    return {**turn, "content": content}


def _with_media_behind(turn: Any) -> Any:
    """Chat has no pictures in results: they follow in the user's message, each with the id of its call."""
    moved: list[Any] = []
    results = {}
    for number, result in turn["results"].items():
        for item in result["media"]:
            _add(moved, f"[attached to the result of tool call {result['id']}]")
            _add(moved, item)
        is_silent = result["media"] and not result["text"] and not result["failed"]
        results[number] = {**result, "media": [], "text": ATTACHED[result["media"][0][0]] if is_silent else result["text"]}
    content = [*moved]
    for item in turn["content"]:
        _add(content, item)
    return {**turn, "results": results, "content": content}
