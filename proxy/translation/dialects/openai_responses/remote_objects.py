"""The objects that OpenAI keeps for Responses: responses, conversations, files, containers (docs/wire-formats.md, section 3)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import msgspec

from proxy.translation.canonical import Finish
from proxy.translation.dialects.object_api import MadeObject, ObjectApi, ObjectReference, files_in, id_in, ids_by_pattern
from proxy.translation.dialects.openai_responses import ids

_CONTAINERS = re.compile(rb'"container(?:_id)?"\s*:\s*"([^"\\]+)"')
_FILE_LISTS = re.compile(rb'"file_ids"\s*:\s*\[([^\]]*)\]')
_LISTED = re.compile(rb'"([^"\\]+)"')
_CONTAINER_IDS = re.compile(rb'"container_id"\s*:\s*"([^"\\]+)"')


def _references(fields: Mapping[str, msgspec.Raw]) -> list[ObjectReference]:
    references = []
    if response_id := id_in(fields.get("previous_response_id")):
        references.append(
            ObjectReference(field="previous_response_id", id=response_id, noun="Previous response", code="previous_response_not_found")
        )
    if conversation_id := id_in(fields.get("conversation")):
        references.append(ObjectReference(field="conversation", id=conversation_id, noun="Conversation"))
    return references


def _nested_references(fields: Mapping[str, msgspec.Raw]) -> list[ObjectReference]:
    """Files in the input; files and containers in the tools.

    Items of a conversation, and ``file_id`` and ``file_ids`` of a container, are fields of the APIs for these objects.
    """
    tools = fields.get("tools")
    references = [*files_in(fields, "input"), *files_in(fields, "items"), *files_in(fields, "tools")]
    if file_id := id_in(fields.get("file_id")):
        references.append(ObjectReference(field="file_id", id=file_id, noun="File"))
    lists = [] if tools is None else _FILE_LISTS.findall(bytes(tools))
    references += [
        ObjectReference(field="tools", id=file_id, noun="File") for listed in lists for file_id in ids_by_pattern(listed, _LISTED)
    ]
    references += [ObjectReference(field="tools", id=container_id, noun="Container") for container_id in ids_by_pattern(tools, _CONTAINERS)]
    listed = fields.get("file_ids")
    return [*references, *(ObjectReference(field="file_ids", id=file_id, noun="File") for file_id in ids_by_pattern(listed, _LISTED))]


def _keeps_response(fields: Mapping[str, msgspec.Raw]) -> bool:
    """``store`` is true by default."""
    return bytes(fields.get("store", b"true")) != b"false"


def _runs_later(fields: Mapping[str, msgspec.Raw]) -> bool:
    return bytes(fields.get("background", b"false")) == b"true"


def _made_in(finish: Finish, natives: Iterable[bytes]) -> list[MadeObject]:  # noqa: ARG001  (a response names containers in its items)
    return [MadeObject(container_id, is_nested=True) for native in natives for container_id in ids_by_pattern(native, _CONTAINER_IDS)]


OBJECTS = ObjectApi(
    references=_references,
    nested_references=_nested_references,
    keeps_response=_keeps_response,
    runs_later=_runs_later,
    own_id=ids.response_id,
    made_in=_made_in,
)
