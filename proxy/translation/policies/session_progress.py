"""A short summary of a session, made from the conversation alone.

Small models lose the thread of long sessions: what was done, where, and what for. All of it stands in the conversation, and the
summary is a function of it, so the same turn always gets the same words.
"""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from typing import Any

import msgspec

from proxy.translation.canonical import Request, Text, ToolCall, ToolResult

SHOWN_NAMES = 8
SHOWN_OPERATIONS = 5
LONGEST_OPERATION = 120
LONGEST_TASK = 400

_DIRECTORY_KEYS = ("cwd", "workdir", "working_directory", "working_dir")
_PATH_KEYS = ("file_path", "path", "notebook_path", "filename", "file")
_SUBJECT_KEYS = ("command", "cmd", *_PATH_KEYS, "pattern", "query", "url", "input", "description")
"""Arguments that say best what a call was about, the most telling first."""

_DECLARED = re.compile(
    r"(?:<cwd>\s*(?P<tag>[^<\n]+?)\s*</cwd>)|(?:(?:working directory|cwd)\s*[:=]\s*`?(?P<line>(?:/|~|[A-Za-z]:\\)[^\s`<\"']*))",
    re.IGNORECASE,
)
_CHANGED = re.compile(r"(?:^|[;&|\n]\s*)cd\s+(?P<quote>[\"']?)(?P<path>/[^\s\"';&|]*)(?P=quote)")
_PRINTED = re.compile(r"/[^\n]*")
_ABSOLUTE = re.compile(r"/|[A-Za-z]:\\")
_WRAPPED = re.compile(r"\s*<(?P<tag>[a-zA-Z][\w-]*)(?: [^>]*)?>.*</(?P=tag)>\s*", re.DOTALL)
"""Text that a client's program put into the user's turn, such as reminders and descriptions of the environment."""


class _Operation(msgspec.Struct):
    name: str
    subject: str
    arguments: dict[str, Any]
    result: str
    is_error: bool


def summary(request: Request) -> str:
    """The summary of a conversation; empty while no operation is completed."""
    operations = _operations(request)
    if not operations:
        return ""
    lines = [_counted(operations), "Latest:", *(f"- {_told(each)}" for each in operations[-SHOWN_OPERATIONS:])]
    directory = _directory(request, operations)
    if directory:
        lines.append(f"Working directory: {directory}")
    task = _task(request)
    if task:
        lines.append(f"Current task: {task}")
    return "\n".join(("<session_progress>", *lines, "</session_progress>"))


def _operations(request: Request) -> list[_Operation]:
    """The calls that have results, in the order of the results."""
    calls: dict[str, ToolCall] = {}
    done = []
    for message in request.messages:
        for part in message.parts:
            if isinstance(part, ToolCall):
                calls[part.id] = part
            elif isinstance(part, ToolResult) and part.call_id in calls:
                done.append(_operation(calls.pop(part.call_id), part))
    return done


def _operation(call: ToolCall, result: ToolResult) -> _Operation:
    arguments = _arguments(call)
    subject = next((text for key in _SUBJECT_KEYS if (text := _words(arguments.get(key)))), "")
    if not subject and call.kind == "custom":
        subject = call.arguments
    said = "\n".join(part.text for part in result.content if isinstance(part, Text))
    return _Operation(call.name, subject, arguments, said, result.is_error)


def _arguments(call: ToolCall) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(call.arguments or "{}")
    except (msgspec.DecodeError, RecursionError):
        return {}  # models write broken arguments now and then; the call still counts
    return value if isinstance(value, dict) else {}


def _words(value: Any) -> str:
    if isinstance(value, list) and value and all(isinstance(each, str) for each in value):
        return " ".join(value)  # a command as a list of words
    return value if isinstance(value, str) else ""


def _counted(operations: list[_Operation]) -> str:
    counts = Counter(each.name for each in operations).most_common()
    shown = ", ".join(f"{name} {count}" for name, count in counts[:SHOWN_NAMES])
    more = f", {len(counts) - SHOWN_NAMES} others" if len(counts) > SHOWN_NAMES else ""
    return f"Completed operations: {len(operations)} ({shown}{more})"


def _told(operation: _Operation) -> str:
    told = f"{operation.name}: {operation.subject}" if operation.subject else operation.name
    return _shortened(told, LONGEST_OPERATION) + (" (failed)" if operation.is_error else "")


def _shortened(text: str, limit: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def _directory(request: Request, operations: list[_Operation]) -> str:
    """Where the work goes on: what the last calls say, else what the prompt declares, else what the paths have in common."""
    for operation in reversed(operations):
        found = _named_directory(operation)
        if found:
            return found
    declared = ""
    for text in (*request.system, *(part for message in request.messages for part in message.parts if isinstance(part, Text))):
        for match in _DECLARED.finditer(text.text):
            declared = match["tag"] or match["line"].rstrip(".,;")
    return declared or _common_directory(operations)


def _named_directory(operation: _Operation) -> str:
    for key in _DIRECTORY_KEYS:
        value = operation.arguments.get(key)
        if isinstance(value, str) and _ABSOLUTE.match(value):
            return value
    command = _words(operation.arguments.get("command")) or _words(operation.arguments.get("cmd"))
    changes = list(_CHANGED.finditer(command))
    if changes:
        return changes[-1]["path"]
    printed = operation.result.strip()
    return printed if command.strip() == "pwd" and _PRINTED.fullmatch(printed) else ""


def _common_directory(operations: list[_Operation]) -> str:
    paths = [value for each in operations for key in _PATH_KEYS if isinstance(value := each.arguments.get(key), str) and value[:1] == "/"]
    if not paths:
        return ""
    common = posixpath.commonpath([posixpath.dirname(path) for path in paths])
    return common if common.count("/") >= 2 else ""  # a root directory says nothing


def _task(request: Request) -> str:
    """The last words of the user, without what programs put among them."""
    for message in reversed(request.messages):
        if message.role != "user":
            continue
        said = [part.text for part in message.parts if isinstance(part, Text) and part.text.strip() and not _WRAPPED.fullmatch(part.text)]
        if said:
            return _shortened("\n".join(said), LONGEST_TASK)
    return ""
