"""The objects that Anthropic keeps: threads, containers, files (docs/wire-formats.md, section 1)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import msgspec

from proxy.translation.canonical import Finish
from proxy.translation.dialects.anthropic.wire import ABSENT, FAMILY, is_present
from proxy.translation.dialects.object_api import FILE_IDS, MadeObject, ObjectApi, ObjectReference, files_in, id_in, ids_by_pattern, is_id

_CODE_RESULT = re.compile(rb'"type"\s*:\s*"(?:bash_|text_editor_)?code_execution_tool_result"')


def _references(fields: Mapping[str, msgspec.Raw]) -> list[ObjectReference]:
    references = []
    if container_id := id_in(fields.get("container")):
        references.append(ObjectReference(field="container", id=container_id, noun="Container"))
    if message_id := id_in(fields.get("thread"), member="previous_message_id"):
        details = {"error_code": "thread_not_found"}
        references.append(ObjectReference(field="thread.previous_message_id", id=message_id, noun="Thread message", details=details))
    return references


def _nested_references(fields: Mapping[str, msgspec.Raw]) -> list[ObjectReference]:
    return files_in(fields, "messages")


def _keeps_response(fields: Mapping[str, msgspec.Raw]) -> bool:
    """Messages are kept only as turns of a thread."""
    return is_present(fields.get("thread", ABSENT))


def _made_in(finish: Finish, natives: Iterable[bytes]) -> list[MadeObject]:
    """The container, and the files that code in it has written."""
    container = finish.native.get(FAMILY, {}).get("container")
    container_id = container.get("id") if isinstance(container, dict) else None
    made = [MadeObject(container_id)] if isinstance(container_id, str) and is_id(container_id) else []
    results = [native for native in natives if _CODE_RESULT.search(native)]
    return [*made, *(MadeObject(file_id, is_nested=True) for result in results for file_id in ids_by_pattern(result, FILE_IDS))]


OBJECTS = ObjectApi(
    references=_references,
    nested_references=_nested_references,
    keeps_response=_keeps_response,
    own_id=lambda identity: f"msg_{identity}",
    made_in=_made_in,
)
