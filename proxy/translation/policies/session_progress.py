"""A short summary of a session, made from its conversation.

Small models lose track of long sessions: which operations are done, in which directory, and for which task. The summary depends
on the conversation alone, so that the same turn always gets the same text.
"""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from typing import Any

import msgspec

from proxy.translation.canonical import Request, Text, ToolCall, ToolResult

MAX_NAMES = 8
MAX_OPERATIONS = 5
MAX_OPERATION_CHARS = 120
MAX_TASK_CHARS = 400

_DIRECTORY_KEYS = ("cwd", "workdir", "working_directory", "working_dir")
_PATH_KEYS = ("file_path", "path", "notebook_path", "filename", "file")
_SUBJECT_KEYS = ("command", "cmd", *_PATH_KEYS, "pattern", "query", "url", "input", "description")
"""Arguments that describe a call, the most specific first."""

_DECLARED = re.compile(
    r"(?:<cwd>\s*(?P<tag>[^<\n]+?)\s*</cwd>)|(?:(?:working directory|cwd)\s*[:=]\s*`?(?P<line>(?:/|~|[A-Za-z]:\\)[^\s`<\"']*))",
    re.IGNORECASE,
)
_CHANGED = re.compile(r"(?:^|[;&|\n]\s*)cd\s+(?P<quote>[\"']?)(?P<path>/[^\s\"';&|]*)(?P=quote)")
_PRINTED = re.compile(r"/[^\n]*")
_ABSOLUTE = re.compile(r"/|[A-Za-z]:\\")
_WRAPPED = re.compile(r"\s*<(?P<tag>[a-zA-Z][\w-]*)(?: [^>]*)?>.*</(?P=tag)>\s*", re.DOTALL)
"""Text that a program put into the user's turn, such as reminders and descriptions of the environment."""


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
    lines = [_count_operations(operations), "Latest:", *(f"- {_describe(operation)}" for operation in operations[-MAX_OPERATIONS:])]
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
    completed = []
    for message in request.messages:
        for part in message.parts:
            if isinstance(part, ToolCall):
                calls[part.id] = part
            elif isinstance(part, ToolResult) and part.call_id in calls:
                completed.append(_operation(calls.pop(part.call_id), part))
    return completed


def _operation(call: ToolCall, result: ToolResult) -> _Operation:
    arguments = _arguments(call)
    subject = next((text for key in _SUBJECT_KEYS if (text := _command_text(arguments.get(key)))), "")
    if not subject and call.kind == "custom":
        subject = call.arguments
    result_text = "\n".join(part.text for part in result.content if isinstance(part, Text))
    return _Operation(call.name, subject, arguments, result_text, result.is_error)


def _arguments(call: ToolCall) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(call.arguments or "{}")
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return {}  # a model may write invalid JSON; the call still counts
    return value if isinstance(value, dict) else {}


def _command_text(value: Any) -> str:
    if isinstance(value, list) and value and all(isinstance(word, str) for word in value):
        return " ".join(value)  # a command as a list of words
    return value if isinstance(value, str) else ""


def _count_operations(operations: list[_Operation]) -> str:
    counts = Counter(operation.name for operation in operations).most_common()
    names = ", ".join(f"{name} {count}" for name, count in counts[:MAX_NAMES])
    suffix = f", {len(counts) - MAX_NAMES} others" if len(counts) > MAX_NAMES else ""
    return f"Completed operations: {len(operations)} ({names}{suffix})"


def _describe(operation: _Operation) -> str:
    text = f"{operation.name}: {operation.subject}" if operation.subject else operation.name
    return _shortened(text, MAX_OPERATION_CHARS) + (" (failed)" if operation.is_error else "")


def _shortened(text: str, limit: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def _directory(request: Request, operations: list[_Operation]) -> str:
    """The working directory: of the last calls, else as the prompt declares, else the common directory of the paths."""
    for operation in reversed(operations):
        if directory := _named_directory(operation):
            return directory
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
    command = _command_text(operation.arguments.get("command")) or _command_text(operation.arguments.get("cmd"))
    changes = list(_CHANGED.finditer(command))
    if changes:
        return changes[-1]["path"]
    printed = operation.result.strip()
    return printed if command.strip() == "pwd" and _PRINTED.fullmatch(printed) else ""


def _common_directory(operations: list[_Operation]) -> str:
    arguments = [operation.arguments for operation in operations]
    paths = [path for values in arguments for key in _PATH_KEYS if isinstance(path := values.get(key), str) and path[:1] == "/"]
    if not paths:
        return ""
    common = posixpath.commonpath([posixpath.dirname(path) for path in paths])
    return common if common.count("/") >= 2 else ""  # a directory at the root is not specific enough


def _task(request: Request) -> str:
    """The last text of the user, without the texts that programs added."""
    for message in reversed(request.messages):
        if message.role != "user":
            continue
        texts = [part.text for part in message.parts if isinstance(part, Text) and part.text.strip() and not _WRAPPED.fullmatch(part.text)]
        if texts:
            return _shortened("\n".join(texts), MAX_TASK_CHARS)
    return ""
